//! Entries in words that are not known here.

use larder_store::cancel::Cancel;

use super::super::{Choice, Workflow};
use super::{entry, job, line, workflow, wrong};

/// One entry that cannot be read takes nothing from the others, but where its job is asked for by name.
#[test]
fn an_odd_entry_is_passed_over() {
    for odd in [
        "asan: maybe",
        "compiler: {cc: gcc-13}",
        "compiler: gcc",
        "compiler: clang, version: '*'",
        "compiler: tcc-1",
        "install: 'g++-15 && make'",
        "container: [a]",
    ] {
        let text = job(&format!(
            "strategy: {{matrix: {{include: [{{{odd}}}, {{compiler: gcc-15}}]}}}}\nruns-on: ubuntu-24.04"
        ));
        let read = workflow(&text, None, &[]).unwrap_or_else(|fault| panic!("{odd}: {fault}"));
        let lines: Vec<_> = read.needs.iter().map(line).collect();
        assert_eq!(lines, ["build ubuntu-24.04: ubuntu:24.04 gcc-15"], "{odd}");
        let said: Vec<_> = read.passed_over.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with("line 4, column "), "{odd}: {said:?}");
        wrong(&text, Some("build"), &[]);
    }
    for contradiction in ["compiler: gcc-15, version: 14", "compiler: gcc-15, version: 14, asan: maybe"] {
        let text = job(&format!(
            "strategy: {{matrix: {{include: [{{{contradiction}}}, {{compiler: gcc-15}}]}}}}\nruns-on: ubuntu-24.04"
        ));
        assert!(wrong(&text, None, &[]).contains("contradicts"));
    }
}

#[test]
fn a_compiler_that_is_asked_for_fills_what_an_entry_does_not_say() {
    let given = "gcc-15".parse().expect("a compiler");
    for (keys, expected) in [
        ("compiler: gcc", None),
        ("compiler: g++, version: '*'", None),
        ("compiler: gcc, version: latest", None),
        ("compiler: {cc: gcc-13}", None),
        ("compiler: gcc, version: 14", Some("gcc-14")),
        ("compiler: clang", Some("contradicts gcc-15")),
        ("compiler: tcc", Some("contradicts gcc-15")),
    ] {
        let choice = Choice { job: Some("build"), compiler: Some(&given), matrix: &[] };
        let read = Workflow::read(&entry(keys), &choice, &Cancel::new());
        let said = match &read {
            Ok(workflow) => workflow.needs[0].asked.compiler.as_ref().map(ToString::to_string),
            Err(fault) => Some(fault.to_string()),
        };
        match (said, expected) {
            (Some(said), Some(expected)) => assert!(said.contains(expected), "{keys}: {said}"),
            (said, expected) => assert_eq!(said.as_deref(), expected, "{keys}"),
        }
    }
}

/// What is told of a file has one line, whatever stands in it.
#[test]
fn no_line_can_be_forged() {
    let text = "jobs:\n  \"a\\nforged\": {runs-on: ubuntu-24.04, strategy: {matrix: {\"b\\nforged\": [\"c\\nforged\"]}}}\n";
    let read = workflow(text, None, &[]).expect("a workflow");
    assert_eq!(read.needs[0].shown(), "job a\\nforged (b\\nforged=c\\nforged)");
    let said = wrong(text, Some("b"), &[]);
    assert!(!said.contains('\n'), "{said}");
    let said = wrong(&text.replace("ubuntu-24.04", "'x y'"), None, &[]);
    assert!(!said.contains('\n'), "{said}");
}
