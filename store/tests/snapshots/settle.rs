//! What overlayfs has written, as the layer's own snapshot: not to be told from the layer unpacked.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use larder_store::Store;
use larder_store::cancel::Cancel;
use larder_store::changes::{Changes, Form, Options, settle, store_changes};
use larder_store::codec::Encoding;
use larder_store::ids::ChainId;
use larder_store::layers::LayerFacts;
use larder_store::overlay::overlay;
use larder_store::snapshots::{Snapshot, Snapshots};
use larder_store::tree::{Directory, Stack};
use larder_store::unpack::{Layer, unpack_image};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::kept::{NOW, image, is_root, names};
use super::layers::{Layers, Tarball, changes};
use super::picture;
use super::roundtrip::{play, same, steps};
use crate::support::{directory, disk, here, open};

#[test]
fn any_changes() {
    if !disk::own_namespace(here!()) {
        return;
    }
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let epochs = prop::option::of(0..2_000_000_000i64);
    let tested = runner.run(&(steps(40), steps(30), steps(30), epochs), |(base, first, second, epoch)| {
        let dir = directory();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        play(&tree, &base);
        let tar = changes(&tree, Stack::new(Vec::new()), Form::Whole, None).unwrap();
        let (kept, other) = (dir.path().join("kept"), dir.path().join("other"));
        for path in [&kept, &other] {
            std::fs::create_dir(path).unwrap();
        }
        let (mut kept, mut unpacked) = (Layers::below(&kept), Layers::below(&other));
        kept.add(&tar).unwrap();
        unpacked.add(&tar).unwrap();
        for (number, steps) in [first, second].into_iter().enumerate() {
            let upper = dir.path().join(format!("upper{number}"));
            play(&kept.mount(Some(&upper)).0, &steps);
            let tar = changes(&upper, kept.stack(), Form::Upper, epoch).unwrap();
            let cancel = Cancel::new();
            let options = Options { form: Form::Upper, epoch, cancel: &cancel };
            settle(&Directory::open(&upper).unwrap(), kept.stack(), &options).unwrap();
            let again = changes(&upper, kept.stack(), Form::Upper, epoch).unwrap();
            prop_assert!(tar == again, "another layer than before");
            std::fs::rename(&upper, kept.path(number + 1)).unwrap();
            kept.count_one_more();
            unpacked.add(&tar).unwrap();
            let shown = [&unpacked, &kept].map(|layers| picture::exact(&layers.mount(None).0));
            same("shown", &shown[0], &shown[1])?;
            let inside = [&unpacked, &kept].map(|layers| without_hidden(&layers.top()));
            same("in the layer", &inside[0], &inside[1])?;
        }
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

/// A picture in which a hidden name has no time.
fn without_hidden(layer: &Path) -> picture::Picture {
    let mut all = picture::exact(layer);
    for what in all.values_mut().filter(|what| what.starts_with("node 20000 0 ")) {
        *what = "hidden".into();
    }
    all
}

/// Does what a RUN does to an image of one layer: its changes as a stored layer, and what was kept of them.
fn run(store: &Store, below: &[Layer], work: impl FnOnce(&Path)) -> (LayerFacts, Snapshot) {
    let cancel = Cancel::new();
    let snapshots = Snapshots::open(store).unwrap();
    let mut lease = store.lease("a test").unwrap();
    let lower = unpack_image(store, &snapshots, below, &mut lease, NOW, &mut |_| Ok(()), &cancel).unwrap();
    let stack = || lower.iter().rev().map(|layer| Directory::of(&layer.files).unwrap()).collect::<Vec<_>>();
    let new = snapshots.begin_changes(&store.locks().shared().unwrap()).unwrap();
    let files = Directory::of(&new.files().unwrap()).unwrap();
    let target = directory();
    let mounted = {
        let target = Directory::open(target.path()).unwrap();
        overlay(&stack(), &files, &Directory::of(&new.work().unwrap()).unwrap(), &target).unwrap().unwrap()
    };
    work(target.path());
    drop(mounted);
    let options = Options { form: Form::Upper, epoch: Some(NOW), cancel: &cancel };
    let mut tx = store.begin("a test").unwrap();
    let changes = Changes::new(&files, Stack::new(stack()), options).unwrap();
    let facts = store_changes(&mut tx, changes, Encoding::default(), 1).unwrap().expect("changes");
    settle(&files, Stack::new(stack()), &options).unwrap();
    let diff_ids: Vec<_> = below.iter().map(|layer| layer.diff_id).chain([facts.diff_id]).collect();
    let chain_id = *ChainId::stack(&diff_ids).last().unwrap();
    let guard = store.locks().shared().unwrap();
    lease.add(&[chain_id.0, facts.blob], &guard).unwrap();
    drop(guard);
    (facts, new.finish_as(&chain_id, &facts.blob, NOW).unwrap())
}

#[test]
fn what_a_step_wrote_is_its_layers_snapshot() {
    if !disk::own_namespace(here!()) || !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let base = Tarball::new().directory("d").file("d/a", b"a").file("d/s", b"s").file("gone", b"").bytes();
    let below = image(&store, &[base]);
    let (facts, snapshot) = run(&store, &below, |root| {
        std::fs::write(root.join("d/new"), "x").unwrap();
        std::fs::remove_file(root.join("gone")).unwrap();
        std::fs::remove_file(root.join("d/s")).unwrap();
        for socket in ["d/s", "socket"] {
            drop(UnixListener::bind(root.join(socket)).unwrap());
        }
    });
    let path = snapshot.files.path().parent().unwrap().to_path_buf();
    let hex = snapshot.chain_id.0.hex();
    let path = path.with_file_name(&hex);
    assert!(names(dir.path()).contains(&hex) && names(dir.path()).len() == 2, "{:?}", names(dir.path()));
    assert!(!path.join("work").exists() && !path.join("fs/socket").exists());
    let hidden = std::fs::symlink_metadata(path.join("fs/d/s")).unwrap();
    assert_eq!((hidden.mode() & 0o170_000, hidden.rdev()), (0o020_000, 0), "what was below is hidden");
    assert!(snapshot.allocated > 0);
    let kept = without_hidden(&path.join("fs"));
    // Made again from the blob.
    std::fs::remove_dir_all(&path).unwrap();
    let layers = [below, vec![Layer { descriptor: facts.descriptor(), diff_id: facts.diff_id }]].concat();
    let mut lease = store.lease("a test").unwrap();
    let snapshots = Snapshots::open(&store).unwrap();
    unpack_image(&store, &snapshots, &layers, &mut lease, NOW, &mut |_| Ok(()), &Cancel::new()).unwrap();
    let unpacked = without_hidden(&path.join("fs"));
    assert!(kept == unpacked, "{}", picture::difference(&kept, &unpacked));
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    if !is_root(here!()) {
        return;
    }
    let dir = directory();
    let store = open(dir.path());
    let snapshots = Snapshots::open(&store).unwrap();
    let new = snapshots.begin_changes(&store.locks().shared().unwrap()).unwrap();
    std::fs::write(new.work().unwrap().at("half"), "").unwrap();
    assert_eq!(names(dir.path()).len(), 1);
    drop(new);
    assert!(names(dir.path()).is_empty());
    let plain = snapshots.begin(&store.locks().shared().unwrap()).unwrap();
    assert!(plain.work().is_err(), "nothing is written through overlayfs there");
}
