//! What is to be copied, as it was when it was looked at: one thing, or a directory with all that is below.

use std::rc::Rc;

use super::Tree;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::tree::{Directory, Kind, Level, Node, Resolved, View, join, split};

/// Bytes of a path that can still be opened (`PATH_MAX` less the zero at its end).
const MAX_PATH: usize = 4095;

/// Whether a path of the tree is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It is.
    No,
    /// It is not, but what is below may be.
    Itself,
    /// It is not, and nothing below.
    All,
}

/// A file, directory or other thing of a source.
#[derive(Debug)]
pub(super) struct Found {
    /// Below the source, which itself has the empty path.
    pub(super) path: Vec<u8>,
    /// In which layer of the tree.
    pub(super) layer: usize,
    /// What it was.
    pub(super) node: Node,
    /// Where a link leads.
    pub(super) link: Vec<u8>,
    /// A directory that is not seen itself: what is below is.
    pub(super) is_implied: bool,
    /// A file's content, once it was read.
    pub(super) content: Option<Digest>,
}

/// A source of a copy.
#[derive(Debug)]
pub struct Source {
    pub(super) view: Rc<View>,
    /// Its path in the tree; none of the names is a link.
    pub(super) path: Vec<u8>,
    /// Itself, then what is below: directories before what is in them, names sorted.
    pub(super) found: Vec<Found>,
}

impl Source {
    /// Looks at what is at a path of a tree; `None` where nothing is seen there.
    pub fn look(
        tree: &Tree,
        at: &Resolved,
        leaves_out: &dyn Fn(&[u8], Kind) -> LeftOut,
        cancel: &Cancel,
    ) -> Result<Option<Source>> {
        let Some((layer, node)) = at.found else { return Ok(None) };
        let mut walk = Walk { found: Vec::new(), base: &at.path, leaves_out, cancel };
        let left_out = if at.path.is_empty() { LeftOut::No } else { leaves_out(&at.path, node.kind) };
        if left_out == LeftOut::All {
            return Ok(None);
        }
        walk.push(Vec::new(), layer, node, Vec::new(), left_out);
        if node.kind == Kind::Directory {
            let mut level = tree.root()?;
            for name in at.path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
                match level.child(name)? {
                    Some(child) => level = child,
                    // It went away.
                    None => return Ok(None),
                }
            }
            walk.level(&level, b"")?;
        }
        let found = walk.found;
        let is_nothing = left_out != LeftOut::No && found.len() == 1;
        Ok((!is_nothing).then(|| Source { view: Rc::clone(tree), path: at.path.clone(), found }))
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.found.first().map_or(Kind::Directory, |found| found.node.kind)
    }

    /// Opens a regular file of it.
    pub(super) fn open(&self, found: &Found, parents: &mut Parents) -> Result<std::fs::File> {
        let whole = self.whole(found);
        let (parent, name) = split(&whole);
        let Some(dir) = parents.open(&self.view, found.layer, parent)? else {
            return Err(changed(&whole));
        };
        dir.file(name)
    }

    pub(super) fn whole(&self, found: &Found) -> Vec<u8> {
        match found.path.is_empty() {
            true => self.path.clone(),
            false => join(&self.path, &found.path),
        }
    }
}

/// The directory that was opened last: the next file is in it, mostly.
#[derive(Default)]
pub(super) struct Parents(Option<(usize, Vec<u8>, Directory)>);

impl Parents {
    pub(super) fn open(&mut self, view: &View, layer: usize, path: &[u8]) -> Result<Option<&Directory>> {
        let is_last = self.0.as_ref().is_some_and(|(last, at, _)| *last == layer && at == path);
        if !is_last {
            let opened = view.layer(layer).map(|layer| layer.below(path)).transpose()?.flatten();
            self.0 = opened.map(|dir| (layer, path.to_vec(), dir));
        }
        Ok(self.0.as_ref().map(|(_, _, dir)| dir))
    }
}

pub(super) fn changed(path: &[u8]) -> Error {
    let why = "has changed since it was looked at; let nothing write there during a build";
    Error::damaged(format!("{:?}", String::from_utf8_lossy(path)), why)
}

struct Walk<'a> {
    found: Vec<Found>,
    base: &'a [u8],
    leaves_out: &'a dyn Fn(&[u8], Kind) -> LeftOut,
    cancel: &'a Cancel,
}

impl Walk<'_> {
    fn push(&mut self, path: Vec<u8>, layer: usize, node: Node, link: Vec<u8>, left_out: LeftOut) {
        let is_implied = left_out == LeftOut::Itself;
        self.found.push(Found { path, layer, node, link, is_implied, content: None });
    }

    fn level(&mut self, level: &Level, path: &[u8]) -> Result<()> {
        self.cancel.check()?;
        for (name, layer, node) in level.entries()? {
            let below = join(path, &name);
            let whole = if self.base.is_empty() { below.clone() } else { join(self.base, &below) };
            if whole.len() > MAX_PATH {
                let what = format!("{:?}", String::from_utf8_lossy(&whole));
                return Err(Error::invalid(what, "has a longer path than can be opened"));
            }
            let left_out = (self.leaves_out)(&whole, node.kind);
            // As in Docker: nobody can mean what only a running program can answer.
            if left_out == LeftOut::All || node.kind == Kind::Socket {
                continue;
            }
            match node.kind {
                Kind::Directory => {
                    let Some(child) = level.child(&name)? else { continue };
                    let before = self.found.len();
                    self.push(below.clone(), layer, node, Vec::new(), left_out);
                    self.level(&child, &below)?;
                    if left_out == LeftOut::Itself && self.found.len() == before + 1 {
                        self.found.pop();
                    }
                }
                _ if left_out == LeftOut::Itself => {}
                Kind::Symlink => {
                    let link = level.of_layer(layer).map_or(Ok(Vec::new()), |dir| dir.link(&name))?;
                    self.push(below, layer, node, link, left_out);
                }
                _ => self.push(below, layer, node, Vec::new(), left_out),
            }
        }
        Ok(())
    }
}
