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
    // A list that leads elsewhere by a link; by its words it is none, and nothing goes.
    let text = std::fs::read_to_string(&list).unwrap() + "out/Dockerfile\n";
    for line in ["../elsewhere/Dockerfile\n", "/etc/hostname\n", ".larder-generated\n", "old"] {
        std::fs::write(&list, format!("{text}{line}")).unwrap();
        let told = sandbox.fail(["def", "generate"], 1);
        assert!(
            told.contains(".larder-generated: line ") && told.contains("larder did not write this"),
            "{told}"
        );
        assert!(sandbox.path("dist/tool/2.0.0/Dockerfile").exists() && sandbox.path("dist/old").exists());
    }
    std::fs::write(&list, text).unwrap();
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
    sandbox.ok(["def", "generate"]);
    std::fs::remove_file(sandbox.path("dist/tool/1")).unwrap();
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

/// One image with these files in its `rootfs/`.
fn one(sandbox: &Sandbox, rootfs: &[&str]) {
    put(
        sandbox,
        &[
            ("images/a/1/image.yml", "tags: [{name: '1'}]"),
            ("images/a/1/Dockerfile.jinja2", "FROM scratch\n"),
        ],
    );
    let files: Vec<_> = rootfs.iter().map(|path| format!("images/a/1/rootfs/{path}")).collect();
    put(sandbox, &files.iter().map(|path| (path.as_str(), "x")).collect::<Vec<_>>());
}

#[test]
fn a_name_of_two_lines_takes_no_file_with_it() {
    let sandbox = Sandbox::new();
    one(&sandbox, &["foo\nmine"]);
    put(&sandbox, &[("dist/mine", "x")]);
    let told = sandbox.fail(["def", "generate"], 1);
    assert!(told.contains("has a control character in its name"), "{told}");
    assert!(!sandbox.path("dist/.larder-generated").exists());
    std::fs::remove_file(sandbox.path("images/a/1/rootfs/foo\nmine")).unwrap();
    sandbox.ok(["def", "generate"]);
    assert!(sandbox.path("dist/mine").exists());
}

#[test]
fn what_is_somebody_elses_is_neither_replaced_nor_owned() {
    let sandbox = Sandbox::new();
    one(&sandbox, &["etc/x", "y"]);
    let file = sandbox.path("a/1/Dockerfile");
    let refused = |path: &str, why: &str| {
        let told = sandbox.fail(["def", "generate", "-o", "."], 1);
        assert!(told.contains(&format!("{path}: {why}")) && told.contains("hint: remove it"), "{told}");
        assert!(!sandbox.path(".larder-generated").exists() && !sandbox.path("a/1/rootfs/etc/x").exists());
    };
    put(&sandbox, &[("a/1/Dockerfile", "FROM mine\n")]);
    refused("a/1/Dockerfile", "is there already");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "FROM mine\n");
    put(&sandbox, &[("a/1/Dockerfile", "FROM scratch\n"), ("a/1/rootfs", "mine")]);
    refused("a/1/rootfs", "is in the way");
    std::fs::remove_file(sandbox.path("a/1/rootfs")).unwrap();
    let made = std::fs::read_to_string(sandbox.path("images/a/1/Dockerfile.jinja2")).unwrap();
    assert_eq!(made, "FROM scratch\n");
    // Just as it would be made: it stays, and stays theirs.
    let made = sandbox.ok(["def", "generate"]);
    assert!(made.contains("a:1"));
    std::fs::copy(sandbox.path("dist/a/1/Dockerfile"), &file).unwrap();
    sandbox.ok(["def", "generate", "-o", "."]);
    assert!(sandbox.path("a/1/rootfs/etc/x").exists());
    std::fs::remove_dir_all(sandbox.path("images/a")).unwrap();
    put(
        &sandbox,
        &[
            ("images/b/1/image.yml", "tags: [{name: '1'}]"),
            ("images/b/1/Dockerfile.jinja2", "FROM scratch\n"),
        ],
    );
    sandbox.ok(["def", "generate", "-o", "."]);
    assert!(file.exists() && !sandbox.path("a/1/rootfs").exists());
}

#[test]
fn a_file_becomes_a_directory_and_back() {
    let sandbox = Sandbox::new();
    one(&sandbox, &["x", "y"]);
    sandbox.ok(["def", "generate"]);
    std::fs::remove_file(sandbox.path("images/a/1/rootfs/x")).unwrap();
    one(&sandbox, &["x/z"]);
    sandbox.ok(["def", "generate"]);
    assert!(sandbox.path("dist/a/1/rootfs/x/z").exists());
    std::fs::remove_dir_all(sandbox.path("images/a/1/rootfs/x")).unwrap();
    one(&sandbox, &["x"]);
    sandbox.ok(["def", "generate"]);
    assert!(sandbox.path("dist/a/1/rootfs/x").is_file());
}

#[test]
fn modes_are_kept_whatever_the_umask_is() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    one(&sandbox, &["etc/secret", "etc/suid", "etc/all"]);
    let set = |path: &str, mode: u32| {
        let path = sandbox.path("images/a/1/rootfs").join(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, mode) in [("etc/secret", 0o600), ("etc/suid", 0o4755), ("etc/all", 0o666), ("etc", 0o1777)] {
        set(path, mode);
    }
    let modes = |dist: &str| {
        ["etc/secret", "etc/suid", "etc/all", "etc"].map(|path| {
            let path = sandbox.path(dist).join("a/1/rootfs").join(path);
            path.metadata().unwrap().permissions().mode() & 0o7777
        })
    };
    for mask in ["077", "022", "000"] {
        let mut shell = sandbox.enclose(std::process::Command::new("sh"));
        let script = format!("umask {mask}; exec \"$0\" def generate -o dist{mask}");
        crate::support::run(shell.args(["-c", &script, env!("CARGO_BIN_EXE_larder")]));
        assert_eq!(modes(&format!("dist{mask}")), [0o600, 0o4755, 0o666, 0o1777], "{mask}");
    }
    set("etc/secret", 0o640);
    assert_eq!(sandbox.json(["def", "generate", "-o", "dist022"])[0]["changed"], true);
    assert_eq!(modes("dist022")[0], 0o640);
    assert_eq!(sandbox.json(["def", "generate", "-o", "dist022"])[0]["changed"], false);
}

#[test]
fn a_foreign_file_gets_into_no_image() {
    let sandbox = Sandbox::new();
    one(&sandbox, &["etc/x", "gone/y"]);
    sandbox.ok(["def", "generate"]);
    put(
        &sandbox,
        &[("dist/a/1/rootfs/etc/evil", "x"), ("dist/a/1/rootfs/gone/evil", "x"), ("dist/a/1/mine", "x")],
    );
    std::fs::remove_dir_all(sandbox.path("images/a/1/rootfs/gone")).unwrap();
    for args in [["def", "generate"].as_slice(), &["def", "build", "a"]] {
        let told = sandbox.fail(args, 1);
        for path in ["etc/evil", "gone/evil"] {
            let words = format!("dist/a/1/rootfs/{path}: would go into the image, and no definition has it");
            assert!(told.contains(&words), "{told}");
        }
        assert!(sandbox.path("dist/a/1/rootfs/gone/y").exists());
    }
    std::fs::remove_file(sandbox.path("dist/a/1/rootfs/etc/evil")).unwrap();
    std::fs::remove_file(sandbox.path("dist/a/1/rootfs/gone/evil")).unwrap();
    sandbox.ok(["def", "generate"]);
    assert!(sandbox.path("dist/a/1/mine").exists() && !sandbox.path("dist/a/1/rootfs/gone").exists());
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
