//! Files from elsewhere into a layer: what COPY, ADD and WORKDIR of a Dockerfile do to files, without mounting anything.
//!
//! The layer is a directory in the form of an overlay's upper one, above a stack of others ([`Placer`]). What is copied was looked at
//! before ([`Source`]): a tree of a build's context, or of an image's layers. Which paths are meant is up to the caller; what happens to
//! them is not: nothing is written outside of the layer, and nothing is read outside of the tree.

mod digest;
mod source;
mod walk;
mod write;

use std::io::Read;
use std::rc::Rc;

pub use digest::Counts;
pub use source::{LeftOut, Source};
pub use write::Look;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Kind, Meta, Resolved, Stack, Time, View, split};
use crate::unpack::upper::{Place, Upper};
use crate::unpack::{Limits, MAX_NODES};

/// A layer that files are put into.
pub struct Placer<'a> {
    upper: Upper<'a>,
    /// The layer with those below.
    view: View,
    now: Time,
}

impl<'a> Placer<'a> {
    /// A layer (empty as a rule) above others, the uppermost first. What nobody gives a time has `now` (seconds since 1970).
    pub fn new(into: &Directory, below: Vec<Directory>, now: i64, cancel: &'a Cancel) -> Result<Placer<'a>> {
        let now = Time { seconds: now, nanos: 0 };
        let limits = Limits { bytes: free_space(into)?, nodes: MAX_NODES };
        let again = below.iter().map(Directory::again).collect::<Result<_>>()?;
        let view =
            View::new(std::iter::once(into.again()).chain(below.into_iter().map(Ok)).collect::<Result<_>>()?);
        let upper = Upper::new(into, Stack::new(again), limits, Some(now), cancel)?;
        Ok(Placer { upper, view, now })
    }

    /// Where a path of the image leads, links followed.
    pub fn resolve(&self, path: &[u8]) -> Result<Resolved> {
        self.view.resolve(path, &|_, _| false)
    }

    /// A file of the image with no more than `most` bytes; `None` where there is no such file.
    pub fn content(&self, path: &[u8], most: u64) -> Result<Option<Vec<u8>>> {
        let at = self.resolve(path)?;
        let Some((layer, node)) = at.found.filter(|(_, node)| node.kind == Kind::File) else {
            return Ok(None);
        };
        let (parent, name) = split(&at.path);
        let Some(dir) = self.view.layer(layer).map(|layer| layer.below(parent)).transpose()?.flatten() else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let file = dir.file(name)?;
        file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io("read", dir.at(name)))?;
        match node.size > most || bytes.len() as u64 > most {
            true => Err(Error::invalid(dir.shown(name), format!("has more than {most} bytes"))),
            false => Ok(Some(bytes)),
        }
    }

    /// Says what a directory is like that is made because it is missing.
    pub fn imply(&mut self, (uid, gid): (u32, u32), mode: u32) {
        self.upper.implied = Meta { mode, uid, gid, modified: self.now, xattrs: Vec::new() };
    }

    /// Makes a directory with those above it, as far as they are missing.
    pub fn directory(&mut self, path: &[u8]) -> Result<()> {
        self.place(path).map(drop)
    }

    /// Ends the work: directories get their times.
    pub fn finish(self) -> Result<()> {
        self.upper.finish().map(drop)
    }

    fn place(&mut self, path: &[u8]) -> Result<Place> {
        let place = self.upper.parent(path);
        place.map_err(|e| e.within(format!("{:?}", String::from_utf8_lossy(path))))
    }
}

impl Source {
    /// Whether it is an archive: by its content, and not by its name.
    pub fn is_archive(&self) -> Result<bool> {
        write::is_archive(self)
    }
}

/// Bytes that can still be written where a directory is.
fn free_space(dir: &Directory) -> Result<u64> {
    let stat = rustix::fs::fstatvfs(&dir.fd).map_err(dir.error("look for free space at", b""))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A tree that sources are found in: a context, or the layers of an image.
pub type Tree = Rc<View>;
