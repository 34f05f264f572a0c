//! What every form of blob store must do, whatever its bytes look like on disk.
//!
//! A form implements [`Form`]: how to make an empty store, and how to hurt one. `suite!` then makes one test of each
//! case. [`files`] is the plain form; [`pack`] is a second one, written here to prove that the trait allows it.

mod cases;
mod damage;
mod files;
mod pack;
mod threads;

use std::io::{Read, Write};
use std::path::Path;

use larder_store::Digest;
use larder_store::blob::{BlobStore, BlobWriter, Ingest, Staged};
use larder_store::fs::Dir;
use tempfile::TempDir;

use crate::support::directory;

/// A form of storing blobs.
pub trait Form {
    /// The store itself.
    type Blobs: BlobStore;

    /// Opens the store in a directory; an empty directory is an empty store. Two may be open at once.
    fn open(dir: &Path) -> Self::Blobs;

    /// Does harm to a stored blob, behind the store's back.
    fn damage(dir: &Path, digest: &Digest, harm: Harm);

    /// Puts something else where a blob would be stored, if this form has such a place.
    fn obstruct(dir: &Path, digest: &Digest, obstacle: Obstacle) -> Place;

    /// Puts things into the store's directory that are no blobs.
    fn add_strangers(dir: &Path);
}

/// What can happen to a blob that is stored.
#[derive(Debug, Clone, Copy)]
pub enum Harm {
    /// One bit of the byte at this position changes.
    Flip(u64),
    /// It loses its last byte.
    Cut,
    /// It gains a byte.
    Grow,
}

/// What can stand in a blob's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// A blob of another size.
    OtherSize,
    /// A directory with a file in it.
    Directory,
    /// A symbolic link to a file with the right content.
    Link,
}

/// Whether a form has a place where something else can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Something else stands there now.
    Taken,
    /// There is no such place.
    None,
}

/// An empty store and an ingest for it.
pub struct Bench<F: Form> {
    root: TempDir,
    ingests: Dir,
    ingest: Ingest,
    blobs: F::Blobs,
}

impl<F: Form> Bench<F> {
    fn new() -> Bench<F> {
        let root = directory();
        for name in ["blobs", "ingest"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let ingests = Dir::open(&root.path().join("ingest")).unwrap();
        let ingest = Ingest::create(&ingests).unwrap();
        let blobs = F::open(&root.path().join("blobs"));
        Bench { root, ingests, ingest, blobs }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.root.path().join("blobs")
    }

    fn writer(&self, content: &[u8]) -> BlobWriter {
        let mut writer = self.ingest.writer().unwrap();
        writer.write_all(content).unwrap();
        writer
    }

    fn staged(&self, content: &[u8]) -> Staged {
        self.writer(content).finish().unwrap()
    }

    fn publish(&self, content: &[u8]) -> Digest {
        self.blobs.publish(self.staged(content)).unwrap();
        Digest::of(content)
    }

    /// The content of a blob, checked; `None` where it is not there.
    fn read(&self, digest: &Digest) -> Option<Vec<u8>> {
        read(&self.blobs, digest)
    }

    fn list(&self) -> Vec<(Digest, u64)> {
        list(&self.blobs)
    }

    /// The names of files that are being written.
    fn in_ingest(&self) -> Vec<String> {
        let dirs = self.ingests.names().unwrap();
        dirs.iter().flat_map(|dir| self.ingests.sub(dir).unwrap().names().unwrap()).collect()
    }
}

fn read(blobs: &dyn BlobStore, digest: &Digest) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    blobs.open(digest).unwrap()?.verified().read_to_end(&mut content).unwrap();
    Some(content)
}

/// All blobs, sorted by digest.
fn list(blobs: &dyn BlobStore) -> Vec<(Digest, u64)> {
    let mut all = Vec::new();
    blobs.list(&mut |digest, size| all.push((digest, size))).unwrap();
    all.sort_unstable();
    all
}

/// Makes a test of every case, for one form.
macro_rules! suite {
    ($form:ty) => {
        $crate::conformance::suite! { $form =>
            cases: what_is_not_there, a_life, the_empty_blob, a_large_blob, published_twice, a_writer_that_is_dropped,
                a_staged_blob_that_is_dropped, the_ingest_goes_last, announced_wrong, read_at_edges, read_far_behind_the_end, listed, removed,
                settled, opened_by_another, read_while_removed;
            damage: verified_reads, a_failed_read_stays_failed, in_the_way, healed, set_aside;
            threads: the_same_blob_at_once, different_blobs_at_once, one_blob_read_at_once;
        }
    };
    ($form:ty => $($module:ident: $($case:ident),+;)+) => {
        $($(
            #[test]
            fn $case() {
                $crate::conformance::$module::$case($crate::conformance::Bench::<$form>::new());
            }
        )+)+
    };
}
use suite;
