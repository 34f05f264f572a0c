//! What nobody should write.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{MAX_BYTES, MAX_NEEDS};
use super::{job, line, pairs, workflow, wrong};

#[test]
fn what_is_no_workflow_is_refused() {
    let many: String = (0..10).map(|axis| format!("a{axis}: [1, 2], ")).collect();
    let more: String = (0..64).map(|axis| format!("a{axis}: [1, 2], ")).collect();
    let repeated: String =
        (0..17).map(|job| format!("  j{job}: {{runs-on: a, strategy: {{matrix: *m}}}}\n")).collect();
    let repeated = format!(
        "x: &m {{a: &a [{}], b: *a}}\njobs:\n{repeated}",
        (0..16).map(|i| format!("{i},")).collect::<String>()
    );
    for (text, words) in [
        ("", ["line 1", "no jobs"]),
        ("jobs: []", ["line 1, column 7", "a list"]),
        ("jobs: {}", ["no job", ""]),
        ("jobs: {a: 1}", ["line 1, column 11", "a number"]),
        ("jobs: {a: {}}", ["line 1, column 11", "no runs-on"]),
        ("jobs: {a: {runs-on: []}}", ["line 1, column 21", "no label"]),
        ("jobs: {a: {runs-on: [[a]]}}", ["line 1, column 22", "a list"]),
        ("jobs: {a: {runs-on: {group: b}}}", ["line 1, column 21", "group"]),
        ("jobs: {a: {runs-on: a}, a: {}}", ["line 1, column 25", "a"]),
        ("jobs: {a: {runs-on: 'x --privileged'}}", ["line 1, column 21", "x --privileged"]),
        ("jobs: {a: {runs-on: -P}}", ["line 1, column 21", "-P"]),
        ("jobs: {a: {runs-on: 'a=b'}}", ["line 1, column 21", "a=b"]),
        ("jobs: {a: {runs-on: '*'}}", ["line 1, column 21", "*"]),
        ("jobs: {a: {runs-on: ''}}", ["line 1, column 21", "label"]),
        ("jobs: {a: {runs-on: a, container: [b]}}", ["line 1, column 35", "image"]),
        ("jobs: {a: {runs-on: a, container: {image: {}}}}", ["line 1, column 43", "image"]),
        ("jobs: {a: {runs-on: a, strategy: {matrix: [1]}}}", ["line 1, column 43", "a list"]),
        ("jobs: {a: {runs-on: a, strategy: {matrix: {b: 1}}}}", ["line 1, column 47", "a number"]),
        ("jobs: {a: {runs-on: a, strategy: {matrix: {include: {}}}}}", ["line 1, column 53", "include"]),
        ("jobs: {a: {runs-on: a, strategy: {matrix: {exclude: [1]}}}}", ["line 1, column 54", "exclude"]),
        ("jobs: {a: {runs-on: a, strategy: {matrix: {}}}}", ["no job with an entry", ""]),
        (
            &format!("jobs: {{a: {{runs-on: a, strategy: {{matrix: {{{many}}}}}}}}}"),
            ["line 1, column 43", "256"],
        ),
        (
            &format!("jobs: {{a: {{runs-on: a, strategy: {{matrix: {{{more}}}}}}}}}"),
            ["line 1, column 43", "256"],
        ),
        (
            &format!(
                "jobs: {{a: {{runs-on: a, strategy: {{matrix: {{include: [{}]}}}}}}}}",
                "{}, ".repeat(257)
            ),
            ["include", "256"],
        ),
        (&repeated, [&MAX_NEEDS.to_string(), "entries"]),
        (&" ".repeat(MAX_BYTES + 1), ["larger than", ""]),
        ("jobs:\n  a: [\n", ["line 2", ""]),
    ] {
        let said = wrong(text, None, &[]);
        assert!(words.iter().all(|word| said.contains(word)), "{}: {said}", &text[..text.len().min(80)]);
        assert!(!said.contains('\n') && said.len() < 500, "{said}");
    }
}

/// Small files that took minutes.
#[test]
fn no_matrix_takes_long() {
    let keys = |from: usize, count: usize| {
        (from..from + count).map(|key| format!("k{key}: 1, ")).collect::<String>()
    };
    let axis = (0..256).map(|value| format!("{value}, ")).collect::<String>();
    let objects = |count: usize, keys: &dyn Fn(usize) -> String| {
        (0..count).map(|at| format!("{{{}}}, ", keys(at))).collect::<String>()
    };
    for (matrix, words) in [
        (format!("include: [{{{}}}]", keys(0, 257)), "256 keys"),
        (format!("a: [{axis}], include: [{}]", objects(3, &|at| keys(at * 100, 100))), "256 keys"),
        (format!("a: [{axis}], include: [{}]", objects(100, &|at| keys(at * 200, 200))), "too large"),
        (format!("a: [{axis}], include: [{}]", objects(100, &|_| keys(0, 200))), "too large"),
        (
            format!(
                "a: [{axis}], b: [{{{0}}}], exclude: [{1}]",
                keys(0, 250),
                objects(50, &|_| format!("b: {{{}}}", keys(0, 250)))
            ),
            "too large",
        ),
    ] {
        let begun = std::time::Instant::now();
        let text = job(&format!("strategy: {{matrix: {{{matrix}}}}}\nruns-on: ubuntu-24.04"));
        let said = wrong(&text, None, &[]);
        assert!(said.starts_with("line 4, column ") && said.contains(words), "{said}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{said}: {:?}", begun.elapsed());
    }
}

