//! Killed before every step that changes a file, and failed by every fsync, one after the other.
//!
//! strace stops the process exactly there; it counts each system call for itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use larder_store::index::REF_NAME;
use larder_store::{Digest, Store, lease};

use crate::support::child::{self, Part};
use crate::support::{PATIENCE, here, image, open, quick_directory};

/// A store is made, two images come in, a name moves, and goes.
fn play(part: &Part) -> larder_store::Result<()> {
    let store = Store::open(&part.dir, PATIENCE)?;
    image::add(&store, "moved", 1, 2000)?;
    image::add(&store, "kept", 2, 2000)?;
    image::add(&store, "moved", 2, 2000)?;
    store.record_use(&Digest::of(b"used"), 1_700_000_000)?;
    image::untag(&store, "moved")
}

/// The names with their manifests' seeds that may be seen, in the order in which they come to be.
fn states(store: &Store, seeds: &[Digest; 2]) -> usize {
    let entries = store.index().unwrap().entries().to_vec();
    let named = entries.iter().filter_map(|entry| {
        let name = entry.annotation(REF_NAME)?.strip_suffix(":latest")?.to_owned();
        Some((name, 1 + seeds.iter().position(|seed| *seed == entry.digest).unwrap()))
    });
    let named: BTreeMap<_, _> = named.collect();
    let states: [&[(&str, usize)]; 5] =
        [&[], &[("moved", 1)], &[("kept", 2), ("moved", 1)], &[("kept", 2), ("moved", 2)], &[("kept", 2)]];
    let is = |state: &&[(&str, usize)]| {
        state.len() == named.len() && state.iter().all(|(name, seed)| named.get(*name) == Some(seed))
    };
    states.iter().position(is).unwrap_or_else(|| panic!("never a state of this store: {named:?}"))
}

/// The manifests of the two images.
fn seeds() -> [Digest; 2] {
    let dir = quick_directory();
    let store = open(dir.path());
    [1, 2].map(|seed| image::add(&store, "image", seed, 2000).unwrap().digest)
}

/// Runs this test's other part under strace; how it ended, what it said, and whether it came to the step.
fn traced(test: &str, store: &Path, inject: &str) -> (ExitStatus, String, bool) {
    let log = store.with_extension("trace");
    let calls = inject.split(':').next().unwrap();
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", &format!("trace={calls}"), "-e", &format!("inject={inject}"), "-o"])
        .arg(&log);
    command.arg(std::env::current_exe().unwrap()).args(child::arguments(test)).stdin(Stdio::null());
    command.env("LARDER_TEST_ROLE", "traced").env("LARDER_TEST_NUMBER", "0").env("LARDER_TEST_DIR", store);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let trace = std::fs::read_to_string(log).unwrap();
    (output.status, said, trace.contains("(INJECTED)") || trace.contains("killed by SIGKILL"))
}

#[test]
fn killed_before_every_change_of_a_file() {
    if let Some(part) = child::part() {
        return play(&part).unwrap();
    }
    if super::strace_is_missing(here!()) {
        return;
    }
    let (seeds, mut kills, mut seen) = (seeds(), 0, [false; 5]);
    // What openat makes is seen at the next call on it.
    for call in [
        "mkdirat",
        "linkat",
        "renameat",
        "unlinkat",
        "write",
        "pwrite64",
        "fsync",
        "fchmod",
        "fallocate",
        "flock",
    ] {
        for number in 1.. {
            let dir = quick_directory();
            let path = dir.path().join("store");
            let (status, said, came) =
                traced(here!(), &path, &format!("{call}:signal=SIGKILL:when={number}"));
            if !came {
                assert!(status.success(), "{call} {number}: {said}");
                assert!(number > 1, "{call} is never called");
                break;
            }
            kills += 1;
            let store =
                Store::open(&path, PATIENCE).unwrap_or_else(|error| panic!("{call} {number}: {error}"));
            seen[states(&store, &seeds)] = true;
            image::verify(&store);
            image::verify_all(store.blobs());
            let alone = store.locks().exclusive().unwrap();
            assert_eq!(
                lease::live(&store.layout().private().sub("leases").unwrap()).unwrap(),
                [],
                "{call} {number}"
            );
            drop(alone);
            play(&Part { role: String::new(), number: 0, dir: path.clone() }).unwrap();
            assert_eq!(states(&store, &seeds), 4, "{call} {number}: done again after the kill");
            image::verify(&store);
        }
    }
    assert!(kills > 100 && seen == [true; 5], "{kills} kills, {seen:?}");
}

#[test]
fn every_failed_fsync_fails_the_command() {
    if let Some(part) = child::part() {
        match play(&part) {
            Ok(()) => child::say("done"),
            Err(error) => child::say(format!("failed: {error}")),
        }
        return;
    }
    if super::strace_is_missing(here!()) {
        return;
    }
    let seeds = seeds();
    for number in 1.. {
        let dir = quick_directory();
        let path = dir.path().join("store");
        let (status, said, came) = traced(here!(), &path, &format!("fsync:error=EIO:when={number}"));
        assert!(status.success(), "fsync {number}: {said}");
        if !came {
            assert!(said.contains("done") && number > 20, "fsync {number}: {said}");
            break;
        }
        assert!(
            said.contains("failed: cannot fsync"),
            "fsync {number} failed and nobody has noticed: {said}"
        );
        let store = open(&path);
        states(&store, &seeds);
        image::verify(&store);
        assert_eq!(crate::support::leftovers(&path), Vec::<String>::new(), "fsync {number}");
    }
}
