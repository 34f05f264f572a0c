//! Layouts that another tool made: they get their `.larder/` and keep all else.

use std::path::Path;
use std::sync::Barrier;

use larder_store::index::REF_NAME;
use larder_store::layout::Layout;
use larder_store::{Digest, Store};

use crate::support::{image, open, quick_directory, tree};

/// A layout as umoci or skopeo write it: spaces, fields of their own, an entry whose name is a bare tag.
fn foreign(dir: &Path) {
    let store = open(dir);
    let entry = image::add(&store, "image", 7, 1000).unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.join(".larder")).unwrap();
    let index = format!(
        r#"{{ "schemaVersion": 2, "manifests": [ {{ "mediaType": "{}", "digest": "{}", "size": {},
        "annotations": {{ "{REF_NAME}": "latest" }}, "x-other": [1] }} ], "x-theirs": {{ "a": true }} }}"#,
        entry.media_type, entry.digest, entry.size
    );
    std::fs::write(dir.join("index.json"), index).unwrap();
    std::fs::write(dir.join("oci-layout"), "{\"imageLayoutVersion\": \"1.0.0\"}\n").unwrap();
    std::fs::write(dir.join("blobs/sha256/notes.txt"), "somebody's").unwrap();
    std::fs::write(dir.join("README"), "somebody's").unwrap();
}

/// The least that is a layout, as a Go program writes it.
fn empty(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(dir.join("index.json"), r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
}

fn without_ours(dir: &Path) -> tree::Tree {
    let mut tree = tree::of(dir);
    tree.retain(|path, _| !path.starts_with(".larder"));
    tree
}

#[test]
fn keeps_entries_blobs_and_strangers() {
    let dir = quick_directory();
    foreign(dir.path());
    let before = tree::of(dir.path());
    let store = open(dir.path());
    assert_eq!(without_ours(dir.path()), before, "adopting has changed something");
    assert_eq!(image::verify(&store).into_iter().collect::<Vec<_>>(), ["latest"]);
    image::add(&store, "second", 8, 1000).unwrap();
    assert_eq!(image::verify(&store).len(), 2);
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["x-theirs"]["a"], true);
    assert_eq!(index["manifests"][0]["x-other"][0], 1);
    for name in ["README", "oci-layout", "blobs/sha256/notes.txt"] {
        assert_eq!(tree::of(dir.path())[name], before[name]);
    }
}

#[test]
fn an_empty_layout_without_blobs_is_adopted() {
    let dir = quick_directory();
    empty(dir.path());
    let store = open(dir.path());
    assert!(store.index().unwrap().entries().is_empty());
    image::add(&store, "first", 1, 1000).unwrap();
    assert_eq!(image::verify(&open(dir.path())).len(), 1);
}

/// Not even where our way of writing it is another one.
#[test]
fn a_change_of_nothing_keeps_their_bytes() {
    let dir = quick_directory();
    foreign(dir.path());
    let store = open(dir.path());
    let before = tree::of(dir.path());
    store.edit(|index| Ok(index.entries().len())).unwrap();
    assert_eq!(tree::of(dir.path())["index.json"], before["index.json"]);
}

#[test]
fn what_another_tool_writes_later_counts() {
    let dir = quick_directory();
    let store = open(dir.path());
    image::add(&store, "ours", 1, 1000).unwrap();
    let text = std::fs::read_to_string(dir.path().join("index.json")).unwrap();
    let digest = Digest::of(b"theirs");
    let entry = format!(
        r#"{{"mediaType":"a/b","digest":"{digest}","size":6,"annotations":{{"{REF_NAME}":"theirs"}}}},"#
    );
    std::fs::write(dir.path().join("index.json"), text.replacen("[{", &format!("[{entry}{{"), 1)).unwrap();
    assert_eq!(store.resolve(&store.index().unwrap(), "theirs").unwrap().digest, digest);
    image::name(&store, "more", b"more").unwrap();
    assert_eq!(store.index().unwrap().entries().len(), 3);
}

/// A picture of the store, without what comes with its first use where it is missing, and what a kill left.
fn whole_parts(store: &Path) -> tree::Tree {
    let mut tree = tree::of(store);
    let aside = ["reserve", "gate", "lock", "index.lock", "released", "version.0123456789abcdef"];
    aside.iter().for_each(|name| drop(tree.remove(&format!(".larder/{name}"))));
    tree
}

/// Killed while it was given its `.larder/`: the next one finishes that.
#[test]
fn adopting_is_finished_after_a_kill() {
    let makers: [fn(&Path); 2] = [foreign, empty];
    for (kind, make) in makers.into_iter().enumerate() {
        let dir = quick_directory();
        let whole = dir.path().join("whole");
        make(&whole);
        Layout::open(&whole).unwrap();
        let expected = whole_parts(&whole);
        let steps = [
            "",
            "leases",
            "ingest",
            "usage",
            "handovers",
            "cache",
            "trash",
            "usage/since",
            "version.0123456789abcdef",
            "version",
        ];
        for reached in 0..steps.len() {
            let at = dir.path().join(format!("begun{reached}"));
            make(&at);
            for step in &steps[..=reached] {
                let path = at.join(".larder").join(step);
                match *step {
                    "version" => std::fs::rename(at.join(".larder/version.0123456789abcdef"), path).unwrap(),
                    "version.0123456789abcdef" => std::fs::write(path, "1\n").unwrap(),
                    "usage/since" => std::fs::write(path, "").unwrap(),
                    _ => std::fs::create_dir(path).unwrap(),
                }
            }
            let opened = Layout::open(&at);
            assert!(
                opened.is_ok(),
                "layout {kind}, killed after {:?}: {}",
                steps[reached],
                opened.unwrap_err()
            );
            assert_eq!(whole_parts(&at), expected, "layout {kind}, killed after {:?}", steps[reached]);
        }
    }
}

#[test]
fn threads_adopt_one_layout_together() {
    for round in 0..20 {
        let dir = quick_directory();
        foreign(dir.path());
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (path, start) = (dir.path(), &start);
                scope.spawn(move || {
                    start.wait();
                    let store = Store::open(path, crate::support::PATIENCE);
                    let store = store.unwrap_or_else(|error| panic!("round {round}: {error}"));
                    image::name(&store, &format!("name{number}"), b"content").unwrap();
                });
            }
        });
        assert_eq!(open(dir.path()).index().unwrap().entries().len(), 9, "round {round}");
    }
}
