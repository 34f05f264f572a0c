//! An image layout in a directory, or an archive that somebody unpacked: read like an archive that can be read anywhere.
//!
//! Links are not followed, wherever they lead: every component of a path is opened as what it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::contents::{Contents, Part};
use crate::error::{Error, Result};
use crate::fs::{Dir, is_not_found};
use crate::json::MAX_DOCUMENT;

/// A directory with `index.json` or `manifest.json` in it.
#[derive(Debug)]
pub struct DirectoryArchive {
    root: Dir,
}

impl DirectoryArchive {
    /// Opens a directory.
    pub fn open(path: &Path) -> Result<DirectoryArchive> {
        Ok(DirectoryArchive { root: Dir::open(path)? })
    }

    /// Opens the file that a path leads to; `None` where there is none.
    fn regular(&self, path: &str) -> Result<Option<(File, u64)>> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = self.root.clone();
        for part in above.split('/').filter(|part| !part.is_empty()) {
            dir = match dir.sub(part) {
                Ok(sub) => sub,
                Err(error) if is_not_found(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        let Some(file) = dir.open_file(name)? else { return Ok(None) };
        let size = file.metadata().map_err(Error::io("stat", dir.at(name)))?.len();
        Ok(Some((file, size)))
    }
}

impl Contents for DirectoryArchive {
    fn file(&self, path: &str) -> Option<u64> {
        self.regular(path).ok().flatten().map(|(_, size)| size)
    }

    fn follow(&self, path: &str) -> Option<String> {
        self.file(path).map(|_| path.to_owned())
    }

    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some((file, size)) = self.regular(path)? else { return Ok(None) };
        if size > MAX_DOCUMENT {
            let why = format!("has {size} bytes, more than the {MAX_DOCUMENT} that a document may have");
            return Err(Error::invalid(format!("entry {path:?}"), why));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(MAX_DOCUMENT).read_to_end(&mut bytes).map_err(Error::io("read", self.root.at(path)))?;
        Ok(Some(bytes))
    }

    fn take(&mut self, path: &str) -> Result<Part> {
        let found = self.regular(path)?;
        let (file, _) = found.ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))?;
        Ok(Part::Source(Box::new(file)))
    }
}
