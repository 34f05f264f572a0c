//! Any tree and any changes: overlayfs, then a layer of the changes, then unpacked, is the same tree. And so without overlayfs.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use larder_store::changes::Form;
use larder_store::tree::Stack;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::layers::{Layers, changes};
use super::picture;
use crate::support::{directory, disk, here, image::noise};

/// One thing that a process in the image does, with numbers that choose the names.
#[derive(Debug, Clone)]
pub enum Step {
    Write(u8, u64, usize),
    Append(u8),
    Directory(u8),
    Remove(u8),
    Symlink(u8, u8),
    Link(u8, u8),
    Mode(u8, u32),
    Owner(u8, u32),
    Xattr(u8, u8),
    Fifo(u8),
    Device(u8),
    Socket(u8),
    Rename(u8, u8),
    Touch(u8, i64),
    Sparse(u8),
    Same(u8),
}

pub fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let at = || any::<u8>();
    let step = prop_oneof![
        4 => (at(), any::<u64>(), 0..70_000usize).prop_map(|(a, seed, size)| Step::Write(a, seed, size)),
        2 => at().prop_map(Step::Append),
        4 => at().prop_map(Step::Directory),
        4 => at().prop_map(Step::Remove),
        2 => (at(), at()).prop_map(|(a, b)| Step::Symlink(a, b)),
        3 => (at(), at()).prop_map(|(a, b)| Step::Link(a, b)),
        2 => (at(), 0..0o10000u32).prop_map(|(a, mode)| Step::Mode(a, mode)),
        1 => (at(), 0..3_000_000u32).prop_map(|(a, id)| Step::Owner(a, id)),
        2 => (at(), at()).prop_map(|(a, b)| Step::Xattr(a, b)),
        1 => at().prop_map(Step::Fifo),
        1 => at().prop_map(Step::Device),
        1 => at().prop_map(Step::Socket),
        3 => (at(), at()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (at(), -5_000_000_000..9_000_000_000i64).prop_map(|(a, time)| Step::Touch(a, time)),
        1 => at().prop_map(Step::Sparse),
        1 => at().prop_map(Step::Same),
    ];
    prop::collection::vec(step, 0..count)
}

/// Few names, so that steps meet: some below others, some odd, one long.
fn path(number: u8) -> String {
    let names = ["a", "b", "c", "d\n", "é", ".wh", "-x", "n"];
    let long = "n".repeat(200);
    let name = |number: u8| if number % 8 == 7 { long.as_str() } else { names[usize::from(number % 8)] };
    match number >> 6 {
        0 => name(number).to_owned(),
        1 => format!("{}/{}", name(number >> 3), name(number)),
        _ => format!("{}/{}/{}", name(number >> 5), name(number >> 3), name(number)),
    }
}

