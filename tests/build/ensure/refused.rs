//! What cannot be made, and what is left of it: nothing.

use super::*;
use crate::support::need;
use crate::support::store::assert_nothing_pending;

#[test]
fn a_build_that_fails_fails_the_job_with_its_log() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let said = sandbox.fail(JOB.iter().chain(&["--package=missing"]), 1);
    // As it came, and once more at the end.
    assert!(said.matches("E: Unable to locate package missing").count() >= 2, "{said}");
    assert!(said.contains("ended with exit code 100"), "{said}");
    assert_nothing_registered(&sandbox);
    assert_nothing_pending(&sandbox.store());
    // What is asked for otherwise is not in its way.
    assert_eq!(ensured(&sandbox, &[]).0, format!("{NAME}\n"));
}

#[test]
fn what_is_not_there_after_all_is_named() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let said = sandbox.fail(JOB.iter().chain(&["--package=ghost", "--tool=spirit,ghost"]), 1);
    assert!(said.contains("lacks the package ghost, the tool ghost all the same"), "{said}");
    assert_nothing_registered(&sandbox);
    // Another version than the one that is asked for.
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-13 cmake\n");
    let said = sandbox.fail(JOB, 1);
    assert!(said.contains("lacks gcc-12") && said.contains("(its compilers: gcc "), "{said}");
    own(&sandbox, "FROM scratch\nLABEL empty=yes\n");
    let said = sandbox.fail(JOB, 1);
    assert!(said.contains("has no os-release, and not debian:12"), "{said}");
    assert_nothing_registered(&sandbox);
}

#[test]
fn what_is_wrong_with_a_dockerfile_is_told_with_its_line() {
    let sandbox = need!(desk(), "root, runc and busybox");
    own(&sandbox, "FROM debian:12\nRUN --mount=type=cache,target=/x true\nNONSENSE\n");
    let said = sandbox.fail(JOB, 1);
    assert!(said.contains("Dockerfile.p-debian-12-gcc12:2:") && said.contains(":3:"), "{said}");
    own(&sandbox, "FROM debian:99\n");
    let said = sandbox.fail(JOB, 3);
    assert!(said.contains("debian:99"), "{said}");
    let path = sandbox.path("images/p/Dockerfile.p-debian-12-gcc12");
    std::fs::remove_file(&path).unwrap();
    crate::support::run(std::process::Command::new("mkfifo").arg(&path));
    let said = sandbox.fail(JOB, 1);
    assert!(said.contains("Dockerfile.p-debian-12-gcc12: is no file that can be read"), "{said}");
    assert_nothing_registered(&sandbox);
}

#[test]
fn without_a_base_the_official_one_is_named_and_how_to_get_it() {
    let sandbox = Sandbox::in_memory();
    let said = sandbox.fail(JOB, 3);
    for word in
        ["debian:12", "larder pull debian:12 (or ask with --pull)", "images/p/Dockerfile.p-debian-12-gcc12"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said = sandbox.fail(["ensure", "--project=p", "--os=debian:12", "--arch=x86", "--tool=make"], 3);
    let bring = "larder pull --platform linux/386 --name debian:12-386 debian:12";
    assert!(said.contains(bring), "{said}");
    let said = sandbox.fail(["ensure", "--project=p", "--os=void:rolling", "--arch=arm64", "--tool=make"], 3);
    assert!(said.contains("import an image of it"), "{said}");
    import(&sandbox, "debian:12", system("debian", "12", &["sh"]), &[]);
    let said = sandbox.fail(JOB, 1);
    assert!(
        said.contains("it has none of apt-get, apk, dnf") && said.contains("Dockerfile.p-debian-12"),
        "{said}"
    );
    let said = sandbox.fail(["ensure", "--os=debian:12", "--arch=amd64", "--compiler=gcc-12"], 2);
    assert!(said.contains("--project"), "{said}");
    let said = sandbox.fail(["ensure", "--project=p", "--os=sled:15.6", "--tool=make"], 2);
    assert!(said.contains("names do not know the os"), "{said}");
    let said = sandbox.fail(["ensure", "--project=p", "--base=nothing:1"], 3);
    assert!(said.contains("larder pull nothing:1"), "{said}");
    import(&sandbox, "debian:12", system("debian", "12", &["apt-get"]), &["--replace"]);
    let said =
        sandbox.fail(["ensure", "--project=p", "--os=debian:12", "--arch=amd64", "--compiler=icx-2025.0"], 1);
    assert!(said.contains("no package is known that has icx"), "{said}");
}
