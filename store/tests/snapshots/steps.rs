//! The step cache: what is remembered, for whom, and when it goes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use larder_store::cancel::Cancel;
use larder_store::gc::{self, Mode};
use larder_store::ids::DiffId;
use larder_store::layers::LayerFacts;
use larder_store::media_type::Compression;
use larder_store::policy::{NamePattern, Occasion, Policy, StepDropped};
use larder_store::prune::{self, Pruned};
use larder_store::quantity::Amount;
use larder_store::steps::{StepRecord, Steps, usage};
use larder_store::{Digest, Store};

use super::kept::{NOW, collect, image, is_root, names as snapshots, unpacked};
use super::layers::Tarball;
use crate::support::image::{noise, untag};
use crate::support::{directory, here, open};

const DAY: i64 = 86_400;

fn key(word: &str) -> Digest {
    Digest::of(word.as_bytes())
}

/// A layer that only a step may keep, of so many bytes.
fn layer(store: &Store, seed: u64, size: usize) -> LayerFacts {
    let bytes = noise(seed, size);
    let mut tx = store.begin("a test").unwrap();
    let blob = tx.put(&bytes).unwrap();
    facts(blob, size as u64)
}

fn facts(blob: Digest, size: u64) -> LayerFacts {
    LayerFacts {
        blob,
        size,
        compression: Compression::None,
        diff_id: DiffId(blob),
        plain_size: size,
        seekable: false,
    }
}

/// A record of a step that was done, and used last, so many seconds ago; its layer.
fn step(store: &Store, word: &str, seed: u64, size: usize, ago: i64) -> LayerFacts {
    let facts = layer(store, seed, size);
    let record = StepRecord { layer: Some(facts), created: NOW - ago, from: None };
    Steps::open(store).unwrap().put(&key(word), &record, NOW - ago).unwrap();
    facts
}

fn has(store: &Store, facts: &LayerFacts) -> bool {
    store.blobs().contains(&facts.blob).unwrap().is_some()
}

fn say(store: &Path, text: &str) {
    std::fs::write(store.join(".larder/larder.toml"), text).unwrap();
}

fn records(store: &Path) -> usize {
    std::fs::read_dir(store.join(".larder/steps")).map_or(0, Iterator::count)
}

#[test]
fn what_a_step_came_to_is_found_again() {
    let dir = directory();
    let store = open(dir.path());
    let steps = Steps::open(&store).unwrap();
    assert_eq!(steps.get(&key("a"), NOW, None).unwrap(), None);
    let facts = step(&store, "a", 1, 1000, 100);
    let record = StepRecord { layer: Some(facts), created: NOW - 100, from: None };
    assert_eq!(steps.get(&key("a"), NOW, None).unwrap(), Some(record));
    let file = dir.path().join(".larder/steps").join(key("a").hex());
    assert_eq!(std::fs::metadata(&file).unwrap().mtime(), NOW, "it was used");
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(steps.get(&key("a"), NOW, Some(NOW - 100)).unwrap(), Some(record));
    assert_eq!(steps.get(&key("a"), NOW, Some(NOW - 99)).unwrap(), None, "it is too old");
    let nothing = StepRecord { layer: None, created: -5, from: None };
    steps.put(&key("a"), &nothing, NOW).unwrap();
    assert_eq!(steps.get(&key("a"), NOW, None).unwrap(), Some(nothing), "in the place of the first");
    let fetched = StepRecord { from: Some(key("repository")), ..record };
    steps.put(&key("b"), &fetched, NOW).unwrap();
    assert_eq!(steps.get(&key("b"), NOW, None).unwrap(), Some(fetched), "and where it came from");
    let blob = dir.path().join("blobs/sha256").join(facts.blob.hex());
    std::fs::write(dir.path().join("other"), "x").unwrap();
    std::fs::rename(dir.path().join("other"), &blob).unwrap();
    assert_eq!(steps.get(&key("b"), NOW, None).unwrap(), None, "its layer has another size");
    std::fs::remove_file(&blob).unwrap();
    assert_eq!(steps.get(&key("b"), NOW, None).unwrap(), None, "its layer is gone");
}

