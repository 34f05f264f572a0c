//! A disk without a free byte or a free inode: nothing is lost, and the index can still be written.

use std::io::Write;
use std::time::Duration;

use larder_store::error::Kind;
use larder_store::{Digest, Error, Store, fs, lease};

use crate::support::disk::{Disk, SMALL, own_namespace};
use crate::support::{here, image, leftovers, open, tree};

fn disks() -> [(&'static str, Disk); 2] {
    [("ext4", Disk::ext4(SMALL, "")), ("tmpfs", Disk::tmpfs("size=16m"))]
}

fn live(store: &Store) -> Vec<lease::Seen> {
    let _alone = store.locks().exclusive().unwrap();
    lease::live(&store.layout().private().sub("leases").unwrap()).unwrap()
}

/// Whether readers hold leases of everything, or the lock that keeps GC out.
fn is_protected(store: &Store, readers: usize) -> bool {
    let leases = store.layout().private().sub("leases").unwrap();
    match store.locks().exclusive() {
        Err(Error::LockTimeout { .. }) => true,
        alone => {
            let seen = alone.and_then(|_alone| lease::live(&leases)).unwrap();
            seen.len() == readers && seen.iter().all(|lease| lease.digests.len() == 4)
        }
    }
}

#[test]
fn a_blob_that_does_not_fit() {
    if !own_namespace(here!()) {
        return;
    }
    for (kind, disk) in disks() {
        let path = disk.path().join("store");
        let store = open(&path);
        image::add(&store, "image", 1, 100_000).unwrap();
        let index = tree::of(&path)["index.json"].clone();

        let error = image::add(&store, "large", 2, 40_000_000).unwrap_err();
        assert!(fs::is_full(&error) && error.hint().is_some(), "{kind}: {error}");
        assert_eq!(error.kind(), Kind::Failed);
        assert_eq!(leftovers(&path), Vec::<String>::new(), "{kind}");

        // The first blobs are finished, a later one is not.
        let mut tx = store.begin("a test").unwrap();
        let finished = tx.put(&image::noise(3, 500_000)).unwrap();
        let mut writer = tx.writer().unwrap();
        let full = loop {
            match writer.write_all(&image::noise(4, 1 << 20)) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{kind}");
        drop((writer, tx));
        assert_eq!(tree::of(&path)["index.json"], index, "{kind}");
        assert_eq!(leftovers(&path), Vec::<String>::new(), "{kind}");
        assert_eq!(image::verify(&store).len(), 1, "{kind}");
        assert!(image::verify_all(store.blobs()).contains(&finished), "{kind}: a finished blob stays");
        image::add(&store, "small", 5, 100_000).unwrap();
        assert_eq!(image::verify(&open(&path)).len(), 2, "{kind}: there is room again");
    }
}

#[test]
fn the_index_is_written_at_zero_bytes_free() {
    if !own_namespace(here!()) {
        return;
    }
    for (kind, disk) in disks() {
        let path = disk.path().join("store");
        let store = open(&path);
        for number in 0..20 {
            image::add(&store, &format!("image{number}"), number, 1000).unwrap();
        }
        disk.fill();
        assert!(path.join(".larder/reserve").exists());
        image::untag(&store, "image7").unwrap();
        assert_eq!(image::verify(&store).len(), 19, "{kind}");
        let error = image::add(&store, "large", 2, 40_000_000).unwrap_err();
        assert!(fs::is_full(&error), "{kind}: {error}");
        assert_eq!(image::verify(&store).len(), 19, "{kind}");
        disk.free();
        image::add(&store, "image7", 7, 1000).unwrap();
        assert!(
            std::fs::metadata(path.join(".larder/reserve")).unwrap().len() >= 1 << 20,
            "{kind}: refilled"
        );
        assert_eq!(image::verify(&open(&path)).len(), 20, "{kind}");
    }
}

#[test]
fn what_is_read_is_protected_at_zero_bytes_free() {
    if !own_namespace(here!()) {
        return;
    }
    for (kind, disk) in disks() {
        let path = disk.path().join("store");
        let store = open(&path);
        image::add(&store, "image", 1, 1000).unwrap();
        disk.fill();
        let impatient = Store::open(&path, Duration::from_millis(100)).unwrap();
        let first = store.protect(&["image".to_owned()], "reading").unwrap();
        let second = store.protect(&["image".to_owned()], "reading as well").unwrap();
        assert!(is_protected(&impatient, 2), "{kind}: nothing protects the readers");
        image::verify(&store);
        drop(first);
        assert!(is_protected(&impatient, 1), "{kind}: nothing protects the second reader");
        drop(second);
        assert_eq!(leftovers(&path), Vec::<String>::new(), "{kind}");
        assert_eq!(live(&impatient), [], "{kind}");
        assert!(
            path.join(".larder/reserve").exists(),
            "{kind}: readers do not take what is for who frees space"
        );
    }
}

/// What was written of a lease before the disk was full must not spoil what is written after the reserve was given up.
#[test]
fn a_lease_grows_at_zero_bytes_free() {
    if !own_namespace(here!()) {
        return;
    }
    for (kind, disk) in disks() {
        let store = open(&disk.path().join("store"));
        let mut tx = store.begin("growing").unwrap();
        let wanted: Vec<_> = (0..300u32).map(|number| (Digest::of(&number.to_le_bytes()), 4)).collect();
        tx.reuse(&wanted[..7]).unwrap();
        disk.fill();
        tx.reuse(&wanted[7..]).unwrap();
        let expected: Vec<_> = wanted.iter().map(|(digest, _)| *digest).collect();
        assert_eq!(live(&store)[0].digests, expected, "{kind}");
    }
}

/// Where there is no reserve either, what was leased before is protected still, and GC can see it.
#[test]
fn a_lease_that_could_not_grow_can_be_read() {
    if !own_namespace(here!()) {
        return;
    }
    for (kind, disk) in disks() {
        let store = open(&disk.path().join("store"));
        let mut tx = store.begin("growing").unwrap();
        let wanted: Vec<_> = (0..300u32).map(|number| (Digest::of(&number.to_le_bytes()), 4)).collect();
        tx.reuse(&wanted[..7]).unwrap();
        store.layout().release_reserve().unwrap();
        disk.fill();
        let error = tx.reuse(&wanted[7..]).unwrap_err();
        assert!(fs::is_full(&error), "{kind}: {error}");
        let expected: Vec<_> = wanted.iter().map(|(digest, _)| *digest).collect();
        assert!(live(&store)[0].digests.starts_with(&expected[..7]), "{kind}");
    }
}

/// The same for the list of what was let go.
#[test]
fn the_list_of_what_was_released_grows_at_zero_bytes_free() {
    if !own_namespace(here!()) {
        return;
    }
    for (kind, disk) in disks() {
        let store = open(&disk.path().join("store"));
        let digests: Vec<_> = (0..300u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        store.release(&digests[..7]).unwrap();
        disk.fill();
        store.release(&digests[7..]).unwrap();
        let text = std::fs::read_to_string(store.path().join(".larder/released")).unwrap();
        let listed: Vec<Digest> = text.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(text.lines().count(), listed.len(), "{kind}: a line is no digest");
        assert!(digests.iter().all(|digest| listed.contains(digest)), "{kind}: one is missing");
    }
}

#[test]
fn without_a_free_inode() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::tmpfs("size=16m,nr_inodes=100");
    let path = disk.path().join("store");
    let store = open(&path);
    image::add(&store, "image", 1, 1000).unwrap();
    disk.fill_inodes();
    let index = tree::of(&path)["index.json"].clone();
    for _ in 0..3 {
        let error = image::add(&store, "more", 2, 1000).unwrap_err();
        assert!(fs::is_full(&error), "{error}");
        assert_eq!(tree::of(&path)["index.json"], index);
        assert_eq!(leftovers(&path), Vec::<String>::new());
    }
    for number in 0..3 {
        image::name(&store, &format!("name{number}"), b"content").unwrap();
        image::untag(&store, &format!("name{number}")).unwrap();
    }
    let (protection, _) = store.protect(&["image".to_owned()], "reading").unwrap();
    assert_eq!(image::verify(&open(&path)).len(), 1);
    drop(protection);
    std::fs::remove_dir_all(disk.path().join("fillers")).unwrap();
    image::add(&store, "more", 2, 1000).unwrap();
    assert_eq!(image::verify(&store).len(), 2);
}

/// A store that nobody has used yet has no room for lock files either.
#[test]
fn a_new_store_without_a_free_inode() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::tmpfs("size=16m,nr_inodes=100");
    let store = open(&disk.path().join("store"));
    disk.fill_inodes();
    drop(store.protect(&[], "reading").unwrap());
    image::name(&store, "name", b"content").unwrap();
}

#[test]
fn a_reserve_that_cannot_grow_is_kept() {
    if !own_namespace(here!()) {
        return;
    }
    let disk = Disk::tmpfs("size=8m");
    let store = open(&disk.path().join("store"));
    let reserve = || store.layout().private().stat("reserve").unwrap().map_or(0, |stat| stat.size);
    let before = reserve();
    assert!(before >= 1 << 20, "{before}");
    let free = store.free_space().unwrap();
    let filler = vec![1; (free - (1_200 << 10)) as usize];
    std::fs::write(disk.path().join("filler"), filler).unwrap();
    // A larger index asks for a larger reserve, for which there is no room.
    image::name(&store, &"n".repeat(100), b"x").unwrap();
    store
        .edit(|index| {
            let entry = &mut index.entries_mut()[0];
            entry.annotations.insert("org.example.long".into(), "x".repeat(700 << 10));
            Ok(())
        })
        .unwrap();
    assert!(store.free_space().unwrap() < 1 << 20);
    assert_eq!(reserve(), before, "what there was is given away");
}
