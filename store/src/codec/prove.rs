//! Proving that the encoder of this program makes a stored blob, bit for bit, from its plain bytes.
//!
//! A blob of somebody else's is told by its first frame, or by what stands at its end, before the rest is looked at.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use flate2::bufread::GzDecoder;

use super::Encoding;
use super::frames::{CHUNK, FrameEncoder};
use super::seek::{Frame, one, read_table};
use crate::blob::{Blob, BlobReader};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::media_type::Compression;

/// A frame or member, unpacked.
struct Member {
    plain: Vec<u8>,
    /// Where it is in the blob.
    offset: u64,
    coded: u64,
}

/// Finds out with which encoding larder's encoder makes exactly this blob of what it unpacks to. `None`: with none, or
/// the blob is damaged. Takes the time of encoding it on so many threads; 16 MiB of memory for each, and as much besides.
pub fn prove(blob: &Blob, jobs: usize, cancel: &Cancel) -> Result<Option<Encoding>> {
    Proof::begin(blob, cancel)?.map_or(Ok(None), |proof| proof.finish(jobs, cancel))
}

/// [`prove`] in two: what takes no time, and the rest.
pub struct Proof {
    blob: Blob,
    /// What makes the first frame.
    likely: Encoding,
    /// Levels that are not tried yet.
    levels: std::vec::IntoIter<i32>,
}

impl Proof {
    /// Looks at the first frame, or member. `None`: the encoder does not make this blob.
    pub fn begin(blob: &Blob, cancel: &Cancel) -> Result<Option<Proof>> {
        let failed = Error::io("read", format!("blob {}", blob.digest()));
        let mut head = [0; 4];
        let count = blob.read_at(&mut head, 0).map_err(failed)?;
        let compression = Compression::sniff(&head[..count]);
        // The default is tried first.
        let likely = Encoding::of(compression);
        let mut levels: Vec<_> = match compression {
            Compression::None => Vec::new(),
            Compression::Gzip => (1..=9).collect(),
            Compression::Zstd => (1..=19).collect(),
        };
        levels.sort_by_key(|level| *level != likely.level);
        let mut proof = Proof { blob: blob.clone(), likely, levels: levels.into_iter() };
        let is_possible = compression == Compression::None || proof.next_level(cancel)?;
        Ok(is_possible.then_some(proof))
    }

    /// Goes to the next level that makes the first frame; false where there is none.
    fn next_level(&mut self, cancel: &Cancel) -> Result<bool> {
        let (blob, compression) = (&self.blob, self.likely.compression);
        let failed = |error| Error::io("read", format!("blob {}", blob.digest()))(error);
        let Some(mut members) = Members::open(blob, compression).map_err(failed)? else { return Ok(false) };
        let Some(first) = members.next().map_err(failed)? else { return Ok(false) };
        for level in self.levels.by_ref() {
            cancel.check()?;
            self.likely = Encoding { compression, level };
            let mut encoder = FrameEncoder::new(self.likely).map_err(failed)?;
            if is_made(blob, &first, &mut encoder, &mut Vec::new(), &mut Vec::new()).map_err(failed)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at all of it, as [`prove`] does.
    pub fn finish(mut self, jobs: usize, cancel: &Cancel) -> Result<Option<Encoding>> {
        if self.likely.compression == Compression::None {
            return Ok(Some(self.likely));
        }
        loop {
            if all(&self.blob, self.likely, jobs, cancel)? {
                return Ok(Some(self.likely));
            }
            // Several levels may make the same of a first frame.
            if !self.next_level(cancel)? {
                return Ok(None);
            }
        }
    }
}

/// Whether all of the blob is what the encoder makes.
fn all(blob: &Blob, encoding: Encoding, jobs: usize, cancel: &Cancel) -> Result<bool> {
    let failed = |error| Error::io("read", format!("blob {}", blob.digest()))(error);
    let Some(mut members) = Members::open(blob, encoding.compression).map_err(failed)? else {
        return Ok(false);
    };
    let differs = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (work, to_do) = sync_channel::<Member>(1);
        // The threads have it alone: once they have ended nobody waits for them.
        let to_do = std::sync::Arc::new(Mutex::new(to_do));
        let mut threads = Vec::new();
        for _ in 0..jobs.max(1) {
            let (to_do, differs) = (std::sync::Arc::clone(&to_do), &differs);
            let check = move || check(blob, encoding, &to_do, differs);
            let thread = std::thread::Builder::new().name("prove".into()).spawn_scoped(scope, check);
            threads.push(thread.map_err(Error::io("start a thread for", format!("blob {}", blob.digest())))?);
        }
        drop(to_do);
        while !differs.load(Ordering::Relaxed) {
            cancel.check()?;
            let Some(member) = members.next().map_err(failed)? else { break };
            if work.send(member).is_err() {
                break;
            }
        }
        drop(work);
        for thread in threads {
            let stopped = |_| Error::invalid("the encoder", "a thread of it panicked");
            thread.join().map_err(stopped)?.map_err(failed)?;
        }
        Ok(!differs.load(Ordering::Relaxed) && members.is_whole())
    })
}