#[test]
fn what_cannot_be_read_is_no_record_and_goes() {
    let dir = directory();
    let store = open(dir.path());
    let facts = step(&store, "a", 1, 1000, 0);
    let steps = Steps::open(&store).unwrap();
    let file = dir.path().join(".larder/steps").join(key("a").hex());
    let whole = std::fs::read(&file).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        assert_eq!(steps.get(&key("a"), NOW, None).unwrap(), None, "cut at {cut}");
    }
    let of_later = [b"2", &whole[1..]].concat();
    std::fs::write(&file, of_later).unwrap();
    assert_eq!(steps.get(&key("a"), NOW, None).unwrap(), None, "of another format");
    let strangers = ["README", "sub"].map(|name| file.with_file_name(name));
    std::fs::write(&strangers[0], "not ours").unwrap();
    std::fs::create_dir(&strangers[1]).unwrap();
    // Names as records have them, and no files.
    std::fs::create_dir(file.with_file_name(key("dir").hex())).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", file.with_file_name(key("link").hex())).unwrap();
    let gone = step(&store, "gone", 2, 1000, 0);
    store.blobs().remove(&gone.blob).unwrap();
    let collected = collect(&store);
    assert_eq!(
        (collected.steps, collected.leftovers),
        (0, 2),
        "one of another format, one without its layer"
    );
    assert!(!file.exists() && !has(&store, &facts));
    assert_eq!(records(dir.path()), 4, "what larder does not know stays");
    // And what stands in the place of the directory is none.
    std::fs::rename(dir.path().join(".larder/steps"), dir.path().join("aside")).unwrap();
    std::fs::write(dir.path().join(".larder/steps"), "").unwrap();
    collect(&store);
    assert_eq!(usage(&store, |_| false).unwrap(), (0, 0));
}

#[test]
fn no_other_users_steps_are_used() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let facts = step(&store, "a", 1, 1000, 0);
    std::os::unix::fs::chown(dir.path().join(".larder/steps"), Some(12345), None).unwrap();
    let error = Steps::open(&store).unwrap_err();
    assert!(error.to_string().contains("user 12345"), "{error}");
    collect(&store);
    assert!(has(&store, &facts), "they are kept for that user");
}

#[test]
fn a_step_keeps_its_layer_within_limits() {
    let dir = directory();
    let store = open(dir.path());
    assert_eq!(collect(&store).steps, 0, "without the directory there are none");
    assert!(!dir.path().join(".larder/steps").exists(), "and none is made by looking");
    let old = step(&store, "old", 1, 1000, 15 * DAY);
    let [first, second] =
        [(2, 30), (3, 20)].map(|(seed, ago)| step(&store, &ago.to_string(), seed, 5000, ago));
    let twin = StepRecord { layer: Some(first), created: NOW, from: None };
    let orphan = layer(&store, 9, 1000);
    assert_eq!(usage(&store, |_| false).unwrap(), (3, 11_000));
    assert_eq!(usage(&store, |blob| *blob == old.blob).unwrap(), (3, 10_000));
    let collected = collect(&store);
    assert!(!has(&store, &orphan) && !has(&store, &old), "14 days are the limit that nobody set");
    assert_eq!((collected.steps, collected.freed_bytes), (1, 2000));
    assert!(has(&store, &first) && has(&store, &second));
    // The first one is used again, and a record more has its layer.
    Steps::open(&store).unwrap().put(&key("twin"), &twin, NOW).unwrap();
    say(dir.path(), "[build]\nsteps_max_size = \"9kB\"\n");
    // A dry run says the same and does nothing. What a step let go has no grace.
    let cancel = Cancel::new();
    let options = |mode| gc::Options { grace: 3600, now: NOW, mode, cancel: &cancel };
    let planned = gc::gc(&store, &options(Mode::DryRun)).unwrap();
    assert!(has(&store, &second) && records(dir.path()) == 3);
    let done = gc::gc(&store, &options(Mode::Sweep)).unwrap();
    assert_eq!(planned, done);
    assert_eq!((done.steps, done.freed_bytes), (1, 5000));
    assert!(has(&store, &first) && !has(&store, &second));
    assert_eq!(records(dir.path()), 2);
}

