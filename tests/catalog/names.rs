//! Which names are given to images.

use super::{archive, declared, set, settings};
use crate::support::store::{assert_nothing_pending, assert_sound, blobs, index_text, named, names};
use crate::support::{Sandbox, feed, fixture};

const GOOD: &str = "capy-ubuntu-25.04-gcc15";
const OFF: &str = "capy-ubuntu25.04-gcc-15";
const STRICT: &str = "naming = \"strict\"\n";

#[test]
fn names_are_free_unless_somebody_says_otherwise() {
    for text in ["", "naming = \"free\"\n"] {
        let sandbox = Sandbox::new();
        settings(&sandbox, text);
        archive(&sandbox, "off.tar", &[&[OFF, "anything:1"]]);
        sandbox.ok(["import", "off.tar"]);
        sandbox.ok(["tag", OFF, "other"]);
        assert_eq!(names(&sandbox.store()).len(), 3);
        assert_eq!(declared(&sandbox, "other:latest"), "", "nothing is declared by itself");
        sandbox.ok(["tag", OFF, GOOD]);
        assert_eq!(declared(&sandbox, &format!("{GOOD}:latest")), "");
    }
}

#[test]
fn a_strict_store_and_a_project_take_no_name_off_the_convention() {
    for (text, flags) in [(STRICT, &[][..]), ("", &["--project", "capy"])] {
        let sandbox = Sandbox::new();
        settings(&sandbox, text);
        archive(&sandbox, "good.tar", &[&[GOOD]]);
        let with = |args: &[&str]| -> Vec<String> {
            args.iter().chain(flags).map(|arg| (*arg).to_owned()).collect()
        };
        sandbox.ok(with(&["import", "good.tar"]));
        let before = (index_text(&sandbox.store()), blobs(&sandbox.store()));
        // Of an archive, from a file and from a pipe: of several names and images all are taken or none.
        for (file, images) in [
            ("one.tar", &[&[OFF][..]][..]),
            ("names.tar", &[&["capy-debian-12-gcc12", OFF]]),
            (
                "images.tar",
                &[&["capy-debian-12-gcc12"], &["capy-debian-12-clang16", OFF], &["capy-debian-12"]],
            ),
        ] {
            let bytes = archive(&sandbox, file, images);
            let piped = feed(&mut sandbox.command(with(&["import", "-"])), &bytes);
            assert_eq!(piped.status.code(), Some(1), "{file}: {piped:?}");
            let piped = String::from_utf8(piped.stderr).unwrap();
            for said in [sandbox.fail(with(&["import", file]), 1), piped] {
                for part in [OFF, "off the naming convention", "os", GOOD, "--normalize"] {
                    assert!(said.contains(part), "{file}: {part} is not in {said}");
                }
            }
            assert_nothing_pending(&sandbox.store());
            assert_eq!(before, (index_text(&sandbox.store()), blobs(&sandbox.store())), "{file}");
        }
        // Of the command line.
        for (name, hint) in [
            ("capy-ubuntu-25.04-gcc15-ubsan-asan", "capy-ubuntu-25.04-gcc15-asan-ubsan:latest"),
            ("ghcr.io/me/capy_ubuntu_25.04_gcc15:v1", "ghcr.io/me/capy-ubuntu-25.04-gcc15:v1"),
            ("Capy-Ubuntu-25.04-clang++20", "capy-ubuntu-25.04-clang20:latest"),
            ("capy-debian-12-multi", "<project>-<os>-<variant>"),
        ] {
            let said = sandbox.fail(with(&["import", "good.tar", "--name", name]), 2);
            assert!(said.contains(hint), "{name}: {said}");
            assert_eq!(before, (index_text(&sandbox.store()), blobs(&sandbox.store())), "{name}");
        }
        // One of several can be chosen, and be given another name.
        sandbox.ok(with(&["import", "images.tar", "--image", "capy-debian-12-gcc12"]));
        sandbox.ok(with(&["import", "images.tar", "--image", OFF, "--name", "capy-debian-12-clang16-cov"]));
        assert_eq!(
            names(&sandbox.store()),
            set(&[GOOD, "capy-debian-12-gcc12", "capy-debian-12-clang16-cov"])
        );
        assert_sound(&sandbox.store());
    }
}

