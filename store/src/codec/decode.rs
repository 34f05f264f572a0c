//! Decompressing what others wrote, within limits.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use crate::media_type::Compression;

/// Bounds for a stream that may mean harm.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Plain bytes that any stream may have.
    pub floor: u64,
    /// Plain bytes that a stream may have besides for each compressed byte.
    pub ratio: u64,
}

impl Default for Limits {
    /// 6 GiB, and 1100 times the compressed size: more than gzip can do, so that only a zstd bomb meets it.
    fn default() -> Limits {
        Limits { floor: 6 << 30, ratio: 1100 }
    }
}

impl Limits {
    pub(super) fn of(self, compressed: u64) -> u64 {
        self.floor.saturating_add(self.ratio.saturating_mul(compressed))
    }
}

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, what `zstd -d` takes by default.
const WINDOW_LOG: u32 = 27;

/// Reads a compressed stream of `size` bytes plain. All frames or members are read; rubbish behind them is an error.
pub fn decoder<'r>(
    compression: Compression,
    source: impl Read + Send + 'r,
    size: u64,
    limits: Limits,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    if compression == Compression::None {
        return Ok(Box::new(source));
    }
    let plain = unbounded(compression, source)?;
    Ok(Box::new(Bounded { inner: plain, read: 0, bound: Bound::Fixed(limits.of(size)) }))
}

/// Reads a compressed stream plain, however much that is.
pub(super) fn unbounded<'r>(
    compression: Compression,
    source: impl Read + Send + 'r,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    // Docker has been seen to call zstd layers gzip; the first bytes know better.
    let mut source = source;
    let mut head = Vec::new();
    source.by_ref().take(4).read_to_end(&mut head)?;
    let shown = Some(Compression::sniff(&head)).filter(|shown| *shown != Compression::None);
    let source = io::Cursor::new(head).chain(source);
    Ok(match shown.unwrap_or(compression) {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(128 << 10, source))),
        Compression::Zstd => {
            let mut zstd = zstd::stream::read::Decoder::new(source)?;
            zstd.window_log_max(WINDOW_LOG)?;
            Box::new(zstd)
        }
    })
}

/// Bounds what `open` makes of a stream whose size is not known by what was read of it so far.
pub(super) fn bounded<'r, R: Read + Send + 'r>(
    source: R,
    limits: Limits,
    open: impl FnOnce(Counted<R>) -> io::Result<Box<dyn Read + Send + 'r>>,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    let count = Arc::new(AtomicU64::new(0));
    let inner = open(Counted { inner: source, count: Arc::clone(&count) })?;
    Ok(Box::new(Bounded { inner, read: 0, bound: Bound::Growing(limits, count) }))
}

/// Counts what a decoder takes in.
pub(super) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

enum Bound {
    Fixed(u64),
    Growing(Limits, Arc<AtomicU64>),
}

struct Bounded<R> {
    inner: R,
    read: u64,
    bound: Bound,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read = self.read.saturating_add(count as u64);
        let bound = match &self.bound {
            Bound::Fixed(bound) => *bound,
            Bound::Growing(limits, taken) => limits.of(taken.load(Ordering::Relaxed)),
        };
        if self.read > bound {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "unpacks to far more than any image has (a bomb)",
            ));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_ends() {
        let bomb = zstd::bulk::compress(&vec![0; 50 << 20], 3).expect("compressed");
        let limits = Limits { floor: 1 << 20, ratio: 10 };
        let mut plain = decoder(Compression::Zstd, &bomb[..], bomb.len() as u64, limits).expect("a decoder");
        let read = io::copy(&mut plain, &mut io::sink());
        assert!(read.expect_err("too much").to_string().contains("bomb"));
    }

    #[test]
    fn rubbish_behind_the_stream_is_an_error() {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"plain").expect("written");
        let gzip = gzip.finish().expect("finished");
        let zstd = zstd::bulk::compress(b"plain", 3).expect("compressed");
        for (compression, good) in [(Compression::Gzip, gzip), (Compression::Zstd, zstd)] {
            let read = |bytes: &[u8]| {
                let mut out = Vec::new();
                let size = bytes.len() as u64;
                decoder(compression, bytes, size, Limits::default())?.read_to_end(&mut out).map(|_| out)
            };
            assert_eq!(read(&good).expect("good"), b"plain");
            assert_eq!(read(&[&good[..], &good[..]].concat()).expect("two of them"), b"plainplain");
            assert!(read(&[&good[..], b"rubbish, and more of it"].concat()).is_err(), "{compression:?}");
            assert!(read(&good[..good.len() - 1]).is_err(), "{compression:?}");
        }
    }
}
