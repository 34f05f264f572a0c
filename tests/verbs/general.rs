//! What all verbs have in common: help, exit codes of usage, and images that are not there.

use super::{GCC, two_images};
use crate::support::Sandbox;
use crate::support::store::index_text;

const VERBS: [&str; 12] =
    ["init", "import", "images", "ls", "inspect", "df", "tag", "rm", "annotate", "pin", "unpin", "export"];

#[test]
fn every_verb_explains_itself_and_touches_nothing() {
    let sandbox = Sandbox::new();
    let overview = sandbox.ok(["--help"]);
    assert_eq!(sandbox.ok(["help"]).lines().next(), overview.lines().next());
    for verb in VERBS {
        let output = sandbox.larder([verb, "--help"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{verb}: {output:?}");
        let long = String::from_utf8(output.stdout).unwrap();
        let short = sandbox.ok([verb, "-h"]);
        for text in [&long, &short] {
            assert!(text.contains("Usage: larder") && text.contains("--store"), "{verb}: {text}");
            // The path of the store is as long as it is.
            let mut lines = text.lines().filter(|line| !line.contains("[env: "));
            assert!(lines.all(|line| line.chars().count() <= 100), "{verb}: {text}");
        }
        assert!(overview.contains(verb), "{verb} is not in the overview");
    }
    assert!(sandbox.ok(["--version"]).starts_with("larder "));
    assert!(!sandbox.store().exists());
}

#[test]
fn wrong_usage_is_exit_2_and_touches_nothing() {
    let sandbox = Sandbox::new();
    for args in [
        &[][..],
        &["no-such-verb"],
        &["--no-such-option"],
        &["images", "--no-such-option"],
        &["images", "--format", "yaml"],
        &["import"],
        &["inspect"],
        &["export"],
        &["export", "x"],
        &["export", "x", "-o", "a", "--to-docker"],
        &["export", "x", "--to-docker", "--archive", "oci"],
        &["export", "x", "--to-docker", "--layers", "plain"],
        &["export", "x", "-o", "a", "--format", "json"],
        &["import", "x", "--jobs", "many"],
        &["--lock-timeout", "soon", "images"],
    ] {
        let output = sandbox.larder(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    assert!(!sandbox.store().exists());
}

#[test]
fn an_image_that_is_not_there_is_exit_3() {
    let sandbox = two_images();
    let before = index_text(&sandbox.store());
    for args in [
        &["inspect", "missing"][..],
        &["tag", "missing", "x:1"],
        &["rm", "missing"],
        &["annotate", "missing", "project=x"],
        &["pin", "missing"],
        &["unpin", "missing"],
        &["export", "missing", "-o", "x.tar"],
        &["export", GCC, "missing", "-o", "x.tar"],
        &["export", "--to-docker", "missing"],
    ] {
        let output = sandbox.larder(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        let store = sandbox.store().display().to_string();
        for part in ["missing", &store, "hint: "] {
            assert!(said.contains(part), "{args:?}: {part} is not in {said}");
        }
    }
    assert_eq!(before, index_text(&sandbox.store()));
    assert!(!sandbox.path("x.tar").exists());
    crate::support::store::assert_nothing_pending(&sandbox.store());
}

#[test]
fn a_store_whose_lock_is_held_is_waited_for_and_the_holder_is_named() {
    let sandbox = two_images();
    let held = std::fs::File::options()
        .read(true)
        .write(true)
        .open(sandbox.store().join(".larder/index.lock"))
        .unwrap();
    held.lock().unwrap();
    let before = index_text(&sandbox.store());
    let said = sandbox.fail(["tag", GCC, "x:1", "--lock-timeout", "0"], 6);
    assert!(said.contains(&format!("process {}", std::process::id())) && said.contains("hint: "), "{said}");
    assert!(sandbox.ok(["images", "--lock-timeout", "0"]).contains(GCC), "looking needs no lock");
    assert_eq!(before, index_text(&sandbox.store()));
    let mut waiting = sandbox.command(["tag", GCC, "x:1"]).spawn().unwrap();
    held.unlock().unwrap();
    assert!(waiting.wait().unwrap().success());
    assert!(crate::support::store::named(&sandbox.store(), "x:1").is_some());
}
