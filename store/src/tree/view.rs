//! Layers as they show together, for reading: what a directory has, and where a path leads inside of them.
//!
//! As overlayfs has it: whiteouts hide names, opaque directories hide what is below. A directory that is no layer can be
//! looked at in the same way: it is a stack of one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Directory, Kind, Node, join};
use crate::error::{Error, Result};

/// Links that are followed on the way to one path (as the kernel does, path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Layers that are seen together.
#[derive(Debug)]
pub struct View {
    layers: Vec<Directory>,
}

/// One directory of a view: those of the layers that show there, the uppermost first, each with its layer.
#[derive(Debug)]
pub struct Level(Vec<(usize, Directory)>);

/// Where a path leads.
#[derive(Debug)]
pub struct Resolved {
    /// Names with `/` between; none of them is a link, and empty is the root.
    pub path: Vec<u8>,
    /// What is there, and in which layer.
    pub found: Option<(usize, Node)>,
}

impl View {
    /// Of layers, the uppermost first.
    pub fn new(layers: Vec<Directory>) -> View {
        View { layers }
    }

    /// One of the layers, 0 is the uppermost.
    pub fn layer(&self, number: usize) -> Option<&Directory> {
        self.layers.get(number)
    }

    /// The root directory.
    pub fn root(&self) -> Result<Level> {
        let mut dirs = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let is_last = layer.is_opaque()?;
            dirs.push((number, layer.again()?));
            if is_last {
                break;
            }
        }
        Ok(Level(dirs))
    }

    /// A directory of the only layer, in one step however deep it is; `None` where there are more layers, or no such directory.
    pub fn only(&self, path: &[u8]) -> Result<Option<Level>> {
        let [layer] = &self.layers[..] else { return Ok(None) };
        Ok(layer.below(path)?.map(|directory| Level(vec![(0, directory)])))
    }

    /// Follows a path as a process in there would, its last name too. What is missing leads where its name says. A name for
    /// which `hides` is true counts as missing; it is asked for paths without links.
    pub fn resolve(&self, path: &[u8], hides: &dyn Fn(&[u8], Kind) -> bool) -> Result<Resolved> {
        let mut to_go: Vec<Vec<u8>> = names(path).rev().collect();
        // The directory that `done` leads to, where that is one. Those above it are not kept open: each is one of every layer.
        let mut level = Some(self.root()?);
        let mut done: Vec<Vec<u8>> = Vec::new();
        // So many names of `done` lead to directories.
        let mut known = 0;
        let mut last = None;
        let mut links = 0;
        while let Some(name) = to_go.pop() {
            if name == b"." {
                continue;
            }
            if name == b".." {
                // The root's parent is the root.
                done.pop();
                if known >= done.len() {
                    known = done.len();
                    level = self.directory(&done)?;
                }
                last = None;
                continue;
            }
            let here = done.join(&b'/');
            let found = level.as_ref().map(|level| level.find(&name)).transpose()?.flatten();
            let Some((layer, node)) = found.filter(|(_, node)| !hides(&join(&here, &name), node.kind)) else {
                done.push(name);
                (level, last) = (None, None);
                continue;
            };
            if node.kind == Kind::Symlink {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::invalid(shown(path), "has more links on its way than are followed"));
                }
                let target = level.as_ref().map_or(Ok(Vec::new()), |level| level.link(layer, &name))?;
                to_go.extend(names(&target).rev());
                if target.starts_with(b"/") {
                    done.clear();
                    (level, known) = (Some(self.root()?), 0);
                }
                last = None;
                continue;
            }
            if node.kind != Kind::Directory && !to_go.is_empty() {
                return Err(Error::invalid(shown(&join(&here, &name)), "is no directory"));
            }
            level = level.map(|level| level.child(&name)).transpose()?.flatten();
            known += usize::from(level.is_some());
            done.push(name);
            last = Some((layer, node));
        }
        let path = done.join(&b'/');
        // Behind a `..` or a link it is not known yet.
        let found = match last {
            None => match &level {
                Some(Level(dirs)) => {
                    dirs.first().map(|(layer, dir)| Ok::<_, Error>((*layer, dir.node()?))).transpose()?
                }
                None => None,
            },
            last => last,
        };
        Ok(Resolved { path, found })
    }

    /// The directory at a path without links; `None` where there is none.
    fn directory(&self, path: &[Vec<u8>]) -> Result<Option<Level>> {
        let mut level = Some(self.root()?);
        for name in path {
            level = level.map(|level| level.child(name)).transpose()?.flatten();
        }
        Ok(level)
    }
}

impl Level {
    /// What it has, sorted by name, each with its layer.
    pub fn entries(&self) -> Result<Vec<(Vec<u8>, usize, Node)>> {
        let mut seen = BTreeMap::new();
        for (layer, directory) in &self.0 {
            for name in directory.names()? {
                if let Entry::Vacant(free) = seen.entry(name) {
                    let node = directory.stat(free.key())?;
                    free.insert(node.map(|node| (*layer, node)));
                }
            }
        }
        let shows = |(name, found): (Vec<u8>, Option<(usize, Node)>)| {
            let (layer, node) = found.filter(|(_, node)| !node.is_whiteout())?;
            Some((name, layer, node))
        };
        Ok(seen.into_iter().filter_map(shows).collect())
    }

    /// What a name in it stands for, and in which layer.
    pub fn find(&self, name: &[u8]) -> Result<Option<(usize, Node)>> {
        for (layer, directory) in &self.0 {
            match directory.stat(name)? {
                None => {}
                Some(node) if node.is_whiteout() => return Ok(None),
                Some(node) => return Ok(Some((*layer, node))),
            }
        }
        Ok(None)
    }

    /// The directory of this level that is a layer's.
    pub fn of_layer(&self, layer: usize) -> Option<&Directory> {
        self.0.iter().find(|(number, _)| *number == layer).map(|(_, directory)| directory)
    }

    fn link(&self, layer: usize, name: &[u8]) -> Result<Vec<u8>> {
        self.of_layer(layer).map_or(Ok(Vec::new()), |directory| directory.link(name))
    }

    /// A directory in it; `None` where there is none.
    pub fn child(&self, name: &[u8]) -> Result<Option<Level>> {
        let mut deeper = Vec::new();
        for (layer, directory) in &self.0 {
            match directory.stat(name)? {
                None => continue,
                Some(node) if node.kind != Kind::Directory => break,
                Some(_) => {}
            }
            let Some(inner) = directory.below(name)? else { break };
            let is_last = inner.is_opaque()?;
            deeper.push((*layer, inner));
            if is_last {
                break;
            }
        }
        Ok((!deeper.is_empty()).then_some(Level(deeper)))
    }
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
}

fn shown(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&[b"/".as_slice(), path].concat()))
}
