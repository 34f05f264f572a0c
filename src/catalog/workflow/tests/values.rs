//! Expressions, and the entries of a matrix.

use super::{JobNeeds, job, read, workflow, wrong};

#[test]
fn expressions_are_worked_out_as_far_as_the_file_tells() {
    for (expression, expected) in [
        ("'ubuntu-24.04'", "ubuntu-24.04"),
        ("matrix.none || 'ubuntu-24.04'", "ubuntu-24.04"),
        ("matrix.os || inputs.os", "ubuntu-22.04"),
        ("matrix['os']", "ubuntu-22.04"),
        ("MATRIX.OS", "ubuntu-22.04"),
        ("matrix.arm && 'ubuntu-24.04-arm' || matrix.os", "ubuntu-22.04"),
        ("matrix.version == 25.10 && 'same' || 'other'", "same"),
        ("matrix.version == '25.1' && 'same' || 'other'", "same"),
        ("matrix.version != 25.1 && 'other' || 'same'", "same"),
        ("matrix.compiler == 'GCC' && 'same' || 'other'", "same"),
        ("!(matrix.compiler == 'clang') && 'right'", "right"),
        ("!matrix.none && 'it''s' != 'its' && 'right'", "right"),
        ("format('{0}-{1}', 'ubuntu', matrix.version)", "ubuntu-25.10"),
        ("fromJSON('{\"a\":[\"b\", 1.10]}') && 'right'", "right"),
        ("fromJSON('\"right\"')", "right"),
        ("false || true && 'right'", "right"),
        ("null || 0 || '' || -1.5 && 'right'", "right"),
        ("'}}' && 'right'", "right"),
    ] {
        let keys = "os: ubuntu-22.04, compiler: gcc, version: 25.10, container: 'debian:12', arm: false";
        let text = job(&format!(
            "strategy: {{matrix: {{include: [{{{keys}}}]}}}}\nruns-on: ${{{{ {expression} }}}}"
        ));
        assert_eq!(
            read(&text, Some("build"), &[])[0].split(' ').nth(1),
            Some(&*format!("{expected}:")),
            "{expression}"
        );
    }
    for (expression, why) in [
        ("github.ref", "github"),
        ("inputs.os || 'ubuntu-24.04'", "inputs"),
        ("matrix.none && 'a' || needs.x.outputs.label", "needs"),
        ("contains(matrix.os, 'ubuntu')", "contains()"),
        ("matrix.*", "does not read"),
        ("1 == 1 == 1", "does not read"),
        ("'open", "no end"),
        ("", "does not read"),
        ("format('{1}', 'a')", "{1}"),
        ("format('{', 'a')", "braces"),
        ("format()", "no argument"),
        ("fromJSON('[1')", "line 1"),
        ("fromJSON('{}') == 1 && 'a' || format('{0}', fromJSON('{}'))", "no text"),
        (&format!("{}true{}", "(".repeat(40), ")".repeat(40)), "does not read"),
        (&format!("'{}'", "a".repeat(9_000)), "too long"),
        (
            "format('{0}{0}{0}{0}{0}{0}{0}{0}{0}', format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', '0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789'))",
            "too long",
        ),
    ] {
        let text = job(&format!("runs-on: ${{{{ {expression} }}}}"));
        let said = wrong(&text, Some("build"), &[]);
        assert!(
            said.starts_with("line 4, column 14: job build: what \"") && said.contains(why),
            "{expression}: {said}"
        );
        // A job that nobody asked for by name is passed over.
        let two = format!("{text}  other:\n    runs-on: ubuntu-24.04\n");
        assert_eq!(read(&two, None, &[]), ["other ubuntu-24.04: ubuntu:24.04"]);
    }
}

