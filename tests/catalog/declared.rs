//! What is declared of images, and where it is seen.

use serde_json::json;

use super::{archive, declared, set, settings};
use crate::support::Sandbox;
use crate::support::store::{entries, index_text, names, tree};
use crate::support::tarball::{Oci, layer};

const GOOD: &str = "capy-ubuntu-25.04-gcc15-asan";

fn one(images: &[&[&str]]) -> Sandbox {
    let sandbox = Sandbox::new();
    archive(&sandbox, "image.tar", images);
    sandbox
}

#[test]
fn a_name_and_flags_declare_together() {
    let sandbox = one(&[&[GOOD, "ghcr.io/me/capy-ubuntu-25.04:v1"]]);
    sandbox.ok([
        "import",
        "image.tar",
        "--project",
        "capy",
        "--package",
        "libssl-dev,zlib1g-dev",
        "--tool=cmake",
    ]);
    assert_eq!(
        declared(&sandbox, &format!("{GOOD}:latest")),
        "project=capy os=ubuntu:25.04 variant=gcc15-asan compilers=gcc-15 packages=libssl-dev,zlib1g-dev tools=cmake"
    );
    assert_eq!(
        declared(&sandbox, "ghcr.io/me/capy-ubuntu-25.04:v1"),
        "project=capy os=ubuntu:25.04 packages=libssl-dev,zlib1g-dev tools=cmake"
    );
    let images = sandbox.json(["images", GOOD]);
    for (key, value) in [
        ("project", json!("capy")),
        ("os", json!("ubuntu:25.04")),
        ("arch", json!(null)),
        ("variant", json!("gcc15-asan")),
        ("compilers", json!(["gcc-15"])),
        ("packages", json!(["libssl-dev", "zlib1g-dev"])),
        ("tools", json!(["cmake"])),
    ] {
        assert_eq!(images[0][key], value, "{key}");
        assert_eq!(sandbox.json(["inspect", GOOD])[0][key], value, "{key}");
    }
    let shown = sandbox.ok(["inspect", GOOD]);
    for line in [
        "dev.larder.project capy",
        "dev.larder.os ubuntu:25.04",
        "dev.larder.variant gcc15-asan",
        "dev.larder.packages libssl-dev,zlib1g-dev",
    ] {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_it = |shown: &str| shown.split_whitespace().collect::<Vec<_>>() == words;
        assert!(shown.lines().any(is_it), "{line}: {shown}");
    }
}

#[test]
fn flags_alone_declare_of_any_name() {
    let sandbox = one(&[&["mine"]]);
    let flags =
        ["--os=debian:12", "--compiler=gcc-12", "--compiler=clang16", "--variant=asan,cov", "--tool=ninja"];
    sandbox.ok([&["import", "image.tar"][..], &flags].concat());
    let said = "os=debian:12 variant=gcc12-cov-asan compilers=gcc-12,clang-16 tools=ninja";
    assert_eq!(declared(&sandbox, "mine:latest"), said);
    // An image that is there already is declared of as well, once.
    sandbox.ok(["import", "image.tar", "--name", "later"]);
    assert_eq!(declared(&sandbox, "later:latest"), "");
    let imported = entries(&sandbox.store())[1]["annotations"]["dev.larder.imported"].clone();
    for _ in 0..2 {
        let rows = sandbox.json([&["import", "image.tar", "--name", "later"][..], &flags].concat());
        assert_eq!(rows[0]["status"], "unchanged");
        assert_eq!(declared(&sandbox, "later:latest"), said);
        assert_eq!(entries(&sandbox.store())[1]["annotations"]["dev.larder.imported"], imported);
    }
    let before = tree(&sandbox.store());
    sandbox.ok([&["import", "image.tar", "--name", "later"][..], &flags].concat());
    assert_eq!(before, tree(&sandbox.store()), "nothing new was declared");
}

