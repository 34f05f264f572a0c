//! Copies upon copies, each in a layer of its own: together they show what the same copies make of a plain tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use larder_store::cancel::Cancel;
use larder_store::tree::{Directory, Stack, copy_stack};
use proptest::prelude::*;

use super::{World, list};

/// A thing of the context.
#[derive(Debug, Clone)]
enum Thing {
    File,
    Link(&'static str),
    Directory(Vec<(&'static str, Thing)>),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn thing() -> impl Strategy<Value = Thing> {
    let targets = prop::sample::select(vec!["a", "b/a", "../b", "/c", "/a/b", "../../..", "."]);
    let leaf = prop_oneof![3 => Just(Thing::File), 2 => targets.prop_map(Thing::Link)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let entries = prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..3);
        entries.prop_map(Thing::Directory)
    })
}

fn make(at: &Path, thing: &Thing, number: usize) {
    match thing {
        Thing::File => fs::write(at, format!("{number}")).unwrap(),
        Thing::Link(target) => symlink(target, at).unwrap(),
        Thing::Directory(entries) => {
            fs::create_dir(at).unwrap();
            for (name, thing) in entries {
                if at.join(name).symlink_metadata().is_err() {
                    make(&at.join(name), thing, number);
                }
            }
        }
    }
}

/// Where a path leads inside of a root, what is missing included; `None`: nowhere.
fn lead(root: &Path, path: &Path, links: usize) -> Option<PathBuf> {
    let mut done = PathBuf::new();
    let parts: Vec<_> = path.iter().collect();
    for (at, part) in parts.iter().enumerate() {
        if *part == "/" || *part == "." {
            continue;
        }
        if *part == ".." {
            done.pop();
            continue;
        }
        let here = root.join(&done).join(part);
        if let Ok(target) = fs::read_link(&here) {
            let start = if target.is_absolute() { PathBuf::new() } else { done };
            let rest: PathBuf = parts[at + 1..].iter().collect();
            let target = target.strip_prefix("/").unwrap_or(&target).to_path_buf();
            return if links == 0 { None } else { lead(root, &start.join(target).join(rest), links - 1) };
        }
        if here.is_file() && at + 1 < parts.len() {
            return None;
        }
        done.push(part);
    }
    Some(done)
}

/// The same copy in a plain tree; whether it can be done.
fn copy(context: &Path, root: &Path, source: &str, destination: &str) -> Option<()> {
    let from = context.join(lead(context, Path::new(source), 40)?);
    let at = root.join(lead(root, Path::new(destination), 40)?);
    if !from.exists() {
        return None;
    }
    if from.is_dir() {
        if at.is_file() {
            return None;
        }
        fs::create_dir_all(&at).ok()?;
        return merge(&from, &at);
    }
    let is_directory = destination.ends_with('/') || at.is_dir();
    let at = if is_directory { at.join(Path::new(source).file_name()?) } else { at };
    fs::create_dir_all(at.parent()?).ok()?;
    clear(&at);
    fs::copy(from, at).map(drop).ok()
}

fn clear(at: &Path) {
    if at.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        fs::remove_dir_all(at).unwrap();
    } else if at.symlink_metadata().is_ok() {
        fs::remove_file(at).unwrap();
    }
}

fn merge(from: &Path, to: &Path) -> Option<()> {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, at) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        let is_directory_there = at.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if kind.is_dir() && is_directory_there {
            merge(&entry.path(), &at)?;
            continue;
        }
        clear(&at);
        if kind.is_dir() {
            fs::create_dir(&at).unwrap();
            merge(&entry.path(), &at)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), &at).unwrap();
        } else {
            fs::copy(entry.path(), &at).unwrap();
        }
    }
    Some(())
}

fn paths() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 0..4);
    (parts, any::<bool>()).prop_map(|(parts, is_directory)| {
        let end = if is_directory && !parts.is_empty() { "/" } else { "" };
        format!("/{}{end}", parts.join("/"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_show_what_a_plain_tree_has(
        things in prop::collection::vec(thing(), 3),
        steps in prop::collection::vec((paths(), paths()), 1..6),
    ) {
        let Some(mut world) = World::new() else { return Ok(()) };
        for (number, (name, thing)) in NAMES.iter().zip(&things).enumerate() {
            make(&world.path(name), thing, number);
        }
        let plain = tempfile::tempdir().unwrap();
        let context = world.path("");
        for (source, destination) in &steps {
            let step = format!("COPY {source} {destination}");
            // What a copy that fails has begun is of no interest.
            let before = tempfile::tempdir().unwrap();
            prop_assert!(merge(plain.path(), before.path()).is_some());
            let expected = copy(&context, plain.path(), source, destination);
            let made = world.step(&step);
            prop_assert_eq!(made.is_ok(), expected.is_some(), "{}: {:?}", step, made);
            if made.is_err() {
                world.layers.remove(0);
                for name in fs::read_dir(plain.path()).unwrap() {
                    clear(&name.unwrap().path());
                }
                merge(before.path(), plain.path());
            }
            let shown = tempfile::tempdir().unwrap();
            let layers = world.layers.iter().map(|layer| Directory::open(layer).unwrap()).collect();
            copy_stack(Stack::new(layers), &Directory::open(shown.path()).unwrap(), &Cancel::new()).unwrap();
            prop_assert_eq!(list(shown.path()), list(plain.path()), "{}", step);
        }
    }
}
