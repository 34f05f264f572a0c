//! `larder init --shared GROUP`: root and a runner's user work on one store.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{CLANG, GCC};
use crate::support::sandbox::NOBODY;
use crate::support::store::{assert_nothing_pending, assert_sound, names, tree};
use crate::support::{Sandbox, describe, fixture, need, peer, succeeded};

/// A group that no user is in.
const GROUP: u32 = 54_321;
const STRANGER: u32 = 65_533;

fn as_member(sandbox: &Sandbox, args: &[&str]) -> Option<String> {
    let mut command = sandbox.command_as(NOBODY, &[GROUP], args)?;
    let output = command.output().unwrap();
    Some(succeeded(&command, &output))
}

/// Everything below the store belongs to the group, and stays writable for it, but for what each user believes himself alone.
fn assert_shared(store: &Path) {
    for path in tree(store).into_keys().chain([store.to_path_buf()]) {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(meta.gid(), GROUP, "{}", path.display());
        let mode = meta.permissions().mode() & 0o7777;
        let is_blob = path.parent().unwrap().ends_with("blobs/sha256");
        let expected = if meta.is_dir() {
            0o2775
        } else if is_blob {
            0o444
        } else if path.parent().unwrap().ends_with(".larder/cache/briefs") {
            0o644
        } else {
            0o664
        };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

#[test]
fn two_users_import_tag_and_remove_by_turns() {
    need!(peer::root(), "root");
    let sandbox = Sandbox::new();
    for file in ["docker20.tar", "docker20-two.tar", "multiarch-oci.tar"] {
        std::fs::copy(fixture(file), sandbox.path(file)).unwrap();
    }
    sandbox.ok(["init", "--shared", &GROUP.to_string()]);
    assert_shared(&sandbox.store());
    sandbox.ok(["import", "docker20.tar"]);
    assert_shared(&sandbox.store());
    need!(as_member(&sandbox, &["import", "docker20-two.tar"]), "setpriv and root");
    assert_shared(&sandbox.store());
    sandbox.ok(["import", "multiarch-oci.tar"]);
    as_member(&sandbox, &["tag", "capy-debian-12-multi", "theirs:1"]);
    sandbox.ok(["tag", "theirs:1", "ours:1"]);
    as_member(&sandbox, &["rm", "ours:1", GCC]);
    sandbox.ok(["rm", "theirs:1"]);
    as_member(&sandbox, &["import", "docker20.tar", "--name", "again:1"]);
    sandbox.ok(["export", CLANG, "-o", "out.tar"]);
    sandbox.ok(["pin", CLANG]);
    as_member(&sandbox, &["annotate", CLANG, "project=x"]);
    let expected = [CLANG, "again:1", "capy-debian-12-multi:latest"].map(str::to_owned);
    assert_eq!(names(&sandbox.store()), expected.into());
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
    assert_shared(&sandbox.store());
}

#[test]
fn uses_of_both_users_count() {
    need!(peer::root(), "root");
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20.tar"), sandbox.path("docker20.tar")).unwrap();
    sandbox.ok(["init", "--shared", &GROUP.to_string()]);
    sandbox.ok(["import", "docker20.tar"]);
    sandbox.ok(["export", GCC, "-o", "root.tar"]);
    for _ in 0..2 {
        let mut command = need!(
            sandbox.command_as(NOBODY, &[GROUP], ["export", GCC, "-o", "/dev/null"]),
            "setpriv and root"
        );
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", describe(&command, &output));
    }
    sandbox.ok(["export", GCC, "-o", "root.tar"]);
    assert_eq!(sandbox.json(["images"])[0]["use_count"], 4);
}

#[test]
fn who_is_not_in_the_group_may_look_and_nothing_else() {
    need!(peer::root(), "root");
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20.tar"), sandbox.path("docker20.tar")).unwrap();
    std::fs::copy(fixture("multiarch-oci.tar"), sandbox.path("multiarch-oci.tar")).unwrap();
    sandbox.ok(["init", "--shared", &GROUP.to_string()]);
    sandbox.ok(["import", "docker20.tar"]);
    let run = |args: &[&str]| Some(sandbox.command_as(STRANGER, &[], args)?.output().unwrap());
    let before = tree(&sandbox.store());
    let listed = need!(run(&["images"]), "setpriv and root");
    assert!(String::from_utf8_lossy(&listed.stdout).contains(GCC), "{listed:?}");
    let exported = run(&["export", GCC, "-o", "/dev/null"]).unwrap();
    assert!(exported.status.success(), "{exported:?}");
    for args in [&["import", "multiarch-oci.tar"][..], &["tag", GCC, "x:1"], &["rm", GCC], &["pin", GCC]] {
        let output = run(args).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("ermission denied") && said.contains("hint: "), "{args:?}: {said}");
    }
    assert_eq!(before, tree(&sandbox.store()));
}

#[test]
fn a_group_must_exist_and_a_store_is_shared_from_its_beginning() {
    need!(peer::root(), "root");
    let sandbox = Sandbox::new();
    let said = sandbox.fail(["init", "--shared", "no-such-group"], 2);
    assert!(said.contains("no-such-group") && said.contains("groupadd"), "{said}");
    assert!(!sandbox.store().exists());
    // By name as well as by number.
    sandbox.ok(["init", "--shared", "root"]);
    let mode = std::fs::metadata(sandbox.store()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o2775);

    let plain = Sandbox::new();
    plain.ok(["init"]);
    let said = plain.fail(["init", "--shared", "root"], 1);
    assert!(said.contains(&plain.store().display().to_string()), "{said}");
    let mode = std::fs::metadata(plain.store()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "its modes are not changed");
}
