//! Layers that mean harm: each ends by name, or does nothing outside of its directory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use larder_store::unpack::Limits;
use tar::EntryType;

use super::layers::{ENOUGH, Layers, Tarball};
use crate::support::{directory, here, skip, tree};

/// A root directory and, beside it, what nobody may touch.
fn prepare(dir: &Path) -> tree::Tree {
    std::fs::create_dir(dir.join("outside")).unwrap();
    std::fs::write(dir.join("outside/secret"), "secret").unwrap();
    tree::of(&dir.join("outside"))
}

fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip::record(test, "root", "is needed to make what layers have");
    }
    is_root
}

/// Unpacks layers upon each other; what the last one came to, in a directory where the path `outside` leads to the secret.
fn last(dir: &Path, layers: Vec<Tarball>) -> (Layers, String) {
    let mut unpacked = Layers::below(dir);
    let mut outcome = String::new();
    let count = layers.len();
    for (number, layer) in layers.into_iter().enumerate() {
        match unpacked.add(&layer.bytes()) {
            Ok(_) => outcome = "done".into(),
            Err(error) => {
                assert_eq!(number, count - 1, "{error}");
                let mut source: &dyn std::error::Error = &error;
                outcome = error.to_string();
                while let Some(next) = source.source() {
                    outcome += &format!(": {next}");
                    source = next;
                }
            }
        }
    }
    (unpacked, outcome)
}

#[test]
fn is_refused_by_name() {
    if !is_root(here!()) {
        return;
    }
    let new = Tarball::new;
    let deep = "d/".repeat(2500);
    let cases: Vec<(&str, Vec<Tarball>)> = vec![
        ("\"a/../../outside/x\": climbs", vec![new().file("a/../../outside/x", b"bad")]),
        ("\"..\": climbs", vec![new().directory("..")]),
        ("link to what climbs", vec![new().hard_link("x", "../outside/secret")]),
        ("\"x\": it: is a link to \"none\", which is not there", vec![new().hard_link("x", "none")]),
        ("is a hard link to a directory", vec![new().directory("d").hard_link("x", "d")]),
        ("is a hard link to a directory", vec![new().directory("d"), new().hard_link("x", "d")]),
        ("hides what is no name", vec![new().file(".wh..", b"")]),
        ("hides what is no name", vec![new().file("a/.wh...", b"")]),
        ("hides what is no name", vec![new().file(".wh.", b"")]),
        ("which hides a name", vec![new().file("etc/passwd", b""), new().device("etc/passwd", 0, 0)]),
        ("zero byte", vec![new().pax(&[("path", b"a\0b")]).file("x", b"")]),
        ("longer path", vec![new().pax(&[("path", deep.as_bytes())]).file("x", b"")]),
        ("File name too long", vec![new().pax(&[("path", "n".repeat(300).as_bytes())]).file("x", b"")]),
        (
            "take the place of the root",
            vec![new().file("./", b"").member("/", EntryType::Symlink, "/", b"", |_| {})],
        ),
        ("which is no directory", vec![new().file("f", b"").file("f/x", b"bad")]),
        ("which is no directory", vec![new().file("f", b""), new().file("f/x", b"bad")]),
        ("which is no directory", vec![new().device("null", 1, 3).file("null/x", b"bad")]),
        ("more links on its way", vec![new().symlink("a", "b").symlink("b", "a").file("a/x", b"bad")]),
        ("more links on its way", vec![new().symlink("a", "a/a"), new().file("a/x", b"bad")]),
        ("unknown type", vec![new().member("x", EntryType::new(b'M'), "", b"", |_| {})]),
        ("sparse", vec![new().member("x", EntryType::GNUSparse, "", b"", |_| {})]),
        ("sparse", vec![new().pax(&[("GNU.sparse.major", b"1")]).file("x", b"")]),
        ("owner or group", vec![new().pax(&[("uid", b"4294967295")]).file("x", b"")]),
        ("a link that leads nowhere", vec![new().symlink("x", "")]),
        ("is cut off", vec![new().pax(&[("size", b"99999")]).file("x", b"short")]),
        ("number that is none", vec![new().pax(&[("size", b"-1")]).file("x", b"")]),
        ("malformed pax", vec![new().member("x", EntryType::XHeader, "", b"99 path=x\n", |_| {})]),
        (
            "extended header of",
            vec![new().member("x", EntryType::GNULongName, "", b"", |header| header.set_size(1 << 40))],
        ),
    ];
    for (expected, layers) in cases {
        let dir = directory();
        let before = prepare(dir.path());
        let (_, outcome) = last(dir.path(), layers);
        assert!(outcome.contains(expected), "{expected:?}: {outcome}");
        assert_eq!(tree::of(&dir.path().join("outside")), before, "{expected}");
    }
}

