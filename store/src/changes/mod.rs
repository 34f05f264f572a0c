//! What was changed above a stack of layers, as the tar stream of a new layer.
//!
//! Reads the upper directory of an overlay, or (where there was none) a copy of the whole tree, and gives a plain tar in the
//! form of the OCI image spec, layer.md: hidden names as `.wh.NAME`, opaque directories with `.wh..wh..opq`. The same tree gives the same
//! bytes: members sorted by their names, owners as numbers, times in whole seconds as Docker and BuildKit write them, and not
//! later than a given moment. Sockets are left out. What overlayfs has copied up and nobody has changed is left out too.
//!
//! The tree may mean harm: no link is followed, nothing is opened but files and directories, and no mount is crossed.

mod compare;
mod header;
mod layer;
mod settle;
mod walk;

use std::fs::File;
use std::io::{self, Read};

pub use layer::store_changes;
pub use settle::settle;

use crate::blob::into_io;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Node, Stack};

/// What the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The upper directory of an overlay: only what is other than below, hidden names as overlayfs marks them.
    Upper,
    /// All that there is: what it lacks was removed.
    Whole,
}

/// How to make a layer.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What the tree is.
    pub form: Form,
    /// No time is later (seconds since 1970; `SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// Asks to stop.
    pub cancel: &'a Cancel,
}

impl Options<'_> {
    /// The time that the layer gives a node.
    fn seconds(&self, node: &Node) -> i64 {
        self.epoch.map_or(node.modified.seconds, |epoch| node.modified.seconds.min(epoch))
    }
}

/// The tar stream. An error of the store's library comes through it as it came.
pub struct Changes<'a> {
    walk: walk::Walk<'a>,
    /// What is to be given before the next member: headers, or the padding of the last content.
    bytes: io::Cursor<Vec<u8>>,
    /// The content that comes behind `bytes`, how much of it is to come, and whose it is.
    content: Option<(File, u64, String)>,
    is_ended: bool,
    count: u64,
}

impl<'a> Changes<'a> {
    /// What a tree has above the layers below.
    pub fn new(tree: &Directory, below: Stack, options: Options<'a>) -> Result<Changes<'a>> {
        let walk = walk::Walk::new(tree, below, options)?;
        Ok(Changes { walk, bytes: io::Cursor::default(), content: None, is_ended: false, count: 0 })
    }

    /// How many members there were so far: none at the end means that nothing was changed.
    pub fn members(&self) -> u64 {
        self.count
    }

    fn cancel(&self) -> &Cancel {
        self.walk.cancel()
    }

    fn advance(&mut self) -> Result<()> {
        let bytes = match self.walk.next()? {
            Some(member) => {
                self.count += 1;
                self.content = member.content.map(|file| (file, member.size, member.shown));
                member.header
            }
            None => {
                self.is_ended = true;
                vec![0; 1024]
            }
        };
        self.bytes = io::Cursor::new(bytes);
        Ok(())
    }
}

impl Read for Changes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.bytes.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if let Some((file, left, shown)) = &mut self.content {
                let wanted = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if wanted == 0 {
                    self.content = None;
                    continue;
                }
                let count = file.read(&mut buffer[..wanted])?;
                if count == 0 {
                    let why = "became shorter while it was read; something still runs in the tree";
                    return Err(into_io(Error::damaged(&*shown, why)));
                }
                *left -= count as u64;
                if *left == 0 {
                    let size = self.walk.last_size();
                    self.bytes = io::Cursor::new(vec![0; (size.next_multiple_of(512) - size) as usize]);
                    self.content = None;
                }
                return Ok(count);
            }
            if self.is_ended {
                return Ok(0);
            }
            self.advance().map_err(into_io)?;
        }
    }
}
