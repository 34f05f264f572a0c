//! What is to be kept apart: compilers, bases, and what one job asks for from what another did.

use super::*;
use crate::support::need;
use crate::support::store::REF_NAME;

fn annotations(sandbox: &Sandbox, name: &str) -> Value {
    let entries = entries(&sandbox.store());
    let found = entries.iter().find(|entry| entry["annotations"][REF_NAME] == name);
    found.unwrap_or_else(|| panic!("no {name}"))["annotations"].clone()
}

const BASE: &str = "org.opencontainers.image.base.name";

#[test]
fn an_image_of_another_compiler_is_neither_the_answer_nor_a_base() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, "debian:12", system("debian", "12", &["apt-get"]), &[]);
    let has_both = || system("debian", "12", &["apt-get", "gcc-12", "clang-14", "cmake"]);
    import(&sandbox, "p-debian-12-clang14", has_both(), &["--project=p"]);
    let dry = |words: &[&str]| {
        let asked = ["ensure", "--project=p", "--os=debian:12", "--arch=amd64", "--tool=cmake", "--dry-run"];
        sandbox.ok(asked.iter().chain(words))
    };
    // gcc-12 is in it, and its CC is another.
    let said = dry(&["--compiler=gcc-12"]);
    assert!(said.starts_with("FROM debian:12\n") && said.ends_with("# p-debian-12-gcc12:latest\n"), "{said}");
    assert_eq!(dry(&["--compiler=clang-14"]), "p-debian-12-clang14:latest\n");
    // Nobody asks for a compiler: it does as it is, and nothing is built on it that would not say that it has one.
    assert_eq!(dry(&[]), "p-debian-12-clang14:latest\n");
    let said = dry(&["--tool=ninja"]);
    assert!(said.starts_with("FROM debian:12\n") && said.ends_with("# p-debian-12:latest\n"), "{said}");
    // Who declares both says that it is for both.
    let name = "p-debian-12-clang14:both";
    import(&sandbox, name, has_both(), &["--project=p", "--compiler=clang-14", "--compiler=gcc-12"]);
    assert_eq!(dry(&["--compiler=gcc-12"]), format!("{name}\n"));
}

#[test]
fn the_compiler_that_is_asked_for_is_the_one_that_is_called() {
    let sandbox = need!(desk(), "root, runc and busybox");
    // Another one was there first, undeclared.
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-11 && ln -s /usr/bin/gcc-11 /usr/bin/cc\n");
    sandbox.ok(["build", "images/p", "-f", "images/p/Dockerfile.p-debian-12-gcc12", "-t", "debian:12"]);
    std::fs::remove_dir_all(sandbox.path("images")).unwrap();
    ensured(&sandbox, &[]);
    std::fs::create_dir(sandbox.path("context")).unwrap();
    std::fs::write(sandbox.path("context/Dockerfile"), format!("FROM {NAME}\nRUN cc; gcc\n")).unwrap();
    let said = sandbox.command(["build", "context", "-t", "x:1"]).output().unwrap();
    let said = text(&said.stderr);
    assert_eq!(said.matches("\nthis is gcc-12").count(), 2, "{said}");
}

#[test]
fn what_earlier_jobs_asked_for_is_looked_for_in_a_base_as_well() {
    let sandbox = need!(desk(), "root, runc and busybox");
    ensured(&sandbox, &["--tool=ninja-build"]);
    // By now Debian has it itself.
    std::fs::create_dir(sandbox.path("context")).unwrap();
    let text = "FROM debian:12\nRUN apt-get install cmake ninja-build\n";
    std::fs::write(sandbox.path("context/Dockerfile"), text).unwrap();
    sandbox.ok(["build", "context", "-t", "debian:12"]);
    let less = ["ensure", "--project=p", "--os=debian:12", "--compiler=gcc-12", "--arch=amd64", "--dry-run"];
    let said = sandbox.ok(less);
    assert!(said.contains("gcc-12") && !said.contains("cmake") && !said.contains("ninja"), "{said}");
    sandbox.ok(&less[..5]);
    assert_eq!(annotations(&sandbox, NAME)["dev.larder.packages"], "cmake");
}