#[test]
fn the_nearest_name_is_taken_where_that_is_asked_for() {
    for (text, flags) in [(STRICT, &[][..]), ("", &["--project", "capy"]), ("", &[])] {
        let sandbox = Sandbox::new();
        settings(&sandbox, text);
        archive(&sandbox, "two.tar", &[&[OFF, GOOD], &["capy_debian_bookworm_clang-16_ubsan_asan:v1"]]);
        let args = [&["import", "two.tar", "--normalize"], flags].concat();
        let output = sandbox.larder(&args);
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: Vec<_> = printed.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(printed, ["capy-ubuntu-25.04-gcc15:latest", "capy-debian-12-clang16-asan-ubsan:v1"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "capy-ubuntu25.04-gcc-15:latest is named capy-ubuntu-25.04-gcc15:latest",
                "capy_debian_bookworm_clang-16_ubsan_asan:v1 is named capy-debian-12-clang16-asan-ubsan:v1",
            ]
        );
        assert_eq!(
            declared(&sandbox, "capy-debian-12-clang16-asan-ubsan:v1"),
            "project=capy os=debian:12 variant=clang16-asan-ubsan compilers=clang-16"
        );
        // Again it is the same image, and nothing is written.
        let before = index_text(&sandbox.store());
        sandbox.ok(&args);
        assert_eq!(before, index_text(&sandbox.store()));
        // What is no reference at all is taken too.
        let name = ["--image", GOOD, "--name", "CAPY-Ubuntu 25.04-clang++20"];
        sandbox.ok([&args[..], &name].concat());
        assert!(named(&sandbox.store(), "capy-ubuntu-25.04-clang20:latest").is_some());
        // And where nothing is near, it is refused.
        archive(&sandbox, "none.tar", &[&["capy-debian-12-multi"]]);
        let args = [&["import", "none.tar", "--normalize"], flags].concat();
        assert!(sandbox.fail(&args, 1).contains("\"multi\""));
        assert_sound(&sandbox.store());
    }
}

#[test]
fn two_images_never_get_one_name_by_it() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "both.tar", &[&[GOOD], &[OFF]]);
    let said = sandbox.fail(["import", "both.tar", "--normalize"], 1);
    assert!(said.contains(GOOD) && said.contains(OFF), "{said}");
    assert!(names(&sandbox.store()).is_empty());
    // Of two archives, the second one is another image of a name that is taken.
    archive(&sandbox, "one.tar", &[&[GOOD]]);
    archive(&sandbox, "other.tar", &[&[OFF]]);
    sandbox.ok(["import", "one.tar"]);
    assert!(sandbox.fail(["import", "other.tar", "--normalize"], 1).contains("--replace"));
}

#[test]
fn a_project_is_that_of_the_name() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "good.tar", &[&[GOOD]]);
    let said = sandbox.fail(["import", "good.tar", "--project", "other"], 1);
    assert!(said.contains("capy") && said.contains("other"), "{said}");
    let said = sandbox.fail(["import", "good.tar", "--project", "other", "--name", GOOD], 2);
    assert!(said.contains("capy") && said.contains("other"), "{said}");
    for bad in ["Other", "a b", "", "capy-gcc15", "me/capy"] {
        sandbox.fail(["import", "good.tar", "--project", bad], 2);
    }
    assert!(names(&sandbox.store()).is_empty());
}

