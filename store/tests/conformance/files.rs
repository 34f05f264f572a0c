//! The plain form: a file for each blob.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use larder_store::Digest;
use larder_store::blob::{BlobStore, FileBlobs};
use larder_store::fs::Dir;

use super::{Bench, Form, Harm, Obstacle, Place};

pub struct Files;

impl Form for Files {
    type Blobs = FileBlobs;

    fn open(dir: &Path) -> FileBlobs {
        FileBlobs::new(Dir::open(dir).unwrap())
    }

    fn damage(dir: &Path, digest: &Digest, harm: Harm) {
        let path = dir.join(digest.hex());
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let size = file.metadata().unwrap().len();
        match harm {
            Harm::Flip(position) => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, position).unwrap();
                file.write_all_at(&[byte[0] ^ 4], position).unwrap();
            }
            Harm::Cut => file.set_len(size - 1).unwrap(),
            Harm::Grow => file.set_len(size + 1).unwrap(),
        }
    }

    fn obstruct(dir: &Path, digest: &Digest, obstacle: Obstacle) -> Place {
        let path = dir.join(digest.hex());
        match obstacle {
            Obstacle::OtherSize => std::fs::write(path, b"cut").unwrap(),
            Obstacle::Directory => {
                std::fs::create_dir(&path).unwrap();
                std::fs::write(path.join("inside"), b"somebody's").unwrap();
            }
            Obstacle::Link => symlink("/etc/hostname", path).unwrap(),
        }
        Place::Taken
    }

    fn add_strangers(dir: &Path) {
        let hex = Digest::of(b"stranger").hex();
        for name in ["README", &hex[1..], &hex.to_uppercase(), &format!("{hex}.tmp"), &format!(".{hex}")] {
            std::fs::write(dir.join(name), b"stranger").unwrap();
        }
        std::fs::create_dir(dir.join(Digest::of(b"a directory").hex())).unwrap();
        symlink("README", dir.join(Digest::of(b"a link").hex())).unwrap();
    }
}

super::suite!(Files);

fn mode(bench: &Bench<Files>, digest: &Digest) -> u32 {
    let meta = std::fs::symlink_metadata(bench.dir().join(digest.hex())).unwrap();
    assert!(meta.is_file());
    meta.permissions().mode() & 0o7777
}

#[test]
fn blobs_are_read_only_under_their_hex_digits() {
    let bench = Bench::<Files>::new();
    assert_eq!(mode(&bench, &bench.publish(b"published")), 0o444);
    bench.blobs.heal(bench.staged(b"healed")).unwrap();
    assert_eq!(mode(&bench, &Digest::of(b"healed")), 0o444);
}

#[test]
fn a_directory_in_the_way_is_kept_aside() {
    let bench = Bench::<Files>::new();
    let digest = Digest::of(b"content");
    Files::obstruct(&bench.dir(), &digest, Obstacle::Directory);
    bench.publish(b"content");
    let entries = std::fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(aside[0].join("inside")).unwrap(), b"somebody's");
}

/// Files that larder does not know are never deleted.
#[test]
fn what_is_no_blob_is_not_removed() {
    let bench = Bench::<Files>::new();
    for obstacle in [Obstacle::Directory, Obstacle::Link] {
        let digest = Digest::of(format!("{obstacle:?}").as_bytes());
        Files::obstruct(&bench.dir(), &digest, obstacle);
        assert_eq!(bench.blobs.contains(&digest).unwrap(), None);
        let removed = bench.blobs.remove(&digest);
        assert!(removed.is_ok_and(|was_there| !was_there), "{obstacle:?}: was never a blob");
        assert!(bench.dir().join(digest.hex()).symlink_metadata().is_ok(), "{obstacle:?}: is gone");
    }
}

#[test]
fn a_link_in_the_way_is_replaced_and_not_followed() {
    let bench = Bench::<Files>::new();
    let target = bench.root.path().join("target");
    std::fs::write(&target, b"outside").unwrap();
    symlink(&target, bench.dir().join(Digest::of(b"content").hex())).unwrap();
    assert_eq!(mode(&bench, &bench.publish(b"content")), 0o444);
    assert_eq!(std::fs::read(&target).unwrap(), b"outside");
}
