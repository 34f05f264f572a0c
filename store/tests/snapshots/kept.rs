//! What is kept below `snapshots/`, for whom, and when it goes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::gc::{self, Mode};
use larder_store::ids::{ChainId, DiffId};
use larder_store::lease::Lease;
use larder_store::manifest::ImageManifest;
use larder_store::media_type::{OCI_CONFIG, OCI_LAYER};
use larder_store::policy::{NamePattern, Occasion, Policy};
use larder_store::prune;
use larder_store::quantity::Amount;
use larder_store::snapshots::{Snapshots, usage};
use larder_store::unpack::{Layer, unpack_image};
use larder_store::{Digest, Result, Store};

use super::layers::Tarball;
use crate::support::{directory, here, open, skip};

pub const NOW: i64 = 2_000_000_000;

/// Puts an image of these layers into the store; its layers.
pub fn image(store: &Store, layers: &[Vec<u8>]) -> Vec<Layer> {
    let mut tx = store.begin("a test").unwrap();
    let put = |layer: &Vec<u8>| {
        let descriptor = Descriptor::new(OCI_LAYER, tx.put(layer).unwrap(), layer.len() as u64);
        Layer { diff_id: DiffId(descriptor.digest), descriptor }
    };
    let layers: Vec<_> = layers.iter().map(put).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    let rootfs = serde_json::json!({ "type": "layers", "diff_ids": diff_ids });
    let config =
        serde_json::json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs })
            .to_string();
    let config = Descriptor::new(OCI_CONFIG, tx.put(config.as_bytes()).unwrap(), config.len() as u64);
    let descriptors: Vec<_> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    let manifest = ImageManifest::write(&config, &descriptors);
    tx.put(&manifest.bytes).unwrap();
    tx.commit(|index| {
        index.tag(&"image".parse().unwrap(), manifest.descriptor(), 0);
        Ok(())
    })
    .unwrap();
    layers
}

pub fn unpacked(store: &Store, layers: &[Layer], now: i64) -> Result<(Vec<PathBuf>, Lease)> {
    let snapshots = Snapshots::open(store)?;
    let leases = store.layout().private().sub("leases")?;
    let mut lease = Lease::create(&leases, "a test", &store.locks().shared()?)?;
    let found = unpack_image(store, &snapshots, layers, &mut lease, now, &mut |_| Ok(()), &Cancel::new())?;
    Ok((found.into_iter().map(|snapshot| snapshot.files.path().to_path_buf()).collect(), lease))
}

pub fn collect(store: &Store) -> gc::Collected {
    let cancel = Cancel::new();
    gc::gc(store, &gc::Options { grace: 0, now: NOW, mode: Mode::Sweep, cancel: &cancel }).unwrap()
}

fn two_layers() -> [Vec<u8>; 2] {
    let first = Tarball::new().directory("d").file("d/a", &[7; 10_000]).bytes();
    [first, Tarball::new().file("d/.wh.a", b"").file("d/b", b"b").bytes()]
}

pub fn names(store: &Path) -> Vec<String> {
    let dir = std::fs::read_dir(store.join(".larder/snapshots")).unwrap();
    let mut names: Vec<_> = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip::record(test, "root", "is needed to make what layers have");
    }
    is_root
}

#[test]
fn a_layer_is_unpacked_once() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &two_layers());
    let (first, lease) = unpacked(&store, &layers, NOW).unwrap();
    let chain = ChainId::stack(&layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
    let mut expected: Vec<_> = chain.iter().map(|id| id.0.hex()).collect();
    expected.sort();
    assert_eq!(names(dir.path()), expected);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&dir.path().join(".larder/snapshots")), 0o700);
    assert_eq!(mode(first[0].parent().unwrap()), 0o700);
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let before: Vec<_> = first.iter().map(|path| inode(path)).collect();
    drop(lease);
    let (again, _lease) = unpacked(&store, &layers, NOW).unwrap();
    assert_eq!(again.iter().map(|path| inode(path)).collect::<Vec<_>>(), before);
    let (count, bytes) = usage(&store).unwrap();
    assert!(count == 2 && bytes >= 10_000, "{count} {bytes}");
}

