//! Going through a directory of a tree, however deep it is: neither the stack nor the open directories grow with it.

use std::vec;

use super::source::{Found, LeftOut};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Kind, Level, Node, View, join};

/// Bytes of a path that can still be opened (`PATH_MAX` less the zero at its end).
const MAX_PATH: usize = 4095;
/// Directories that stay open on the way to where we are.
const OPEN: usize = 16;

/// What a directory has under a name.
pub(super) struct Listed {
    pub(super) layer: usize,
    pub(super) node: Node,
    pub(super) link: Vec<u8>,
    pub(super) left_out: LeftOut,
}

pub(super) struct Walk<'a> {
    tree: &'a View,
    base: &'a [u8],
    leaves_out: &'a dyn Fn(&[u8], Kind) -> LeftOut,
    root: Level,
    /// The first directories on the way to the one that was opened last.
    open: Vec<(Vec<u8>, Level)>,
}

/// A directory that we are in.
struct Inside {
    path: Vec<u8>,
    left: vec::IntoIter<(Vec<u8>, Listed)>,
    /// Where it is among what was found, if it is only there for what is below.
    implied: Option<usize>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        tree: &'a View,
        base: &'a [u8],
        leaves_out: &'a dyn Fn(&[u8], Kind) -> LeftOut,
    ) -> Result<Walk<'a>> {
        Ok(Walk { tree, base, leaves_out, root: tree.root()?, open: Vec::new() })
    }

    /// Adds what is below, directories before what is in them, names sorted.
    pub(super) fn all(mut self, found: &mut Vec<Found>, cancel: &Cancel) -> Result<()> {
        let mut inside = vec![Inside { path: Vec::new(), left: self.list(b"")?, implied: None }];
        while let Some(here) = inside.last_mut() {
            cancel.check()?;
            let Some((name, listed)) = here.left.next() else {
                // Nothing of it is seen.
                if here.implied == found.len().checked_sub(1) {
                    found.pop();
                }
                inside.pop();
                continue;
            };
            let path = join(&here.path, &name);
            let (kind, left_out) = (listed.node.kind, listed.left_out);
            if kind != Kind::Directory && left_out == LeftOut::Itself {
                continue;
            }
            found.push(Found::of(path.clone(), listed));
            if kind == Kind::Directory {
                let implied = (left_out == LeftOut::Itself).then_some(found.len() - 1);
                let left = self.list(&path)?;
                inside.push(Inside { path, left, implied });
            }
        }
        Ok(())
    }

    /// What is seen in a directory. As in Docker there are no sockets: nobody can mean what only a running program can answer.
    fn list(&mut self, path: &[u8]) -> Result<vec::IntoIter<(Vec<u8>, Listed)>> {
        let (base, leaves_out) = (self.base, self.leaves_out);
        let whole = if path.is_empty() { base.to_vec() } else { join(base, path) };
        let mut seen = Vec::new();
        let beyond = self.open(&whole)?;
        let level = match &beyond {
            Beyond::Gone => return Ok(seen.into_iter()),
            Beyond::Level(level) => level,
            Beyond::Kept => self.open.last().map_or(&self.root, |(_, level)| level),
        };
        for (name, layer, node) in level.entries()? {
            let whole = join(&whole, &name);
            if whole.len() > MAX_PATH {
                let what = format!("{:?}", String::from_utf8_lossy(&whole));
                return Err(Error::invalid(what, "has a longer path than can be opened"));
            }
            let left_out = leaves_out(&whole, node.kind);
            if left_out == LeftOut::All || node.kind == Kind::Socket {
                continue;
            }
            let dir = level.of_layer(layer).filter(|_| node.kind == Kind::Symlink);
            let link = dir.map_or(Ok(Vec::new()), |dir| dir.link(&name))?;
            seen.push((name, Listed { layer, node, link, left_out }));
        }
        Ok(seen.into_iter())
    }

    /// Opens a directory; those on the way stay open, if they are not too many.
    fn open(&mut self, path: &[u8]) -> Result<Beyond> {
        let names: Vec<_> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        let common = self.open.iter().zip(&names).take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(common);
        if names.len() > OPEN
            && let Some(level) = self.tree.only(path)?
        {
            return Ok(Beyond::Level(level));
        }
        let mut beyond: Option<Level> = None;
        for name in &names[common..] {
            let here = beyond.as_ref().or(self.open.last().map(|(_, level)| level)).unwrap_or(&self.root);
            // It went away, or something else is there now.
            let Some(child) = here.child(name)? else { return Ok(Beyond::Gone) };
            match self.open.len() < OPEN {
                true => self.open.push((name.to_vec(), child)),
                false => beyond = Some(child),
            }
        }
        Ok(beyond.map_or(Beyond::Kept, Beyond::Level))
    }
}

/// Where a directory is that was opened.
enum Beyond {
    /// The last of those that stay open.
    Kept,
    /// Deeper.
    Level(Level),
    /// There is none.
    Gone,
}
