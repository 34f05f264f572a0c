//! Unpacking our own layers on several threads, by their seek table.

use std::io::Read;

use larder_store::blob::Blob;
use larder_store::codec::{CHUNK, layer_decoder};
use larder_store::layers::LayerFacts;
use larder_store::media_type::Compression;
use larder_store::{Digest, ids::DiffId};

use super::{Bench, JOBS, content};
use crate::support::image::noise;

/// Unpacks bytes as if this store had encoded them.
fn unpack(bytes: &[u8], jobs: usize) -> std::io::Result<Vec<u8>> {
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, bytes)?;
    let blob = Blob::new(Digest::of(bytes), file, 0, bytes.len() as u64);
    let facts = LayerFacts {
        blob: blob.digest(),
        size: blob.size(),
        compression: Compression::Zstd,
        diff_id: DiffId(Digest::of(b"")),
        plain_size: 64 << 20,
        seekable: true,
    };
    let mut plain = Vec::new();
    layer_decoder(&blob, &facts, jobs)?.read_to_end(&mut plain)?;
    Ok(plain)
}

#[test]
fn any_number_of_threads_gives_the_layer() {
    let bench = Bench::new();
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 7 * CHUNK + 12_345] {
        let mut plain = noise(length as u64, length);
        plain.chunks_mut(50_000).step_by(3).for_each(|piece| piece.fill(1));
        let blob = content(&bench.encode("zstd", 2, &plain[..]).unwrap());
        for jobs in JOBS.into_iter().chain([16]) {
            assert!(unpack(&blob, jobs).unwrap() == plain, "{length} bytes on {jobs} threads");
        }
    }
}

#[test]
fn a_reader_that_stops_early_leaves_no_thread_behind() {
    let plain = noise(1, 9 * CHUNK);
    let blob = content(&Bench::new().encode("zstd", 2, &plain[..]).unwrap());
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    for _ in 0..50 {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &blob, 0).unwrap();
        let stored = Blob::new(Digest::of(&blob), file, 0, blob.len() as u64);
        let facts = LayerFacts {
            blob: stored.digest(),
            size: stored.size(),
            compression: Compression::Zstd,
            diff_id: DiffId(Digest::of(b"")),
            plain_size: 0,
            seekable: true,
        };
        let mut reader = layer_decoder(&stored, &facts, 4).unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();
    }
    // Other tests run beside this one; two hundred threads would not be theirs.
    assert!(threads() < before + 100);
}

#[test]
fn damage_never_gives_the_whole_layer_as_if_it_were_good() {
    let plain = noise(2, 3 * CHUNK + 5);
    let blob = content(&Bench::new().encode("zstd", 2, &plain[..]).unwrap());
    let table = blob.len() - (8 + 4 * 8 + 9);
    // Two sizes of frames that change places: the table fills the blob as before, and says something else.
    let swapped = |bytes: usize| {
        let (mut lying, first, last) = (blob.clone(), table + 8, table + 8 + 3 * 8);
        (0..bytes).for_each(|at| lying.swap(first + at, last + at));
        lying
    };
    for jobs in [2, 5] {
        assert!(unpack(&swapped(4), jobs).is_err(), "a lying table on {jobs} threads");
        // With their plain sizes as well it is no table of ours, and the layer is read like anybody's.
        assert!(unpack(&swapped(8), jobs).is_ok_and(|got| got == plain), "a foreign table on {jobs} threads");
        for cut in [1, 20, table - 10] {
            // Without its table's end a layer is read like anybody's: all of it, or an error.
            if let Ok(got) = unpack(&blob[..blob.len() - cut], jobs) {
                assert!(got == plain && cut <= 41, "cut by {cut} on {jobs} threads");
            }
        }
        let mut flipped = blob.clone();
        flipped[table / 2] ^= 1;
        assert!(unpack(&flipped, jobs).map_or(true, |got| got != plain), "a flipped bit on {jobs} threads");
    }
}