#[test]
fn what_cannot_be_had_any_more_fails_nobody_who_did_not_ask_for_it() {
    let sandbox = need!(desk(), "root, runc and busybox");
    ensured(&sandbox, &[]);
    let declares = || sandbox.ok(["annotate", NAME, "dev.larder.packages=cmake,missing"]);
    declares();
    debian(&sandbox, "second", &["--replace"]).unwrap();
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!(out, format!("{NAME}\n"));
    assert!(said.contains("tried without what earlier jobs asked for (missing)"), "{said}");
    assert_eq!(annotations(&sandbox, NAME)["dev.larder.packages"], "cmake");
    // An own Dockerfile says itself what is in the image.
    declares();
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-12 cmake zlib\n");
    debian(&sandbox, "third", &["--replace"]).unwrap();
    let (_, said) = ensured(&sandbox, &["--package=zlib"]);
    assert!(ran(&said) == 1 && !said.contains("missing"), "{said}");
    assert_eq!(annotations(&sandbox, NAME)["dev.larder.packages"], "cmake,zlib");
    // What it is declared to have is no reason to leave out what it has not.
    std::fs::remove_dir_all(sandbox.path("images")).unwrap();
    sandbox.ok(["annotate", NAME, "dev.larder.packages=cmake,zlib,libssl"]);
    let said = sandbox.ok(JOB.iter().chain(&["--package=libssl,curl", "--dry-run"]));
    assert!(said.contains("libssl") && said.contains("curl"), "{said}");
}

#[test]
fn what_stands_on_an_image_of_the_project_gets_old_with_that_ones_base() {
    let sandbox = need!(desk(), "root, runc and busybox");
    sandbox.ok(["ensure", "--project=p", "--os=debian:12", "--arch=amd64", "--package=cmake"]);
    let (_, said) = ensured(&sandbox, &[]);
    assert!(said.contains("is built on p-debian-12:latest"), "{said}");
    let noted = annotations(&sandbox, NAME);
    assert_eq!(noted[BASE], "docker.io/library/debian:12");
    assert_eq!(ensured(&sandbox, &[]).1, "");
    debian(&sandbox, "second", &["--replace"]).unwrap();
    let (_, said) = ensured(&sandbox, &[]);
    assert!(
        said.contains("its base debian:12 is another image") && said.contains("built on debian:12"),
        "{said}"
    );
    assert_eq!(ensured(&sandbox, &[]).1, "");
}

#[test]
fn a_rule_for_a_base_holds_for_an_own_dockerfile_too() {
    let sandbox = need!(desk(), "root, runc and busybox");
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-12 cmake\n");
    ensured(&sandbox, &[]);
    let rule = "[[base]]\nname = 'debian:12'\nrebuild_after = '0s'\n";
    std::fs::write(sandbox.store().join(".larder/larder.toml"), rule).unwrap();
    let (_, said) = ensured(&sandbox, &[]);
    assert!(said.contains("is stale") && ran(&said) == 1, "what the cache has is as old: {said}");
}

