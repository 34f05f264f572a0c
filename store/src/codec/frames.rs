//! One chunk to one frame, and frames to a blob.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use zstd::zstd_safe::CParameter;

use super::Encoding;
use crate::media_type::Compression;

/// Plain bytes of a frame; the last one of a layer has fewer.
pub const CHUNK: usize = 4 << 20;

pub(super) const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
pub(super) const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;

/// Compresses chunks, each on its own; keeps its working memory between them.
pub(super) struct FrameEncoder {
    encoding: Encoding,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl FrameEncoder {
    pub(super) fn new(encoding: Encoding) -> io::Result<FrameEncoder> {
        let zstd = match encoding.compression {
            Compression::Zstd => Some(compressor(encoding.level)?),
            _ => None,
        };
        Ok(FrameEncoder { encoding, zstd })
    }

    /// Replaces `coded` with the frame of `plain`. What is not compressed leaves `coded` empty: the plain bytes
    /// are the frame.
    pub(super) fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> io::Result<()> {
        coded.clear();
        match (&mut self.zstd, self.encoding.compression) {
            (Some(zstd), _) => {
                coded.reserve(zstd::zstd_safe::compress_bound(plain.len()));
                zstd.compress_to_buffer(plain, coded)?;
            }
            (None, Compression::Gzip) => {
                // No time, no name, no operating system: the same plain bytes give the same member.
                coded.reserve(plain.len() + plain.len() / 1000 + 64);
                let mut gzip = GzEncoder::new(coded, flate2::Compression::new(self.encoding.level as u32));
                gzip.write_all(plain)?;
                gzip.finish()?;
            }
            (None, _) => {}
        }
        Ok(())
    }
}

/// For a chunk of 4 MiB zstd would choose level 3's tables for small inputs. Those of a long one find more in it,
/// in the same time: 1.8% fewer bytes on the layers of a real compiler image.
fn compressor(level: i32) -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut zstd = zstd::bulk::Compressor::new(level)?;
    if level == 3 {
        for parameter in [CParameter::WindowLog(22), CParameter::HashLog(16), CParameter::ChainLog(17)] {
            zstd.set_parameter(parameter)?;
        }
    }
    Ok(zstd)
}

/// Writes the frames of one layer in order, and what comes behind them.
pub(super) struct FrameWriter<W> {
    out: W,
    compression: Compression,
    table: Vec<(u32, u32)>,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(out: W, compression: Compression) -> FrameWriter<W> {
        FrameWriter { out, compression, table: Vec::new() }
    }

    pub(super) fn frame(&mut self, plain: &[u8], coded: &[u8]) -> io::Result<()> {
        let frame = if self.compression == Compression::None { plain } else { coded };
        self.table.push((frame.len() as u32, plain.len() as u32));
        self.out.write_all(frame)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.compression == Compression::Zstd {
            self.out.write_all(&seek_table(&self.table))?;
        }
        Ok(self.out)
    }
}

/// The seek table: a skippable frame with a pair of sizes for each frame (compressed, plain) and a footer.
pub(super) fn seek_table(frames: &[(u32, u32)]) -> Vec<u8> {
    let length = frames.len() * 8 + 9;
    let mut table = Vec::with_capacity(length + 8);
    table.extend(SKIPPABLE_MAGIC.to_le_bytes());
    table.extend((length as u32).to_le_bytes());
    for (coded, plain) in frames {
        table.extend(coded.to_le_bytes());
        table.extend(plain.to_le_bytes());
    }
    table.extend((frames.len() as u32).to_le_bytes());
    table.push(0);
    table.extend(SEEKABLE_MAGIC.to_le_bytes());
    table
}
