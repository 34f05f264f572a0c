//! Layers below one another, as overlayfs shows them: whiteouts hide names, opaque directories hide what is below.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Directory, Kind, Node, join};
use crate::error::Result;

/// The layers below one that is being made or read, the uppermost first.
#[derive(Debug)]
pub struct Stack {
    layers: Vec<Directory>,
    /// The directory that was asked for last, and what shows through there.
    last: Option<(Vec<u8>, Vec<Directory>)>,
}

impl Stack {
    /// Layers, the uppermost first.
    pub fn new(layers: Vec<Directory>) -> Stack {
        Stack { layers, last: None }
    }

    /// Forgets what was seen: something has changed that may hide other things.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The directories of the layers that show through at a path of the layer `own`, which is above them.
    pub fn showing(&mut self, own: &Directory, path: &[u8]) -> Result<&[Directory]> {
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let found = self.look(own, path)?;
            self.last = Some((path.to_vec(), found));
        }
        Ok(self.last.as_ref().map_or(&[], |(_, found)| found))
    }

    fn look(&self, own: &Directory, path: &[u8]) -> Result<Vec<Directory>> {
        if self.layers.is_empty() || own.is_opaque()? {
            return Ok(Vec::new());
        }
        let mut showing = Vec::new();
        for layer in &self.layers {
            let is_last = layer.is_opaque()?;
            showing.push(layer.again()?);
            if is_last {
                break;
            }
        }
        let mut at = Vec::new();
        let mut own = own.below(b"")?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = join(&at, name);
            if let Some(here) = &own {
                match here.stat(name)? {
                    Some(node) if node.kind != Kind::Directory => return Ok(Vec::new()),
                    Some(_) => own = here.below(name)?,
                    None => own = None,
                }
                if let Some(here) = &own
                    && here.is_opaque()?
                {
                    return Ok(Vec::new());
                }
            }
            let mut deeper = Vec::new();
            for directory in showing {
                match directory.stat(name)? {
                    None => continue,
                    Some(node) if node.kind != Kind::Directory => break,
                    Some(_) => {}
                }
                let Some(inner) = directory.below(name)? else { break };
                let is_last = inner.is_opaque()?;
                deeper.push(inner);
                if is_last {
                    break;
                }
            }
            showing = deeper;
        }
        Ok(showing)
    }

    /// What the layers below `own` show under a name in a directory, and the directory where it is; `None` where they show nothing.
    pub fn find(&mut self, own: &Directory, path: &[u8], name: &[u8]) -> Result<Option<(Directory, Node)>> {
        for directory in self.showing(own, path)? {
            match directory.stat(name)? {
                None => {}
                Some(node) if node.is_whiteout() => return Ok(None),
                Some(node) => return Ok(Some((directory.again()?, node))),
            }
        }
        Ok(None)
    }

    /// All names that the layers below `own` show in a directory, sorted.
    pub fn names(&mut self, own: &Directory, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut seen = BTreeMap::new();
        for directory in self.showing(own, path)? {
            for name in directory.names()? {
                if let Entry::Vacant(free) = seen.entry(name) {
                    let is_hidden = directory.stat(free.key())?.is_none_or(|node| node.is_whiteout());
                    free.insert(is_hidden);
                }
            }
        }
        Ok(seen.into_iter().filter(|(_, is_hidden)| !is_hidden).map(|(name, _)| name).collect())
    }
}
