//! Ingest: where blobs are written before anybody can see them.
//!
//! An ingest is one flocked directory below `.larder/ingest/`; GC takes the directory once its lock is free. A
//! writer that is dropped leaves nothing behind, and neither does a staged blob that was not published.
//! A blob whose digest is known from the beginning may be suspended instead ([`BlobWriter::suspend`]): its file bears the digest's hex
//! form, stays when its process ends, and another ingest goes on with it ([`Ingest::adopt`]). It may be of any content then: it is hashed again first.

mod expects;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::verify::into_io;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::fs::{self, Dir};

use self::expects::EXPECTS;

/// Bytes that are copied between two times at which the disk is set to work.
const COPY_STEP: u64 = 8 << 20;

/// Somebody removes a directory before it is locked so often, at the most.
const MOST_TRIES: usize = 100;

/// A directory of blobs that are being written. It goes when the last writer or staged blob of it is gone.
#[derive(Debug, Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parent: Dir,
    dir: Dir,
    name: String,
    counter: AtomicU64,
    expected: Mutex<Option<u64>>,
    _lock: File,
}

impl Ingest {
    /// Creates and locks a new directory below `parent`. The caller holds the store lock shared, so that GC
    /// cannot see the directory between its creation and its lock.
    pub fn create(parent: &Dir) -> Result<Ingest> {
        // Before it is locked, another process may take it for a dead one's in [`Ingest::adopt`], find it empty, and remove it.
        for _ in 0..MOST_TRIES {
            let name = fs::unique();
            let dir = match parent.create_dir(&name) {
                Err(error) if fs::is_not_found(&error) && parent.stat(".")?.is_some() => continue,
                made => made?,
            };
            let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
            lock.lock().map_err(Error::io("lock", dir.path()))?;
            if !is_removed(&lock, &dir)? {
                return Ok(Ingest::locked(parent, dir, name, lock));
            }
        }
        Err(Error::invalid(parent.path().display(), "what is made there is removed at once, again and again"))
    }

    fn locked(parent: &Dir, dir: Dir, name: String, lock: File) -> Ingest {
        Ingest {
            inner: Arc::new(Inner {
                parent: parent.clone(),
                dir,
                name,
                counter: AtomicU64::new(0),
                expected: Mutex::new(None),
                _lock: lock,
            }),
        }
    }

    /// The directory of all ingests.
    pub(super) fn parent(&self) -> &Dir {
        &self.inner.parent
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.inner.dir
    }

    /// Its name among all ingests.
    pub(super) fn name(&self) -> &str {
        &self.inner.name
    }

    /// Starts a blob.
    pub fn writer(&self) -> Result<BlobWriter> {
        let name = self.inner.counter.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.inner.dir.create_new(&name)?;
        Ok(BlobWriter {
            slot: Some(Slot { ingest: self.clone(), name, is_suspended: false }),
            file: Some(file),
            hasher: Some(Hasher::new()),
            most: u64::MAX,
            behind: 0,
        })
    }

