//! Stores that are not root's own directory on a disk.

use std::process::Command;

use super::Builder;
use crate::support::sandbox::NOBODY;
use crate::support::{describe, need, succeeded};

const STEPS: &str = "FROM busybox:1\nRUN echo one > /one; rm /bin/wget; ln /one /etc/linked; cat /etc/hosts > /dev/null\n\
    COPY file /copied\nRUN cat /one /copied; mkdir /two; rm /copied\n";

/// Overlayfs takes no upper directory on overlayfs, as in a container.
#[test]
fn where_directories_cannot_be_stacked_they_are_copied_and_that_is_said_once() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    builder.sandbox.set("SOURCE_DATE_EPOCH", "1700000000");
    std::fs::write(builder.context().join("file"), "two\n").unwrap();
    for dir in ["upper", "work"] {
        std::fs::create_dir(builder.sandbox.path(dir)).unwrap();
    }
    let larder = builder.command(STEPS, &[]);
    let script = "mount -t overlay overlay -o lowerdir=store,upperdir=upper,workdir=work store; exec \"$@\"";
    let on_overlay = |larder: &Command| {
        let mut command = builder.sandbox.enclose(Command::new("unshare"));
        command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]);
        command.arg(larder.get_program()).args(larder.get_args());
        let output = command.output().unwrap();
        (succeeded(&command, &output), String::from_utf8(output.stderr).unwrap())
    };
    let (copied, told) = on_overlay(&larder);
    assert!(told.contains("\none\ntwo\n"), "{told}");
    assert_eq!(told.matches("note: overlayfs cannot be mounted here").count(), 1, "{told}");
    let (again, told) = on_overlay(&larder);
    assert!(again == copied && told.matches(" (cached)\n").count() == 3, "{told}");
    on_overlay(&builder.sandbox.command(["verify"]));
    // The layers are those that overlayfs gives.
    let made = builder.ok(STEPS, &[]);
    assert_eq!(copied.split(' ').nth(1), Some(&*made.digest), "{:?}", builder.layers("made:1"));
    builder.assert_gone(&[]);
}

#[test]
fn a_store_may_be_named_by_a_relative_path() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), "two\n").unwrap();
    std::fs::write(builder.context().join("Dockerfile"), STEPS).unwrap();
    for (dir, store, context) in
        [(".", "store", "context"), ("context", "../store", "."), ("store", ".", "../context")]
    {
        let mut command =
            builder.sandbox.command(["--store", store, "build", context, "-t", "made:1", "--no-cache"]);
        let output = command.current_dir(builder.sandbox.path(dir)).output().unwrap();
        assert!(output.status.success(), "{}", describe(&command, &output));
    }
    builder.assert_clean();
}

#[test]
fn only_root_builds_and_not_what_others_have_unpacked() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), "two\n").unwrap();
    std::fs::write(builder.context().join("Dockerfile"), STEPS).unwrap();
    // Of a shared store.
    let shared = builder.sandbox.path("shared");
    let group = NOBODY.to_string();
    std::fs::create_dir(&shared).unwrap();
    std::os::unix::fs::chown(&shared, Some(NOBODY), Some(NOBODY)).unwrap();
    let larder = |args: &[&str]| {
        let args = [&["--store", shared.to_str().unwrap()], args].concat();
        builder.sandbox.command_as(NOBODY, &[], args)
    };
    let mut import = need!(larder(&["import", "import.tar"]), "setpriv");
    let output = import.output().unwrap();
    succeeded(&import, &output);
    let mut build = need!(larder(&["build", "context", "-t", "made:1"]), "setpriv");
    let output = build.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&build, &output));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("larder: context/Dockerfile:2: RUN echo one"), "{told}");
    assert!(told.contains(": only root can do this (") && told.contains("run larder as root"), "{told}");
    // What root would find there is another user's, and may be anything.
    for name in ["snapshots", "steps"] {
        let dir = shared.join(".larder").join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        let told = builder
            .sandbox
            .fail(["--store", shared.to_str().unwrap(), "build", "context", "-t", "made:1"], 1);
        assert!(told.contains(name) && told.contains(&group) || told.contains("another user"), "{told}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
    builder.sandbox.ok(["--store", shared.to_str().unwrap(), "build", "context", "-t", "made:1"]);
}
