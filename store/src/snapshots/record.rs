//! What is written down of a whole snapshot, and the bytes that a tree takes.

use std::collections::HashSet;

use super::RECORD;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs::Dir;
use crate::tree::{Directory, Kind};

const FORMAT: u32 = 1;

/// The file beside the files.
pub(super) struct Record {
    format: u32,
    boot: String,
    pub(super) allocated: u64,
    pub(super) blob: Digest,
}

impl Record {
    pub(super) fn line(allocated: u64, blob: &Digest) -> String {
        format!("{FORMAT} {} {allocated} {blob}\n", boot())
    }

    pub(super) fn read(dir: &Dir) -> Result<Option<Record>> {
        let Some(bytes) = dir.read(RECORD, 4096)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<_> = text.strip_suffix('\n').unwrap_or_default().split(' ').collect();
        let [format, boot, allocated, blob] = *words else { return Ok(None) };
        let (Ok(format), Ok(allocated), Ok(blob)) = (format.parse(), allocated.parse(), blob.parse()) else {
            return Ok(None);
        };
        Ok(Some(Record { format, boot: boot.to_owned(), allocated, blob }))
    }

    pub(super) fn is_valid(&self) -> bool {
        self.format == FORMAT && !self.boot.is_empty() && self.boot == boot()
    }
}

/// What tells one start of the machine from the next.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Bytes that a tree takes on the disk, and at least those, where it is very deep.
pub(super) fn allocated(dir: &Directory, depth: usize) -> Result<u64> {
    let mut sum = 0u64;
    let mut linked = HashSet::new();
    add_up(dir, depth, &mut linked, &mut sum)?;
    Ok(sum)
}

fn add_up(dir: &Directory, depth: usize, linked: &mut HashSet<(u64, u64)>, sum: &mut u64) -> Result<()> {
    for name in dir.names()? {
        let Some(node) = dir.stat(&name)? else { continue };
        if node.kind == Kind::Directory {
            if depth > 0
                && let Some(inner) = dir.below(&name)?
            {
                add_up(&inner, depth - 1, linked, sum)?;
            }
        } else if node.links > 1 && !linked.insert(node.identity) {
            continue;
        }
        *sum = sum.saturating_add(node.allocated);
    }
    Ok(())
}
