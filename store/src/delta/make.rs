//! Making a delta: one pass over the base, one over the target; segments are compressed on several threads.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::Settings;
use super::base::{Base, MAX_BASE, is_it};
use super::chunk::Cutter;
use super::coded::{Coded, Job, MAX_ZSTD};
use super::format::{Header, MAX_NEW, MAX_REFERENCE, check};
use super::index::{Index, MAX_INDEX};
use super::segment::Filler;
use super::split::Splitter;
use crate::blob::from_io;
use crate::cancel::Cancel;
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::ids::DiffId;

/// Memory that a segment takes on its way, beside the tables of zstd.
const MAX_SEGMENT: u64 = 2 * MAX_NEW + MAX_REFERENCE;
/// The layer that a delta is to give.
pub struct Target<'t> {
    /// Its plain bytes.
    pub plain: &'t mut dyn Read,
    /// What they are.
    pub diff_id: DiffId,
    /// How many they are.
    pub size: u64,
}

/// A delta that was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// Its bytes.
    pub size: u64,
    /// Bytes of the target that are copied out of the base.
    pub copied: u64,
    /// Bytes of the target that are new, before they were compressed.
    pub new: u64,
}

/// Makes a delta that gives `target` where `base` is, and writes it to `out`. `None`, with `out` in any state, as soon as it
/// has more than `most` bytes. The same layers and level give the same bytes, whatever the other settings are.
pub fn make(
    base: &mut Base,
    target: Target<'_>,
    settings: &Settings,
    most: Option<u64>,
    out: &mut dyn Write,
    cancel: &Cancel,
) -> Result<Option<Made>> {
    let cutter = Cutter::for_size(base.size());
    let base_id = base.diff_id();
    let mut hasher = Hasher::new();
    let read = Hashed { inner: &mut base.reader(cancel), hasher: &mut hasher, cancel };
    let index = Index::read(Splitter::new(read, cutter), cancel);
    let index = index.map_err(|error| from_io(error, Error::io("read", "the base")))?;
    // A delta to anything else could be applied nowhere, and that would be found where it is too late.
    is_it(base_id, hasher)?;
    let header = Header {
        base: base.diff_id(),
        base_size: base.size(),
        target: target.diff_id,
        target_size: target.size,
    };
    let mut out = Output { out, most: most.unwrap_or(u64::MAX), made: Made::default() };
    if !out.write(&header.to_bytes())? {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    let mut pieces = Splitter::new(Hashed { inner: target.plain, hasher: &mut hasher, cancel }, cutter);
    let mut filler = Filler::new(&index, base.size());
    let mut next = || loop {
        let piece = pieces.next_piece();
        match piece.map_err(|error| from_io(error, Error::io("read", "the layer")))? {
            None => return filler.end().map(|segment| Job::new(segment, base, cancel)).transpose(),
            Some(piece) => {
                if let Some(segment) = filler.take(&piece) {
                    return Job::new(segment, base, cancel).map(Some);
                }
            }
        }
    };
    let jobs = settings.jobs.min(jobs_in(settings.memory, &index));
    let fits = match jobs {
        0 | 1 => inline(&mut next, settings.level, &mut out)?,
        _ => threads(&mut next, settings.level, jobs, &mut out)?,
    };
    let made = out.made;
    if !fits {
        return Ok(None);
    }
    let (size, diff_id) = (hasher.size(), DiffId(hasher.finish()));
    if (size, diff_id) != (target.size, target.diff_id) {
        let why = format!("is {size} bytes of {diff_id}, where {} bytes were announced", target.size);
        return Err(Error::damaged(format!("the layer {}", target.diff_id), why));
    }
    Ok(Some(made))
}

/// The least memory that is enough to make a delta between layers of any size, bytes.
pub const LEAST_MEMORY: u64 = MAX_INDEX + MAX_BASE + MAX_SEGMENT + MAX_ZSTD;

/// How many threads compress within so much memory.
fn jobs_in(memory: u64, index: &Index) -> usize {
    // Beside those that are compressed one waits and one is being filled.
    let left = memory.saturating_sub(index.memory() + MAX_BASE + 2 * MAX_SEGMENT);
    // For each of them two others may be finished before their turn.
    (left / (MAX_SEGMENT + MAX_ZSTD + 2 * MAX_NEW)) as usize
}

type Next<'n> = &'n mut dyn FnMut() -> Result<Option<Job>>;

/// Compresses one segment after the other; whether the delta is small enough.
fn inline(next: Next<'_>, level: i32, out: &mut Output<'_>) -> Result<bool> {
    while let Some(job) = next()? {
        if !out.segment(&job.code(level)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same on so many threads beside this one.
fn threads(next: Next<'_>, level: i32, jobs: usize, out: &mut Output<'_>) -> Result<bool> {
    std::thread::scope(|scope| {
        let (work, to_do) = sync_channel::<(u64, Job)>(0);
        let (done, finished) = channel();
        let to_do = Arc::new(Mutex::new(to_do));
        for _ in 0..jobs {
            let (to_do, done) = (Arc::clone(&to_do), done.clone());
            let compress = move || loop {
                let job = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((number, job)) = job else { return };
                if done.send((number, job.code(level))).is_err() {
                    return;
                }
            };
            let thread = std::thread::Builder::new().name("delta".into()).spawn_scoped(scope, compress);
            thread.map_err(Error::io("start a thread for", "the delta"))?;
        }
        drop((to_do, done));
        let mut early = BTreeMap::new();
        let (mut asked, mut written) = (0u64, 0u64);
        let stopped = || Error::invalid("the delta", "a thread that makes it stopped");
        loop {
            let job = next()?;
            let is_end = job.is_none();
            if let Some(job) = job {
                work.send((asked, job)).map_err(|_| stopped())?;
                asked += 1;
            }
            // So many are out of order at the most.
            let most = if is_end { 0 } else { 2 * jobs as u64 };
            while asked - written > most || !early.is_empty() && early.contains_key(&written) {
                let coded = match early.remove(&written) {
                    Some(coded) => coded,
                    None => {
                        let (number, coded) = finished.recv().map_err(|_| stopped())?;
                        early.insert(number, coded?);
                        continue;
                    }
                };
                if !out.segment(&coded)? {
                    return Ok(false);
                }
                written += 1;
            }
            if is_end {
                return Ok(true);
            }
        }
    })
}

/// Where the delta goes.
struct Output<'o> {
    out: &'o mut dyn Write,
    most: u64,
    made: Made,
}

impl Output<'_> {
    /// Writes, if that is not too much; whether it was not.
    fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        self.made.size += bytes.len() as u64;
        if self.made.size > self.most {
            return Ok(false);
        }
        self.out.write_all(bytes).map_err(Error::io("write", "the delta"))?;
        Ok(true)
    }

    fn segment(&mut self, coded: &Coded) -> Result<bool> {
        self.made.new += coded.sums.new;
        self.made.copied += coded.sums.plain - coded.sums.new;
        self.write(&coded.bytes)
    }
}

/// Learns what passes.
struct Hashed<'h> {
    inner: &'h mut dyn Read,
    hasher: &'h mut Hasher,
    cancel: &'h Cancel,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(self.cancel)?;
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_memory_is_enough_for_what_it_says() {
        let settings = Settings::default();
        assert!(LEAST_MEMORY <= settings.memory, "{LEAST_MEMORY}");
        assert_eq!(jobs_in(settings.memory, &Index::default()), settings.jobs);
    }
}
