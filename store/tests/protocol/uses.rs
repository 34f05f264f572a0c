//! Uses are counted, and come into the index when it is written anyway.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use larder_store::index::{LAST_USED, USE_COUNT};
use larder_store::{Digest, Store};

use crate::support::child::{self, Child};
use crate::support::{here, image, open, quick_directory};

const USES: usize = 250;

fn count(store: &Store, digest: &Digest) -> u64 {
    store.usage().unwrap().get(digest).map_or(0, |usage| usage.count)
}

/// What the index says of `image`: seconds and count.
fn folded(store: &Store) -> Option<(i64, u64)> {
    let entry = store.resolve(&store.index().unwrap(), "image").unwrap();
    Some((entry.annotation(LAST_USED)?.parse().unwrap(), entry.annotation(USE_COUNT)?.parse().unwrap()))
}

fn seconds() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
}

#[test]
fn several_processes_count_exactly() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        child::say("ready");
        child::wait();
        for _ in 0..USES {
            store.record_use(&Digest::of(b"shared"), seconds()).unwrap();
        }
        store.record_use(&Digest::of(&[part.number as u8]), seconds()).unwrap();
        return;
    }
    let dir = quick_directory();
    let store = open(dir.path());
    let mut processes: Vec<_> =
        (0..8).map(|number| Child::start(here!(), "user", number, dir.path())).collect();
    processes.iter_mut().for_each(|process| process.expect("ready"));
    processes.iter_mut().for_each(Child::go);
    processes.into_iter().for_each(|process| drop(process.finish()));
    assert_eq!(count(&store, &Digest::of(b"shared")), 8 * USES as u64);
    for number in 0..8 {
        assert_eq!(count(&store, &Digest::of(&[number])), 1);
    }
}

#[test]
fn uses_come_into_the_index() {
    let dir = quick_directory();
    let store = open(dir.path());
    let digest = image::add(&store, "image", 1, 100).unwrap().digest;
    let begun = seconds();
    store.record_use(&digest, seconds()).unwrap();
    store.record_use(&digest, seconds()).unwrap();
    assert_eq!(folded(&store), None, "a use alone does not write the index");
    image::name(&store, "other", b"other").unwrap();
    let (last, uses) = folded(&store).unwrap();
    assert!(begun <= last && last <= seconds() && uses == 2, "{last} {uses}");
    store.record_use(&digest, seconds()).unwrap();
    image::name(&store, "another", b"another").unwrap();
    assert_eq!(folded(&store).unwrap().1, 3);
    assert_eq!(count(&store, &digest), 3, "folding copies");
}

#[test]
fn the_later_value_counts() {
    let dir = quick_directory();
    let store = open(dir.path());
    let digest = image::add(&store, "image", 1, 100).unwrap().digest;
    let late = seconds() + 1_000_000;
    store
        .edit(|index| {
            let annotations = &mut index.entries_mut()[0].annotations;
            annotations.insert(LAST_USED.into(), late.to_string());
            annotations.insert(USE_COUNT.into(), "77".into());
            Ok(())
        })
        .unwrap();
    store.record_use(&digest, seconds()).unwrap();
    image::name(&store, "other", b"other").unwrap();
    assert_eq!(folded(&store), Some((late, 77)), "what another host has counted is not forgotten");
}

fn set_time(path: &Path, ago: u64) {
    let time = SystemTime::now() - Duration::from_secs(ago);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// The index is younger than the use, but who wrote it knows nothing of uses.
#[test]
fn uses_survive_an_index_that_another_tool_wrote() {
    let dir = quick_directory();
    let store = open(dir.path());
    let digest = image::add(&store, "image", 1, 100).unwrap().digest;
    set_time(&dir.path().join("index.json"), 1000);
    store.record_use(&digest, seconds()).unwrap();
    set_time(&dir.path().join(".larder/usage").join(digest.hex()), 500);
    let index = std::fs::read(dir.path().join("index.json")).unwrap();
    std::fs::write(dir.path().join("index.json"), index).unwrap();
    image::name(&store, "other", b"other").unwrap();
    assert_eq!(folded(&store).map(|(_, uses)| uses), Some(1));
}

/// Lost usage means "just used"; but the next use counts again.
#[test]
fn a_damaged_record_is_begun_anew() {
    let dir = quick_directory();
    let store = open(dir.path());
    let digest = Digest::of(b"used");
    let record = dir.path().join(".larder/usage").join(digest.hex());
    let long = "x".repeat(300);
    let (zeros, cut) = ("\0".repeat(42), "0".repeat(20));
    for damage in
        ["", "garbage", &long, &zeros, &cut, "1 2 3\n", "00000000000000000001 -0000000000000000001\n"]
    {
        std::fs::write(&record, damage).unwrap();
        assert_eq!(count(&store, &digest), 0, "{damage:?}");
        store.record_use(&digest, seconds()).unwrap();
        assert_eq!(count(&store, &digest), 1, "{damage:?}");
        store.record_use(&digest, seconds()).unwrap();
        assert_eq!(count(&store, &digest), 2, "{damage:?}");
    }
}

#[test]
fn a_record_that_somebody_holds_is_not_waited_for_without_end() {
    let dir = quick_directory();
    let store = Store::open(dir.path(), Duration::from_millis(100)).unwrap();
    let digest = Digest::of(b"used");
    store.record_use(&digest, 1).unwrap();
    let record = File::open(dir.path().join(".larder/usage").join(digest.hex())).unwrap();
    record.lock().unwrap();
    let waited = store.record_use(&digest, 2);
    assert!(matches!(waited, Err(larder_store::Error::LockTimeout { .. })), "{waited:?}");
    drop(record);
    store.record_use(&digest, 3).unwrap();
    assert_eq!(count(&store, &digest), 2);
}