#[test]
fn what_does_not_unpack_leaves_nothing() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let mut layers = image(&store, &two_layers());
    layers[1].diff_id = DiffId(Digest::of(b"another"));
    let error = unpacked(&store, &layers, NOW).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("diff ID mismatch"), "{why}");
    assert_eq!(names(dir.path()), [layers[0].diff_id.0.hex()], "the first one is good");
    let bad = Tarball::new().file("x", b"").file("x/y", b"").bytes();
    let layers = image(&store, &[bad]);
    unpacked(&store, &layers, NOW).unwrap_err();
    assert_eq!(names(dir.path()).len(), 1);
}

#[test]
fn goes_with_its_layer_and_not_while_it_is_leased() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &two_layers());
    let (_, lease) = unpacked(&store, &layers, NOW).unwrap();
    drop(lease);
    assert_eq!(collect(&store).leftovers, 0, "its image is there");
    assert_eq!(names(dir.path()).len(), 2);
    let (_, lease) = unpacked(&store, &layers, NOW).unwrap();
    store
        .edit(|index| {
            index.take(|_| true);
            Ok(())
        })
        .unwrap();
    collect(&store);
    assert_eq!(names(dir.path()).len(), 2, "it is leased");
    drop(lease);
    assert_eq!(collect(&store).leftovers, 2);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn of_another_start_of_the_machine_none_is_used() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &two_layers());
    let (paths, lease) = unpacked(&store, &layers, NOW).unwrap();
    drop(lease);
    let spoil = |path: &Path| {
        let record = path.parent().unwrap().join("made");
        let text = std::fs::read_to_string(&record).unwrap();
        let boot = text.split(' ').nth(1).unwrap().to_owned();
        std::fs::write(&record, text.replace(&boot, "00000000-0000-0000-0000-000000000000")).unwrap();
        std::fs::write(path.join("half"), "").unwrap();
    };
    spoil(&paths[0]);
    let (_, lease) = unpacked(&store, &layers, NOW).unwrap();
    assert!(!paths[0].join("half").exists() && paths[0].join("d/a").exists(), "made again");
    drop(lease);
    paths.iter().for_each(|path| spoil(path));
    assert_eq!(collect(&store).leftovers, 2);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn none_of_another_user_is_used() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    drop(Snapshots::open(&store).unwrap());
    std::os::unix::fs::chown(dir.path().join(".larder/snapshots"), Some(12345), None).unwrap();
    let error = Snapshots::open(&store).unwrap_err();
    assert!(error.to_string().contains("user 12345"), "{error}");
}

#[test]
fn goes_before_any_image_under_pressure() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &two_layers());
    drop(unpacked(&store, &layers[..1], NOW - 10).unwrap());
    // The first one is used again, and later than the second one.
    drop(unpacked(&store, &layers, NOW - 20).unwrap());
    drop(unpacked(&store, &layers[..1], NOW).unwrap());
    let cancel = Cancel::new();
    let (free, _) = store.disk_space().unwrap();
    let prune = |least: u64, mode| {
        let protect = vec!["*".parse::<NamePattern>().unwrap()];
        let policy = Policy { min_free: Some(Amount::Bytes(least)), protect, ..Policy::default() };
        let options = prune::Options {
            policy: &policy,
            occasion: Occasion::Prune,
            grace: 0,
            now: NOW,
            mode,
            cancel: &cancel,
        };
        prune::prune(&store, &options).unwrap()
    };
    prune(free / 2, Mode::Sweep);
    assert_eq!(names(dir.path()).len(), 2, "there is room");
    let (_, lease) = unpacked(&store, &layers[..1], NOW).unwrap();
    let predicted = prune(u64::MAX / 2, Mode::DryRun);
    assert!(predicted.freed_bytes > 0 && names(dir.path()).len() == 2);
    assert_eq!(prune(u64::MAX / 2, Mode::Sweep).freed_bytes, predicted.freed_bytes);
    assert_eq!(names(dir.path()), [layers[0].diff_id.0.hex()], "it is leased");
    drop(lease);
    prune(u64::MAX / 2, Mode::Sweep);
    assert!(names(dir.path()).is_empty());
    assert_eq!(store.index().unwrap().entries().len(), 1);
}
