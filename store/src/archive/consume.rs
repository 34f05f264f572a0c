//! Freeing an archive's space while it is imported: holes are punched into it, behind durable, verified blobs.
//!
//! Headers and documents stay, so that the same import, run again on a half-eaten archive, finds its way: what was
//! freed is in the journal. When all images have their names, the file itself goes.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fs::{Dir, has_holes};
use crate::journal::Journal;
use crate::json::MAX_DOCUMENT;
use crate::store::Store;

const HOLE: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);

/// A file whose content goes while it is read.
#[derive(Debug)]
pub struct Eaten {
    file: File,
    path: PathBuf,
    /// Whether what is freed here is free for the store.
    makes_room: bool,
}

impl Eaten {
    /// Takes the open file, or says why it cannot be eaten; nothing is freed yet.
    pub fn begin(store: &Store, file: File, path: &Path) -> Result<Eaten> {
        let refuse = |why: &str| Err(Error::invalid(path.display(), format!("cannot be consumed: {why}")));
        let meta = file.metadata().map_err(Error::io("stat", path))?;
        if meta.nlink() > 1 {
            return refuse("it has another name (a hard link), which would lose its content");
        }
        if !is_named(&file, path)? {
            return refuse("its name is a link, or another file's by now; give the name of the file itself");
        }
        if file.try_lock().is_err() {
            return refuse("another process has locked it");
        }
        // Behind its end there is nothing to lose.
        if fallocate(&file, HOLE, meta.len().next_multiple_of(1 << 20), 1 << 20).is_err() {
            return refuse(
                "its file system cannot punch holes; import it without --consume and remove it then",
            );
        }
        let above = std::fs::metadata(store.path()).map_err(Error::io("stat", store.path()))?;
        let makes_room = above.dev() == meta.dev();
        Ok(Eaten { file, path: path.to_path_buf(), makes_room })
    }

    /// Whether what is freed here is free for the store: not where the file lies on another disk.
    pub fn makes_room(&self) -> bool {
        self.makes_room
    }

    /// Frees `size` bytes from `offset` on. What they were is in the store, durably, was read and hashed there, and stays there.
    pub fn free(&self, offset: u64, size: u64) -> Result<()> {
        fallocate(&self.file, HOLE, offset, size)
            .map_err(|e| Error::io("punch a hole into", &self.path)(e.into()))
    }

    /// Removes the file: nothing of it is needed any more.
    pub fn finish(self) -> Result<()> {
        if !is_named(&self.file, &self.path)? {
            // Another file has the name by now; it is somebody's.
            return Ok(());
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.path)(error))
            }
            // One that came back after a power cut would be full of holes.
            _ => Dir::open(parent_of(&self.path))?.sync(),
        }
    }
}

/// An archive that is being eaten.
#[derive(Debug)]
pub(super) struct Consume {
    eaten: Eaten,
    journal: Journal,
    /// Noted before anything is freed.
    seal: Option<Digest>,
}

impl Consume {
    /// Takes the open archive, or says why it cannot be eaten; nothing is freed yet.
    pub(super) fn begin(
        store: &Store,
        file: File,
        path: &Path,
        identity: &Digest,
        seal: Option<Digest>,
    ) -> Result<Consume> {
        let eaten = Eaten::begin(store, file, path)?;
        let journal = Journal::open(store.layout().private(), identity)?;
        Ok(Consume { eaten, journal, seal })
    }

    /// Whether what is freed here is free for the store.
    pub(super) fn makes_room(&self) -> bool {
        self.eaten.makes_room()
    }

    /// The blob that an earlier import has put in the place of an entry.
    pub(super) fn blob_of(&self, entry: &str) -> Option<Digest> {
        self.journal.blob_of(entry)
    }

    /// Whether an entry of this size is freed. Smaller ones may be documents, which are needed again.
    pub(super) fn takes(size: u64) -> bool {
        size > MAX_DOCUMENT
    }

    /// Frees an entry's content. Its blob is leased, in its place, and was read and hashed by this import.
    pub(super) fn free(&mut self, store: &Store, entry: &str, place: (u64, u64), blob: Digest) -> Result<()> {
        if self.journal.blob_of(entry).is_none() {
            store.blobs().sync()?;
            if let Some(seal) = self.seal.take() {
                self.journal.seal(seal)?;
            }
            self.journal.note(entry, blob)?;
        }
        self.eaten.free(place.0, place.1)
    }

    /// Ends it: the index names all that was in the archive.
    pub(super) fn finish(mut self) -> Result<()> {
        // An archive that comes back after a power cut is full of holes: the journal outlives it.
        self.journal.done(&self.eaten.path)?;
        self.eaten.finish()?;
        self.journal.remove()
    }
}

/// Why the content of a file that is not to be consumed is not what it was: what is gone from it where an earlier run with `--consume` has begun with it.
pub fn half_eaten(error: Error, file: &File, path: &Path) -> Error {
    if error.kind() != Kind::Damaged || !has_holes(file) {
        return error;
    }
    error.within(format!(
        "{} was consumed in part (its content is gone where it has holes; go on with --consume again, into the same store)",
        path.display()
    ))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a path is the name of this very file, and not a link to it.
fn is_named(file: &File, path: &Path) -> Result<bool> {
    let own = file.metadata().map_err(Error::io("stat", path))?;
    let named = std::fs::symlink_metadata(path);
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino())))
}
