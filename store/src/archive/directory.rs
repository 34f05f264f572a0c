//! An image layout in a directory, or an archive that somebody unpacked: read like an archive that can be read anywhere.
//!
//! The kernel follows no link here: every component of a path is opened as what it is. Where a link to a layer is
//! allowed (`docker save` wrote `../<id>/layer.tar`), its target is worked out as in an archive, and stays inside.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::contents::{Contents, Part};
use super::seekable::MAX_LINKS;
use super::tar::resolve_link;
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

    /// The directory above a path's last component; `None` where there is none.
    fn above<'p>(&self, path: &'p str) -> Result<Option<(Dir, &'p str)>> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = self.root.clone();
        for part in above.split('/').filter(|part| !part.is_empty()) {
            dir = match dir.sub(part) {
                Ok(sub) => sub,
                Err(error) if is_not_found(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(Some((dir, name)))
    }

    /// Opens the file that a path leads to; `None` where there is none.
    fn regular(&self, path: &str) -> Result<Option<(File, u64)>> {
        let Some((dir, name)) = self.above(path)? else { return Ok(None) };
        let Some(file) = dir.open_file(name)? else { return Ok(None) };
        let size = file.metadata().map_err(Error::io("stat", dir.at(name)))?.len();
        Ok(Some((file, size)))
    }
}

impl Contents for DirectoryArchive {
    fn file(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.regular(path)?.map(|(_, size)| size))
    }

    fn follow(&self, path: &str) -> Result<Option<String>> {
        let mut at = path.to_owned();
        for _ in 0..MAX_LINKS {
            let Some((dir, name)) = self.above(&at)? else { return Ok(None) };
            let Some(target) = dir.read_link(name)? else { return Ok(self.file(&at)?.map(|_| at)) };
            at = resolve_link(&at, &target).map_err(|why| Error::invalid(format!("entry {at:?}"), why))?;
        }
        Ok(None)
    }

    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some((file, size)) = self.regular(path)? else { return Ok(None) };
        if size > MAX_DOCUMENT {
            let why = format!("has {size} bytes, more than the {MAX_DOCUMENT} that a document may have");
            return Err(Error::invalid(format!("entry {path:?}"), why));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(size).read_to_end(&mut bytes).map_err(Error::io("read", self.root.at(path)))?;
        Ok(Some(bytes))
    }

    /// A file that grows meanwhile is read up to the size that was planned with.
    fn take(&mut self, path: &str) -> Result<Part> {
        let found = self.regular(path)?;
        let (file, size) = found.ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))?;
        Ok(Part::Source(Box::new(file.take(size))))
    }
}