#[test]
fn what_has_another_name_keeps_it() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "off.tar", &[&["gcc", "gcc:old"]]);
    sandbox.ok(["import", "off.tar"]);
    settings(&sandbox, STRICT);
    sandbox.ok(["inspect", "gcc"]);
    sandbox.ok(["pin", "gcc"]);
    sandbox.ok(["unpin", "gcc"]);
    sandbox.ok(["annotate", "gcc", "project=capy"]);
    sandbox.ok(["hold", "gcc", "--", "true"]);
    sandbox.ok(["export", "gcc", "-o", "gcc.tar"]);
    // Other names in an archive are no names in the store.
    sandbox.ok(["export", "gcc", "-o", "as.tar", "--as", "any:1"]);
    sandbox.ok(["tag", "gcc", GOOD]);
    sandbox.ok(["rm", "gcc:old"]);
    sandbox.ok(["verify"]);
    assert_eq!(names(&sandbox.store()), set(&["gcc", GOOD]));
    // Given again it would be given.
    sandbox.fail(["import", "off.tar"], 1);
    sandbox.fail(["tag", GOOD, "gcc"], 2);
}

#[test]
fn tag_gives_names_by_the_convention_and_declares_what_they_say() {
    let sandbox = Sandbox::new();
    settings(&sandbox, STRICT);
    archive(&sandbox, "good.tar", &[&["capy-ubuntu-25.04-gcc15-asan"]]);
    sandbox.ok([
        "import",
        "good.tar",
        "--compiler",
        "gcc-15",
        "--compiler",
        "clang-20",
        "--package",
        "libssl-dev",
    ]);
    let before = index_text(&sandbox.store());
    let said = sandbox.fail(["tag", "capy-ubuntu-25.04-gcc15-asan", OFF], 2);
    assert!(said.contains(OFF) && said.contains(GOOD) && said.contains("--normalize"), "{said}");
    sandbox.fail(["tag", "capy-ubuntu-25.04-gcc15-asan", "Capy"], 2);
    sandbox.fail(["tag", "capy-ubuntu-25.04-gcc15-asan", "capy:1", "--normalize"], 2);
    assert_eq!(before, index_text(&sandbox.store()));
    let output = sandbox.larder(["tag", "capy-ubuntu-25.04-gcc15-asan", "Capy_Debian_12:v2", "--normalize"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "capy-debian-12:v2\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "Capy_Debian_12:v2 is named capy-debian-12:v2\n");
    assert_eq!(
        declared(&sandbox, "capy-debian-12:v2"),
        "project=capy os=debian:12 compilers=gcc-15,clang-20 packages=libssl-dev",
        "nothing of the old name's variant is left"
    );
    sandbox.ok(["tag", "capy-debian-12:v2", "capy-debian-13-clang20"]);
    assert_eq!(
        declared(&sandbox, "capy-debian-13-clang20:latest"),
        "project=capy os=debian:13 variant=clang20 compilers=gcc-15,clang-20 packages=libssl-dev"
    );
}

#[test]
fn settings_that_cannot_be_read_stop_what_gives_names() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "good.tar", &[&[GOOD]]);
    sandbox.ok(["import", "good.tar"]);
    for (text, word) in [("naming = \"loose\"\n", "strict"), ("\nnamings = \"strict\"\n", "namings")] {
        settings(&sandbox, text);
        for args in [["tag", GOOD, "other"], ["import", "good.tar", "--replace"]] {
            let said = sandbox.fail(args, 1);
            assert!(said.contains("larder.toml: line ") && said.contains(word), "{said}");
        }
        sandbox.ok(["inspect", GOOD]);
    }
}

#[test]
fn the_fixtures_are_by_the_convention_but_for_one() {
    let sandbox = Sandbox::new();
    let import = |file: &str| vec!["import".into(), fixture(file).into_os_string(), "--project=capy".into()];
    sandbox.ok(import("docker20-two.tar"));
    assert_eq!(names(&sandbox.store()), set(&["capy-debian-12-gcc12", "capy-debian-12-clang16"]));
    assert!(sandbox.fail(import("multiarch-oci.tar"), 1).contains("multi"));
}
