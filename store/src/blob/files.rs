//! Blobs as plain files, `blobs/sha256/<hex>`: the OCI image layout's own form.

use crate::blob::{Blob, BlobStore, Staged};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};

/// The blobs of an image layout.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    dir: Dir,
}

impl FileBlobs {
    /// The blobs in a directory (`blobs/sha256` of a layout).
    pub fn new(dir: Dir) -> FileBlobs {
        FileBlobs { dir }
    }

    fn put(&self, staged: &Staged) -> Result<()> {
        let (ingest, name) = staged.location();
        let hex = staged.digest().hex();
        if self.dir.stat(&hex)?.is_some_and(|stat| stat.is_dir) {
            // A file cannot be renamed over a directory, and whose the directory is nobody knows: it steps aside.
            self.dir.rename(&hex, &self.dir, &format!("{hex}.not-a-blob.{}", fs::unique()))?;
        }
        ingest.rename(name, &self.dir, &hex)
    }
}

impl BlobStore for FileBlobs {
    fn open(&self, digest: &Digest) -> Result<Option<Blob>> {
        let name = digest.hex();
        let file = match self.dir.open_file(&name) {
            Ok(Some(file)) => file,
            Ok(None) | Err(Error::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata().map_err(Error::io("stat", self.dir.at(&name)))?.len();
        Ok(Some(Blob::new(*digest, file, 0, size)))
    }

    fn contains(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.dir.stat(&digest.hex())?.filter(|stat| stat.is_file).map(|stat| stat.size))
    }

    fn publish(&self, staged: Staged) -> Result<()> {
        if self.contains(&staged.digest())? == Some(staged.size()) {
            return self.settle(&staged.digest());
        }
        self.put(&staged)
    }

    fn heal(&self, staged: Staged) -> Result<()> {
        self.put(&staged)
    }

    fn set_aside(&self, damaged: &Blob, good: Option<Staged>, quarantine: &Dir) -> Result<Option<String>> {
        let hex = damaged.digest().hex();
        let inode = damaged.inode().map_err(Error::io("stat", self.dir.at(&hex)))?;
        if self.dir.stat(&hex)?.is_none_or(|stat| stat.inode != inode) {
            return Ok(None);
        }
        let is_taken = quarantine.stat(&hex)?.is_some();
        let name = if is_taken { format!("{hex}.{}", fs::unique()) } else { hex.clone() };
        let Some(good) = good else {
            return self.dir.rename(&hex, quarantine, &name).map(|()| Some(name));
        };
        let (ingest, slot) = good.location();
        // In one step, so that the name is never free: a missing child of somebody's index would pass for one that
        // never came.
        if ingest.exchange(slot, &self.dir, &hex)? {
            ingest.rename(slot, quarantine, &name)?;
        } else {
            self.dir.rename(&hex, quarantine, &name)?;
            ingest.rename(slot, &self.dir, &hex)?;
        }
        Ok(Some(name))
    }

    fn settle(&self, digest: &Digest) -> Result<()> {
        let name = digest.hex();
        match self.dir.open_file(&name)? {
            Some(file) => fs::sync_file(&file, &self.dir.at(&name)),
            None => Err(Error::damaged(format!("blob {digest}"), "is not there")),
        }
    }

    fn sync(&self) -> Result<()> {
        self.dir.sync()
    }

    fn discard(&self, digest: &Digest, trash: &Dir) -> Result<bool> {
        let hex = digest.hex();
        if self.contains(digest)?.is_none() {
            return Ok(false);
        }
        match self.dir.rename(&hex, trash, &format!("{hex}.{}", fs::unique())) {
            Ok(()) => Ok(true),
            Err(error) if fs::is_full(&error) => self.remove(digest),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        // What is no file was never a blob, and is somebody else's.
        Ok(self.contains(digest)?.is_some() && self.dir.unlink(&digest.hex())?)
    }

    fn digests(&self) -> Result<Vec<Digest>> {
        Ok(self.dir.names()?.iter().filter_map(|name| Digest::from_hex(name)).collect())
    }

    fn strangers(&self) -> Result<Vec<String>> {
        let mut strangers = Vec::new();
        for name in self.dir.names()? {
            let is_file = self.dir.stat(&name)?.is_none_or(|stat| stat.is_file);
            if !is_file || Digest::from_hex(&name).is_none() {
                strangers.push(name);
            }
        }
        Ok(strangers)
    }
}
