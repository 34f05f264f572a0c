//! What umoci makes of the same layers.

use std::path::Path;
use std::process::Command;

use larder_store::changes::Form;
use tar::EntryType;

use super::layers::{Layers, Tarball, changes};
use super::picture;
use crate::support::{directory, disk, here, open, skip};

/// Unpacks layers with umoci; a picture of the root file system.
fn umoci(dir: &Path, layers: &[Vec<u8>]) -> picture::Picture {
    let layout = dir.join("layout");
    let store = open(&layout);
    super::kept::image(&store, layers);
    let image = format!("{}:image:latest", layout.display());
    let output =
        Command::new("umoci").args(["unpack", "--image", &image]).arg(dir.join("bundle")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    picture::of(&dir.join("bundle/rootfs"))
}

fn is_there(test: &str) -> bool {
    let is_there = Command::new("umoci").arg("--version").output().is_ok();
    if !is_there {
        skip::record(test, "umoci", "is not installed");
    }
    is_there && disk::own_namespace(test)
}

/// The time of the root and of directories that no member describes is not the same twice.
fn without_times_of(mut picture: picture::Picture, paths: &[&str]) -> picture::Picture {
    for path in paths {
        if let Some(what) = picture.get_mut(path.as_bytes()) {
            let (before, after) = what.split_once('@').unwrap();
            *what = format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
    }
    picture
}

#[test]
fn unpacked_layers_are_as_umoci_has_them() {
    if !is_there(here!()) {
        return;
    }
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = "n".repeat(180);
    let setuid = |header: &mut tar::Header| {
        header.set_mode(0o4755);
        header.set_uid(1000);
        header.set_gid(3_000_000);
    };
    let first = Tarball::new()
        .directory("usr")
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .file("usr/lib/one", b"one")
        .hard_link("usr/lib/two", "usr/lib/one")
        .member("usr/lib/setuid", EntryType::Regular, "", b"s", setuid)
        .pax(&[("SCHILY.xattr.security.capability", &capability), ("mtime", b"1234567890.987654321")])
        .file("usr/lib/ping", b"p")
        .pax(&[("path", long.as_bytes())])
        .file("short", b"long")
        .device("null", 1, 3)
        .member("fifo", EntryType::Fifo, "", b"", |_| {})
        .file("zeros", &vec![0; 300_000])
        .directory("gone")
        .file("gone/file", b"g")
        .directory("emptied")
        .file("emptied/file", b"e")
        .file("was-file", b"f")
        .directory("was-directory")
        .file("was-directory/x", b"x");
    let second = Tarball::new()
        .file("lib/through-link", b"t")
        .hard_link("usr/three", "usr/lib/two")
        .file(".wh.gone", b"")
        .file("emptied/.wh..wh..opq", b"")
        .file("emptied/new", b"n")
        .directory("was-file")
        .file("was-file/x", b"x")
        .file("was-directory", b"d")
        .file("implied/deep/file", b"i");
    let third = Tarball::new()
        .directory("gone")
        .file("gone/again", b"a")
        .file(".wh.was-file", b"")
        .symlink("lib2", "lib");
    let tars = [first.bytes(), second.bytes(), third.bytes()];
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    for tar in &tars {
        layers.add(tar).unwrap();
    }
    let ours = picture::of(&layers.mount(None).0);
    let theirs = umoci(dir.path(), &tars);
    let unlike = ["", "implied", "implied/deep", "emptied"];
    let (mut ours, theirs) = (without_times_of(ours, &unlike), without_times_of(theirs, &unlike));
    // A link across layers: overlayfs copies the file up, and its other lower name stays behind (so it is with containerd).
    let mut theirs = theirs;
    for (path, ours_has) in [("usr/lib/one", ""), ("usr/lib/two", " 2 names"), ("usr/three", " 2 names")] {
        let (ours, theirs) = (ours.remove(path.as_bytes()).unwrap(), theirs.remove(path.as_bytes()).unwrap());
        let (before, _) = theirs.split_once(" 3 names").expect(&theirs);
        assert!(ours.starts_with(&format!("{before}{ours_has}")), "{ours} instead of {theirs}");
        assert_eq!(ours.contains("names"), !ours_has.is_empty(), "{ours}");
    }
    assert!(ours == theirs, "ours is left, umoci's is right:\n{}", picture::difference(&ours, &theirs));
}

#[test]
fn a_layer_of_ours_is_read_by_umoci() {
    if !is_there(here!()) {
        return;
    }
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    let base = Tarball::new()
        .directory("d")
        .file("d/a", b"a")
        .file("d/b", b"b")
        .directory("e")
        .file("e/x", b"x")
        .file("f", b"f");
    let base = base.bytes();
    layers.add(&base).unwrap();
    let upper = dir.path().join("upper");
    let (tar, expected) = {
        let mounted = layers.mount(Some(&upper));
        let script = r#"
            rm d/a; echo new > d/c; ln d/c d/hard; rm -r e; mkdir e; echo y > e/y; rm f; mkdir f; touch f/z
            mkdir -p "$(printf 'long%.0s' $(seq 40))"/"$(printf 'path%.0s' $(seq 40))"; (cd long*/path*; touch file)
            ln -s "$(printf 'target/%.0s' $(seq 30))" link; mknod null c 1 3; mkfifo pipe
            truncate -s 1M sparse; echo s > setuid; chown 1000:3000000 setuid; chmod 6755 setuid
            touch -d @-1000 old; touch -d @9000000000 late; echo c > cap; setcap cap_net_raw+ep cap; mkdir 'odd
name'; touch "$(printf 'caf\303\251')"
        "#;
        let output = Command::new("sh").args(["-ec", script]).current_dir(&mounted.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (changes(&upper, layers.stack(), Form::Upper, None).unwrap(), picture::of(&mounted.0))
    };
    let theirs = umoci(dir.path(), &[base, tar.clone()]);
    let (left, right) = (without_times_of(expected.clone(), &[""]), without_times_of(theirs, &[""]));
    assert!(left == right, "overlayfs is left, umoci is right:\n{}", picture::difference(&left, &right));
    // And by tar, as far as that knows whiteouts: every name is there.
    let listed = dir.path().join("layer.tar");
    std::fs::write(&listed, &tar).unwrap();
    let output = Command::new("tar").arg("-tf").arg(&listed).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    layers.add(&tar).unwrap();
    let ours = without_times_of(picture::of(&layers.mount(None).0), &[""]);
    assert!(left == ours, "{}", picture::difference(&left, &ours));
}
