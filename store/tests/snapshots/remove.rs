//! Removing a tree: all of it, and nothing else.

use std::os::unix::fs::symlink;
use std::process::Command;

use larder_store::tree::Directory;

use crate::support::{directory, disk, here};

#[test]
fn follows_no_link_and_minds_no_depth() {
    let dir = directory();
    let path = dir.path();
    std::fs::create_dir_all(path.join("outside")).unwrap();
    std::fs::write(path.join("outside/kept"), "kept").unwrap();
    std::fs::create_dir_all(path.join("tree/sub")).unwrap();
    symlink(path.join("outside"), path.join("tree/link")).unwrap();
    symlink("/", path.join("tree/sub/root")).unwrap();
    std::fs::hard_link(path.join("outside/kept"), path.join("tree/hard")).unwrap();
    std::fs::write(path.join("tree/odd\n\u{fffd}name"), "").unwrap();
    std::fs::set_permissions(path.join("tree/sub"), std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .unwrap();
    // Deeper than a path can be long.
    std::fs::create_dir(path.join("tree/deep")).unwrap();
    for _ in 0..1500 {
        std::fs::create_dir(path.join("new")).unwrap();
        std::fs::rename(path.join("tree/deep"), path.join("new/dddd")).unwrap();
        std::fs::rename(path.join("new"), path.join("tree/deep")).unwrap();
    }
    let root = Directory::open(path).unwrap();
    assert!(root.remove(b"tree").unwrap());
    assert!(!root.remove(b"tree").unwrap());
    assert_eq!(std::fs::read(path.join("outside/kept")).unwrap(), b"kept");
}

#[test]
fn crosses_no_mount() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let dir = directory();
    let path = dir.path();
    for name in ["outside", "tree/a/mount", "tree/b"] {
        std::fs::create_dir_all(path.join(name)).unwrap();
    }
    std::fs::write(path.join("outside/kept"), "kept").unwrap();
    std::fs::write(path.join("tree/b/file"), "").unwrap();
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program} {arguments:?}");
    };
    let mount = path.join("tree/a/mount");
    // Of the same file system: its number is the same on both sides.
    run("mount", &["--bind".as_ref(), path.join("outside").as_ref(), mount.as_ref()]);
    let root = Directory::open(path).unwrap();
    let error = root.remove(b"tree").unwrap_err();
    assert!(error.to_string().contains("mounted"), "{error}");
    assert_eq!(std::fs::read(path.join("outside/kept")).unwrap(), b"kept");
    run("umount", &[mount.as_ref()]);
    // A file may be mounted upon, too.
    run("mount", &["--bind".as_ref(), path.join("outside/kept").as_ref(), path.join("tree/b/file").as_ref()]);
    let removed = root.remove(b"tree");
    assert_eq!(std::fs::read(path.join("outside/kept")).unwrap(), b"kept");
    if removed.is_err() {
        run("umount", &[path.join("tree/b/file").as_ref()]);
    }
    root.remove(b"tree").unwrap();
    assert!(!path.join("tree").exists());
}

#[test]
fn minds_no_immutable_bits() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let disk = disk::Disk::ext4(disk::SMALL, "defaults");
    let path = disk.path();
    std::fs::create_dir_all(path.join("tree/sub")).unwrap();
    std::fs::write(path.join("tree/sub/file"), "x").unwrap();
    for (bit, name) in [("+i", "tree/sub/file"), ("+a", "tree/sub"), ("+i", "tree")] {
        assert!(Command::new("chattr").arg(bit).arg(path.join(name)).status().unwrap().success());
    }
    assert!(Directory::open(&path).unwrap().remove(b"tree").unwrap());
}
