//! A store as it stands on disk, looked at without larder.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::run;

/// The annotation with the name as people type it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// `index.json` as it stands.
pub fn index_text(store: &Path) -> String {
    std::fs::read_to_string(store.join("index.json")).unwrap()
}

/// The entries of `index.json`.
pub fn entries(store: &Path) -> Vec<Value> {
    let index: Value = serde_json::from_str(&index_text(store)).unwrap();
    index["manifests"].as_array().unwrap().clone()
}

/// The digest under a name, and `None` where no entry has the name.
pub fn named(store: &Path, name: &str) -> Option<String> {
    let entries = entries(store);
    let mut found = entries.iter().filter(|entry| entry["annotations"][REF_NAME] == name);
    let digest = found.next().map(|entry| entry["digest"].as_str().unwrap().to_owned());
    assert_eq!(found.next(), None, "{name} is in the index twice");
    digest
}

/// The names in the index, sorted.
pub fn names(store: &Path) -> BTreeSet<String> {
    let entries = entries(store);
    entries.iter().filter_map(|entry| entry["annotations"][REF_NAME].as_str().map(str::to_owned)).collect()
}

/// All blobs with their sizes, by hex digest.
pub fn blobs(store: &Path) -> BTreeMap<String, u64> {
    let dir = std::fs::read_dir(store.join("blobs/sha256")).unwrap();
    dir.map(|blob| blob.unwrap())
        .map(|blob| (blob.file_name().into_string().unwrap(), blob.metadata().unwrap().len()))
        .collect()
}

/// The path of a blob by its digest.
pub fn blob_path(store: &Path, digest: &str) -> PathBuf {
    store.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

/// A blob's bytes.
pub fn blob(store: &Path, digest: &str) -> Vec<u8> {
    std::fs::read(blob_path(store, digest)).unwrap_or_else(|error| panic!("blob {digest}: {error}"))
}

/// A JSON blob.
pub fn document(store: &Path, digest: &str) -> Value {
    serde_json::from_slice(&blob(store, digest)).unwrap()
}

/// The digests of everything below a manifest or index, itself included. Children of an index may be absent.
pub fn reachable(store: &Path, digest: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([digest.to_owned()]);
    let parsed = document(store, digest);
    let parts = parsed["layers"].as_array().into_iter().flatten().chain(Some(&parsed["config"]));
    all.extend(parts.filter_map(|part| part["digest"].as_str()).map(str::to_owned));
    for child in parsed["manifests"].as_array().into_iter().flatten() {
        let child = child["digest"].as_str().unwrap();
        if blob_path(store, child).exists() {
            all.extend(reachable(store, child));
        }
    }
    all
}

/// G1 and G3: the index parses, all that its entries reach is there, and every blob is what its name says.
pub fn assert_sound(store: &Path) {
    for entry in entries(store) {
        let digest = entry["digest"].as_str().unwrap();
        for part in reachable(store, digest) {
            assert!(blob_path(store, &part).is_file(), "{digest}: {part} is missing");
        }
    }
    assert_blobs_match(store);
}

/// Every blob is what its name says, by the word of coreutils.
pub fn assert_blobs_match(store: &Path) {
    let dir = store.join("blobs/sha256");
    if blobs(store).is_empty() {
        return;
    }
    let mut sums = Command::new("sha256sum");
    sums.current_dir(&dir).args(blobs(store).keys());
    for line in run(&mut sums).lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(sum, name, "a blob does not match its name");
    }
}

/// No ingest and no lease is left.
pub fn assert_nothing_pending(store: &Path) {
    for name in ["ingest", "leases"] {
        let dir = store.join(".larder").join(name);
        let left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{}: {left:?}", dir.display());
    }
}

/// Everything below a directory, with what would change if it were written: inode, size and time.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, (u64, u64, i64, i64)> {
    let mut tree = BTreeMap::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            tree.insert(entry.path(), (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()));
            if meta.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    tree
}
