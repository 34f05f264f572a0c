//! What is durable when: read from the system calls that a transaction really makes.
//!
//! A power cut on one file system shows only what that one loses. The order of the calls shows what any may lose.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder_store::Store;

use crate::support::child::{self, Part};
use crate::support::{PATIENCE, here, image, quick_directory};

/// A system call on files, with the paths that its descriptors stood for.
#[derive(Debug)]
struct Call {
    name: String,
    /// Of each descriptor, joined with the name that follows it, if one does; and of each name that stands alone.
    paths: Vec<PathBuf>,
}

/// Reads `7 renameat(5</s/ingest/1>, "0", 6</s/blobs>, "ab") = 0`.
fn parse(line: &str) -> Option<Call> {
    let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let (name, arguments) = call.split_once('(')?;
    let (arguments, result) = arguments.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for argument in arguments.split(", ") {
        if let Some((_, path)) = argument.split_once('<') {
            paths.push(path.trim_end_matches('>').into());
        } else if let Some(file) = argument.strip_prefix('"')
            && !name.contains("write")
        {
            let file = Path::new(file.trim_end_matches('"'));
            match paths.last_mut() {
                Some(dir) => *dir = dir.join(file),
                None => paths.push(file.into()),
            }
        }
    }
    Some(Call { name: name.to_owned(), paths })
}

fn play(part: &Part) {
    let store = Store::open(&part.dir, PATIENCE).unwrap();
    image::add(&store, "first", 1, 2000).unwrap();
    image::add(&store, "second", 2, 2000).unwrap();
    // Reuses all of the first, which is there.
    image::add(&store, "third", 1, 2000).unwrap();
    image::untag(&store, "second").unwrap();
}

fn trace(test: &str, store: &Path) -> Vec<Call> {
    let log = store.with_extension("trace");
    let mut command = Command::new("strace");
    let calls = "trace=write,pwrite64,fsync,fdatasync,renameat,renameat2,linkat,mkdirat,mkdir";
    command.args(["-f", "-qq", "-y", "-s", "300", "-e", calls, "-o"]).arg(&log);
    command.arg(std::env::current_exe().unwrap()).args(child::arguments(test)).stdin(Stdio::null());
    command.env("LARDER_TEST_ROLE", "traced").env("LARDER_TEST_NUMBER", "0").env("LARDER_TEST_DIR", store);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(log).unwrap().lines().filter_map(parse).collect()
}

/// The place of the first sync of `path` behind `from`.
fn synced(calls: &[Call], from: usize, path: &Path) -> Option<usize> {
    let is_it =
        |call: &Call| call.name.starts_with('f') && call.paths.first().is_some_and(|synced| synced == path);
    calls.iter().skip(from).position(is_it).map(|at| at + from)
}

fn last_write(calls: &[Call], before: usize, path: &Path) -> usize {
    let is_it = |call: &Call| {
        call.name.contains("write") && call.paths.first().is_some_and(|written| written == path)
    };
    calls[..before].iter().rposition(is_it).unwrap_or_else(|| panic!("{} was never written", path.display()))
}

#[test]
fn nothing_is_named_before_it_is_durable() {
    if let Some(part) = child::part() {
        return play(&part);
    }
    if super::strace_is_missing(here!()) {
        return;
    }
    let dir = quick_directory();
    let store = dir.path().join("store");
    let calls = trace(here!(), &store);
    let (index, blobs) = (store.join("index.json"), store.join("blobs/sha256"));
    let (mut published, mut indexes, mut reused) = (0, 0, 0);
    for (at, call) in calls.iter().enumerate() {
        let [from, to] = &call.paths[..] else { continue };
        let is_moved = call.name.starts_with("rename") || call.name == "linkat";
        let was_moved_before = calls[..at].iter().any(|before| before.paths.get(1) == Some(from));
        if is_moved && !was_moved_before {
            let written = last_write(&calls, at, from);
            let file = synced(&calls, written, from);
            assert!(file.is_some_and(|file| file < at), "{call:?}: its content may be lost");
        }
        let next_index = calls[at + 1..]
            .iter()
            .position(|call| call.paths.get(1) == Some(&index))
            .map(|next| at + 1 + next);
        if to.starts_with(&blobs) {
            published += 1;
            let (next, dir) = (next_index.unwrap(), synced(&calls, at, &blobs).unwrap());
            assert!(dir < next, "{call:?}: is named by the index before its own name is durable");
        } else if *to == index && call.name.starts_with("rename") {
            indexes += 1;
            let dir =
                synced(&calls, at, &store).unwrap_or_else(|| panic!("{call:?}: the new index may be lost"));
            assert!(next_index.is_none_or(|next| dir < next), "{call:?}");
        }
    }
    for (at, call) in calls.iter().enumerate() {
        let blob = call.name == "fsync" && call.paths[0].starts_with(&blobs) && call.paths[0] != blobs;
        reused += usize::from(blob && calls[at..].iter().any(|call| call.paths.get(1) == Some(&index)));
    }
    assert_eq!((published, indexes, reused), (8, 4, 4), "what the transactions do");
}

/// In a directory that was just made, by hand or by who was killed then, as well.
#[test]
fn a_new_store_in_an_empty_directory_is_durable() {
    if let Some(part) = child::part() {
        Store::open(&part.dir, PATIENCE).unwrap();
        return;
    }
    if super::strace_is_missing(here!()) {
        return;
    }
    let dir = quick_directory();
    let store = dir.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let calls = trace(here!(), &store);
    assert!(synced(&calls, 0, dir.path()).is_some(), "the store's own name may be lost");
}

/// Whoever made a store finds it again, with every directory on the way to it.
#[test]
fn a_new_store_is_durable_with_all_its_directories() {
    if let Some(part) = child::part() {
        // By a relative path, as people give it.
        std::env::set_current_dir(&part.dir).unwrap();
        Store::open(Path::new("deep/store"), PATIENCE).unwrap();
        return;
    }
    if super::strace_is_missing(here!()) {
        return;
    }
    let dir = quick_directory();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let calls = trace(here!(), &work);
    let store = work.join("deep/store");
    for (path, what) in [
        (work.clone(), "the name of the directory above the store"),
        (work.join("deep"), "the store's own name"),
        (store.clone(), "what is in the store"),
        (store.join("blobs"), "the name of blobs/sha256"),
        (store.join(".larder"), "what is in .larder"),
    ] {
        let made = |call: &Call| {
            let makes = ["mkdir", "mkdirat", "linkat", "renameat"].contains(&call.name.as_str());
            makes && work.join(call.paths.last().unwrap()).parent() == Some(&path)
        };
        let from = calls.iter().rposition(made).unwrap();
        assert!(synced(&calls, from, &path).is_some(), "{what} may be lost");
    }
}