#[test]
fn a_running_builds_layers_are_leased() {
    let dir = directory();
    let store = open(dir.path());
    say(dir.path(), "[build]\nsteps_max_size = \"0\"\nsteps_unused_for = \"0s\"\n");
    let facts = step(&store, "a", 1, 1000, 0);
    let mut lease = store.lease("a build").unwrap();
    lease.add(&[facts.blob], &store.locks().shared().unwrap()).unwrap();
    collect(&store);
    assert!(has(&store, &facts));
    drop(lease);
    collect(&store);
    assert!(!has(&store, &facts) && records(dir.path()) == 0);
}

#[test]
fn what_an_image_and_a_step_have_stays_when_one_of_them_goes() {
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &[noise(1, 3000), noise(2, 4000)]);
    let of = |at: usize| facts(layers[at].descriptor.digest, layers[at].descriptor.size);
    let steps = Steps::open(&store).unwrap();
    for at in 0..2 {
        let record = StepRecord { layer: Some(of(at)), created: NOW, from: None };
        steps.put(&key(&at.to_string()), &record, NOW - 10 + at as i64).unwrap();
    }
    say(dir.path(), "[build]\nsteps_max_size = \"0\"\n");
    assert_eq!(collect(&store).steps, 0, "what an image has costs nothing");
    say(dir.path(), "[build]\nsteps_max_size = \"4kB\"\n");
    let cancel = Cancel::new();
    let entry = store.index().unwrap().entries()[0].clone();
    untag(&store, "image").unwrap();
    let emptied = store.edit(|index| Ok(index.take(|_| true).len())).unwrap();
    assert_eq!(emptied, 0, "its only name went");
    store.release(&[entry.digest]).unwrap();
    let options = gc::Options { grace: 3600, now: NOW, mode: Mode::Sweep, cancel: &cancel };
    let collected = gc::gc(&store, &options).unwrap();
    assert_eq!(collected.steps, 1);
    assert!(!has(&store, &of(0)) && has(&store, &of(1)), "the one used last stays");
}

fn prune(store: &Store, policy: &Policy, mode: Mode) -> Pruned {
    let cancel = Cancel::new();
    let occasion = Occasion::Prune;
    let options = prune::Options { policy, occasion, grace: 3600, now: NOW, mode, cancel: &cancel };
    prune::prune(store, &options).unwrap()
}

#[test]
fn snapshots_then_steps_then_images() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let tar = Tarball::new().file("a", &noise(5, 100_000)).bytes();
    let layers = image(&store, &[tar]);
    store
        .edit(|index| {
            index.tag(&"other".parse().unwrap(), index.entries()[0].clone(), 0);
            Ok(())
        })
        .unwrap();
    drop(unpacked(&store, &layers, NOW).unwrap());
    let [first, second] =
        [(2, 30), (3, 20)].map(|(seed, ago)| step(&store, &ago.to_string(), seed, 50_000, ago));
    let stored: u64 = {
        let mut sum = 0;
        store.blobs().list(&mut |_, size| sum += size).unwrap();
        sum
    };
    let keep_last = larder_store::policy::Limits { min_age: 0, ..Default::default() };
    let policy = Policy { limits: keep_last, ..Policy::default() };
    // Size: of blobs alone, so that no snapshot helps. One step is enough.
    let by_size = Policy { max_size: Some(stored - 1), ..policy.clone() };
    let planned = prune(&store, &by_size, Mode::DryRun);
    assert_eq!((planned.cache.steps, planned.cache.step_bytes, planned.cache.snapshots), (1, 50_000, 0));
    assert_eq!(planned.cache.reasons, [(StepDropped::Size, 1)]);
    assert_eq!((planned.freed_by_images, planned.over_size), (0, 0));
    assert_eq!(planned.stored_bytes, stored - 50_000);
    assert!(has(&store, &first));
    let done = prune(&store, &by_size, Mode::Sweep);
    assert_eq!(
        (done.cache, done.swept, done.stored_bytes),
        (planned.cache, planned.swept, planned.stored_bytes)
    );
    assert!(!has(&store, &first) && has(&store, &second) && snapshots(dir.path()).len() == 1);
    // Space: a little is had of the snapshot, more of the steps; images are protected here.
    let protect = vec!["*".parse::<NamePattern>().unwrap()];
    let by_space =
        |least| Policy { min_free: Some(Amount::Bytes(least)), protect: protect.clone(), ..policy.clone() };
    let (_, total) = store.disk_space().unwrap();
    let planned = prune(&store, &by_space(total), Mode::DryRun);
    assert_eq!((planned.cache.snapshots, planned.cache.steps), (1, 1));
    assert_eq!(planned.cache.reasons, [(StepDropped::Space, 1)]);
    let reserve = Policy { reserve: Some(Amount::Bytes(stored - 50_000)), ..by_space(total) };
    assert_eq!(prune(&store, &reserve, Mode::DryRun).cache.steps, 0, "the store keeps its reserve");
    let done = prune(&store, &by_space(total), Mode::Sweep);
    assert_eq!(done.cache, planned.cache);
    assert!(!has(&store, &second) && snapshots(dir.path()).is_empty());
    assert_eq!(store.index().unwrap().entries().len(), 2);
}

