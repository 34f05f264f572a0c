//! Processes that are killed while they unpack: no half of a snapshot is ever taken for a whole one.

use std::path::Path;
use std::time::Duration;

use larder_store::unpack::Layer;

use super::kept::{NOW, collect, image, unpacked};
use super::layers::Tarball;
use super::picture;
use crate::support::child::{self, Child};
use crate::support::{directory, here, open, skip};

fn layers() -> [Vec<u8>; 2] {
    let tar = |layer: u8| {
        let mut tar = Tarball::new();
        for number in 0..400 {
            tar = tar.file(&format!("d{}/f{number}", number % 20), &[layer; 3000]);
        }
        tar.bytes()
    };
    [tar(1), tar(2)]
}

/// Removes a snapshot as GC does it: out of sight first.
fn take_away(path: &Path, dir: &Path) {
    let gone = dir.join("gone");
    std::fs::rename(path.parent().unwrap(), &gone).unwrap();
    std::fs::remove_dir_all(gone).unwrap();
}

#[test]
fn at_any_moment() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        let layers: Vec<Layer> = image(&store, &layers());
        child::say("go");
        loop {
            let (paths, lease) = unpacked(&store, &layers, NOW).unwrap();
            drop(lease);
            paths.iter().for_each(|path| take_away(path, &part.dir));
        }
    }
    if !rustix::process::geteuid().is_root() {
        return skip::record(here!(), "root", "is needed to make what layers have");
    }
    let dir = directory();
    let store = open(dir.path());
    let layers = image(&store, &layers());
    let (paths, lease) = unpacked(&store, &layers, NOW).unwrap();
    let whole: Vec<_> = paths.iter().map(|path| picture::of(path)).collect();
    drop(lease);
    paths.iter().for_each(|path| take_away(path, dir.path()));
    let mut unfinished = 0;
    for round in 0..20u64 {
        let _ = std::fs::remove_dir_all(dir.path().join("gone"));
        let mut other = Child::start(here!(), "unpacks", 0, dir.path());
        other.expect("go");
        std::thread::sleep(Duration::from_micros(500 + round * round * 137 % 40_000));
        other.kill();
        let names: Vec<_> = std::fs::read_dir(dir.path().join(".larder/snapshots")).unwrap().collect();
        unfinished += names
            .iter()
            .filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("new."))
            .count();
        for (path, whole) in paths.iter().zip(&whole) {
            assert!(!path.exists() || picture::of(path) == *whole, "half of it, after {round}");
        }
        collect(&store);
        let left = std::fs::read_dir(dir.path().join(".larder/snapshots")).unwrap();
        assert!(
            left.into_iter().all(|name| !name.unwrap().file_name().to_string_lossy().starts_with("new."))
        );
        assert_eq!(std::fs::read_dir(dir.path().join(".larder/trash")).unwrap().count(), 0);
    }
    assert!(unfinished > 0, "no process was killed while it unpacked");
    let (paths, _lease) = unpacked(&store, &layers, NOW).unwrap();
    assert_eq!(paths.iter().map(|path| picture::of(path)).collect::<Vec<_>>(), whole);
}
