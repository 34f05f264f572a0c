//! New stores, also after a kill in the middle and by several processes at once.

use std::path::Path;
use std::sync::Barrier;

use larder_store::layout::Layout;

use crate::support::child::{self, Child};
use crate::support::tree::{self, Tree};
use crate::support::{here, image, leftovers, open, quick_directory};

/// What a finished store has, but for `oci-layout`, which is written last. Parents first.
const PARTS: [&str; 10] = [
    ".larder",
    ".larder/leases",
    ".larder/ingest",
    ".larder/usage",
    ".larder/handovers",
    ".larder/cache",
    ".larder/version",
    "blobs",
    "blobs/sha256",
    "index.json",
];

/// Every choice of parts in which no part is without its parent.
fn every_beginning() -> impl Iterator<Item = Vec<&'static str>> {
    (0u32..1 << PARTS.len()).filter_map(|choice| {
        let chosen: Vec<_> =
            (0..PARTS.len()).filter(|at| choice & (1 << at) != 0).map(|at| PARTS[at]).collect();
        let parents_are_there = chosen.iter().all(|part| match part.rsplit_once('/') {
            Some((parent, _)) => chosen.contains(&parent),
            None => true,
        });
        parents_are_there.then_some(chosen)
    })
}

fn lay(parts: &[&str], whole: &Path, at: &Path) {
    for part in parts {
        if whole.join(part).is_dir() {
            std::fs::create_dir(at.join(part)).unwrap();
        } else {
            std::fs::copy(whole.join(part), at.join(part)).unwrap();
        }
    }
}

/// The picture of a store without what each has of its own.
fn picture(store: &Path) -> Tree {
    let mut tree = tree::of(store);
    tree.retain(|path, _| !path.ends_with(".0123456789abcdef"));
    tree
}

#[test]
fn a_new_store_is_a_plain_image_layout() {
    let dir = quick_directory();
    let store = open(&dir.path().join("deep/below/store"));
    let read = |name| std::fs::read_to_string(store.path().join(name)).unwrap();
    assert_eq!(read("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_str(&read("index.json")).unwrap();
    let empty = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []
    });
    assert_eq!(index, empty);
    assert_eq!(read(".larder/version"), "1\n");
    let names: Vec<_> =
        tree::of(store.path()).into_keys().filter(|path| !path.starts_with(".larder/")).collect();
    assert_eq!(names, ["", ".larder", "blobs", "blobs/sha256", "index.json", "oci-layout"]);
    assert!(std::fs::metadata(store.path().join(".larder/reserve")).unwrap().len() >= 1 << 20);
}

#[test]
fn opening_again_changes_nothing() {
    let dir = quick_directory();
    image::add(&open(dir.path()), "image", 1, 100).unwrap();
    let before = tree::of(dir.path());
    assert_eq!(image::verify(&open(dir.path())).len(), 1);
    assert_eq!(tree::of(dir.path()), before);
}

#[test]
fn whatever_a_kill_left_is_finished() {
    let dir = quick_directory();
    let whole = dir.path().join("whole");
    let expected = picture(open(&whole).path());
    let mut beginnings = 0;
    for parts in every_beginning() {
        let at = dir.path().join("begun");
        std::fs::create_dir(&at).unwrap();
        lay(&parts, &whole, &at);
        if parts.contains(&".larder") {
            // A file that was being written, too.
            std::fs::write(at.join(".larder/oci-layout.0123456789abcdef"), b"{").unwrap();
        }
        let store = Layout::open(&at).unwrap_or_else(|error| panic!("{parts:?}: {error}"));
        assert_eq!(picture(&at), expected, "{parts:?}");
        assert!(store.read_index().unwrap().entries().is_empty());
        std::fs::remove_dir_all(&at).unwrap();
        beginnings += 1;
    }
    assert_eq!(beginnings, 390);
}

#[test]
fn an_index_that_is_there_is_never_written_over() {
    let dir = quick_directory();
    let store = open(dir.path());
    image::add(&store, "image", 1, 100).unwrap();
    std::fs::remove_file(dir.path().join("oci-layout")).unwrap();
    assert_eq!(image::verify(&open(dir.path())).len(), 1);
}

#[test]
fn threads_make_one_store_together() {
    for round in 0..20 {
        let dir = quick_directory();
        let path = dir.path().join("store");
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    start.wait();
                    let store = open(path);
                    image::name(&store, &format!("name{number}"), b"content").unwrap();
                });
            }
        });
        assert_eq!(open(&path).index().unwrap().entries().len(), 8, "round {round}");
        let temporary =
            tree::of(&path).into_keys().filter(|path| path.contains(".json.") || path.contains("version."));
        assert_eq!(temporary.collect::<Vec<_>>(), Vec::<String>::new());
    }
}

#[test]
fn processes_make_one_store_together() {
    if let Some(part) = child::part() {
        child::say("ready");
        child::wait();
        image::add(&open(&part.dir), &format!("name{}", part.number), part.number as u64, 1000).unwrap();
        return;
    }
    for _ in 0..3 {
        let dir = quick_directory();
        let path = dir.path().join("store");
        let mut processes: Vec<_> =
            (0..6).map(|number| Child::start(here!(), "maker", number, &path)).collect();
        processes.iter_mut().for_each(|process| process.expect("ready"));
        processes.iter_mut().for_each(Child::go);
        processes.into_iter().for_each(|process| drop(process.finish()));
        assert_eq!(image::verify(&open(&path)).len(), 6);
        assert_eq!(leftovers(&path), Vec::<String>::new());
    }
}
