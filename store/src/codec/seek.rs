//! The seek table of our own layers, and all cores at unpacking one.
//!
//! The zstd seekable format (`contrib/seekable_format` of facebook/zstd): behind the frames stands a skippable frame
//! with two sizes for each of them and a footer. A table of somebody else's may lie, and would show us another image
//! than an engine sees; so it is read only of blobs that this store encoded or checked, and where what is made of it is hashed in the end.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::decode::{Limits, decoder};
use super::frames::{CHUNK, SEEKABLE_MAGIC, SKIPPABLE_MAGIC};
use crate::blob::Blob;
use crate::layers::LayerFacts;

const FOOTER: u64 = 9;
const ENTRY: u64 = 8;
/// Threads that unpack: two are faster than the one that hashes what they give, and each holds some MiB.
const WORKERS: usize = 2;
/// 4 TiB of plain data.
const MAX_FRAMES: u64 = 1 << 20;

/// One frame of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins in the blob.
    pub offset: u64,
    /// Its bytes in the blob.
    pub coded: usize,
    /// Its bytes unpacked, [`CHUNK`] at most.
    pub plain: usize,
}

/// Reads a seek table. `tail` is the end of a blob of `size` bytes, with the whole table in it. `None` where it is not
/// one of ours: frames that fill the blob to the table, of a size that we write.
pub fn parse_table(tail: &[u8], size: u64) -> Option<Vec<Frame>> {
    let word = |at: usize| Some(u32::from_le_bytes(tail.get(at..at + 4)?.try_into().ok()?));
    let footer = tail.len().checked_sub(FOOTER as usize)?;
    let count = u64::from(word(footer)?);
    if tail[footer + 4] != 0 || word(footer + 5)? != SEEKABLE_MAGIC || count > MAX_FRAMES {
        return None;
    }
    let table = usize::try_from(8 + count * ENTRY + FOOTER).ok()?;
    let begin = tail.len().checked_sub(table)?;
    if word(begin)? != SKIPPABLE_MAGIC || u64::from(word(begin + 4)?) != count * ENTRY + FOOTER {
        return None;
    }
    let (mut frames, mut offset) = (Vec::new(), 0);
    for at in (begin + 8..footer).step_by(ENTRY as usize) {
        let (coded, plain) = (word(at)? as usize, word(at + 4)? as usize);
        let is_last = at + ENTRY as usize == footer;
        // As the encoder cuts: all are full but the last, and only an empty layer has an empty one.
        let is_cut_so = plain == CHUNK || is_last && plain < CHUNK && (plain > 0 || count == 1);
        if !is_cut_so || coded == 0 || coded > zstd::zstd_safe::compress_bound(CHUNK) {
            return None;
        }
        frames.push(Frame { offset, coded, plain });
        offset += coded as u64;
    }
    (offset + table as u64 == size).then_some(frames)
}

/// Unpacks a stored layer, on several threads where it is one of ours; what comes out is for the caller to check.
pub fn layer_decoder(blob: &Blob, facts: &LayerFacts, jobs: usize) -> io::Result<Box<dyn Read + Send>> {
    if facts.seekable
        && jobs > 1
        && let Some(frames) = read_table(blob)?
    {
        return Ok(Box::new(ParallelDecoder::new(blob, frames, jobs.min(WORKERS))));
    }
    // How large it is has been seen, or written, by this store.
    decoder(facts.compression, blob.reader(), blob.size(), Limits { floor: facts.plain_size, ratio: 0 })
}

/// The frames of a blob that this store encoded; `None` where it has no such table.
pub(super) fn read_table(blob: &Blob) -> io::Result<Option<Vec<Frame>>> {
    let mut footer = [0; FOOTER as usize];
    let Some(at) = blob.size().checked_sub(FOOTER) else { return Ok(None) };
    read_exact_at(blob, &mut footer, at)?;
    let count = u64::from(u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]));
    let table = 8 + count.min(MAX_FRAMES) * ENTRY + FOOTER;
    let Some(at) = blob.size().checked_sub(table) else { return Ok(None) };
    let mut tail = vec![0; table as usize];
    read_exact_at(blob, &mut tail, at)?;
    Ok(parse_table(&tail, blob.size()))
}

/// Plain bytes that a blob has by its seek table; `None` where it has none like ours, or one that says more than is believed
/// of a stream of that size.
pub(crate) fn table_says(blob: &Blob) -> io::Result<Option<u64>> {
    let frames = read_table(blob)?;
    let plain = frames.map(|frames| frames.iter().map(|frame| frame.plain as u64).sum());
    Ok(plain.filter(|plain| *plain <= Limits::default().of(blob.size())))
}

/// Unpacks the frames of a blob on several threads, and gives their content in order. Memory is bounded by one frame
/// more than there are threads. What stands between the frames is not looked at.
pub(super) struct ParallelDecoder {
    // Closed first, so that the threads end.
    work: Option<Sender<(usize, Frame, Vec<u8>)>>,
    finished: Receiver<(usize, io::Result<Vec<u8>>)>,
    workers: Vec<JoinHandle<()>>,
    waiting: std::iter::Enumerate<std::vec::IntoIter<Frame>>,
    early: BTreeMap<usize, Vec<u8>>,
    next: usize,
    asked: usize,
    current: Vec<u8>,
    position: usize,
}

