//! `def test`.

use super::{copy_fixture, put};
use crate::build::Builder;
use crate::support::need;

#[test]
fn images_are_tested_by_their_own_files() {
    let builder = need!(Builder::new(), "runc, busybox and root");
    let sandbox = &builder.sandbox;
    copy_fixture(sandbox);
    // Not there yet.
    let said = sandbox.fail(["def", "test", "base"], 3);
    assert!(said.contains("base:2025.09"), "{said}");
    sandbox.ok(["def", "build", "--all"]);
    let said = sandbox.ok(["def", "test", "--all"]);
    assert!(
        said.contains("base:2025.09 base/2025.09/test.yml\nPASS  File Existence Test: base-is-there"),
        "{said}"
    );
    assert!(said.contains("tool:1.5.1-debug tool/1.5.1-debug/test.yml"), "{said}");
    assert_eq!(said.matches("PASS  Command Test: tool-version").count(), 11, "{said}");
    assert!(said.ends_with(" 0 failed, 0 skipped\n"), "{said}");
    // One tag, by an alias.
    assert!(sandbox.ok(["def", "test", "tool:2-slim"]).starts_with("tool:2.0.0-slim "));
    let rows = sandbox.json(["def", "test", "app"]);
    assert!(rows.to_string().contains("app-has-the-tool"), "{rows}");

    put(
        sandbox,
        &[(
            "images/base/tiny/test.yml.jinja2",
            "schemaVersion: 2.0.0\nfileExistenceTests: [{name: x, path: /no, shouldExist: true}]\n",
        )],
    );
    let said = sandbox.fail(["def", "test", "base"], 1);
    assert!(said.contains("failed: 1 of 1 tests"), "{said}");
    put(sandbox, &[("images/base/tiny/test.yml.jinja2", "schemaVersion: 2.0.0\nfileTests: []\n")]);
    assert!(sandbox.fail(["def", "test", "--all"], 1).contains("base/2025.09/test.yml"));
    std::fs::remove_file(sandbox.path("images/base/tiny/test.yml.jinja2")).unwrap();
    assert_eq!(sandbox.ok(["def", "test", "base"]), "0 passed, 0 failed, 0 skipped\n");
    assert!(sandbox.fail(["def", "test", "nothing"], 2).contains("the images are app, base, tool"));
}

/// What a pipeline hands over is taken as it is.
#[test]
fn nothing_else_is_built_where_that_is_said() {
    let builder = need!(Builder::new(), "runc, busybox and root");
    let sandbox = &builder.sandbox;
    copy_fixture(sandbox);
    sandbox.fail(["def", "build", "--only", "tool"], 3);
    // Not what the definition would make.
    std::fs::create_dir(sandbox.path("base/opt")).unwrap();
    builder.import("base:2025.09", &["base"]);
    let before = sandbox.json(["inspect", "base:2025.09"])[0]["digest"].clone();
    let rows = sandbox.json(["def", "build", "--only", "tool:2.0.0"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(sandbox.json(["inspect", "base:2025.09"])[0]["digest"], before);
    assert_eq!(sandbox.json(["inspect", "tool:2.0.0"])[0]["base"]["digest"], before);
}
