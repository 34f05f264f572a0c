//! `sbom --diff`.

use serde_json::{Value, json};

use super::{import, stanza};
use crate::support::Sandbox;
use crate::support::tarball::Tarball;

const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789.1-1";

/// Two images: `old:1` and `new:1`.
fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    let npm = |version: &str| format!("{{\"name\":\"lodash\",\"version\":\"{version}\"}}");
    for (name, status, module) in [
        (
            "old:1",
            [
                stanza("bash", "5.2-1", ""),
                stanza("libssl3", "3.0.9-1", ""),
                stanza("gone", "1", ""),
                stanza("back", "1:1.0-1", ""),
                stanza("long", "1-1", ""),
            ],
            npm("4.17.20"),
        ),
        (
            "new:1",
            [
                stanza("bash", "5.2-1", ""),
                stanza("libssl3", "3.0.11-1~deb12u2", ""),
                stanza("</b>\u{1b}[2Jevil", "1", ""),
                stanza("back", "2.0-1", ""),
                stanza("long", LONG, ""),
            ],
            npm("4.17.21"),
        ),
    ] {
        let mut layer = Tarball::new();
        layer.file("var/lib/dpkg/status", status.concat().as_bytes());
        layer.file("usr/lib/node_modules/lodash/package.json", module.as_bytes());
        if name == "new:1" {
            layer.file("var/lib/dpkg/status.d/new", stanza("curl<b>", "7.88.1-10", "").as_bytes());
        }
        import(&sandbox, name, &[layer.bytes()]);
    }
    sandbox
}

#[test]
fn what_is_between_two_images_is_shown() {
    let sandbox = store();
    let output = sandbox.command(["sbom", "--diff", "old:1", "new:1"]).output().unwrap();
    let (shown, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    // Of the name that is none is told, and the rest is compared.
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("new:1: /var/lib/dpkg/status: damaged: 1 of its packages"), "{said}");
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected: &[&[&str]] = &[
        &["PACKAGE", "KIND", "CHANGE", "BEFORE", "AFTER"],
        &["back", "deb", "downgraded", "1:1.0-1", "2.0-1"],
        &["curl<b>", "deb", "added", "-", "7.88.1-10"],
        &["gone", "deb", "removed", "1", "-"],
        &["libssl3", "deb", "upgraded", "3.0.9-1", "3.0.11-1~deb12u2"],
        &["long", "deb", "upgraded", "1-1", LONG],
        &["lodash", "npm", "upgraded", "4.17.20", "4.17.21"],
    ];
    assert_eq!(rows, expected);
    assert!(!shown.contains('\u{1b}') && !said.contains('\u{1b}'));
    assert!(said.contains("6 differences"), "{said}");
    // A pipe has no width: what is cut nobody could read by a program.
    let mut narrow = sandbox.command(["sbom", "--diff", "old:1", "new:1"]);
    let narrow = narrow.env("COLUMNS", "20").output().unwrap();
    assert_eq!(String::from_utf8(narrow.stdout).unwrap(), shown);
}

#[test]
fn a_program_reads_it_and_any_name_of_an_image_will_do() {
    let sandbox = store();
    let digest = |name: &str| sandbox.json(["inspect", name])[0]["digest"].as_str().unwrap().to_owned();
    let diff = |before: &str, after: &str| -> Value {
        let output = sandbox.command(["sbom", "--format", "json", "--diff", before, after]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let rows = diff("old:1", "new:1");
    assert_eq!(
        rows[0],
        json!({"kind": "deb", "name": "back", "architecture": "amd64", "change": "downgraded", "before": ["1:1.0-1"], "after": ["2.0-1"]})
    );
    assert_eq!(diff(&digest("old:1"), &digest("new:1")[..20]), rows);
    let turned = diff("new:1", "old:1");
    let changes = |rows: &Value, change: &str| {
        rows.as_array().unwrap().iter().filter(|row| row["change"] == change).count()
    };
    for (one, other) in [("added", "removed"), ("upgraded", "downgraded")] {
        assert_eq!(changes(&rows, one), changes(&turned, other));
        assert_eq!(changes(&rows, other), changes(&turned, one));
    }
    // The same twice: nothing, and that is said with 0.
    assert_eq!(sandbox.ok(["sbom", "--format", "json", "--diff", "old:1", "old:1"]).trim(), "[]");
    assert_eq!(sandbox.ok(["sbom", "--diff", "old:1", &digest("old:1")]).lines().count(), 1);
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let sandbox = store();
    for (arguments, code) in [
        (&["sbom", "--diff", "old:1"][..], 2),
        (&["sbom", "--diff", "old:1", "new:1", "--attach"], 2),
        (&["sbom", "--diff", "old:1", "new:1", "-o", "file"], 2),
        (&["sbom", "old:1", "--diff", "old:1", "new:1"], 2),
        (&["sbom"], 2),
        (&["sbom", "--diff", "old:1", "none:1"], 3),
        (&["sbom", "--diff", "none:1", "old:1"], 3),
    ] {
        let output = sandbox.command(arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{arguments:?}");
    }
}