/// An image that is too old frees what a step keeps only once that goes, and is counted so.
#[test]
fn an_image_frees_nothing_that_a_step_keeps() {
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &[noise(1, 30_000)]);
    let facts = facts(layers[0].descriptor.digest, 30_000);
    let record = StepRecord { layer: Some(facts), created: NOW, from: None };
    Steps::open(&store).unwrap().put(&key("a"), &record, NOW).unwrap();
    let limits = larder_store::policy::Limits { max_age: Some(0), min_age: 0, ..Default::default() };
    store
        .edit(|index| {
            let entry = index.take(|_| true).remove(0);
            index.tag(&"g:1".parse().unwrap(), entry.clone(), 0);
            Ok(())
        })
        .unwrap();
    crate::support::image::add(&store, "g:2", 7, 100).unwrap();
    let policy = Policy { limits, ..Policy::default() };
    let planned = prune(&store, &policy, Mode::DryRun);
    let done = prune(&store, &policy, Mode::Sweep);
    assert_eq!((planned.swept.clone(), planned.freed_by_images), (done.swept.clone(), done.freed_by_images));
    assert!(has(&store, &facts) && done.freed_by_images < 30_000, "{done:?}");
    assert!(!done.swept.is_empty(), "its manifest went: {done:?}");
    assert_eq!(collect(&store).steps, 0);
    assert!(has(&store, &facts));
}

#[test]
fn snapshots_have_a_limit_of_their_own() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let tar = |name: &str| Tarball::new().file(name, &noise(5, 100_000)).bytes();
    let layers = image(&store, &[tar("a"), tar("b")]);
    drop(unpacked(&store, &layers[..1], NOW - 10).unwrap());
    let (_, lease) = unpacked(&store, &layers, NOW - 20).unwrap();
    drop(unpacked(&store, &layers[..1], NOW).unwrap());
    say(dir.path(), "[build]\nsnapshots_max_size = \"150kB\"\n");
    collect(&store);
    assert_eq!(snapshots(dir.path()).len(), 2, "they are leased");
    drop(lease);
    collect(&store);
    assert_eq!(snapshots(dir.path()), [layers[0].diff_id.0.hex()], "the one used last stays");
    let policy = larder_store::settings::settings_of(&store).unwrap().policy;
    assert_eq!(prune(&store, &policy, Mode::Sweep).cache.snapshots, 0);
    say(dir.path(), "[build]\nsnapshots_max_size = \"0\"\n");
    let policy = larder_store::settings::settings_of(&store).unwrap().policy;
    assert_eq!(prune(&store, &policy, Mode::Sweep).cache.snapshots, 1);
    assert!(snapshots(dir.path()).is_empty());
}
