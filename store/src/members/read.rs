//! The content of files that were found.

use std::collections::BTreeMap;

use super::look::Answer;
use super::scan::{MAX_CONTENT, is_same};
use super::state::{Content, Kind};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// What keeps a file from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing is there.
    #[error("is not there")]
    Missing,
    /// Links lead back to where they came from.
    #[error("leads to links that go in a circle")]
    Circle,
    /// It is a directory.
    #[error("is a directory, not a file")]
    Directory,
    /// It is a device or a pipe.
    #[error("is no regular file")]
    Special,
    /// It is larger than what is read of one.
    #[error("has {0} bytes, more than the {MAX_CONTENT} that are read of one file")]
    Large(u64),
}

/// Is given files' content, or why there is none, by their numbers.
pub type Each<'e> = dyn FnMut(usize, Result<&[u8], Unreadable>) + 'e;

impl Answer<'_> {
    /// What a path leads to, as a file that can be read.
    fn file(&self, path: &[u8]) -> Result<&Content, Unreadable> {
        match self.leads_to(path).map(|node| &node.kind) {
            None if self.goes_in_a_circle(path) => Err(Unreadable::Circle),
            // A link's target is followed: what is left is none.
            None | Some(Kind::Link(_)) => Err(Unreadable::Missing),
            Some(Kind::Directory) => Err(Unreadable::Directory),
            Some(Kind::File(content)) if content.size > MAX_CONTENT => Err(Unreadable::Large(content.size)),
            Some(Kind::File(content)) => Ok(content),
            Some(Kind::Char | Kind::Block | Kind::Fifo) => Err(Unreadable::Special),
        }
    }

    /// Gives the content of files to `each`, with their numbers among `paths`, layer by layer in the order in which they stand there.
    /// Only one is in memory at a time. Each must have been asked for with its content.
    pub fn read(&self, paths: &[&[u8]], cancel: &Cancel, each: &mut Each<'_>) -> Result<()> {
        let mut files = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            match self.file(path) {
                Ok(content) => files.push((content, number)),
                Err(why) => each(number, Err(why)),
            }
        }
        self.contents(files, cancel, &mut |number, bytes| each(number, Ok(bytes)))
    }

    /// The same for files that were found, each with a number.
    pub fn contents(
        &self,
        files: Vec<(&Content, usize)>,
        cancel: &Cancel,
        each: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<()> {
        let mut by_layer: BTreeMap<usize, Vec<(&Content, usize)>> = BTreeMap::new();
        for (content, number) in files {
            by_layer.entry(content.layer).or_default().push((content, number));
        }
        let mut bytes = Vec::new();
        for (number, mut files) in by_layer {
            let layer = &self.layers[number];
            files.sort_by_key(|(content, number)| (content.offset, *number));
            let (mut pieces, mut last) = (None, None);
            for (content, number) in files {
                cancel.check()?;
                if let Some(held) = self.held.get(content) {
                    each(number, held);
                    continue;
                }
                let pieces = match &mut pieces {
                    Some(pieces) => pieces,
                    none => none.insert(layer.pieces()?),
                };
                // Two names of one file: what has passed does not come again.
                if last != Some(content.offset) {
                    bytes.clear();
                    pieces.read(content.offset, content.size, &mut bytes).map_err(|e| layer.failed(e))?;
                    last = Some(content.offset);
                }
                if !is_same(content, &bytes) {
                    return Err(Error::damaged(&layer.name, "does not hold what was read of it before"));
                }
                each(number, &bytes);
            }
        }
        Ok(())
    }
}