#[test]
fn reading_can_be_cancelled() {
    let cancel = larder_store::cancel::Cancel::new();
    cancel.raise();
    let text = job("runs-on: ubuntu-24.04");
    assert!(super::Workflow::read(&text, &super::Choice::default(), &cancel).is_err());
}

/// Pieces that such files are made of, in any order.
fn soup() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(
        &[
            "jobs",
            "a",
            "b",
            "runs-on",
            "strategy",
            "matrix",
            "include",
            "exclude",
            "container",
            "image",
            "compiler",
            "version",
            "install",
            "x86",
            "asan",
            "true",
            "25.10",
            "gcc",
            "g++-15",
            "ubuntu-24.04",
            "'ubuntu:25.04'",
            "~",
            "'*'",
            "'${{ matrix.a || matrix.b }}'",
            "\"${{ format('{0}', matrix.a) }}\"",
            "\"${{ fromJSON('[1]') }}\"",
            "'${{ inputs.a }}'",
            "\"${{ '\"",
            "é",
            "*x",
        ][..],
    );
    let leaf = prop_oneof![8 => word.clone().prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    leaf.prop_recursive(5, 64, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec((word.clone(), inner), 0..5).prop_map(|pairs| {
                let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

const RUNS_ON: [&str; 4] = [
    "ubuntu-24.04",
    "'${{ matrix.os || ''ubuntu-22.04'' }}'",
    "[self-hosted, debian-13]",
    "'${{ matrix.b }}'",
];

/// A key of a matrix with a value that is mostly right.
fn pair() -> impl Strategy<Value = (&'static str, String)> {
    let values: [(&str, &[&str]); 9] = [
        ("compiler", &["gcc", "clang", "g++-15", "tcc"]),
        ("version", &["15", "25.10", "'15'", "'*'"]),
        ("install", &["a", "'a, b'", "'$'"]),
        ("x86", &["true", "false", "'true'"]),
        ("asan", &["true", "false", "maybe"]),
        ("container", &["'ubuntu:25.04'", "''", "{image: debian}"]),
        ("a", &["1", "2.0", "[1]", "'${{ inputs.a }}'"]),
        ("b", &["gcc", "1", "true", "{c: d}"]),
        ("os", &["ubuntu-24.04", "windows-2022", "'x y'", "ubuntu-24.04-arm"]),
    ];
    let few = proptest::sample::select(values.to_vec());
    few.prop_flat_map(|(key, values)| {
        let index = prop_oneof![4 => 0..1usize, 1 => 0..values.len()];
        (Just(key), index.prop_map(|at| values[at].to_owned()))
    })
}

fn matrix() -> impl Strategy<Value = String> {
    let object = || {
        proptest::collection::vec(pair(), 0..4).prop_map(|pairs| {
            let once: BTreeMap<_, _> = pairs.into_iter().collect();
            let pairs: Vec<_> = once.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{{}}}", pairs.join(", "))
        })
    };
    let list = |count| proptest::collection::vec(object(), count).prop_map(|items| items.join(", "));
    let axes = proptest::collection::vec((pair(), pair()), 0..4).prop_map(|axes| {
        let once: BTreeMap<_, _> =
            axes.into_iter().map(|((key, a), (_, b))| (key, format!("[{a}, {b}]"))).collect();
        once.into_iter().map(|(key, values)| format!("{key}: {values}, ")).collect::<String>()
    });
    (axes, list(0..4), list(0..2))
        .prop_map(|(axes, include, exclude)| format!("{{{axes}include: [{include}], exclude: [{exclude}]}}"))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        matrix in prop_oneof![9 => matrix(), 1 => soup()],
        runs_on in prop_oneof![9 => proptest::sample::select(&RUNS_ON[..]).prop_map(str::to_owned), 1 => soup()],
        container in prop_oneof![9 => Just(String::new()), 1 => soup()],
        whole in prop_oneof![soup(), "\\PC{0,80}"],
        chosen in "[ab]=(1|gcc|true)",
    ) {
        let text = format!("jobs:\n  a:\n    strategy: {{matrix: {matrix}}}\n    runs-on: {runs_on}\n    container: {container}\n");
        for text in [text, whole] {
            for chosen in [&[][..], &[chosen.as_str()]] {
                for job in [None, Some("a")] {
                    match workflow(&text, job, chosen) {
                        Ok(workflow) => workflow.needs.iter().for_each(|needs| {
                            assert!(!needs.shown().is_empty() && !line(needs).contains('\n'));
                            // It is printed for a shell.
                            assert!(needs.label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+@".contains(&b)));
                            let said = pairs(chosen).into_iter().filter_map(|(key, value)| Some((value, needs.entry.get(&key)?.text())));
                            said.for_each(|(value, has)| assert_eq!(has.as_deref(), Some(&*value)));
                        }),
                        Err(fault) => prop_assert!(!fault.to_string().is_empty()),
                    }
                }
            }
        }
    }

    #[test]
    fn no_expression_makes_it_panic(text in "[a-z'(){}.|&=!,0-9 \\[\\]$é-]{0,40}") {
        let _ = workflow(&job(&format!("runs-on: \"${{{{ {text} }}}}\"")), Some("build"), &[]);
    }
}