    /// Starts a blob of a known digest and size, or goes on with what there is of it, which is hashed now. One at a time for each digest.
    pub fn writer_of(&self, digest: &Digest, size: u64) -> Result<BlobWriter> {
        let (dir, name) = (&self.inner.dir, digest.hex());
        let mut file = dir.open_or_create(&name)?;
        let slot = Slot { ingest: self.clone(), name, is_suspended: false };
        let shown = dir.at(&slot.name);
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut buffer).map_err(Error::io("read", &shown))?;
            if count == 0 || hasher.size() + count as u64 > size {
                break;
            }
            hasher.update(&buffer[..count]);
        }
        // What is longer than the blob is none of it.
        file.set_len(hasher.size()).map_err(Error::io("cut", &shown))?;
        file.seek(SeekFrom::Start(hasher.size())).map_err(Error::io("seek in", &shown))?;
        Ok(BlobWriter { slot: Some(slot), file: Some(file), hasher: Some(hasher), most: u64::MAX, behind: 0 })
    }

    /// Takes over what ingests of dead processes have of these digests, and says how many bytes there are of each. The
    /// caller holds the store lock shared: nobody sweeps them meanwhile.
    pub fn adopt(&self, wanted: &[Digest]) -> Result<HashMap<Digest, u64>> {
        let mut adopted: HashMap<Digest, u64> = HashMap::new();
        let uid = rustix::process::geteuid().as_raw();
        for name in self.inner.parent.names()?.into_iter().filter(|name| *name != self.inner.name) {
            let Ok(dir) = self.inner.parent.sub(&name) else { continue };
            let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
            // Nor one that somebody else has just removed.
            if lock.try_lock().is_err() || is_removed(&lock, &dir)? {
                continue;
            }
            for digest in wanted {
                let hex = digest.hex();
                let Some(stat) = dir.stat(&hex)?.filter(|stat| stat.is_file && stat.uid == uid) else {
                    continue;
                };
                // Who has a second name for it could change it behind our back.
                let file = dir.open_file(&hex)?;
                let file = file.filter(|file| file.metadata().is_ok_and(|m| m.nlink() == 1));
                // One that was whole when its process died can be read by now, and is to be gone on with.
                let is_ours = file.is_some_and(|file| fs::make_writable(&file).is_ok());
                if is_ours && adopted.get(digest).is_none_or(|have| *have < stat.size) {
                    dir.rename(&hex, &self.inner.dir, &hex)?;
                    adopted.insert(*digest, stat.size);
                }
            }
            // It goes where that was all that there was.
            for said in dir.names()?.iter().filter(|name| name.starts_with(EXPECTS)) {
                dir.unlink(said)?;
            }
            let _ = self.inner.parent.rmdir(&name);
        }
        Ok(adopted)
    }

    /// Where files without a name may be made: what dies between the two steps of that is swept with the ingest.
    pub fn scratch(&self) -> &Dir {
        &self.inner.dir
    }

    /// Takes a file of the same disk over, under a name that is a digest's hex form.
    pub(super) fn take(&self, from: &Dir, name: &str, hex: &str) -> Result<()> {
        from.rename(name, &self.inner.dir, hex)
    }

    /// Throws away what was adopted of a blob.
    pub fn discard(&self, digest: &Digest) -> Result<()> {
        self.inner.dir.unlink(&digest.hex()).map(drop)
    }
}

/// Whether a directory that is open has no name any more.
fn is_removed(opened: &File, dir: &Dir) -> Result<bool> {
    Ok(opened.metadata().map_err(Error::io("stat", dir.path()))?.nlink() == 0)
}

/// Whether a file of an ingest is a blob that another one may go on with, by its name.
pub(crate) fn is_resumable(name: &str) -> bool {
    Digest::from_hex(name).is_some()
}

impl Drop for Inner {
    fn drop(&mut self) {
        let expected = *self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = expected {
            let _ = self.dir.unlink(&format!("{EXPECTS}{bytes}"));
        }
        let _ = self.parent.rmdir(&self.name);
    }
}

/// A file name in an ingest; the file goes with it.
#[derive(Debug)]
struct Slot {
    ingest: Ingest,
    name: String,
    is_suspended: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_suspended {
            return;
        }
        let _ = self.ingest.inner.dir.unlink(&self.name);
    }
}

/// Writes one blob; dropping it aborts.
#[derive(Debug)]
pub struct BlobWriter {
    slot: Option<Slot>,
    file: Option<File>,
    hasher: Option<Hasher>,
    /// The most bytes that it takes.
    most: u64,
    /// Bytes that were written since the disk was last set to work.
    behind: u64,
}

/// How much is written between two times at which the disk is set to work, bytes: at the end there is little left to wait for then.
const STEP: u64 = 8 << 20;

impl BlobWriter {
    /// Takes no more than so many bytes: what is longer fails as damaged, before the disk is full of it.
    pub fn at_most(mut self, size: u64) -> BlobWriter {
        self.most = size;
        self
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.hasher.as_ref().map_or(0, Hasher::size)
    }

