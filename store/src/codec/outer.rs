//! The compression around a whole archive: more kinds than layers have, and only read.

use std::io::{self, Read};

use bzip2::read::MultiBzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::decode::{Limits, decoder};
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

    /// Reads what is inside, all members or streams of it. How much that may be, its reader must see to.
    pub fn open<'r>(self, source: impl Read + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
        Ok(match self {
            Outer::Plain => Box::new(source),
            // The size of a stream is not known; its members' sizes are checked one by one.
            Outer::Layer(compression) => decoder(compression, source, u64::MAX / 4096, Limits::default())?,
            Outer::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(source, stream))
            }
            Outer::Bzip2 => Box::new(MultiBzDecoder::new(source)),
        })
    }
}
