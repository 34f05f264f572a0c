//! A snapshot in the making.

use std::fs::File;

use super::record::{Record, allocated};
use super::{DEPTH, FILES, NEW, RECORD, Snapshot, Snapshots, WORK};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::ids::ChainId;
use crate::lock::SharedGuard;
use crate::tree::Directory;

/// A snapshot that is being made; what was made goes when this is dropped.
#[must_use = "a snapshot that is not finished is removed"]
#[derive(Debug)]
pub struct NewSnapshot<'s> {
    snapshots: &'s Snapshots<'s>,
    name: String,
    dir: Dir,
    _lock: File,
}

impl<'s> Snapshots<'s> {
    /// Starts one, for a layer's files. The guard keeps GC out until it is locked.
    pub fn begin(&'s self, _guard: &SharedGuard) -> Result<NewSnapshot<'s>> {
        let name = format!("{NEW}{}", fs::unique());
        let dir = self.dir.create_dir(&name)?;
        dir.make_private()?;
        let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
        lock.lock().map_err(Error::io("lock", dir.path()))?;
        let new = NewSnapshot { snapshots: self, name, dir, _lock: lock };
        new.dir.create_dir(FILES)?;
        Ok(new)
    }

    /// Starts one whose files somebody else writes through overlayfs: with the directory that it wants for itself. What is
    /// written there has the form of a layer only after [`crate::changes::settle`].
    pub fn begin_changes(&'s self, guard: &SharedGuard) -> Result<NewSnapshot<'s>> {
        let new = self.begin(guard)?;
        new.dir.create_dir(WORK)?.make_private()?;
        Ok(new)
    }
}

impl NewSnapshot<'_> {
    /// The directory for its files, empty at first: 0755 of whoever makes it.
    pub fn files(&self) -> Result<Dir> {
        self.dir.sub(FILES)
    }

    /// Overlayfs's own directory, beside the files; an error where it was begun without.
    pub fn work(&self) -> Result<Dir> {
        self.dir.sub(WORK)
    }

    /// Ends it: from now on it is the snapshot of this layer, which is in this blob, used at `now` (seconds since 1970). Where another
    /// process was faster, that one's is used. The caller has leased both digests, and nothing is mounted on it any more.
    pub fn finish_as(self, chain_id: &ChainId, blob: &Digest, now: i64) -> Result<Snapshot> {
        Directory::of(&self.dir)?.remove(WORK.as_bytes())?;
        let allocated = allocated(&Directory::of(&self.files()?)?, DEPTH)?;
        self.dir.replace_lossy(RECORD, Record::line(allocated, blob).as_bytes())?;
        let _guard = self.snapshots.store.locks().shared()?;
        let (all, hex) = (&self.snapshots.dir, chain_id.0.hex());
        if let Some(snapshot) = self.snapshots.get(chain_id, now)? {
            return Ok(snapshot);
        }
        if all.stat(&hex)?.is_some() {
            // From before the machine started anew, or of another version: nobody uses it.
            let old = format!("{NEW}{}", fs::unique());
            all.rename(&hex, all, &old)?;
            Directory::of(all)?.remove(old.as_bytes())?;
        }
        all.rename(&self.name, all, &hex)?;
        self.snapshots.get(chain_id, now)?.ok_or_else(|| {
            Error::damaged(self.snapshots.shown(chain_id), "is not there although it was just made")
        })
    }
}

impl Drop for NewSnapshot<'_> {
    fn drop(&mut self) {
        // Where it was finished this name is free.
        let _ = Directory::of(&self.snapshots.dir).and_then(|all| all.remove(self.name.as_bytes()));
    }
}
