//! Reading pieces of a layer of ours, by its seek table.

use std::collections::VecDeque;
use std::io;

use super::seek::{Frame, one, read_table};
use crate::blob::Blob;
use crate::layers::LayerFacts;

/// Reads pieces of a layer of ours: only the frames that hold them are unpacked. What comes out is not checked.
pub struct FrameReader {
    blob: Blob,
    /// Each with where its plain bytes begin.
    frames: Vec<(u64, Frame)>,
    /// The frames that were used last, by number, the newest in front.
    kept: VecDeque<(usize, Vec<u8>)>,
    keep: usize,
    unpacked: u64,
    coded: Vec<u8>,
    zstd: zstd::bulk::Decompressor<'static>,
}

impl FrameReader {
    /// Opens a layer; `None` where it is not one of ours.
    pub fn open(blob: &Blob, facts: &LayerFacts) -> io::Result<Option<FrameReader>> {
        let frames = if facts.seekable { read_table(blob)? } else { None };
        let Some(frames) = frames else { return Ok(None) };
        let mut begin = 0;
        let frames = frames.into_iter().map(|frame| {
            let at = begin;
            begin += frame.plain as u64;
            (at, frame)
        });
        let (frames, zstd) = (frames.collect(), zstd::bulk::Decompressor::new()?);
        let (blob, kept) = (blob.clone(), VecDeque::new());
        Ok(Some(FrameReader { blob, frames, kept, keep: 1, unpacked: 0, coded: Vec::new(), zstd }))
    }

    /// Keeps so many frames unpacked, of [`super::CHUNK`] bytes each, instead of one.
    pub fn keeping(mut self, keep: usize) -> FrameReader {
        self.keep = keep.max(1);
        self
    }

    /// Plain bytes of the whole layer, as its table says.
    pub fn plain_size(&self) -> u64 {
        self.frames.last().map_or(0, |(begin, frame)| begin + frame.plain as u64)
    }

    /// Plain bytes that were unpacked so far to give what was asked for.
    pub fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// Appends so many plain bytes from a position on, or as many as there are.
    pub fn read(&mut self, position: u64, length: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let (begin, there) = (out.len(), length.min(self.plain_size().saturating_sub(position)));
        out.resize(begin + there as usize, 0);
        let got = self.read_at(position, &mut out[begin..])?;
        out.truncate(begin + got);
        Ok(())
    }

    /// Reads plain bytes from a position on; how many there were.
    pub fn read_at(&mut self, position: u64, out: &mut [u8]) -> io::Result<usize> {
        let first = self.frames.partition_point(|(begin, frame)| begin + frame.plain as u64 <= position);
        let mut got = 0;
        for number in first..self.frames.len() {
            if got == out.len() {
                break;
            }
            let (begin, _) = self.frames[number];
            let plain = self.frame(number)?;
            let from = &plain[(position + got as u64 - begin) as usize..];
            let count = from.len().min(out.len() - got);
            out[got..got + count].copy_from_slice(&from[..count]);
            got += count;
        }
        Ok(got)
    }

    fn frame(&mut self, number: usize) -> io::Result<&[u8]> {
        match self.kept.iter().position(|(kept, _)| *kept == number) {
            Some(0) => {}
            Some(at) => {
                let found = self.kept.remove(at);
                self.kept.extend(found);
                self.kept.rotate_right(1);
            }
            None => {
                // Its memory is used again: to give it back and have it cleared anew takes as long as unpacking.
                let oldest = if self.kept.len() < self.keep { None } else { self.kept.pop_back() };
                let mut plain = oldest.map_or_else(Vec::new, |(_, plain)| plain);
                let (_, frame) = self.frames[number];
                one(&self.blob, frame, &mut self.coded, &mut self.zstd, &mut plain)?;
                self.unpacked += frame.plain as u64;
                self.kept.push_front((number, plain));
            }
        }
        Ok(self.kept.front().map_or(&[], |(_, plain)| plain))
    }
}
