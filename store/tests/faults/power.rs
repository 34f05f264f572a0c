//! The power fails: what was committed is there, and of what was not, nothing or all.
//!
//! ext4 commits on its own only every 1000 seconds here, and does not write a file's content because it is renamed:
//! without an fsync nothing would come to the disk.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::child::{self, Child};
use crate::support::disk::{Disk, SMALL, own_namespace};
use crate::support::{here, image, open};

const LAZY: &str = "commit=1000,noauto_da_alloc";
const ROUNDS: u64 = 5;

#[test]
fn what_was_committed_is_there() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::ext4(SMALL, LAZY);
    // Not below the disk's root alone: the directories that are made on the way must be there, too.
    let path = disk.path().join("new/store");
    let mut expected = BTreeSet::new();
    for round in 0..ROUNDS {
        let store = open(&path);
        if round > 0 {
            image::add(&store, &format!("n{round}"), round, 200_000).unwrap();
            image::add(&store, "moved", round + 100, 200_000).unwrap();
            expected.extend([format!("n{round}:latest"), "moved:latest".to_owned()]);
        }
        if round > 2 {
            image::untag(&store, &format!("n{}", round - 2)).unwrap();
            expected.remove(&format!("n{}:latest", round - 2));
        }
        // To see that it was a power cut: what nobody has synced.
        std::fs::write(disk.path().join("unsynced"), "gone").unwrap();
        disk.cut_power();
        drop(store);
        disk.restart();
        let unsynced = std::fs::read(disk.path().join("unsynced")).unwrap_or_default();
        assert_eq!(unsynced, b"", "round {round}: the power was not cut, the test shows nothing");
        assert!(path.join("oci-layout").exists(), "round {round}: the store is gone");
        let store = open(&path);
        assert_eq!(image::verify(&store), expected, "round {round}");
    }
}

/// A blob that was found, and not written, by who refers to it.
#[test]
fn what_was_reused_is_there() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::ext4(SMALL, LAZY);
    let path = disk.path().join("store");
    let (content, digest) = (image::noise(1, 100_000), larder_store::Digest::of(&image::noise(1, 100_000)));
    let store = open(&path);
    // Another tool puts it there, and cares for nothing.
    std::fs::write(path.join("blobs/sha256").join(digest.hex()), &content).unwrap();
    let mut tx = store.begin("a test").unwrap();
    assert_eq!(tx.put(&content).unwrap(), digest);
    tx.commit(|_| Ok(())).unwrap();
    std::fs::write(disk.path().join("unsynced"), "gone").unwrap();
    disk.cut_power();
    drop(store);
    disk.restart();
    assert_eq!(std::fs::read(disk.path().join("unsynced")).unwrap_or_default(), b"");
    assert!(image::verify_all(open(&path).blobs()).contains(&digest));
}

#[test]
fn at_a_random_moment_the_index_is_old_or_new() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        let first = store.index().unwrap().entries().len() as u64;
        for number in first.. {
            // Ends when the disk is gone.
            image::add(&store, &format!("n{number}"), number % 20, 150_000).unwrap();
            child::say(format!("n{number}:latest"));
        }
    }
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::ext4(SMALL, LAZY);
    let path = disk.path().join("store");
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut process = Child::start(here!(), "importer", 0, &path);
        expected.extend([process.next().expect("a first image")]);
        std::thread::sleep(Duration::from_millis(3 + round * 17 % 60));
        disk.cut_power();
        let (status, said) = process.end();
        assert!(!status.success());
        expected.extend(said);
        disk.restart();
        let names = image::verify(&open(&path));
        assert!(names.is_superset(&expected), "round {round}: lost {:?}", expected.difference(&names));
        assert!(names.len() <= expected.len() + 1, "round {round}: {names:?}");
        expected = names;
    }
}
