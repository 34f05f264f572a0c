//! What is to be copied, as it was when it was looked at: one thing, or a directory with all that is below.

use std::rc::Rc;

use super::Tree;
use super::walk::{Listed, Walk};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::tree::{Directory, Kind, Node, Resolved, View, join, split};

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

impl Found {
    pub(super) fn of(path: Vec<u8>, listed: Listed) -> Found {
        let Listed { layer, node, link, left_out } = listed;
        Found { path, layer, node, link, is_implied: left_out == LeftOut::Itself, content: None }
    }
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
        let left_out = if at.path.is_empty() { LeftOut::No } else { leaves_out(&at.path, node.kind) };
        if left_out == LeftOut::All {
            return Ok(None);
        }
        let top = Found::of(Vec::new(), Listed { layer, node, link: Vec::new(), left_out });
        let mut found = vec![top];
        if node.kind == Kind::Directory {
            Walk::new(tree, &at.path, leaves_out)?.all(&mut found, cancel)?;
        }
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