#[test]
fn what_is_declared_names_an_image_whose_name_says_too_little() {
    let sandbox = one(&[&["gcc15:v1"]]);
    let flags = ["--project=capy", "--os=ubuntu:25.04", "--compiler=gcc-15", "--variant=asan"];
    let import = |more: &[&'static str]| [&["import", "image.tar"][..], &flags, more].concat();
    let said = sandbox.fail(import(&[]), 1);
    assert!(said.contains(&format!("{GOOD}:v1")) && said.contains("--normalize"), "{said}");
    assert!(sandbox.ok(import(&["--normalize"])).starts_with(&format!("{GOOD}:v1 ")));
    // A name that says something else does not give way to it.
    for more in [&["--name", "capy-debian12-gcc-12"][..], &["--name", "capy-debian12-gcc-12", "--normalize"]]
    {
        let said = sandbox.fail(import(more), 2);
        assert!(said.contains("its os is debian:12") && !said.contains(GOOD), "{said}");
    }
}

#[test]
fn what_contradicts_the_name_is_refused() {
    let sandbox = one(&[&[GOOD]]);
    for (flags, words) in [
        (&["--os", "debian:12"][..], &["os", "ubuntu:25.04", "debian:12"][..]),
        (&["--compiler", "clang-20"], &["compiler", "gcc-15", "clang-20"]),
        (&["--variant", "ubsan"], &["variant", "asan", "ubsan"]),
        (&["--variant", "asan,ubsan"], &["variant", "asan-ubsan"]),
    ] {
        let said = sandbox.fail([&["import", "image.tar", "--project", "capy"], flags].concat(), 1);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
    // Each is no such thing.
    for bad in [
        ["--os", "ubuntu"],
        ["--os", "docker.io/library/ubuntu:25.04"],
        ["--os", "ubuntu:*"],
        ["--compiler", "tcc-1"],
        ["--compiler", "gcc"],
        ["--compiler", "gcc-*"],
        ["--variant", "debug"],
        ["--package", "two words"],
        ["--tool", "a\u{1b}[2J"],
    ] {
        let said = sandbox.fail([&["import", "image.tar"][..], &bad].concat(), 2);
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    let said = sandbox.fail(["import", "image.tar", "--compiler", "tcc-1"], 2);
    assert!(said.contains("tcc") && said.contains("apple-clang"), "{said}");
    assert!(names(&sandbox.store()).is_empty());
}

#[test]
fn annotate_knows_the_form_of_what_is_declared() {
    let sandbox = one(&[&["mine"]]);
    sandbox.ok(["import", "image.tar"]);
    sandbox.ok([
        "annotate",
        "mine",
        "os=ubuntu:25.04",
        "compilers=gcc15, clang-20",
        "dev.larder.variant=gcc15-cov-x86",
    ]);
    let said = "os=ubuntu:25.04 variant=gcc15-cov-x86 compilers=gcc-15,clang-20";
    assert_eq!(declared(&sandbox, "mine:latest"), said);
    let before = index_text(&sandbox.store());
    for bad in [
        "os=ubuntu",
        "os=library/ubuntu:25.04",
        "os=ubuntu:plucky",
        "project=Capy",
        "variant=gcc-15",
        "variant=asan-cov",
        "compilers=gcc 15",
        "compilers=tcc-1",
        "dev.larder.compilers=gcc-*",
        "packages=a b",
        "tools=cmake,",
        "arch=amd 64",
    ] {
        sandbox.fail(["annotate", "mine", bad], 2);
    }
    assert_eq!(before, index_text(&sandbox.store()));
    sandbox.ok(["annotate", "mine", "os=", "variant=", "compilers="]);
    assert_eq!(declared(&sandbox, "mine:latest"), "");
}

#[test]
fn images_of_a_project_are_those_declared_for_it() {
    let sandbox = one(&[&["capy-debian-12-gcc12"], &["other-debian-12-gcc12"], &["capy-debian-13"]]);
    settings(&sandbox, "naming = \"strict\"\n");
    sandbox.ok(["import", "image.tar"]);
    settings(&sandbox, "");
    sandbox.ok(["tag", "other-debian-12-gcc12", "capy"]);
    sandbox.ok(["annotate", "capy", "project="]);
    let listed = |args: &[&str]| {
        let images = sandbox.json([&["images"], args].concat());
        let names =
            images.as_array().unwrap().iter().map(|image| image["reference"].as_str().unwrap().to_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(listed(&["--project", "capy"]), set(&["capy-debian-12-gcc12", "capy-debian-13"]));
    assert_eq!(listed(&["--project", "capy", "*gcc12"]), set(&["capy-debian-12-gcc12"]));
    assert_eq!(listed(&["--project", "other"]), set(&["other-debian-12-gcc12"]));
    assert_eq!(listed(&["--project", "none"]), set(&[]));
    assert_eq!(listed(&[]).len(), 4);
}

#[test]
fn a_new_version_belongs_to_the_group_of_the_old_one() {
    let sandbox =
        one(&[&["capy-debian-12-gcc12:v1"], &["capy-debian-12-gcc12:v2"], &["capy-debian-12-gcc12-cov:v1"]]);
    sandbox.ok(["import", "image.tar", "--project", "capy"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let pruned = sandbox.larder(["prune", "--dry-run", "--explain", "--unused-for", "1s", "--min-age", "1s"]);
    let table = String::from_utf8(pruned.stdout).unwrap();
    let reasons =
        |group: &str| table.matches(&format!("among the newest of capy debian:12 {group}\n")).count();
    assert_eq!((reasons("gcc12"), reasons("gcc12-cov")), (1, 1), "{table}");
}

#[test]
fn what_an_archive_declares_is_dropped() {
    let sandbox = Sandbox::new();
    let mut oci = Oci::image(GOOD, &[layer("f", b"x")]);
    let annotations = oci.index["manifests"][0]["annotations"].as_object_mut().unwrap();
    for (key, value) in [("os", "debian:12"), ("project", "evil"), ("tools", "evil")] {
        annotations.insert(format!("dev.larder.{key}"), value.into());
    }
    std::fs::write(sandbox.path("evil.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "evil.tar", "--name", "plain"]);
    assert_eq!(declared(&sandbox, "plain:latest"), "");
    sandbox.ok(["import", "evil.tar", "--name", GOOD, "--project", "capy"]);
    assert_eq!(
        declared(&sandbox, &format!("{GOOD}:latest")),
        "project=capy os=ubuntu:25.04 variant=gcc15-asan compilers=gcc-15"
    );
}
