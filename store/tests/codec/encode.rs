//! What the encoder writes.

use std::cell::Cell;
use std::io::{self, Read};

use larder_store::Digest;
use larder_store::cancel::Cancel;
use larder_store::codec::CHUNK;
use larder_store::media_type::Compression;
use proptest::prelude::*;

use super::{Bench, JOBS, compression, content, decode};
use crate::support::image::noise;

/// What layers are like.
#[derive(Debug, Clone, Copy)]
enum Look {
    Zeros,
    Text,
    Noise,
    Mixed,
}

fn plain(look: Look, seed: u64, length: usize) -> Vec<u8> {
    let text = b"usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30\0ustar  \0root\0\0\0";
    match look {
        Look::Zeros => vec![0; length],
        Look::Text => text.iter().copied().cycle().take(length).collect(),
        Look::Noise => noise(seed, length),
        Look::Mixed => {
            let mut bytes = noise(seed, length);
            bytes.chunks_mut(100_000).step_by(2).for_each(|piece| piece.fill(7));
            bytes
        }
    }
}

/// Gives what it has in small pieces, and is interrupted now and then, as a pipe is.
struct Trickle<'a> {
    left: &'a [u8],
    calls: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls % 7 == 3 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(self.left.len()).min(1 + self.calls * 7919 % 200_000);
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left = &self.left[count..];
        Ok(count)
    }
}

/// Reads the seek table as its specification has it (facebook/zstd, contrib/seekable_format) and sees that every
/// frame stands where the table says and is the chunk that belongs there.
fn check_seek_table(blob: &[u8], plain: &[u8]) {
    let number = |at: usize| u32::from_le_bytes(blob[at..at + 4].try_into().unwrap()) as usize;
    let end = blob.len();
    assert_eq!(number(end - 4), 0x8F92_EAB1, "the footer's magic number");
    assert_eq!(blob[end - 5], 0, "no checksums, nothing reserved");
    let frames = number(end - 9);
    let table = end - 9 - frames * 8;
    assert_eq!(number(table - 8), 0x184D_2A5E, "a skippable frame");
    assert_eq!(number(table - 4), frames * 8 + 9, "its size");
    assert_eq!(frames, plain.len().div_ceil(CHUNK).max(1));
    let (mut at, mut plain_at) = (0, 0);
    for frame in 0..frames {
        let (size, plain_size) = (number(table + frame * 8), number(table + frame * 8 + 4));
        let chunk = zstd::bulk::decompress(&blob[at..at + size], CHUNK).unwrap();
        assert!(chunk == plain[plain_at..plain_at + plain_size], "frame {frame}");
        assert!(plain_size == CHUNK || frame == frames - 1, "only the last frame is smaller");
        (at, plain_at) = (at + size, plain_at + plain_size);
    }
    assert_eq!((at, plain_at), (table - 8, plain.len()), "the sums");
}

/// Encodes with every number of jobs; all must be the same, and decode to the input.
fn check(encoding: &str, plain: &[u8]) -> Vec<u8> {
    let bench = Bench::new();
    let blobs = JOBS.map(|jobs| {
        let layer = bench.encode(encoding, jobs, Trickle { left: plain, calls: jobs }).unwrap();
        assert_eq!((layer.plain.diff_id.0, layer.plain.size), (Digest::of(plain), plain.len() as u64));
        content(&layer)
    });
    assert!(blobs.iter().all(|blob| *blob == blobs[0]), "{encoding}: the bytes depend on the number of jobs");
    let compression = compression(encoding);
    assert!(decode(compression, &blobs[0]) == plain, "{encoding}: it decodes to something else");
    assert_eq!(
        Compression::sniff(&blobs[0]),
        if plain.is_empty() { Compression::sniff(&blobs[0]) } else { compression }
    );
    if compression == Compression::Zstd {
        check_seek_table(&blobs[0], plain);
    }
    bench.assert_empty(encoding);
    let [blob, ..] = blobs;
    blob
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn decodes_to_the_input_whatever_the_number_of_jobs(
        look in prop_oneof![Just(Look::Zeros), Just(Look::Text), Just(Look::Noise), Just(Look::Mixed)],
        seed in any::<u64>(),
        chunks in 0usize..3,
        rest in prop_oneof![-3i64..=3, 0i64..100_000, Just(CHUNK as i64 / 2)],
        encoding in prop_oneof![Just("zstd"), Just("zstd:1"), Just("gzip:1"), Just("gzip:4"), Just("none")],
    ) {
        let length = ((chunks * CHUNK) as i64 + rest).max(0) as usize;
        check(encoding, &plain(look, seed, length));
    }
}

#[test]
fn at_the_edges_of_chunks() {
    for encoding in ["zstd:3", "gzip:6", "none"] {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 1] {
            let plain = plain(Look::Text, 0, length);
            let blob = check(encoding, &plain);
            if encoding != "none" && length > 1000 {
                assert!(blob.len() * 20 < plain.len(), "{encoding} does not compress");
            }
        }
    }
}

#[test]
fn an_empty_layer_is_an_empty_stream() {
    let blob = check("zstd", b"");
    assert_eq!(Compression::sniff(&blob), Compression::Zstd);
    let blob = check("gzip", b"");
    assert_eq!(Compression::sniff(&blob), Compression::Gzip);
    assert_eq!(check("none", b""), b"");
}

/// No time, no name, no operating system: the same input gives the same bytes on another day and machine.
#[test]
fn gzip_members_say_nothing_of_their_making() {
    let blob = check("gzip", b"plain");
    assert_eq!(blob[..4], [0x1f, 0x8b, 8, 0], "no optional fields");
    assert_eq!(blob[4..8], [0; 4], "no time");
    assert_eq!(blob[9], 255, "no operating system");
}

#[test]
fn levels_differ() {
    let plain = plain(Look::Mixed, 1, 1_000_000);
    let text: Vec<u8> = plain.iter().map(|byte| byte & 0x1f).collect();
    let size = |encoding| check(encoding, &text).len();
    assert!(size("zstd:19") < size("zstd:1"));
    assert!(size("gzip:9") < size("gzip:1"));
    assert_eq!(size("none"), text.len());
}

#[test]
fn layers_come_out_in_the_order_in_which_they_went_in() {
    let sizes = [0, 3 * CHUNK + 5, 1, CHUNK, 0, 2 * CHUNK, 100];
    let layers: Vec<_> =
        sizes.iter().enumerate().map(|(seed, size)| plain(Look::Mixed, seed as u64, *size)).collect();
    for encoding in ["zstd", "none"] {
        for jobs in JOBS {
            let bench = Bench::new();
            let read = Cell::new(0);
            let mut encoder = bench.encoder(encoding, jobs, &Cancel::new());
            for layer in &layers {
                let writer = bench.ingest().writer().unwrap();
                encoder.layer(&mut &layer[..], writer, &|count| read.set(read.get() + count)).unwrap();
            }
            let done = encoder.finish().unwrap();
            assert_eq!(
                read.get(),
                sizes.iter().sum::<usize>() as u64,
                "what the reader was said to have read"
            );
            assert_eq!(done.len(), layers.len());
            for (layer, plain) in done.iter().zip(&layers) {
                assert_eq!(layer.plain.diff_id.0, Digest::of(plain));
                assert!(decode(compression(encoding), &content(layer)) == *plain, "{encoding}, {jobs} jobs");
                let alone = bench.encode(encoding, 1, &plain[..]).unwrap();
                assert_eq!(layer.staged.digest(), alone.staged.digest());
            }
            drop(done);
            bench.assert_empty(encoding);
        }
    }
}
