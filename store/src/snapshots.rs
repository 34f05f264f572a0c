//! Snapshots: layers, each unpacked into a directory of its own, by chain ID.
//!
//! A cache that can be lost at any time. `.larder/snapshots/<chain ID>/` has the layer's files in `fs/` and a record, `made`, whose
//! time is that of the last use. It is made under another name, flocked, and renamed when it is whole, so that a killed
//! process leaves nothing that could be taken for a snapshot. Nothing is made durable: a snapshot counts until the machine
//! starts anew, and then it is made again.
//!
//! Files in it may be setuid and of any owner: `snapshots/` is its maker's alone (0700), and no other user's is used, by root neither.
//! A lease protects a snapshot by the digest of its chain ID.

use std::collections::HashSet;
use std::fs::File;

use rustix::process::geteuid;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::ids::ChainId;
use crate::lock::SharedGuard;
use crate::store::Store;
use crate::tree::{Directory, Kind};

/// The directory below `.larder/`.
pub(crate) const PLACE: &str = "snapshots";
const FORMAT: u32 = 1;
const FILES: &str = "fs";
const RECORD: &str = "made";
/// Begins the name of one that is being made.
const NEW: &str = "new.";
/// Directories that are looked into when one is counted that nobody finished.
const DEPTH: usize = 64;

/// The snapshots of a store.
#[derive(Debug)]
pub struct Snapshots<'s> {
    store: &'s Store,
    dir: Dir,
}

/// A layer's files.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The layer with all below it.
    pub chain_id: ChainId,
    /// Its files.
    pub files: Dir,
    /// Bytes that it takes on the disk.
    pub allocated: u64,
}

/// A snapshot that is being made; what was made goes when this is dropped.
#[must_use = "a snapshot that is not finished is removed"]
#[derive(Debug)]
pub struct NewSnapshot<'s> {
    snapshots: &'s Snapshots<'s>,
    chain_id: ChainId,
    blob: Digest,
    name: String,
    dir: Dir,
    _lock: File,
}

impl<'s> Snapshots<'s> {
    /// Opens the snapshots of a store, or makes the directory for them.
    pub fn open(store: &'s Store) -> Result<Snapshots<'s>> {
        let private = store.layout().private();
        let dir = match private.sub_if_there(PLACE)? {
            Some(dir) => dir,
            None => {
                let dir = private.ensure_dir(PLACE)?;
                dir.make_private()?;
                dir
            }
        };
        let owner = private.stat(PLACE)?.map_or(0, |stat| stat.uid);
        if owner != geteuid().as_raw() {
            let why = format!(
                "belongs to user {owner}, whose snapshots are not used; remove it, or build as that user"
            );
            return Err(Error::invalid(dir.path().display(), why));
        }
        Ok(Snapshots { store, dir })
    }

    /// The snapshot of a chain ID, used at `now` (seconds since 1970); `None` where there is no whole one. The caller has leased it before.
    pub fn get(&self, chain_id: &ChainId, now: i64) -> Result<Option<Snapshot>> {
        let Some(dir) = self.dir.sub_if_there(&chain_id.0.hex())? else { return Ok(None) };
        let Some(allocated) = Record::read(&dir)?.filter(Record::is_valid).map(|record| record.allocated)
        else {
            return Ok(None);
        };
        dir.touch(RECORD, now)?;
        Ok(Some(Snapshot { chain_id: *chain_id, files: dir.sub(FILES)?, allocated }))
    }

    /// Starts one of a layer that is in this blob. The guard keeps GC out until it is locked.
    pub fn begin(
        &'s self,
        chain_id: &ChainId,
        blob: &Digest,
        _guard: &SharedGuard,
    ) -> Result<NewSnapshot<'s>> {
        let name = format!("{NEW}{}", fs::unique());
        let dir = self.dir.create_dir(&name)?;
        dir.make_private()?;
        let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
        lock.lock().map_err(Error::io("lock", dir.path()))?;
        let new = NewSnapshot { snapshots: self, chain_id: *chain_id, blob: *blob, name, dir, _lock: lock };
        new.dir.create_dir(FILES)?;
        Ok(new)
    }

    /// Where one is when it is whole, for messages.
    fn shown(&self, chain_id: &ChainId) -> String {
        self.dir.at(chain_id.0.hex()).display().to_string()
    }
}

impl NewSnapshot<'_> {
    /// The directory for its files, empty at first.
    pub fn files(&self) -> Result<Dir> {
        self.dir.sub(FILES)
    }

    /// Ends it: from now on it is a snapshot. Where another process was faster, that one's is used.
    pub fn finish(self, now: i64) -> Result<Snapshot> {
        let allocated = allocated(&Directory::of(&self.files()?)?, DEPTH)?;
        self.dir.replace_lossy(RECORD, Record::line(allocated, &self.blob).as_bytes())?;
        let _guard = self.snapshots.store.locks().shared()?;
        let (all, hex) = (&self.snapshots.dir, self.chain_id.0.hex());
        if let Some(snapshot) = self.snapshots.get(&self.chain_id, now)? {
            return Ok(snapshot);
        }
        if all.stat(&hex)?.is_some() {
            // From before the machine started anew, or of another version: nobody uses it.
            let old = format!("{NEW}{}", fs::unique());
            all.rename(&hex, all, &old)?;
            Directory::of(all)?.remove(old.as_bytes())?;
        }
        all.rename(&self.name, all, &hex)?;
        self.snapshots.get(&self.chain_id, now)?.ok_or_else(|| {
            Error::damaged(self.snapshots.shown(&self.chain_id), "is not there although it was just made")
        })
    }
}