#[test]
fn comes_to_nothing_outside() {
    if !is_root(here!()) {
        return;
    }
    let new = Tarball::new;
    // Each with the file that must be there, in the last layer's own directory.
    let cases: Vec<(&str, Vec<Tarball>)> = vec![
        ("tmp/x", vec![new().symlink("a", "/tmp").file("a/x", b"inside")]),
        ("outside/secret", vec![new().symlink("a", "../../outside").file("a/secret", b"inside")]),
        ("outside/secret", vec![new().symlink("a", "../outside"), new().file("a/secret", b"inside")]),
        ("outside/b/secret", vec![new().symlink("a", "/../outside/b"), new().file("a/secret", b"inside")]),
        ("proc/self/root/x", vec![new().symlink("a", "/proc/self/root").file("a/x", b"inside")]),
        ("secret", vec![new().symlink("secret", "../outside/secret").file("secret", b"inside")]),
        (
            "secret",
            vec![new().symlink("s", "../outside/secret").hard_link("secret", "s").file("secret", b"inside")],
        ),
        ("abs/secret", vec![new().file("/abs/secret", b"inside")]),
        ("x", vec![new().directory("x").file("x/y", b"").file("x", b"inside")]),
        ("x/y", vec![new().file("x", b"").directory("x").file("x/y", b"inside")]),
        ("x/y", vec![new().symlink("x", "../outside").directory("x").file("x/y", b"inside")]),
        ("line\nbreak", vec![new().file("line\nbreak", b"inside")]),
        ("x", vec![new().device("x", 1, 3).file("x", b"inside")]),
        (
            "usr/lib/x",
            vec![new().directory("usr/lib").symlink("lib", "usr/lib"), new().file("lib/x", b"inside")],
        ),
    ];
    for (path, layers) in cases {
        let dir = directory();
        let before = prepare(dir.path());
        let (layers, outcome) = last(dir.path(), layers);
        assert_eq!(outcome, "done", "{path}");
        let found = layers.top().join(path);
        assert!(found.symlink_metadata().unwrap().is_file(), "{path}");
        assert_eq!(std::fs::read(found).unwrap(), b"inside", "{path}");
        assert_eq!(tree::of(&dir.path().join("outside")), before, "{path}");
    }
}

#[test]
fn takes_no_more_than_it_may() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    let big = Tarball::new().file("x", &[1; 4000]).file("y", &[1; 4000]).bytes();
    let error = layers.add_within(&mut &big[..], Limits { bytes: 7999, ..ENOUGH }).unwrap_err();
    assert!(error.to_string().contains("\"y\""), "{error}");
    std::fs::remove_dir_all(layers.path(0)).unwrap();
    // Directories that are only implied count as well.
    let many = Tarball::new().file("a/b/c/d/e", b"").bytes();
    layers.add_within(&mut &many[..], Limits { nodes: 4, ..ENOUGH }).unwrap_err();
    std::fs::remove_dir_all(layers.path(0)).unwrap();
    assert_eq!(layers.add_within(&mut &many[..], Limits { nodes: 5, ..ENOUGH }).unwrap().nodes, 5);
}

#[test]
fn attributes_of_the_host_are_dropped() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    let names = [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "user.overlay.opaque",
        "trusted.other",
        "security.selinux",
        "security.ima",
    ];
    let records: Vec<_> = names.iter().map(|name| format!("SCHILY.xattr.{name}")).collect();
    let mut records: Vec<_> = records.iter().map(|name| (name.as_str(), b"y".as_slice())).collect();
    records.push(("SCHILY.xattr.user.mine", b"a\nb"));
    let layer = Tarball::new().pax(&records).directory("d").pax(&records).file("f", b"").bytes();
    layers.add(&layer).unwrap();
    for name in ["d", "f"] {
        let path = layers.top().join(name);
        let mut list = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap();
        assert_eq!(String::from_utf8_lossy(&list[..length]), "user.mine\0", "{name}");
    }
}

#[test]
fn hides_only_what_lies_below() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    layers.add(&Tarball::new().file("d/old", b"").file("e/old", b"").file("f", b"").bytes()).unwrap();
    let second =
        Tarball::new().file("d/new", b"").file(".wh.d", b"").file("e/.wh..wh..opq", b"").file("e/new", b"");
    let second =
        second.file(".wh.f", b"").file(".wh.never", b"").file("g/.wh.never", b"").file(".wh..wh.plnk/1", b"");
    layers.add(&second.bytes()).unwrap();
    let names = |dir: &str| {
        let dir = std::fs::read_dir(layers.top().join(dir)).unwrap();
        let mut names: Vec<_> = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["d", "e", "f", "g"]);
    assert_eq!((names("d"), names("e")), (vec!["new".to_owned()], vec!["new".to_owned()]));
    assert!(names("g").is_empty());
    let hidden = std::fs::symlink_metadata(layers.top().join("f")).unwrap();
    assert_eq!((hidden.mode() & 0o170_000, hidden.rdev()), (0o020_000, 0));
    for opaque in ["d", "e"] {
        let mut value = [0; 8];
        let length =
            rustix::fs::lgetxattr(layers.top().join(opaque), "trusted.overlay.opaque", &mut value[..]);
        assert_eq!(&value[..length.unwrap()], b"y", "{opaque}");
    }
}
