//! What all verbs have in common: help, exit codes of usage, and images that are not there.

use super::{GCC, two_images};
use crate::support::Sandbox;
use crate::support::store::index_text;

const VERBS: [&str; 19] = [
    "gc",
    "init",
    "import",
    "images",
    "inspect",
    "df",
    "tag",
    "rm",
    "annotate",
    "resolve",
    "pin",
    "unpin",
    "export",
    "verify",
    "login",
    "logout",
    "doctor",
    "completions",
    "man",
];

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
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{verb}: {text}");
        }
        let is_listed = |line: &str| line.trim_start().split(' ').next() == Some(verb);
        assert!(overview.lines().any(is_listed), "{verb} is not in the overview");
    }
    assert_eq!(sandbox.ok(["ls", "--help"]), sandbox.ok(["images", "--help"]));
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
        &["export", "x", "-o", "-", "--format", "json"],
        &["import", "x", "--expect", ""],
        &["import", "x", "--expect", "a:1"],
        &[
            "import",
            "x",
            "y",
            "--expect",
            "a:1@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ],
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

#[test]
fn a_signal_ends_a_wait_for_a_lock_and_nothing_is_done_after_it() {
    let sandbox = two_images();
    let before = index_text(&sandbox.store());
    let lock = std::fs::File::open(sandbox.store().join(".larder/index.lock")).unwrap();
    lock.lock().unwrap();
    let mut child = sandbox.command(["rm", GCC]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // It waits: nothing is known of that but that it does not end.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(child.try_wait().unwrap(), None);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = crate::support::wait_for(|| child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    drop(lock);
    assert_eq!(index_text(&sandbox.store()), before);
}

#[test]
fn an_empty_store_option_is_no_default() {
    let sandbox = two_images();
    assert!(sandbox.fail(["--store", "", "rm", GCC], 2).contains("--store"));
    sandbox.fail(["--lock-timeout", "18446744073709551615", "images"], 2);
}

#[test]
fn a_digest_with_several_names_does_not_say_which() {
    let sandbox = two_images();
    sandbox.ok(["tag", GCC, "second:1"]);
    let digest = crate::support::store::named(&sandbox.store(), GCC).unwrap();
    for args in [&["pin", &digest][..], &["unpin", &digest], &["annotate", &digest, "os=debian:12"]] {
        let said = sandbox.fail(args, 1);
        assert!(said.contains(GCC) && said.contains("second:1"), "{args:?}: {said}");
    }
    // A digest stands for what has no name: that one goes, and the names stay.
    sandbox.ok(["tag", crate::import::CLANG, "second:1"]);
    sandbox.ok(["rm", &digest]);
    assert_eq!(crate::support::store::named(&sandbox.store(), GCC).as_deref(), Some(digest.as_str()));
    assert!(sandbox.fail(["rm", &digest], 1).contains(GCC));
}

#[test]
fn what_is_given_twice_or_fits_nothing_is_refused_before_anything_is_done() {
    let sandbox = two_images();
    let twice = [
        "export",
        GCC,
        crate::import::CLANG,
        "--as",
        "x",
        "--as",
        "docker.io/library/x:latest",
        "-o",
        "x.tar",
    ];
    assert!(sandbox.fail(twice, 2).contains("same name"));
    let said = sandbox.fail(["export", GCC, "--platform", "linux/s390x", "-o", "x.tar"], 1);
    assert!(said.contains("linux/amd64") && said.contains("linux/s390x"), "{said}");
    assert!(!sandbox.path("x.tar").exists());
}