#[test]
fn the_rules_of_a_matrix() {
    let entries = |matrix: &str, chosen: &[&str]| {
        let text = job(&format!("strategy:\n  matrix: {matrix}\nruns-on: ubuntu-24.04"));
        let workflow = workflow(&text, None, chosen).unwrap_or_else(|fault| panic!("{matrix}: {fault}"));
        let pairs = |needs: &JobNeeds| {
            needs.entry.pairs().map(|(key, value)| format!("{key}{value}")).collect::<Vec<_>>().join(" ")
        };
        workflow.needs.iter().map(pairs).collect::<Vec<_>>().join(", ")
    };
    for (matrix, expected) in [
        ("{a: [1, 2], b: [x, y]}", "a1 bx, a1 by, a2 bx, a2 by"),
        ("{a: [1, 2], b: [x, y], exclude: [{a: 1, b: y}, {b: x, a: 3}, {c: 1}]}", "a1 bx, a2 bx, a2 by"),
        ("{a: [1, 2], b: [x, y], exclude: [{a: 1}]}", "a2 bx, a2 by"),
        // Without a key of an axis all are extended; what was added may be overwritten, an axis never.
        ("{a: [1, 2], include: [{c: 1}]}", "a1 c1, a2 c1"),
        ("{a: [1, 2], include: [{c: 1}, {a: 1, c: 2}, {a: 2, d: 3}]}", "a1 c2, a2 c1 d3"),
        ("{a: [1], include: [{a: 2}, {a: 2, c: 1}]}", "a1, a2, a2 c1"),
        ("{include: [{a: 1}, {c: 1}]}", "a1, c1"),
        ("{a: [1, 1.0], exclude: [{a: 1.0}], include: [{a: '1', c: x}]}", "a1 cx"),
        ("{a: ['${{ fromJSON(1) }}'], b: [{c: d}]}", "a${{ fromJSON(1) }}"),
        ("{a: '${{ fromJSON(''[1, 2]'') }}'}", "a1, a2"),
        ("'${{ fromJSON(''{\"a\": [1, 2.50]}'') }}'", "a1, a2.50"),
        ("{a: [1], include: }", "a1"),
    ] {
        assert_eq!(entries(matrix, &[]), expected, "{matrix}");
    }
    for (matrix, chosen, expected) in [
        ("{a: [1, 2], b: [x, y]}", &["a=2", "b=x"][..], "a2 bx"),
        ("{a: [1, 2, 3]}", &["a=2", "a=3"], "a2, a3"),
        (
            "'${{ fromJSON(needs.x.outputs.y) }}'",
            &["compiler=gcc-15", "asan=true"],
            "compilergcc-15 asantrue",
        ),
        ("{include: '${{ fromJSON(needs.x.outputs.y) }}'}", &["a=1"], "a1"),
        ("{a: '${{ fromJSON(inputs.a) }}', b: [1, 2]}", &["b=2", "a=x"], "ax b2"),
        ("{a: '${{ fromJSON(inputs.a) }}', b: [1, 2]}", &["b=2"], "a${{ fromJSON(inputs.a) }} b2"),
    ] {
        assert_eq!(entries(matrix, chosen), expected, "{matrix}");
    }
    let unknown = job("strategy:\n  matrix: ${{ fromJSON(needs.x.outputs.y) }}\nruns-on: ubuntu-24.04");
    let said = wrong(&unknown, Some("build"), &[]);
    assert!(
        ["line 5, column 15", "needs", "--matrix KEY=VALUE"].iter().all(|word| said.contains(word)),
        "{said}"
    );
    assert_eq!(
        read(&unknown, None, &["compiler=clang-20", "asan=true"]),
        ["build ubuntu-24.04: ubuntu:24.04 clang-20 asan"]
    );
    // The same of the whole strategy.
    let unknown = job("strategy: ${{ fromJSON(needs.x.outputs.y) }}\nruns-on: ubuntu-24.04");
    assert!(wrong(&unknown, Some("build"), &[]).contains("line 4, column 15: job build: what"));
    assert_eq!(read(&unknown, None, &["compiler=gcc-15"]), ["build ubuntu-24.04: ubuntu:24.04 gcc-15"]);
    let json = r#"{"matrix": {"compiler": ["gcc-15"]}}"#;
    let known = job(&format!("strategy: '${{{{ fromJSON(''{json}'') }}}}'\nruns-on: ubuntu-24.04"));
    assert_eq!(read(&known, None, &[]), ["build ubuntu-24.04: ubuntu:24.04 gcc-15"]);
    assert!(wrong(&job("strategy: x\nruns-on: ubuntu-24.04"), None, &[]).contains("a strategy is a mapping"));
    assert_eq!(
        read(&job("strategy:\nruns-on: ubuntu-24.04"), None, &[]),
        ["build ubuntu-24.04: ubuntu:24.04"]
    );
}
