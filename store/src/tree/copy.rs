//! Copying out of layers: one thing, or all that they show together, for where overlayfs is not to be had.
//!
//! Content is shared with the original where the file system can do that.

use std::collections::HashMap;

use rustix::fs::FileType;

use super::place::Meta;
use super::{Directory, Kind, Node, Stack, join, split, xattrs_of};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

impl Directory {
    /// Copies something that is no directory, under its name; whether that was free. Sockets are not copied.
    pub(crate) fn copy_in(&self, from: &Directory, name: &[u8], node: &Node) -> Result<bool> {
        let meta = Meta::of(node, Vec::new());
        let kind = match node.kind {
            Kind::File => {
                let source = from.file(name)?;
                let xattrs = xattrs_of(&source).map_err(from.error("read the attributes of", name))?;
                let Some(mut file) = self.new_file(name)? else { return Ok(false) };
                let copied = file.copy(source).and_then(|()| file.finish(&Meta { xattrs, ..meta }));
                return copied.map(|()| true).map_err(Error::io("write", self.at(name)));
            }
            Kind::Symlink => return self.new_symlink(name, &from.link(name)?, &meta),
            Kind::Fifo => FileType::Fifo,
            Kind::Char => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            Kind::Socket | Kind::Directory => return Ok(true),
        };
        self.new_node(name, kind, node.device, &meta)
    }
}

/// Fills an empty directory with what layers show together.
pub fn copy_stack(mut layers: Stack, into: &Directory, cancel: &Cancel) -> Result<()> {
    let mut copy = Copy { into, names: HashMap::new(), cancel };
    if let Some(top) = layers.showing(into, b"")?.first() {
        let meta = Meta::of(&top.node()?, top.xattrs()?);
        into.describe(&meta)?;
        copy.level(&mut layers, b"", into)?;
        into.set_time(meta.modified)?;
    }
    Ok(())
}

struct Copy<'a> {
    into: &'a Directory,
    /// Files with several names: the first one.
    names: HashMap<(u64, u64), Vec<u8>>,
    cancel: &'a Cancel,
}

impl Copy<'_> {
    fn level(&mut self, layers: &mut Stack, path: &[u8], dir: &Directory) -> Result<()> {
        for name in layers.names(self.into, path)? {
            self.cancel.check()?;
            let Some((from, node)) = layers.find(self.into, path, &name)? else { continue };
            let whole = join(path, &name);
            if node.kind == Kind::Directory {
                let xattrs = from.below(&name)?.map_or(Ok(Vec::new()), |lower| lower.xattrs())?;
                let made =
                    dir.new_directory(&name, &Meta::of(&node, xattrs))?.ok_or_else(|| taken(dir, &name))?;
                self.level(layers, &whole, &made)?;
                made.set_time(node.modified)?;
                continue;
            }
            let first = if node.links > 1 { self.names.get(&node.identity) } else { None };
            let is_made = match first {
                Some(first) => {
                    let (parent, last) = split(first);
                    let parent = self.into.below(parent)?.ok_or_else(|| taken(dir, &name))?;
                    parent.link_as(last, dir, &name)?
                }
                None => dir.copy_in(&from, &name, &node)?,
            };
            if !is_made {
                return Err(taken(dir, &name));
            }
            self.names.entry(node.identity).or_insert(whole);
        }
        Ok(())
    }
}

fn taken(dir: &Directory, name: &[u8]) -> Error {
    Error::damaged(dir.shown(name), "is there already; something else writes into the tree")
}