impl ParallelDecoder {
    pub(super) fn new(blob: &Blob, frames: Vec<Frame>, jobs: usize) -> ParallelDecoder {
        let (work, to_do) = channel::<(usize, Frame, Vec<u8>)>();
        let (done, finished) = channel();
        let to_do = Arc::new(Mutex::new(to_do));
        let workers = (0..jobs)
            .filter_map(|_| {
                let (blob, to_do, done) = (blob.clone(), Arc::clone(&to_do), done.clone());
                std::thread::Builder::new().spawn(move || unpack(&blob, &to_do, &done)).ok()
            })
            .collect();
        let mut decoder = ParallelDecoder {
            work: Some(work),
            finished,
            workers,
            waiting: frames.into_iter().enumerate(),
            early: BTreeMap::new(),
            next: 0,
            current: Vec::new(),
            position: 0,
            asked: 0,
        };
        for _ in 0..jobs + 1 {
            decoder.ask(Vec::new());
        }
        decoder
    }

    /// Has one more frame unpacked, into memory that was used before.
    fn ask(&mut self, used: Vec<u8>) {
        if let (Some(work), Some((number, frame))) = (&self.work, self.waiting.next()) {
            let _ = work.send((number, frame, used));
            self.asked += 1;
        }
    }

    /// The next frame's content; empty at the end.
    fn fetch(&mut self, used: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.next == self.asked {
            return Ok(Vec::new());
        }
        loop {
            if let Some(plain) = self.early.remove(&self.next) {
                self.next += 1;
                self.ask(used);
                return Ok(plain);
            }
            let stopped = |_| io::Error::other("the threads that unpack it stopped");
            let (number, plain) = self.finished.recv().map_err(stopped)?;
            self.early.insert(number, plain?);
        }
    }
}

impl Read for ParallelDecoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            let used = std::mem::take(&mut self.current);
            self.current = self.fetch(used)?;
            self.position = 0;
            if self.current.is_empty() && self.next == self.asked {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.current.len() - self.position);
        buffer[..count].copy_from_slice(&self.current[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

impl Drop for ParallelDecoder {
    fn drop(&mut self) {
        self.work = None;
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn unpack(
    blob: &Blob,
    to_do: &Mutex<Receiver<(usize, Frame, Vec<u8>)>>,
    done: &Sender<(usize, io::Result<Vec<u8>>)>,
) {
    let mut coded = Vec::new();
    let mut zstd = zstd::bulk::Decompressor::new();
    loop {
        let next = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, frame, mut plain)) = next else { return };
        let plain = match &mut zstd {
            Ok(zstd) => one(blob, frame, &mut coded, zstd, &mut plain).map(|()| plain),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        if done.send((number, plain)).is_err() {
            return;
        }
    }
}

/// Replaces `plain` with what a frame holds.
pub(super) fn one(
    blob: &Blob,
    frame: Frame,
    coded: &mut Vec<u8>,
    zstd: &mut zstd::bulk::Decompressor<'_>,
    plain: &mut Vec<u8>,
) -> io::Result<()> {
    coded.resize(frame.coded, 0);
    read_exact_at(blob, coded, frame.offset)?;
    plain.clear();
    plain.reserve_exact(frame.plain);
    zstd.decompress_to_buffer(coded.as_slice(), plain)?;
    if plain.len() == frame.plain {
        Ok(())
    } else {
        let why = format!("a frame has {} bytes where its table says {}", plain.len(), frame.plain);
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

pub(super) fn read_exact_at(blob: &Blob, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match blob.read_at(buffer, position)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                buffer = &mut buffer[count..];
                position += count as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(frames: &[(u32, u32)]) -> Vec<u8> {
        super::super::frames::seek_table(frames)
    }

    #[test]
    fn a_table_says_where_the_frames_are() {
        const FULL: u32 = CHUNK as u32;
        let tail = table(&[(100, FULL), (7, FULL), (9, 20)]);
        let size = 116 + tail.len() as u64;
        let frames = parse_table(&tail, size).expect("a table");
        assert_eq!(frames[2], Frame { offset: 107, coded: 9, plain: 20 });
        assert_eq!(frames.len(), 3);
        let empty = table(&[(9, 0)]);
        assert!(parse_table(&empty, 9 + empty.len() as u64).is_some());
        // Frames that our encoder would not cut so, and that would be gone through for nothing.
        for frames in [
            [(100, FULL), (7, 0), (9, 20)],
            [(100, FULL), (7, 20), (9, 20)],
            [(100, FULL), (7, FULL), (9, 0)],
            [(107, FULL), (0, FULL), (9, 20)],
        ] {
            let tail = table(&frames);
            assert_eq!(parse_table(&tail, 116 + tail.len() as u64), None, "{frames:?}");
        }
        for (bad, size) in [
            (tail.clone(), size + 1),
            (tail.clone(), size - 1),
            (tail[1..].to_vec(), size),
            (table(&[(116, CHUNK as u32 + 1)]), 116 + table(&[(0, 0)]).len() as u64),
            (Vec::new(), 0),
        ] {
            assert_eq!(parse_table(&bad, size), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_none(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), size in any::<u64>()) {
            if let Some(frames) = parse_table(&bytes, size) {
                prop_assert!(frames.iter().all(|frame| frame.plain <= CHUNK));
            }
            // With a good footer the rest is looked at.
            let count = (bytes.len() / 8) as u32;
            bytes.extend(count.to_le_bytes());
            bytes.push(0);
            bytes.extend(SEEKABLE_MAGIC.to_le_bytes());
            let _ = parse_table(&bytes, size);
        }
    }
}
