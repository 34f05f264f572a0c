//! What a source is worth to a build's cache: its names, kinds, modes, links and contents, and not its times.

use std::collections::HashMap;

use super::source::{Found, Parents, Source, changed};
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::tree::{Kind, read_content, xattrs_of};

/// Bytes that are read at a time.
pub(super) const PIECE: usize = 256 << 10;

/// What of a tree counts beside what always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Nothing: a build's context, whose owners and attributes are of no use in an image.
    Content,
    /// Owners and attributes too: layers of an image.
    Owners,
}

impl Source {
    /// Reads all files, and gives the digest of the whole. What is placed later of a context has these contents, or is refused.
    pub fn digest(&mut self, counts: Counts, cancel: &Cancel) -> Result<Digest> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; PIECE];
        let mut parents = Parents::default();
        let mut names: HashMap<(u64, u64), usize> = HashMap::new();
        for at in 0..self.found.len() {
            cancel.check()?;
            let found = &self.found[at];
            let mut record = Vec::with_capacity(128);
            add(&mut record, &found.path);
            describe(&mut record, found, counts, at == 0);
            let first = if found.node.links > 1 && found.node.kind != Kind::Directory {
                *names.entry(found.node.identity).or_insert(at)
            } else {
                at
            };
            record.extend_from_slice(&(first as u64).to_be_bytes());
            if found.node.kind == Kind::File && first == at {
                let (content, xattrs) = self.read(found, counts, &mut parents, &mut buffer, cancel)?;
                add(&mut record, content.to_string().as_bytes());
                for (name, value) in xattrs {
                    add(&mut record, &name);
                    add(&mut record, &value);
                }
                // Nobody writes into the layers of an image.
                self.found[at].content = (counts == Counts::Content).then_some(content);
            }
            // Each record is a unit: no two lists of records give the same bytes.
            let length = record.len() as u64;
            hasher.update(&length.to_be_bytes());
            hasher.update(&record);
        }
        Ok(hasher.finish())
    }

    fn read(
        &self,
        found: &Found,
        counts: Counts,
        parents: &mut Parents,
        buffer: &mut [u8],
        cancel: &Cancel,
    ) -> Result<(Digest, crate::tree::Xattrs)> {
        let mut file = self.open(found, parents)?;
        let whole = self.whole(found);
        let mut hasher = Hasher::new();
        let mut size = 0;
        loop {
            let path = || String::from_utf8_lossy(&whole).into_owned();
            let count = read_content(&mut file, buffer).map_err(|e| Error::io("read", path())(e))?;
            hasher.update(&buffer[..count]);
            size += count as u64;
            if count < buffer.len() {
                break;
            }
            cancel.check()?;
        }
        if size != found.node.size {
            return Err(changed(&whole));
        }
        let xattrs = match counts {
            Counts::Content => Vec::new(),
            Counts::Owners => xattrs_of(&file).map_err(|e| {
                Error::io("read the attributes of", String::from_utf8_lossy(&whole).as_ref())(e.into())
            })?,
        };
        Ok((hasher.finish(), xattrs))
    }
}

fn describe(record: &mut Vec<u8>, found: &Found, counts: Counts, is_top: bool) {
    let node = &found.node;
    let kind = match node.kind {
        Kind::File => b'f',
        Kind::Directory => b'd',
        Kind::Symlink => b'l',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
        Kind::Char => b'c',
        Kind::Block => b'b',
    };
    record.push(kind);
    record.push(found.is_implied.into());
    // The directory itself is not copied, what is in it is.
    let mode = if is_top && node.kind == Kind::Directory || found.is_implied { 0 } else { node.mode };
    record.extend_from_slice(&mode.to_be_bytes());
    if counts == Counts::Owners && !(is_top && node.kind == Kind::Directory) {
        record.extend_from_slice(&node.uid.to_be_bytes());
        record.extend_from_slice(&node.gid.to_be_bytes());
    }
    let (major, minor) = node.device;
    if matches!(node.kind, Kind::Char | Kind::Block) {
        record.extend_from_slice(&major.to_be_bytes());
        record.extend_from_slice(&minor.to_be_bytes());
    }
    add(record, &found.link);
}

/// Adds bytes with their length before them.
fn add(record: &mut Vec<u8>, bytes: &[u8]) {
    record.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    record.extend_from_slice(bytes);
}
