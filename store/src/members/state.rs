//! What is known of an image's file system while its layers pass, lowest first: every symbolic link, and what matters.
//!
//! It comes to what [`crate::unpack`] does to directories: a whiteout hides what lower layers have and nothing of its own layer, a member that is
//! no directory takes the place of all below its name, and links on the way to a member are followed.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::tree::{join, split};

/// Links that are followed on one way (as the kernel does, path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What is at a path, as `lstat` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permissions with setuid, setgid and the sticky bit.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The layer that it is of, from 0.
    pub layer: usize,
}

impl Node {
    /// One of the lowest layer.
    pub fn new(kind: Kind, mode: u32, uid: u32, gid: u32) -> Node {
        Node { kind, mode, uid, gid, layer: 0 }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link, with its target as it stands there.
    Link(Vec<u8>),
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
}

/// Where a file's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// The layer that has it: of a hard link perhaps a lower one.
    pub layer: usize,
    pub(super) offset: u64,
    /// Of what is to be read.
    pub(super) digest: Option<Digest>,
}

/// All that is known, by path: components with `/` between, and no links on the way.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What matters.
    pub(super) nodes: BTreeMap<Vec<u8>, Node>,
    /// Every symbolic link.
    pub(super) links: BTreeMap<Vec<u8>, Node>,
}

/// Links go in a circle, or are too many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyLinks;

impl State {
    /// Where a path leads, with the links on the way followed, and the last component too where `follows_last`.
    pub(super) fn resolve(&self, path: &[u8], follows_last: bool) -> Result<Vec<u8>, TooManyLinks> {
        let mut to_go: Vec<&[u8]> = names(path).rev().collect();
        let (mut here, mut links) = (Vec::new(), 0);
        while let Some(name) = to_go.pop() {
            if name == b".." {
                here = split(&here).0.to_vec();
                continue;
            }
            let next = join(&here, name);
            let is_last = to_go.is_empty();
            match self.links.get(&next).map(|node| &node.kind) {
                Some(Kind::Link(target)) if follows_last || !is_last => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TooManyLinks);
                    }
                    if target.starts_with(b"/") {
                        here.clear();
                    }
                    to_go.extend(names(target).rev());
                }
                _ => here = next,
            }
        }
        Ok(here)
    }

    /// Puts something at a path. All that was below goes, unless it is a directory that was one before; which paths that were.
    pub(super) fn put(&mut self, path: &[u8], node: Node, matters: bool) -> Vec<Vec<u8>> {
        let gone = match node.kind {
            Kind::Directory => {
                self.links.remove(path);
                vec![path.to_vec()]
            }
            _ => self.remove(path, usize::MAX),
        };
        if let Kind::Link(_) = node.kind {
            self.links.insert(path.to_vec(), node.clone());
        }
        if matters {
            self.nodes.insert(path.to_vec(), node);
        }
        gone
    }

    /// Says that a layer has what is at a path.
    pub(super) fn claim(&mut self, path: &[u8], layer: usize) {
        let both = [self.nodes.get_mut(path), self.links.get_mut(path)];
        both.into_iter().flatten().for_each(|node| node.layer = layer);
    }

    /// Removes what layers below this one have at a path and below; which paths that were.
    pub(super) fn remove(&mut self, path: &[u8], layer: usize) -> Vec<Vec<u8>> {
        let mut gone = self.remove_below(path, layer);
        for all in [&mut self.nodes, &mut self.links] {
            if all.get(path).is_some_and(|node| node.layer < layer) {
                all.remove(path);
                gone.push(path.to_vec());
            }
        }
        gone
    }

    /// Removes what layers below this one have below a path; which paths that were.
    pub(super) fn remove_below(&mut self, path: &[u8], layer: usize) -> Vec<Vec<u8>> {
        let mut removed = Vec::new();
        for all in [&mut self.nodes, &mut self.links] {
            let gone = below(all, path).filter(|(_, node)| node.layer < layer);
            let gone: Vec<_> = gone.map(|(path, _)| path.clone()).collect();
            gone.iter().for_each(|path| drop(all.remove(path)));
            removed.extend(gone);
        }
        removed
    }
}

/// What is below a path, and not itself.
pub(super) fn below<'a>(
    all: &'a BTreeMap<Vec<u8>, Node>,
    path: &[u8],
) -> impl Iterator<Item = (&'a Vec<u8>, &'a Node)> {
    use std::ops::Bound::{Excluded, Unbounded};
    let (from, to) = match path {
        b"" => (Excluded(Vec::new()), Unbounded),
        // `0` is what comes behind `/`.
        path => (Excluded([path, b"/"].concat()), Excluded([path, b"0"].concat())),
    };
    all.range((from, to))
}

/// The components of a path that mean anything.
pub(super) fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

impl From<TooManyLinks> for Error {
    fn from(_: TooManyLinks) -> Error {
        Error::invalid("it", "has more links on its way than are followed")
    }
}
