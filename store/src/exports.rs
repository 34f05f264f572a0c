//! Which files `export` wrote, so that `prune --tree` knows its own work again.
//!
//! One small file for each path, `.larder/exports/<digest of the path>`, written in place under its own flock. A record that is
//! lost or damaged only means that the file is left alone.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir};
use crate::json;
use crate::store::Store;

/// What tells a file from every other that may come to bear its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Its number on its disk.
    pub inode: u64,
}

impl Identity {
    /// What it is of this file.
    pub fn of(meta: &Metadata) -> Identity {
        let modified_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Identity { size: meta.len(), modified_ns, inode: meta.ino() }
    }
}

/// A file that was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its absolute path, without links.
    pub path: String,
    /// What it was then.
    pub identity: Identity,
    /// The manifests and indexes in it: the entries of the index as well as what was chosen of them.
    pub images: Vec<Digest>,
    /// When it was written (seconds since 1970).
    pub exported: i64,
}

/// A record, and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it says.
    pub export: Export,
    /// User ID of the record's owner.
    pub owner: u32,
}

impl Store {
    /// Records which file an export wrote. A store that cannot be written loses the record and nothing else.
    pub fn record_export(&self, export: &Export) -> Result<()> {
        let lock = |file: &File| self.locks().wait_exclusive(file, "lock of an export record");
        let dir = self.layout().private().ensure_dir("exports");
        or_lost(dir.and_then(|dir| record(&dir, export, &lock)))
    }

    /// The files that exports wrote, as far as that is recorded.
    pub fn exports(&self) -> Result<Vec<Recorded>> {
        match self.layout().private().sub("exports") {
            Err(error) if fs::is_not_found(&error) => Ok(Vec::new()),
            dir => read_all(&dir?),
        }
    }

    /// Forgets what was recorded of a file, where the store can be written.
    pub fn forget_export(&self, path: &str) -> Result<()> {
        let dir = self.layout().private().ensure_dir("exports");
        or_lost(dir.and_then(|dir| dir.unlink(&name(path)).map(drop)))
    }
}

fn or_lost(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if fs::is_full(&error) || fs::is_read_only(&error) => Ok(()),
        done => done,
    }
}

/// Writes a record; what was known of the path before is forgotten. `lock` waits for the record's lock, and not for ever.
fn record(dir: &Dir, export: &Export, lock: &dyn Fn(&File) -> Result<()>) -> Result<()> {
    let name = name(&export.path);
    let file = dir.open_or_create(&name)?;
    lock(&file)?;
    let mut bytes = serde_json::to_vec(export).expect("numbers and texts serialise");
    bytes.push(b'\n');
    // Cut first: what a full disk leaves of it is then no record, and never one of two.
    let written = file.set_len(0).and_then(|()| file.write_all_at(&bytes, 0));
    written.map_err(Error::io("write", dir.at(&name)))
}

/// Reads all records. What is damaged, or stands under another path's name, is none.
fn read_all(dir: &Dir) -> Result<Vec<Recorded>> {
    let mut records = Vec::new();
    for name in dir.names()? {
        let bytes = match dir.read(&name, json::MAX_DOCUMENT) {
            Err(error) if error.kind() == Kind::Damaged => continue,
            read => read?,
        };
        let parsed: Option<Export> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let (Some(export), Some(stat)) = (parsed, dir.stat(&name)?)
            && self::name(&export.path) == name
            && Path::new(&export.path).is_absolute()
        {
            records.push(Recorded { export, owner: stat.uid });
        }
    }
    Ok(records)
}

fn name(path: &str) -> String {
    Digest::of(path.as_bytes()).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(path: &str, exported: i64) -> Export {
        let identity = Identity { size: 7, modified_ns: -5, inode: 9 };
        Export { path: path.into(), identity, images: vec![Digest::of(b"m")], exported }
    }

    fn lock(file: &File) -> Result<()> {
        file.lock().map_err(Error::io("lock", "the record"))
    }

    #[test]
    fn a_path_has_one_record_the_last() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        let long = Export { images: vec![Digest::of(b"m"); 9], ..export("/a/b.tar", 1) };
        for export in [&long, &export("/a/b.tar", 2), &export("/a/ü\n.tar", 3)] {
            record(&dir, export, &lock).expect("recorded");
        }
        let mut read = read_all(&dir).expect("readable");
        read.sort_by_key(|recorded| recorded.export.exported);
        let read: Vec<_> = read.into_iter().map(|recorded| recorded.export).collect();
        assert_eq!(read, [export("/a/b.tar", 2), export("/a/ü\n.tar", 3)]);
    }

    #[test]
    fn what_is_cut_or_moved_or_a_link_is_no_record() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        record(&dir, &export("/a/b.tar", 1), &lock).expect("recorded");
        let path = temporary.path().join(name("/a/b.tar"));
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..whole.len() - 1 {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert_eq!(read_all(&dir).expect("readable"), [], "cut at {cut}");
        }
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(temporary.path().join(name("/a/c.tar")), &whole).expect("written");
        assert_eq!(read_all(&dir).expect("readable"), [], "under another path's name");
        std::os::unix::fs::symlink(name("/a/c.tar"), &path).expect("linked");
        assert_eq!(read_all(&dir).expect("readable"), []);
    }
}
