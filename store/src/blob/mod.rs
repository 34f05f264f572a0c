//! Blobs: content under the name of its digest.
//!
//! [`BlobStore`] is the only way to stored blobs, so that another form of storing can stand beside the plain
//! files of [`FileBlobs`]. A blob's life: bytes go through a [`BlobWriter`] into an [`Ingest`], are hashed on the
//! way, become [`Staged`] (complete, durable, not yet visible), and [`BlobStore::publish`] makes them visible.

mod claim;
mod files;
mod ingest;
pub mod partial;
mod verify;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use rustix::io::Errno;

pub use claim::{Became, Claim, Rival};
pub use files::FileBlobs;
pub(crate) use ingest::is_resumable;
pub use ingest::{BlobWriter, Ingest, Staged};
pub(crate) use verify::into_io;
pub use verify::{VerifyReader, from_io};

use crate::digest::Digest;
use crate::error::Result;
use crate::fs::Dir;

/// A place where blobs are kept.
///
/// No method takes a lock; who calls `publish` or `remove` holds the store lock as the protocol asks (`lock`).
pub trait BlobStore: Send + Sync {
    /// Opens a blob for reading; `None` where it is not there. What stands under the name but is no blob (a
    /// directory, a link) counts as not there. The content is not checked; read it through [`Blob::verified`].
    fn open(&self, digest: &Digest) -> Result<Option<Blob>>;

    /// The size in bytes of a blob that is there.
    fn contains(&self, digest: &Digest) -> Result<Option<u64>>;

    /// Makes a staged blob visible under its digest. Success means that the content is there, not that this
    /// call put it there: a blob of the same size stays, anything else under that name is replaced. Durable
    /// after the next [`BlobStore::sync`].
    fn publish(&self, staged: Staged) -> Result<()>;

    /// Like [`BlobStore::publish`], but what stands under the name is replaced even if it has the same size:
    /// for a caller who knows that it is damaged.
    fn heal(&self, staged: Staged) -> Result<()>;

    /// Moves a blob that was read and found damaged into the quarantine, and puts a good one in its place: in one step
    /// where the file system can. The name that it has there; `None`, and nothing is done, where another file stands
    /// under its name by now: somebody has healed or removed it. Durable after the next [`BlobStore::sync`].
    fn set_aside(&self, damaged: &Blob, good: Option<Staged>, quarantine: &Dir) -> Result<Option<String>>;

    /// Makes a blob that was found durable: whoever wrote it may not have been as careful.
    fn settle(&self, digest: &Digest) -> Result<()>;

    /// Makes every `publish` so far durable.
    fn sync(&self) -> Result<()>;

    /// Takes a blob out of sight, into the trash where that is another place; its space is freed when the trash is
    /// emptied. Whether it was there. On a full disk it is removed at once.
    fn discard(&self, digest: &Digest, trash: &Dir) -> Result<bool>;

    /// Removes a blob; whether it was there.
    fn remove(&self, digest: &Digest) -> Result<bool>;

    /// The names of all blobs, in order. What stands under such a name and is no blob may be among them.
    fn digests(&self) -> Result<Vec<Digest>>;

    /// Calls `each` for every blob with its size. What is no blob is left out.
    fn list(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<()> {
        for digest in self.digests()? {
            if let Some(size) = self.contains(&digest)? {
                each(digest, size);
            }
        }
        Ok(())
    }

    /// The names of what stands among the blobs and is none: somebody else's files.
    fn strangers(&self) -> Result<Vec<String>>;
}

/// A stored blob, open for reading: a range of a file. Several threads may read it at once.
#[derive(Debug, Clone)]
pub struct Blob {
    digest: Digest,
    file: Arc<File>,
    offset: u64,
    size: u64,
}

impl Blob {
    /// A blob that is `size` bytes of `file` from `offset` on.
    pub fn new(digest: Digest, file: File, offset: u64, size: u64) -> Blob {
        Blob { digest, file: Arc::new(file), offset, size }
    }

    /// Its name.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A part of it, which is `size` bytes from `offset` on and must turn out to be what `digest` says.
    pub fn part(&self, offset: u64, size: u64, digest: Digest) -> Blob {
        let offset = offset.min(self.size);
        let size = size.min(self.size - offset);
        Blob { digest, file: Arc::clone(&self.file), offset: self.offset + offset, size }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The inode's number of the file that it is in. It is nobody else's while this is open.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// Reads at a position, without a check; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let left = self.size.saturating_sub(position);
        let wanted = (buffer.len() as u64).min(left) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        self.file.read_at(&mut buffer[..wanted], self.offset + position)
    }

    /// Copies a range to the end of what was written to a file, inside the kernel; how much. `None` where the kernel
    /// cannot do that between these two file systems. Nothing is checked.
    pub fn copy_range(&self, out: &File, position: u64, length: u64) -> io::Result<Option<u64>> {
        let mut at = self.offset + position;
        let length = length.min(self.size.saturating_sub(position)) as usize;
        match rustix::fs::copy_file_range(&*self.file, Some(&mut at), out, None, length) {
            Ok(count) => Ok(Some(count as u64)),
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads from the start, without a check.
    pub fn reader(&self) -> BlobReader {
        BlobReader { blob: self.clone(), position: 0 }
    }

    /// Reads from the start; the end is only reached if the content is what the digest says.
    pub fn verified(&self) -> VerifyReader<BlobReader> {
        VerifyReader::new(self.reader(), self.digest, self.size)
    }
}

/// Reads a blob from its start.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    position: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.blob.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
