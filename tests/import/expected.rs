//! `--expect`: an archive that is not the one that was told does not come in.

use super::GCC;
use crate::support::store::{assert_sound, names, tree};
use crate::support::{Sandbox, describe, feed, fixture};

/// Writes an archive of two images, and returns what was printed of it, with commas.
fn exported(sandbox: &Sandbox) -> Vec<String> {
    sandbox.ok(["import".as_ref(), fixture("docker20-two.tar").as_os_str()]);
    let said = sandbox.ok(["export", "capy-debian-12-clang16", GCC, "-o", "two.tar"]);
    said.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_written_is_told_and_comes_in() {
    let sandbox = Sandbox::new();
    let told = exported(&sandbox);
    let rows = sandbox.json(["export", "capy-debian-12-clang16", GCC, "-o", "again.tar"]);
    for (line, row) in told.iter().zip(rows.as_array().unwrap()) {
        let [name, digest] = ["name", "digest"].map(|key| row[key].as_str().unwrap());
        assert_eq!(*line, format!("{name}@{digest}"));
        assert_eq!(sandbox.json(["inspect", name])[0]["digest"], digest);
    }
    // In any order, and by full names.
    let full =
        told.iter().rev().map(|line| format!("docker.io/library/{line}")).collect::<Vec<_>>().join(",");
    for expect in [told.join(","), full] {
        let other = Sandbox::new();
        std::fs::copy(sandbox.path("two.tar"), other.path("two.tar")).unwrap();
        let said = other.ok(["import", "two.tar", "--expect", &expect]);
        let came: Vec<_> =
            said.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join("@")).collect();
        assert_eq!(came, told);
        // Again, when nothing has to be brought.
        other.ok(["import", "two.tar", "--expect", &expect]);
    }
}

#[test]
fn another_archive_stays_outside() {
    let sandbox = Sandbox::new();
    let told = exported(&sandbox);
    let other = Sandbox::new();
    other.ok(["images"]);
    let before = tree(&other.store());
    let archive = std::fs::read(sandbox.path("two.tar")).unwrap();
    std::fs::write(other.path("two.tar"), &archive).unwrap();
    let zeros = format!("{GCC}@sha256:{}", "0".repeat(64));
    let more = format!("other:1@sha256:{}", "1".repeat(64));
    for (expect, said) in [
        (vec![told[0].clone(), zeros.clone()], "was expected"),
        (vec![told[0].clone()], "capy-debian-12-gcc12:latest was not expected"),
        (vec![told[0].clone(), told[1].clone(), more], "other:1 is not in it"),
    ] {
        let expect = expect.join(",");
        let mut commands =
            [other.command(["import", "two.tar", "--expect"]), other.command(["import", "-", "--expect"])];
        for command in &mut commands {
            let output = feed(command.arg(&expect), &archive);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(5), "{}", describe(command, &output));
            assert!(told.contains(said) && told.contains("is not what was expected"), "{told}");
            assert!(output.stdout.is_empty());
        }
        assert!(names(&other.store()).is_empty());
        assert_sound(&other.store());
    }
    // Nothing at all was written where the archive could be looked at first.
    let fresh = Sandbox::new();
    fresh.ok(["images"]);
    std::fs::write(fresh.path("two.tar"), &archive).unwrap();
    fresh.fail(["import", "two.tar", "--expect", &zeros], 5);
    assert_eq!(tree(&fresh.store()).len(), before.len());
    // The store makes these manifests, and nobody can have told their digests.
    let made = ["import".into(), fixture("docker20.tar").into_os_string(), "--expect".into(), zeros.into()];
    assert!(fresh.fail(made, 5).contains("comes without a digest"));
}