impl Drop for NewSnapshot<'_> {
    fn drop(&mut self) {
        // Where it was finished this name is free.
        let _ = Directory::of(&self.snapshots.dir).and_then(|all| all.remove(self.name.as_bytes()));
    }
}

/// What is written down of a whole one.
struct Record {
    format: u32,
    boot: String,
    allocated: u64,
    blob: Digest,
}

impl Record {
    fn line(allocated: u64, blob: &Digest) -> String {
        format!("{FORMAT} {} {allocated} {blob}\n", boot())
    }

    fn read(dir: &Dir) -> Result<Option<Record>> {
        let Some(bytes) = dir.read(RECORD, 4096)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<_> = text.strip_suffix('\n').unwrap_or_default().split(' ').collect();
        let [format, boot, allocated, blob] = *words else { return Ok(None) };
        let (Ok(format), Ok(allocated), Ok(blob)) = (format.parse(), allocated.parse(), blob.parse()) else {
            return Ok(None);
        };
        Ok(Some(Record { format, boot: boot.to_owned(), allocated, blob }))
    }

    fn is_valid(&self) -> bool {
        self.format == FORMAT && !self.boot.is_empty() && self.boot == boot()
    }
}

/// What tells one start of the machine from the next.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Bytes that a tree takes on the disk, and at least those, where it is very deep.
fn allocated(dir: &Directory, depth: usize) -> Result<u64> {
    let mut sum = 0u64;
    let mut linked = HashSet::new();
    add_up(dir, depth, &mut linked, &mut sum)?;
    Ok(sum)
}

fn add_up(dir: &Directory, depth: usize, linked: &mut HashSet<(u64, u64)>, sum: &mut u64) -> Result<()> {
    for name in dir.names()? {
        let Some(node) = dir.stat(&name)? else { continue };
        if node.kind == Kind::Directory {
            if depth > 0
                && let Some(inner) = dir.below(&name)?
            {
                add_up(&inner, depth - 1, linked, sum)?;
            }
        } else if node.links > 1 && !linked.insert(node.identity) {
            continue;
        }
        *sum = sum.saturating_add(node.allocated);
    }
    Ok(())
}

/// A directory among the snapshots, as whoever frees space sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evictable {
    /// Its name below `snapshots/`.
    pub(crate) name: String,
    /// Bytes that it takes.
    pub(crate) bytes: u64,
    /// When it was last used (seconds since 1970), and the blob of its layer; `None` where nobody can use it any more.
    pub(crate) usable: Option<(i64, Digest)>,
}

/// The directory, where it is there and this user may look into it.
fn own(private: &Dir) -> Result<Option<Dir>> {
    match private.sub_if_there(PLACE) {
        Err(error) if fs::is_read_only(&error) => Ok(None),
        all => all,
    }
}

/// What may go: all that is not `kept` and that is not just being made. Those that nobody can use come first, and then those
/// that were used longest ago. The caller holds the store lock exclusively: then a free flock means a dead owner.
pub(crate) fn evictable(private: &Dir, kept: impl Fn(&Digest) -> bool) -> Result<Vec<Evictable>> {
    let mut found = Vec::new();
    let Some(all) = own(private)? else { return Ok(found) };
    for name in all.names()? {
        // What is no directory is none of ours.
        let Ok(dir) = all.sub(&name) else { continue };
        let chain = Digest::from_hex(&name);
        if chain.is_none() && !name.starts_with(NEW) || chain.is_some_and(|chain| kept(&chain)) {
            continue;
        }
        let record = chain.map_or(Ok(None), |_| Record::read(&dir))?.filter(Record::is_valid);
        if let Some(record) = record {
            let last_use = dir.stat(RECORD)?.map_or(0, |stat| stat.modified);
            found.push(Evictable { name, bytes: record.allocated, usable: Some((last_use, record.blob)) });
            continue;
        }
        let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
        if lock.try_lock().is_ok() {
            let bytes = allocated(&Directory::of(&dir)?, DEPTH)?;
            found.push(Evictable { name, bytes, usable: None });
        }
    }
    found.sort_by(|a, b| (a.usable, &a.name).cmp(&(b.usable, &b.name)));
    Ok(found)
}

/// Bytes of all snapshots, and how many there are. A directory of another user counts for nothing.
pub fn usage(store: &Store) -> Result<(usize, u64)> {
    let all = own(store.layout().private())?;
    let (mut count, mut bytes) = (0, 0u64);
    let Some(all) = all else { return Ok((count, bytes)) };
    for name in all.names()?.iter().filter(|name| Digest::from_hex(name).is_some()) {
        if let Some(dir) = all.sub_if_there(name)?
            && let Some(record) = Record::read(&dir)?
        {
            count += 1;
            bytes = bytes.saturating_add(record.allocated);
        }
    }
    Ok((count, bytes))
}
