//! Leases: what a running process protects from GC.
//!
//! A lease is a file below `.larder/leases/`, flocked by its owner; alive means that the lock is held, no PIDs.
//! It lists digests, one a line. It is made, and grows, under the store lock held shared; a digest that is
//! leased may be absent (what is about to be written is leased first).

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::lock::SharedGuard;

/// A live lease; it ends when this is dropped.
#[must_use = "the lease ends when this is dropped"]
#[derive(Debug)]
pub struct Lease {
    dir: Dir,
    name: String,
    file: File,
    /// Bytes that were written in full.
    length: u64,
    held: HashSet<Digest>,
}

/// A lease as another process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is for, as its owner wrote.
    pub purpose: String,
    /// What it protects.
    pub digests: Vec<Digest>,
}

impl Seen {
    /// Whether a person or a job holds images by it, and it is not larder's own for the length of some work.
    pub fn is_hold(&self) -> bool {
        self.purpose.starts_with("hold")
    }
}

impl Lease {
    /// Makes an empty lease. The guard keeps GC out until the file is locked.
    pub fn create(dir: &Dir, purpose: &str, _guard: &SharedGuard) -> Result<Lease> {
        let name = fs::unique();
        let file = dir.create_new(&name)?;
        let purpose: String = purpose.chars().filter(|c| !c.is_control()).take(200).collect();
        let line = format!("# {purpose}\n");
        // Who only looks holds the lock for a moment.
        let locked = file.lock().map_err(Error::io("lock", dir.at(&name)));
        let made = locked
            .and_then(|()| file.write_all_at(line.as_bytes(), 0).map_err(Error::io("write", dir.at(&name))));
        if let Err(error) = made {
            let _ = dir.unlink(&name);
            return Err(error);
        }
        Ok(Lease { dir: dir.clone(), name, file, length: line.len() as u64, held: HashSet::new() })
    }

    /// Protects more digests, present or not.
    pub fn add(&mut self, digests: &[Digest], _guard: &SharedGuard) -> Result<()> {
        let new: Vec<_> = digests.iter().filter(|digest| !self.held.contains(digest)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let lines: String = new.iter().map(|digest| format!("{digest}\n")).collect();
        // By position: what a full disk let through of a first try is written over by the second.
        let written = self.file.write_all_at(lines.as_bytes(), self.length);
        if let Err(error) = written {
            // Half a line would make the lease unreadable, and stop GC.
            let _ = self.file.set_len(self.length);
            return Err(Error::io("write", self.dir.at(&self.name))(error));
        }
        self.length += lines.len() as u64;
        self.held.extend(new);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.dir.unlink(&self.name);
    }
}

/// Reads the live leases. Whoever decides by the answer holds the store lock exclusively: only then is a lease
/// that is not locked a dead one.
pub fn live(dir: &Dir) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for name in dir.names()? {
        let Some(mut file) = dir.open_file(&name)? else { continue };
        match file.try_lock_shared() {
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", dir.at(&name))(source)),
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).map_err(Error::io("read", dir.at(&name)))?;
        file.read_to_string(&mut text).map_err(Error::io("read", dir.at(&name)))?;
        let mut lease = Seen { purpose: String::new(), digests: Vec::new() };
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(purpose) => lease.purpose = purpose.to_owned(),
                None => {
                    lease.digests.push(line.parse().map_err(|e| Error::damaged(dir.at(&name).display(), e))?)
                }
            }
        }
        seen.push(lease);
    }
    Ok(seen)
}
