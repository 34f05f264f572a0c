//! Which of several layers is most like one, by the paths and sizes of their members.
//!
//! A layer may have a million members, so a sketch of it keeps two samples: the members whose paths have the smallest
//! sums, which are the same ones in every layer that has them, and the largest members, which matter most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::split::name;
use crate::blob::from_io;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::facts::Lister;

/// The version of what is kept; another one is made anew.
const FORMAT: u32 = 1;
/// Bytes of what is kept, unpacked.
const MAX_JSON: usize = 1 << 20;
/// Members of the sample by path.
const SAMPLE: usize = 4096;
/// Members of the sample by size.
const LARGE: usize = 1024;
/// What a member's headers come to.
const HEAD: u64 = 512;

/// What is kept of a layer to compare it with others: a hundred KiB at the most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    members: u64,
    /// Sizes, by sums of paths.
    sample: BTreeMap<u64, u64>,
    large: BTreeMap<u64, u64>,
}

/// Makes a sketch while a layer's members pass.
#[derive(Default)]
pub(crate) struct Sketcher {
    sketch: Sketch,
    largest: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Sketcher {
    /// Takes a member: its path as it stands there, and the bytes of its content.
    pub(crate) fn member(&mut self, path: &[u8], size: u64) {
        let (sketch, path) = (&mut self.sketch, name(path).path);
        sketch.members += 1;
        sketch.sample.insert(path, size);
        if sketch.sample.len() > SAMPLE {
            sketch.sample.pop_last();
        }
        if size > 0 {
            self.largest.push(Reverse((size, path)));
        }
        if self.largest.len() > LARGE {
            self.largest.pop();
        }
    }

    pub(crate) fn finish(self) -> Sketch {
        let large = self.largest.into_iter().map(|Reverse((size, path))| (path, size)).collect();
        Sketch { large, ..self.sketch }
    }
}

impl Sketch {
    /// Reads a layer's plain bytes. What is no tar has no members.
    pub fn read(plain: &mut dyn Read, cancel: &Cancel) -> Result<Sketch> {
        let (mut lister, mut buffer) = (Lister::default(), vec![0; 256 << 10]);
        loop {
            cancel.check()?;
            match plain.read(&mut buffer) {
                Ok(0) => return Ok(lister.finish().1),
                Ok(count) => lister.feed(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io(error, Error::io("read", "the layer"))),
            }
        }
    }

    /// Reads what [`Sketch::to_bytes`] wrote; nothing of another version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Sketch> {
        let json = zstd::bulk::decompress(bytes, MAX_JSON).ok()?;
        let (format, sketch) = serde_json::from_slice::<(u32, Sketch)>(&json).ok()?;
        (format == FORMAT).then_some(sketch)
    }

    /// As it is kept.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(&(FORMAT, self)).expect("numbers serialise");
        zstd::bulk::compress(&json, 1).unwrap_or_default()
    }

    /// About how many bytes of this layer the other one has too.
    fn shared(&self, other: &Sketch) -> u64 {
        let large: u64 = self.large.iter().map(|(path, size)| other.has(*path, *size)).sum();
        // Up to the last path of the shorter sample both are complete.
        let last = |sketch: &Sketch| match sketch.sample.last_key_value() {
            Some((path, _)) if sketch.sample.len() == SAMPLE => *path,
            _ => u64::MAX,
        };
        let sampled = self.sample.range(..=last(self).min(last(other)));
        let (mut members, mut shared) = (0u64, 0u64);
        for (path, size) in sampled {
            members += 1;
            if !self.large.contains_key(path) {
                shared = shared.saturating_add(other.has(*path, *size));
            }
        }
        let times = u128::from(self.members.max(members));
        let small = u128::from(shared) * times / u128::from(members.max(1));
        large.saturating_add(u64::try_from(small).unwrap_or(u64::MAX))
    }

    /// What a member of this path and size has in common with the one that is here: another size is another content.
    fn has(&self, path: u64, size: u64) -> u64 {
        match self.sample.get(&path).or_else(|| self.large.get(&path)) {
            Some(here) if *here == size => HEAD.saturating_add(size),
            Some(here) => HEAD.saturating_add(size.min(*here) / 2),
            None => 0,
        }
    }
}

/// Orders layers by how much of the target they have, the most first: their places in `candidates`, and about how many bytes
/// that are. Those that have nothing of it are left out; of equals the earlier one comes first.
pub fn similar(target: &Sketch, candidates: &[Sketch]) -> Vec<(usize, u64)> {
    let shared = candidates.iter().enumerate().map(|(at, candidate)| (at, target.shared(candidate)));
    let mut ranking: Vec<_> = shared.filter(|(_, shared)| *shared > 0).collect();
    ranking.sort_by_key(|(_, shared)| Reverse(*shared));
    ranking
}