/// What cannot be done where it falls is left undone: the tree is random enough.
pub fn play(root: &Path, steps: &[Step]) {
    let at = |number: &u8| root.join(path(*number));
    let owner = |path: &Path, id: u32| std::os::unix::fs::lchown(path, Some(id), Some(id / 2));
    for step in steps {
        let _ = match step {
            Step::Write(a, seed, size) if !at(a).is_symlink() && (at(a).is_file() || !at(a).exists()) => {
                std::fs::write(at(a), noise(*seed, *size))
            }
            Step::Append(a) if !at(a).is_symlink() && at(a).is_file() => {
                let old = std::fs::read(at(a)).unwrap();
                std::fs::write(at(a), [old, b"more".to_vec()].concat())
            }
            Step::Directory(a) => std::fs::create_dir(at(a)),
            Step::Remove(a) if at(a).is_dir() && !at(a).is_symlink() => std::fs::remove_dir_all(at(a)),
            Step::Remove(a) => std::fs::remove_file(at(a)),
            Step::Symlink(a, b) => symlink(path(*b), at(a)),
            Step::Link(a, b) => std::fs::hard_link(at(a), at(b)),
            Step::Mode(a, mode) if !at(a).is_symlink() => {
                std::fs::set_permissions(at(a), std::fs::Permissions::from_mode(*mode))
            }
            Step::Owner(a, id) => owner(&at(a), *id),
            // Devices and pipes keep none in a layer.
            Step::Xattr(a, b) if !at(a).is_symlink() && (at(a).is_file() || at(a).is_dir()) => {
                let (name, value) = match b % 3 {
                    // A valid one: the kernel checks its form.
                    0 => (
                        "security.capability",
                        [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec(),
                    ),
                    1 => ("user.x", vec![*b; usize::from(*b)]),
                    _ => ("user.y", b"\n=\0".to_vec()),
                };
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::lsetxattr(at(a), name, &value, flags).map_err(Into::into)
            }
            Step::Fifo(a) => run(Command::new("mkfifo").arg(at(a))),
            Step::Device(a) => run(Command::new("mknod").arg(at(a)).args(["c", "1", "3"])),
            Step::Socket(a) if at(a).as_os_str().len() < 100 => {
                std::os::unix::net::UnixListener::bind(at(a)).map(drop)
            }
            Step::Rename(a, b) => std::fs::rename(at(a), at(b)),
            Step::Touch(a, time) => {
                run(Command::new("touch").args(["-h", "-d", &format!("@{time}")]).arg(at(a)))
            }
            Step::Sparse(a) if !at(a).exists() => std::fs::File::create(at(a)).and_then(|file| {
                use std::os::unix::fs::FileExt;
                file.set_len(3 << 20)?;
                file.write_all_at(b"middle", 1 << 20)
            }),
            // Copied up, and the same as before.
            Step::Same(a) if !at(a).is_symlink() => {
                std::fs::metadata(at(a)).and_then(|meta| std::fs::set_permissions(at(a), meta.permissions()))
            }
            _ => Ok(()),
        };
    }
}

fn run(command: &mut Command) -> std::io::Result<()> {
    command.stderr(std::process::Stdio::null()).status().map(drop)
}

/// A picture without sockets, which no layer has, and without the time of their directories and of the root, which has no member of its own.
fn without_sockets(root: &Path) -> picture::Picture {
    let mut all = picture::of(root);
    all.retain(|_, what| !what.starts_with("node 140000"));
    if let Some(root) = all.get_mut(b"".as_slice()) {
        let time = root.find('@').unwrap();
        root.truncate(time);
    }
    all
}

#[test]
fn any_changes() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&(steps(40), steps(30), steps(30)), |(base, first, second)| {
        let dir = directory();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        play(&tree, &base);
        let mut layers = Layers::below(dir.path());
        let tar = changes(&tree, Stack::new(Vec::new()), Form::Whole, None).unwrap();
        layers.add(&tar).unwrap();
        same("base", &without_sockets(&tree), &without_sockets(&layers.top()))?;
        for (number, steps) in [first, second].into_iter().enumerate() {
            let upper = dir.path().join(format!("upper{number}"));
            let (expected, whole) = {
                let mounted = layers.mount(Some(&upper));
                play(&mounted.0, &steps);
                let copy = dir.path().join(format!("copy{number}"));
                assert!(Command::new("cp").arg("-a").arg(&mounted.0).arg(&copy).status().unwrap().success());
                (without_sockets(&mounted.0), changes(&copy, layers.stack(), Form::Whole, None).unwrap())
            };
            let tar = changes(&upper, layers.stack(), Form::Upper, None).unwrap();
            prop_assert!(
                tar == changes(&upper, layers.stack(), Form::Upper, None).unwrap(),
                "not the same twice"
            );
            // Without overlayfs: from a copy of it all.
            let other = directory();
            let mut others = Layers::below(other.path());
            for number in 0..=number {
                std::fs::create_dir_all(others.path(number)).unwrap();
                let copied =
                    Command::new("cp").arg("-aT").arg(layers.path(number)).arg(others.path(number)).status();
                assert!(copied.unwrap().success());
                others.count_one_more();
            }
            layers.add(&tar).unwrap();
            same("overlay", &expected, &without_sockets(&layers.mount(None).0))?;
            others.add(&whole).unwrap();
            same("copy", &expected, &without_sockets(&others.mount(None).0))?;
        }
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

pub fn same(what: &str, left: &picture::Picture, right: &picture::Picture) -> Result<(), TestCaseError> {
    prop_assert!(left == right, "{}:\n{}", what, picture::difference(left, right));
    Ok(())
}

/// The layer says nothing of what was only looked at or is as it was, and gives no time later than it may.
#[test]
fn only_what_was_changed() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let dir = directory();
    let mut layers = Layers::below(dir.path());
    let base = super::layers::Tarball::new()
        .directory("d")
        .file("d/same", b"x")
        .file("d/other", b"x")
        .file("gone", b"x");
    layers.add(&base.bytes()).unwrap();
    let upper = dir.path().join("upper");
    let mounted = layers.mount(Some(&upper));
    let root = &mounted.0;
    for name in ["d/same", "d/other"] {
        // Copies it up.
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::set_permissions(root.join("d/same"), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(root.join("gone")).unwrap();
    std::fs::create_dir(root.join("new")).unwrap();
    std::fs::write(root.join("new/file"), "x").unwrap();
    let tar = changes(&upper, layers.stack(), Form::Upper, Some(1_500_000_000)).unwrap();
    let mut archive = tar::Archive::new(&tar[..]);
    let members = archive.entries().unwrap().map(|member| {
        let member = member.unwrap();
        (member.path().unwrap().display().to_string(), member.header().mtime().unwrap())
    });
    let members: Vec<_> = members.collect();
    let expected = [
        ("d/", 1_000_000_000),
        ("d/other", 1_000_000_000),
        (".wh.gone", 0),
        ("new/", 1_500_000_000),
        ("new/file", 1_500_000_000),
    ];
    assert_eq!(members, expected.map(|(path, time)| (path.to_owned(), time)));
}

/// A name that would hide another one when it is unpacked.
#[test]
fn no_name_that_would_hide_another() {
    let dir = directory();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join(".wh.etc"), "").unwrap();
    let error = changes(&tree, Stack::new(Vec::new()), Form::Whole, None).unwrap_err();
    assert!(error.to_string().contains(".wh."), "{error}");
}