    /// Copies what it lacks of `source` inside the kernel, while another thread reads and hashes what has arrived here; `false` where the
    /// kernel cannot do that, and nothing was written. `copied` is told of every step, in bytes.
    pub fn copy_rest(
        &mut self,
        source: &super::Blob,
        copied: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<bool> {
        let (Some(slot), Some(file), Some(hasher)) = (&self.slot, &self.file, &mut self.hasher) else {
            return Ok(false);
        };
        let shown = slot.ingest.inner.dir.at(&slot.name);
        let begin = hasher.size();
        let mut position = begin;
        let (arrived, ranges) = std::sync::mpsc::channel::<u64>();
        std::thread::scope(|scope| {
            let hashing = || -> io::Result<()> {
                let (mut at, mut buffer) = (begin, vec![0; 256 << 10]);
                for mut count in ranges {
                    while count > 0 {
                        let wanted = count.min(buffer.len() as u64) as usize;
                        // From here, and not from there: whoever changes the source meanwhile changes what is hashed as well.
                        file.read_exact_at(&mut buffer[..wanted], at)?;
                        hasher.update(&buffer[..wanted]);
                        at += wanted as u64;
                        count -= wanted as u64;
                    }
                }
                Ok(())
            };
            let hashing = std::thread::Builder::new().name("hash".into()).spawn_scoped(scope, hashing);
            let hashing = hashing.map_err(Error::io("start a thread for", &shown))?;
            let mut copy = || {
                while position < source.size() {
                    match source.copy_range(file, position, COPY_STEP).map_err(Error::io("write", &shown))? {
                        None if position == begin => return Ok(false),
                        Some(count) if count > 0 => {
                            position += count;
                            fs::start_writeback(file, count);
                            let _ = arrived.send(count);
                            copied(count)?;
                        }
                        _ => {
                            let why = "became shorter while it was read";
                            return Err(Error::damaged(format!("blob {}", source.digest()), why));
                        }
                    }
                }
                Ok(true)
            };
            let done = copy();
            drop(arrived);
            let hashed = hashing.join().unwrap_or_else(|_| Err(io::Error::other("the check panicked")));
            hashed.map_err(Error::io("read", &shown))?;
            done
        })
    }

    /// Stops for now: what is there of a blob whose digest is known stays for whoever goes on with it. Nothing is promised: it may
    /// be gone by then, and GC takes it in the end.
    pub fn suspend(mut self) {
        let is_empty = self.size() == 0;
        if let Some(slot) = self.slot.as_mut().filter(|slot| !is_empty && is_resumable(&slot.name)) {
            slot.is_suspended = true;
        }
    }

    /// Ends the blob: its content is durable and read-only, and bears its digest, but is not visible yet.
    pub fn finish(mut self) -> Result<Staged> {
        let (Some(slot), Some(file), Some(hasher)) = (self.slot.take(), self.file.take(), self.hasher.take())
        else {
            return Err(Error::damaged("an ingest", "was finished twice"));
        };
        let path = slot.ingest.inner.dir.at(&slot.name);
        fs::make_read_only(&file, &path)?;
        fs::sync_file(&file, &path)?;
        let size = hasher.size();
        Ok(Staged { digest: hasher.finish(), size, slot: Arc::new(slot) })
    }

    /// Ends the blob like [`BlobWriter::finish`], and refuses it where it is not what was announced.
    pub fn finish_as(self, digest: Digest, size: u64) -> Result<Staged> {
        let got = (self.hasher.clone().unwrap_or_default().finish(), self.size());
        if got != (digest, size) {
            let why = if got.1 != size {
                format!("has {} bytes where {size} were announced", got.1)
            } else {
                format!("digest mismatch: got {}", got.0)
            };
            return Err(Error::damaged(format!("blob {digest}"), why));
        }
        self.finish()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (Some(file), Some(hasher)) = (&mut self.file, &mut self.hasher) else {
            return Err(io::Error::other("the blob is already finished"));
        };
        if bytes.len() as u64 > self.most.saturating_sub(hasher.size()) {
            let why = format!("is longer than the {} bytes that were announced", self.most);
            return Err(into_io(Error::damaged("the blob", why)));
        }
        let count = file.write(bytes)?;
        hasher.update(&bytes[..count]);
        self.behind += count as u64;
        if self.behind >= STEP {
            fs::start_writeback(file, std::mem::take(&mut self.behind));
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A complete, durable blob that nobody can see yet; [`super::BlobStore::publish`] shows it.
///
/// It costs no descriptor: an archive has more members than a process may have files. Clones are one blob, which is
/// thrown away with the last of them.
#[must_use = "a staged blob that is not published is thrown away"]
#[derive(Debug, Clone)]
pub struct Staged {
    digest: Digest,
    size: u64,
    slot: Arc<Slot>,
}

impl Staged {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens it for reading before it is published.
    pub fn open(&self) -> Result<super::Blob> {
        self.open_unpublished()?.ok_or_else(|| {
            Error::damaged(format!("blob {}", self.digest), "is no longer where it was written")
        })
    }

    /// Opens it for reading; `None` where it was published, and is to be had from the blob store.
    pub fn open_unpublished(&self) -> Result<Option<super::Blob>> {
        let file = self.slot.ingest.inner.dir.open_file(&self.slot.name)?;
        Ok(file.map(|file| super::Blob::new(self.digest, file, 0, self.size)))
    }

    /// The directory and the name under which it lies, for a blob store to take it from.
    pub fn location(&self) -> (&Dir, &str) {
        (&self.slot.ingest.inner.dir, &self.slot.name)
    }
}
