//! A store that cannot be written can be read, and what is read is protected.

use std::time::Duration;

use larder_store::{Error, Store, fs};

use crate::support::disk::{Disk, SMALL, own_namespace};
use crate::support::{here, image, open, tree};

#[test]
fn a_read_only_disk() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::ext4(SMALL, "");
    let path = disk.path().join("store");
    let digest = image::add(&open(&path), "image", 1, 100_000).unwrap().digest;
    disk.remount("ro");
    let before = tree::of(&path);

    let store = Store::open(&path, Duration::from_millis(200)).unwrap();
    let index = store.index().unwrap();
    assert_eq!(store.resolve(&index, "image").unwrap().digest, digest);
    let (protection, found) = store.protect(&["image".to_owned()], "reading").unwrap();
    assert_eq!(found[0].digest, digest);
    assert!(
        matches!(store.locks().exclusive(), Err(Error::LockTimeout { .. })),
        "nothing protects the reader"
    );
    drop(store.protect(&["image".to_owned()], "reading as well").unwrap());
    assert_eq!(image::verify(&store).len(), 1);
    drop(protection);
    drop(store.locks().exclusive().unwrap());

    store.record_use(&digest, 1_700_000_000).unwrap();
    for (what, error) in [
        ("begin", store.begin("a test").map(drop).unwrap_err()),
        ("edit", image::name(&store, "name", b"content").map(drop).unwrap_err()),
        ("add", image::add(&store, "more", 2, 1000).map(drop).unwrap_err()),
    ] {
        assert!(fs::is_read_only(&error), "{what}: {error}");
    }
    assert!(Store::open(&disk.path().join("new"), Duration::ZERO).is_err());
    assert_eq!(tree::of(&path), before);

    disk.remount("rw");
    image::add(&store, "more", 2, 1000).unwrap();
    assert_eq!(image::verify(&store).len(), 2);
}

/// Made and at once put on a read-only disk: nobody has taken a lock in it yet.
#[test]
fn a_read_only_disk_with_a_store_that_was_never_used() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::ext4(SMALL, "");
    let path = disk.path().join("store");
    open(&path);
    disk.remount("ro");
    let store = Store::open(&path, Duration::from_millis(200)).unwrap();
    assert!(store.index().unwrap().entries().is_empty());
    let (protection, _) = store.protect(&[], "reading").unwrap();
    assert!(
        matches!(store.locks().exclusive(), Err(Error::LockTimeout { .. })),
        "nothing protects the reader"
    );
    drop(protection);
}
