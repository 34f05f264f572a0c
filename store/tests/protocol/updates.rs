//! No update is lost, and a change that fails changes nothing.

use larder_store::index::{REF_NAME, WAS};
use larder_store::{Digest, Error, Store};

use crate::support::child::{self, Child};
use crate::support::{PATIENCE, directory, here, image, leftovers, open, quick_directory, tree};

const PROCESSES: usize = 16;
const NAMES: usize = 100;

#[test]
fn sixteen_processes_lose_no_name() {
    if let Some(part) = child::part() {
        // Nobody's turn is promised: on a busy machine the last one may wait for all the others.
        let store = Store::open(&part.dir, 10 * PATIENCE).unwrap();
        child::say("ready");
        child::wait();
        for number in 0..NAMES {
            let name = format!("p{}-n{number}", part.number);
            image::name(&store, &name, name.as_bytes()).unwrap();
        }
        return;
    }
    let dir = quick_directory();
    open(dir.path());
    let mut processes: Vec<_> =
        (0..PROCESSES).map(|number| Child::start(here!(), "tagger", number, dir.path())).collect();
    processes.iter_mut().for_each(|process| process.expect("ready"));
    processes.iter_mut().for_each(Child::go);
    processes.into_iter().for_each(|process| drop(process.finish()));
    let index = open(dir.path()).index().unwrap();
    assert_eq!(index.entries().len(), PROCESSES * NAMES);
    for process in 0..PROCESSES {
        for number in 0..NAMES {
            let name = format!("p{process}-n{number}");
            assert_eq!(index.resolve(&name).unwrap().digest, Digest::of(name.as_bytes()));
        }
    }
}

/// Importers, and others that move one name back and forth, at the same time on a real disk.
#[test]
fn transactions_of_several_processes_go_together() {
    const EACH: usize = 5;
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        child::say("ready");
        child::wait();
        for number in 0..EACH {
            // Half of the content is what another process writes at the same time.
            let seed = (number * 2 + part.number % 2) as u64;
            image::add(&store, &format!("p{}-n{number}", part.number), seed, 50_000).unwrap();
            image::add(&store, "everybodys", seed, 50_000).unwrap();
        }
        return;
    }
    let dir = directory();
    open(dir.path());
    let mut processes: Vec<_> =
        (0..6).map(|number| Child::start(here!(), "importer", number, dir.path())).collect();
    processes.iter_mut().for_each(|process| process.expect("ready"));
    processes.iter_mut().for_each(Child::go);
    processes.into_iter().for_each(|process| drop(process.finish()));
    let store = open(dir.path());
    assert_eq!(image::verify(&store).len(), 6 * EACH + 1);
    assert_eq!(image::verify_all(store.blobs()).len(), 2 * EACH * 4, "each blob is there once");
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
    let index = store.index().unwrap();
    let held = index.entries().iter().filter(|entry| entry.annotation(REF_NAME) == Some("everybodys:latest"));
    assert_eq!(held.count(), 1);
    let displaced = index.entries().iter().filter(|entry| entry.annotation(WAS) == Some("everybodys:latest"));
    assert!(displaced.count() < 2 * EACH, "one entry at most for each content");
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let dir = quick_directory();
    let store = open(dir.path());
    image::add(&store, "image", 1, 1000).unwrap();
    store.record_use(&Digest::of(b"used"), 1_700_000_000).unwrap();
    let before = tree::of(dir.path());
    let edited = store.edit(|index| {
        index.entries_mut().clear();
        Err::<(), _>(Error::invalid("the test", "has thought better of it"))
    });
    assert!(edited.unwrap_err().to_string().contains("thought better"));
    assert_eq!(tree::of(dir.path()), before);

    let mut tx = store.begin("a test").unwrap();
    image::put(&mut tx, 2, 1000).unwrap();
    let committed = tx.commit(|index| {
        index.entries_mut().clear();
        Err::<(), _>(Error::Interrupted)
    });
    assert!(matches!(committed, Err(Error::Interrupted)));
    assert_eq!(tree::of(dir.path())["index.json"], before["index.json"]);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
    assert_eq!(image::verify_all(store.blobs()).len(), 8, "what was published stays for GC");
    image::name(&store, "next", b"the lock is free").unwrap();
}

#[test]
fn a_change_of_nothing_writes_nothing() {
    use std::os::unix::fs::MetadataExt;
    let dir = quick_directory();
    let store = open(dir.path());
    image::add(&store, "image", 1, 1000).unwrap();
    let inode = || std::fs::metadata(dir.path().join("index.json")).unwrap().ino();
    let before = inode();
    store.edit(|index| Ok(index.entries().len())).unwrap();
    assert_eq!(inode(), before);
    image::name(&store, "more", b"more").unwrap();
    assert_ne!(inode(), before);
}

#[test]
fn a_transaction_that_is_dropped_leaves_its_blobs_and_nothing_else() {
    let dir = quick_directory();
    let store = open(dir.path());
    let before = tree::of(dir.path())["index.json"].clone();
    let mut tx = store.begin("a test").unwrap();
    let published = tx.put(b"published").unwrap();
    let writer = tx.writer().unwrap();
    drop((writer, tx));
    assert_eq!(tree::of(dir.path())["index.json"], before);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
    assert_eq!(store.blobs().contains(&published).unwrap(), Some(9));
}