fn check(
    blob: &Blob,
    encoding: Encoding,
    to_do: &Mutex<Receiver<Member>>,
    differs: &AtomicBool,
) -> io::Result<()> {
    let mut encoder = FrameEncoder::new(encoding)?;
    let (mut coded, mut stored) = (Vec::new(), Vec::new());
    loop {
        let member = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(member) = member else { return Ok(()) };
        if !is_made(blob, &member, &mut encoder, &mut coded, &mut stored)? {
            differs.store(true, Ordering::Relaxed);
            return Ok(());
        }
    }
}

fn is_made(
    blob: &Blob,
    member: &Member,
    encoder: &mut FrameEncoder,
    coded: &mut Vec<u8>,
    stored: &mut Vec<u8>,
) -> io::Result<bool> {
    encoder.encode(&member.plain, coded)?;
    if coded.len() as u64 != member.coded {
        return Ok(false);
    }
    stored.resize(coded.len(), 0);
    super::seek::read_exact_at(blob, stored, member.offset)?;
    Ok(coded == stored)
}

/// The frames or members of a blob, one after the other.
enum Members {
    Zstd { blob: Blob, frames: std::vec::IntoIter<Frame>, zstd: zstd::bulk::Decompressor<'static> },
    Gzip { source: BufReader<BlobReader>, offset: u64, state: Gzip },
}

#[derive(PartialEq, Eq)]
enum Gzip {
    /// So many members, all of them full.
    Full(u64),
    /// A shorter one was the last.
    Ended,
    /// Not as we write.
    Foreign,
}

impl Members {
    /// `None` where the blob does not look like one of ours.
    fn open(blob: &Blob, compression: Compression) -> io::Result<Option<Members>> {
        if compression == Compression::Gzip {
            let source = BufReader::with_capacity(128 << 10, blob.reader());
            return Ok(Some(Members::Gzip { source, offset: 0, state: Gzip::Full(0) }));
        }
        let Some(frames) = read_table(blob)? else { return Ok(None) };
        let Some((last, full)) = frames.split_last() else { return Ok(None) };
        let is_ours = full.iter().all(|frame| frame.plain == CHUNK) && (last.plain > 0 || full.is_empty());
        if !is_ours {
            return Ok(None);
        }
        let (blob, zstd) = (blob.clone(), zstd::bulk::Decompressor::new()?);
        Ok(Some(Members::Zstd { blob, frames: frames.into_iter(), zstd }))
    }

    fn next(&mut self) -> io::Result<Option<Member>> {
        match self {
            Members::Zstd { blob, frames, zstd } => {
                let Some(frame) = frames.next() else { return Ok(None) };
                let mut plain = Vec::new();
                match one(blob, frame, &mut Vec::new(), zstd, &mut plain) {
                    Ok(()) => Ok(Some(Member { plain, offset: frame.offset, coded: frame.coded as u64 })),
                    Err(error) if error.raw_os_error().is_some() => Err(error),
                    // A damaged frame is none that the encoder makes.
                    Err(_) => Ok(Some(Member { plain: Vec::new(), offset: frame.offset, coded: u64::MAX })),
                }
            }
            Members::Gzip { source, offset, state } => {
                let Gzip::Full(count) = *state else { return Ok(None) };
                if source.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                let mut plain = Vec::new();
                let mut counted = Consumed { inner: source, count: 0 };
                let mut member = GzDecoder::new(&mut counted).take(CHUNK as u64 + 1);
                let read = member.read_to_end(&mut plain);
                let coded = counted.count;
                *state = match read {
                    Err(error) if error.raw_os_error().is_some() => return Err(error),
                    Ok(CHUNK) => Gzip::Full(count + 1),
                    Ok(1..CHUNK) => Gzip::Ended,
                    Ok(0) if count == 0 => Gzip::Ended,
                    _ => Gzip::Foreign,
                };
                let member = Member { plain, offset: *offset, coded };
                *offset += coded;
                Ok(Some(member).filter(|_| *state != Gzip::Foreign))
            }
        }
    }

    /// Whether nothing of the blob was left out, when there are no more.
    fn is_whole(&mut self) -> bool {
        match self {
            Members::Zstd { frames, .. } => frames.len() == 0,
            Members::Gzip { source, state, .. } => {
                *state != Gzip::Foreign && source.fill_buf().is_ok_and(<[u8]>::is_empty)
            }
        }
    }
}

/// Counts what a decoder takes of a buffer.
struct Consumed<'s, R> {
    inner: &'s mut R,
    count: u64,
}

impl<R: BufRead> Read for Consumed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Consumed<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, count: usize) {
        self.count += count as u64;
        self.inner.consume(count);
    }
}
