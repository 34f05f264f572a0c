//! The journal of a bundle that is being applied. It is written once, before anything comes: all that the bundle brings and
//! presumes. Its name is `bundle-` and the bundle's digest. It stays until the bundle's images have their names.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::Unfinished;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Dir;

/// Begins the names of bundles' journals.
const BUNDLE: &str = "bundle-";

impl Unfinished {
    /// The bundle that is not complete, where it is one.
    pub fn bundle(&self) -> Option<Digest> {
        Digest::from_hex(self.journal.strip_prefix(BUNDLE)?)
    }
}

/// The journal of a bundle that is being applied, locked: two processes would write the same pieces.
#[derive(Debug)]
pub struct Arrival {
    dir: Dir,
    name: String,
    _lock: File,
}

impl Arrival {
    /// Notes what a bundle brings and presumes, durably. From now on it stays in the store, as far as it is there.
    pub fn begin(private: &Dir, bundle: &Digest, blobs: &mut dyn Iterator<Item = Digest>) -> Result<Arrival> {
        let dir = private.ensure_dir("journals")?;
        private.sync()?;
        let name = format!("{BUNDLE}{}", bundle.hex());
        let taken = || Error::invalid(format!("bundle {bundle}"), "is being applied by another larder");
        if dir.stat(&name)?.is_none() {
            let lines: String = blobs.map(|blob| format!("{blob} {}\n", blob.hex())).collect();
            dir.replace(&name, lines.as_bytes(), private)?;
        }
        let lock = dir.open_file(&name)?.ok_or_else(taken)?;
        lock.try_lock().map_err(|_| taken())?;
        // It may have been ended between the two.
        let inode =
            |file: &File| file.metadata().map(|meta| meta.ino()).map_err(Error::io("stat", dir.at(&name)));
        let is_same = match dir.open_file(&name)? {
            Some(file) => inode(&file)? == inode(&lock)?,
            None => false,
        };
        if !is_same {
            return Err(taken());
        }
        dir.sync()?;
        Ok(Arrival { dir, name, _lock: lock })
    }

    /// Ends it: the index names what it kept.
    pub fn remove(self) -> Result<()> {
        self.dir.unlink(&self.name)?;
        self.dir.sync()
    }
}
