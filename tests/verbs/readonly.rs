//! A store that cannot be written is still read.

use super::{GCC, two_images};
use crate::support::sandbox::NOBODY;
use crate::support::store::{names, tree};
use crate::support::{Sandbox, describe, need, peer};

/// Runs a larder command with the store mounted read-only, for this command alone.
pub(crate) fn larder(sandbox: &Sandbox, args: &[&str]) -> Option<std::process::Output> {
    let larder = sandbox.command(args);
    let mut unshare = sandbox.enclose(peer::root().and_then(|()| peer::tool("unshare"))?);
    unshare.args(["--mount", "--propagation", "private", "sh", "-euc"]);
    unshare.arg("mount --bind store store; mount -o remount,ro,bind store; exec \"$@\"");
    unshare.arg("sh").arg(larder.get_program()).args(larder.get_args());
    Some(unshare.output().unwrap())
}

#[test]
fn a_read_only_disk_is_listed_and_exported() {
    let sandbox = two_images();
    let before = tree(&sandbox.store());
    for args in [
        &["images"][..],
        &["images", "--all", "--format", "json"],
        &["inspect", GCC],
        &["df"],
        &["export", GCC, "-o", "image.tar"],
        &["export", GCC, "-o", "plain.tar", "--layers", "plain"],
    ] {
        let output = need!(larder(&sandbox, args), "unshare and root");
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
    let other = Sandbox::new();
    other.ok(["import".as_ref(), sandbox.path("image.tar").as_os_str()]);
    assert_eq!(names(&other.store()).into_iter().collect::<Vec<_>>(), [GCC]);
    for args in [&["tag", GCC, "x:1"][..], &["rm", GCC], &["pin", GCC], &["annotate", GCC, "project=x"]] {
        let output = larder(&sandbox, args).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Read-only file system"), "{output:?}");
    }
    assert_eq!(before, tree(&sandbox.store()));
}

#[test]
fn a_store_of_another_tool_on_a_read_only_disk_is_refused_clearly() {
    // Without `.larder/` there is nothing to lock; it is made, or it is said that it cannot be.
    let sandbox = two_images();
    std::fs::remove_dir_all(sandbox.store().join(".larder")).unwrap();
    let before = tree(&sandbox.store());
    let output = need!(larder(&sandbox, &["images"]), "unshare and root");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(".larder"), "{output:?}");
    assert_eq!(before, tree(&sandbox.store()));
    assert!(
        sandbox.ok(["images"]).contains(GCC),
        "on a disk that can be written it is a store like any other"
    );
}

#[test]
fn another_users_store_is_listed_and_exported() {
    let sandbox = two_images();
    let before = tree(&sandbox.store());
    for args in [
        &["images"][..],
        &["inspect", GCC],
        &["df"],
        &["export", GCC, "-o", "/dev/null"],
        &["export", GCC, "-o", "-"],
    ] {
        let mut command = need!(sandbox.command_as(NOBODY, &[], args), "setpriv and root");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", describe(&command, &output));
    }
    assert_eq!(before, tree(&sandbox.store()));
}
