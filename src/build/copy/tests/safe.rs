//! What the cache may know, and what a context or archive that means harm must not do.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use larder_store::cancel::Cancel;
use larder_store::tree::Directory;

use super::{Context, From, NOW, Target, World, find, place};
use crate::build::dockerfile::Copy;
use crate::build::ignore::Ignore;

#[test]
fn the_digest_is_of_what_is_copied_and_not_of_its_time() {
    let Some(world) = World::new() else { return };
    let world = world.with(&["d/a:644", "d/b -> a", "f:644"]);
    let all = || (world.digest("COPY d /x/"), world.digest("COPY f /x/"));
    let before = all();
    let file = fs::File::options().write(true).open(world.path("d/a")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(all(), before, "the time");
    fs::write(world.path("d/a"), "d/A").unwrap();
    assert_ne!(all().0, before.0, "the content");
    assert_eq!(all().1, before.1);
    fs::write(world.path("d/a"), "d/a").unwrap();
    assert_eq!(all(), before);
    fs::remove_file(world.path("d/b")).unwrap();
    symlink("A", world.path("d/b")).unwrap();
    assert_ne!(all().0, before.0, "a link");
    fs::remove_file(world.path("d/b")).unwrap();
    assert_ne!(all().0, before.0, "what is gone");
    fs::rename(world.path("f"), world.path("g")).unwrap();
    assert_ne!(world.digest("COPY g /x/"), before.1, "the name");
}

#[test]
fn what_changes_after_its_digest_is_refused() {
    let Some(world) = World::new() else { return };
    let world = world.with(&["d/a", "d/b"]);
    let cancel = Cancel::new();
    let context = Context::open(&world.path(""), Ignore::default()).unwrap();
    let copy = Copy { sources: vec!["d".into()], destination: "/x".into(), ..Copy::default() };
    let mut found = find(From::Context(&context), &copy, false, &cancel).unwrap();
    found.digest(&cancel).unwrap();
    fs::write(world.path("d/b"), "D/B").unwrap();
    let into = tempfile::tempdir().unwrap();
    let into = Directory::open(into.path()).unwrap();
    let target = || Target { into: &into, below: Vec::new(), workdir: "/", now: NOW, cancel: &cancel };
    let error = place(&found, &copy, target()).unwrap_err();
    let all = format!("{error} {}", std::error::Error::source(&error).unwrap());
    assert!(all.contains("d/b") && all.contains("has changed since"), "{all}");
    // A link in its place leads nowhere.
    fs::remove_file(world.path("d/b")).unwrap();
    symlink("/etc/passwd", world.path("d/b")).unwrap();
    place(&found, &copy, target()).unwrap_err();
    fs::remove_dir_all(world.path("d")).unwrap();
    symlink("/etc", world.path("d")).unwrap();
    place(&found, &copy, target()).unwrap_err();
}

#[test]
fn hard_links_stay_links_and_times_are_kept_in_seconds() {
    let Some(world) = World::new() else { return };
    let mut world = world.with(&["d/a:644"]);
    fs::hard_link(world.path("d/a"), world.path("d/b")).unwrap();
    fs::hard_link(world.path("d/a"), world.path("outside")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 5);
    fs::File::options().write(true).open(world.path("d/a")).unwrap().set_modified(time).unwrap();
    world.step("COPY d /x").unwrap();
    let layer = world.layers[0].clone();
    let meta = |name: &str| fs::symlink_metadata(layer.join(name)).unwrap();
    assert_eq!((meta("x/a").ino(), meta("x/a").nlink()), (meta("x/b").ino(), 2));
    assert_eq!((meta("x/a").mtime(), meta("x/a").mtime_nsec()), (1_000_000_000, 0));
    assert_eq!(meta("x").mtime(), NOW);
}

#[test]
fn a_deep_context_is_no_trouble_for_anybody() {
    let Some(mut world) = World::new() else { return };
    let deep = |depth: usize| "a/".repeat(depth);
    fs::create_dir_all(world.path(&deep(200))).unwrap();
    fs::write(world.path(&format!("{}f", deep(200))), "f").unwrap();
    assert_eq!(world.step("COPY . /x/").unwrap().len(), 202);
    fs::create_dir_all(world.path(&deep(1900))).unwrap();
    assert_ne!(world.digest("COPY . /x/"), "");
    // What the test's own tools cannot do.
    Directory::open(world.dir.path()).unwrap().remove(b"context").unwrap();
}

/// A tar with members of any names.
fn tar(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, data) in members {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o640);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        let content = if kind.is_file() { data.as_bytes() } else { b"" };
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.as_old_mut().linkname[..data.len()].copy_from_slice(data.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn archives_are_known_by_their_content_and_unpacked_with_their_owners() {
    use tar::EntryType::{Directory, Link, Regular};
    let plain = tar(&[
        ("dir/", Directory, ""),
        ("dir/a", Regular, "A"),
        ("hard", Link, "dir/a"),
        ("deep/b", Regular, "B"),
    ]);
    let expected = [
        "x/ 755",
        "x/deep/ 755",
        "x/deep/b=B 640 7:8",
        "x/dir/ 640 7:8",
        "x/dir/a=A 640 7:8",
        "x/hard=A 640 7:8",
    ];
    let zstd = zstd::bulk::compress(&plain, 3).unwrap();
    for (name, bytes) in [("a.tar", &plain), ("noext", &zstd)] {
        let Some(mut world) = World::new() else { return };
        fs::write(world.path(name), bytes).unwrap();
        assert_eq!(world.step(&format!("ADD --chown=1:2 {name} /x")).unwrap(), expected, "{name}");
        assert_eq!(world.step(&format!("COPY {name} /y")).unwrap().len(), 1, "COPY unpacks nothing");
    }
    for (name, bytes) in [("empty.tar", &b""[..]), ("zero.tar", &[0; 10240]), ("gz", b"\x1f\x8bno")] {
        let Some(mut world) = World::new() else { return };
        fs::write(world.path(name), bytes).unwrap();
        let made = world.step(&format!("ADD {name} /x/")).unwrap();
        assert!(made.len() == 2 && made[1].starts_with(&format!("x/{name}")), "{made:?}");
    }
}

#[test]
fn an_archive_writes_nowhere_but_into_the_layer() {
    use tar::EntryType::{Link, Regular, Symlink};
    let Some(world) = World::new() else { return };
    let mut world = world.above(&["etc/passwd", "data/"]);
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let way = format!("../../../../../../../../{}", outside.display());
    for (members, says) in [
        (&[("../x", Regular, "A")][..], "climbs"),
        (&[("a", Link, "../../etc/passwd")], "climbs"),
        (&[("a", Link, "/etc/shadow")], "not there"),
        (&[("a/.wh.b", Regular, "A")], "cannot be in a layer"),
        (&[("l", Symlink, "/etc/passwd"), ("l/x", Regular, "A")], "no directory"),
    ] {
        fs::write(world.path("a.tar"), tar(members)).unwrap();
        let error = world.step("ADD a.tar /data/").unwrap_err();
        assert!(error.contains(says), "{members:?}: {error}");
    }
    fs::write(world.path("a.tar"), tar(&[("l", Symlink, &way), ("l/x", Regular, "A")])).unwrap();
    let made = world.step("ADD a.tar /data/").unwrap();
    // As a process in the image would have it: the way is inside of the layer.
    assert!(made.iter().any(|line| line.ends_with("outside/x=A 640 7:8")), "{made:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
