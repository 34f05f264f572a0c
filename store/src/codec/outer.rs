//! The compression around a whole archive: more kinds than layers have, and only read.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::BzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::decode::{Limits, bounded, unbounded};
use crate::media_type::Compression;

/// Bytes that tell what stands around an archive.
pub const HEAD: usize = 6;

/// Memory that an xz stream may ask for: what the tool's own highest level needs to unpack, and as much again.
const XZ_MEMORY: u64 = 128 << 20;

/// What stands around an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outer {
    /// Nothing: the archive begins at once.
    Plain,
    /// gzip or zstd, as around layers.
    Layer(Compression),
    /// xz (the .xz file format; not the older .lzma).
    Xz,
    /// bzip2.
    Bzip2,
}

impl Outer {
    /// Tells it by the first [`HEAD`] bytes.
    pub fn sniff(head: &[u8]) -> Outer {
        if head.starts_with(b"\xfd7zXZ\0") {
            return Outer::Xz;
        }
        if head.starts_with(b"BZh") {
            return Outer::Bzip2;
        }
        match Compression::sniff(head) {
            Compression::None => Outer::Plain,
            compression => Outer::Layer(compression),
        }
    }

    /// Reads what is inside, all members or streams of it. How much that is may not be out of all proportion to the
    /// compressed bytes that were read for it, whatever the format: bzip2 packs zeros 45,000 times.
    pub fn open<'r>(
        self,
        source: impl Read + Send + 'r,
        limits: Limits,
    ) -> io::Result<Box<dyn Read + Send + 'r>> {
        match self {
            Outer::Plain => Ok(Box::new(source)),
            Outer::Layer(compression) => bounded(source, limits, |source| unbounded(compression, source)),
            Outer::Xz => bounded(source, limits, |source| {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Ok(Box::new(XzDecoder::new_stream(source, stream)))
            }),
            Outer::Bzip2 => bounded(source, limits, |source| Ok(Box::new(Bzip2Streams::new(source)))),
        }
    }
}

/// Parts that a bzip2 file may have however small they are; besides, each has this many bytes on the average.
const SMALL_PARTS: u64 = 1000;
const PART: u64 = 512;

/// All streams of a bzip2 file, one behind the other. A new decoder for each takes its time: a file of nothing but empty
/// streams, which a tool would not write, is refused.
struct Bzip2Streams<R: Read> {
    current: Option<BzDecoder<BufReader<R>>>,
    streams: u64,
    plain: u64,
}

impl<R: Read> Bzip2Streams<R> {
    fn new(source: R) -> Bzip2Streams<R> {
        let source = BufReader::with_capacity(128 << 10, source);
        Bzip2Streams { current: Some(BzDecoder::new(source)), streams: 1, plain: 0 }
    }
}

impl<R: Read> Read for Bzip2Streams<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.current {
            let count = decoder.read(buffer)?;
            self.plain += count as u64;
            if count > 0 {
                return Ok(count);
            }
            let Some(mut source) = self.current.take().map(BzDecoder::into_inner) else { break };
            if source.fill_buf()?.is_empty() {
                break;
            }
            self.streams += 1;
            if self.streams > SMALL_PARTS + self.plain / PART {
                let why = "has far more bzip2 streams than content";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            self.current = Some(BzDecoder::new(source));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// 64 MiB of zeros in each format.
    fn bombs() -> Vec<(&'static str, Vec<u8>)> {
        let plain = vec![0; 64 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        for sink in [&mut gzip as &mut dyn Write, &mut xz, &mut bzip2] {
            sink.write_all(&plain).expect("compressed");
        }
        vec![
            ("gzip", gzip.finish().expect("finished")),
            ("xz", xz.finish().expect("finished")),
            ("bzip2", bzip2.finish().expect("finished")),
            ("zstd", zstd::bulk::compress(&plain, 3).expect("compressed")),
        ]
    }

    #[test]
    fn a_bomb_of_every_format_ends_and_what_is_in_bounds_does_not() {
        for (name, bomb) in bombs() {
            let read = |limits| {
                let outer = Outer::sniff(&bomb);
                assert_ne!(outer, Outer::Plain, "{name}");
                io::copy(&mut outer.open(&bomb[..], limits).expect("a decoder"), &mut io::sink())
            };
            let error = read(Limits { floor: 1 << 20, ratio: 10 }).expect_err("too much");
            assert!(error.to_string().contains("bomb"), "{name}: {error}");
            assert_eq!(read(Limits::default()).expect("in bounds"), 64 << 20, "{name}");
        }
    }
}
