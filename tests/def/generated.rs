//! `def generate`, `def graph` and `schema`.

use std::os::unix::fs::symlink;

use super::{copy_fixture, listing, put};
use crate::support::Sandbox;

/// The public generator makes the very same of this folder, beside a page of its own (docs/definitions.md).
#[test]
fn the_example_folder_comes_to_these_files() {
    let sandbox = Sandbox::new();
    copy_fixture(&sandbox);
    let said = sandbox.ok(["def", "generate"]);
    insta::assert_snapshot!("said", said);
    insta::assert_snapshot!("dist", listing(&sandbox.path("dist")));
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let sandbox = Sandbox::new();
    copy_fixture(&sandbox);
    let changed = |args: &[&str]| {
        let rows = sandbox.json([&["def", "generate"], args].concat());
        let rows = rows.as_array().unwrap().clone();
        rows.iter()
            .filter(|row| row["changed"] == true)
            .map(|row| format!("{}:{}", row["name"].as_str().unwrap(), row["tag"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(changed(&[]).len(), 13);
    let time = |path: &str| std::fs::metadata(sandbox.path(path)).unwrap().modified().unwrap();
    let (before, of_file) = (time("dist/tool/1.4.0/Dockerfile"), time("dist/tool/1.4.0/rootfs/etc/run"));
    assert_eq!(changed(&[]), [""; 0]);
    assert_eq!(
        (time("dist/tool/1.4.0/Dockerfile"), time("dist/tool/1.4.0/rootfs/etc/run")),
        (before, of_file)
    );
    put(&sandbox, &[("images/tool/2/Dockerfile.jinja2", "FROM {{ 'base' | resolve_base_image }}\n")]);
    assert_eq!(changed(&[]), ["tool:2.0.0", "tool:2.0.0-slim"]);
    put(&sandbox, &[("images/tool/1/debug/rootfs/etc/tool-info", "level=another\n")]);
    assert_eq!(changed(&[]), ["tool:1.4.0-debug", "tool:1.5.1-debug", "tool:1.5.0-debug"]);
}

#[test]
fn what_is_made_no_more_goes_and_other_files_stay() {
    let sandbox = Sandbox::new();
    copy_fixture(&sandbox);
    put(
        &sandbox,
        &[("dist/tool/2.0.0/mine", "mine"), ("dist/old", "mine"), ("elsewhere/Dockerfile", "mine")],
    );
    sandbox.ok(["def", "generate"]);
    std::fs::remove_dir_all(sandbox.path("images/tool/2")).unwrap();
    std::fs::remove_file(sandbox.path("images/tool/1/rootfs/etc/run")).unwrap();
    let list = sandbox.path("dist/.larder-generated");
    // A list that leads elsewhere, by its words or by a link.
    let more = "../elsewhere/Dockerfile\n/etc/hostname\nout/Dockerfile\n.larder-generated\n";
    std::fs::write(&list, std::fs::read_to_string(&list).unwrap() + more).unwrap();
    symlink(sandbox.path("elsewhere"), sandbox.path("dist/out")).unwrap();
    sandbox.ok(["def", "generate"]);
    let there = |path: &str| sandbox.path(path).symlink_metadata().is_ok();
    for gone in [
        "dist/tool/2.0.0/Dockerfile",
        "dist/tool/2.0.0-slim",
        "dist/tool/2",
        "dist/tool/1.4.0/rootfs/etc/run",
    ] {
        assert!(!there(gone), "{gone}");
    }
    for kept in [
        "dist/tool/2.0.0/mine",
        "dist/old",
        "elsewhere/Dockerfile",
        "dist/tool/1",
        "dist/tool/1.4.0/rootfs/etc/tool-info",
    ] {
        assert!(there(kept), "{kept}");
    }
    assert_eq!(std::fs::read_to_string(sandbox.path("dist/tool/1")).unwrap(), "1.5.1");
}

#[test]
fn nothing_is_written_through_a_link() {
    let sandbox = Sandbox::new();
    copy_fixture(&sandbox);
    put(&sandbox, &[("elsewhere/Dockerfile", "mine"), ("dist/tool/note", "mine")]);
    symlink(sandbox.path("elsewhere/Dockerfile"), sandbox.path("dist/tool/1")).unwrap();
    sandbox.ok(["def", "generate"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("elsewhere/Dockerfile")).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(sandbox.path("dist/tool/1")).unwrap(), "1.5.1");
    symlink(sandbox.path("elsewhere"), sandbox.path("dist2")).unwrap();
    std::fs::create_dir(sandbox.path("dist3")).unwrap();
    symlink(sandbox.path("elsewhere"), sandbox.path("dist3/tool")).unwrap();
    let told = sandbox.fail(["def", "generate", "-o", "dist3"], 1);
    assert!(told.contains("dist3/tool: is in the way"), "{told}");
    assert_eq!(std::fs::read_dir(sandbox.path("elsewhere")).unwrap().count(), 1);
}

#[test]
fn lock_files_count_unless_they_are_not_wanted() {
    let sandbox = Sandbox::new();
    let digest = format!("sha256:{}", "c3".repeat(32));
    let lock = format!("bases:\n  ubuntu:24.04:\n    digest: {digest}\n    packages: {{curl: 8.5.0-2}}\n");
    put(
        &sandbox,
        &[
            ("images/a/1/image.yml", "tags: [{name: '1'}]"),
            ("images/a/1/Dockerfile.jinja2", "FROM ubuntu:24.04\nRUN apt-get install -y curl\n"),
            ("images/a/1/packages.lock", &lock),
        ],
    );
    let made = |args: &[&str]| {
        sandbox.ok([&["def", "generate"], args].concat());
        std::fs::read_to_string(sandbox.path("dist/a/1/Dockerfile")).unwrap()
    };
    assert_eq!(made(&[]), format!("FROM ubuntu@{digest}\nRUN apt-get install -y curl=8.5.0-2"));
    assert_eq!(made(&["--no-lock"]), "FROM ubuntu:24.04\nRUN apt-get install -y curl");
}

#[test]
fn the_graph_is_drawn() {
    let sandbox = Sandbox::new();
    copy_fixture(&sandbox);
    let tree = sandbox.ok(["def", "graph"]);
    assert_eq!(tree, "busybox:1\n└ base (1)\n  ├ app (1)\n  └ tool (11)\n    └ app (1)\n");
    assert!(tree.lines().all(|line| line.chars().count() < 40));
    insta::assert_snapshot!("dot", sandbox.ok(["def", "graph", "--format", "dot"]));
    insta::assert_snapshot!("graph", sandbox.ok(["def", "graph", "--format", "json"]));
}

#[test]
fn the_schema_is_printed() {
    let sandbox = Sandbox::new();
    let schema: serde_json::Value = serde_json::from_str(&sandbox.ok(["schema", "image"])).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["tags"]));
    assert_eq!(schema["additionalProperties"], false);
    assert!(!sandbox.store().exists());
}