#[test]
fn images_on_several_bases_take_no_name_from_each_other() {
    let sandbox = need!(desk(), "root, runc and busybox");
    sandbox.ok(["tag", "debian:12", "mine/debian:12"]);
    std::fs::create_dir(sandbox.path("context")).unwrap();
    std::fs::write(sandbox.path("context/Dockerfile"), "FROM debian:12\nRUN echo mine > /etc/mine\n")
        .unwrap();
    sandbox.ok(["build", "context", "-t", "mine/debian:12"]);
    let on = |base: &str| {
        let mut command = sandbox.command(JOB.iter().chain(&[&*format!("--base={base}")]));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", describe(&command, &output));
        (text(&output.stdout), ran(&text(&output.stderr)))
    };
    let mine = "p-debian-12-gcc12:on-mine-debian-12\n".to_owned();
    assert_eq!(on("debian:12"), (format!("{NAME}\n"), 1));
    assert_eq!(on("mine/debian:12"), (mine.clone(), 1));
    assert_eq!(on("debian:12"), (format!("{NAME}\n"), 0));
    assert_eq!(on("mine/debian:12"), (mine.clone(), 0));
    // An image of the project as the base: what is made on it is another image.
    let (name, _) = on(NAME);
    assert_eq!(name, "p-debian-12-gcc12:on-p-debian-12-gcc12-latest\n");
    assert_eq!(on(NAME), (name, 0));
    // The project's own Dockerfile stands on another one.
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-12 cmake ninja\n");
    let said = sandbox.fail(JOB.iter().chain(&["--base=mine/debian:12", "--tool=ninja"]), 1);
    assert!(
        said.contains("builds on debian:12, and not on mine/debian:12; nothing was registered"),
        "{said}"
    );
    assert_eq!(on("mine/debian:12"), (mine, 0));
}

#[test]
fn a_base_without_a_version_is_what_it_is_called() {
    let sandbox = Sandbox::in_memory();
    for (name, marks) in [("debian:testing", &["apt-get", "make"][..]), ("debian:sid", &["apt-get"])] {
        import(&sandbox, name, system("debian", "", marks), &[]);
    }
    let dry = |words: &[&str]| {
        sandbox.ok(["ensure", "--project=p", "--arch=amd64", "--dry-run"].iter().chain(words))
    };
    let said = dry(&["--base=debian:sid", "--tool=cmake"]);
    assert!(said.starts_with("FROM debian:sid\n") && said.ends_with("# p-debian-sid:latest\n"), "{said}");
    // The other of the two does not serve, which nothing but its name tells.
    let said = dry(&["--os=debian:sid", "--tool=make"]);
    assert!(said.starts_with("FROM debian:sid\n"), "{said}");
    import(&sandbox, "mystery", system("debian", "", &["apt-get"]), &[]);
    let said = sandbox.fail(["ensure", "--project=p", "--base=mystery", "--tool=cmake"], 2);
    assert!(said.contains("has no version in its os-release") && said.contains("--os"), "{said}");
}

#[test]
fn a_workflow_that_no_option_can_say_builds_nothing() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let workflow = "on: push
jobs:
  build:
    strategy:
      matrix:
        include:
          - { compiler: gcc, version: 12, install: 'cmake' }
          - { compiler: gcc, version: 13, install: 'cmake' }
    runs-on: ubuntu-latest
    steps: [{ run: make }]
";
    std::fs::write(sandbox.path("ci.yml"), workflow).unwrap();
    let asked = |os: &str, more: &[&str]| {
        let words = ["ensure", "--workflow=ci.yml", "--project=p", "--arch=amd64", os];
        let output = sandbox.command(words.iter().chain(more)).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for more in [&[][..], &["--dry-run"]] {
        let (code, out, said) = asked("--os=debian:12", more);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
        assert!(said.contains("would have to be two images at once") && ran(&said) == 0, "{said}");
    }
    assert_nothing_registered(&sandbox);
    let (code, _, said) = asked("--os=fedora:42", &[]);
    assert!(code == Some(3) && said.contains("no image for 2 of 2 jobs"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_before_anything_is_built() {
    let sandbox = need!(desk(), "root, runc and busybox");
    std::fs::write(sandbox.path("file"), "x").unwrap();
    std::fs::create_dir(sandbox.path("tree")).unwrap();
    std::fs::write(sandbox.path("tree/image-registry.yml"), "images: [oh\n").unwrap();
    for (dir, named) in [("file", "file"), ("nowhere/tree", "nowhere"), ("tree", "image-registry.yml")] {
        let output = sandbox.command(JOB.iter().chain(&[&*format!("--to-tree={dir}")])).output().unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(named) && ran(&said) == 0, "{dir}: {said}");
    }
    assert_nothing_registered(&sandbox);
}
