//! Which blobs the encoder makes bit for bit.

use std::io::Write;

use flate2::write::GzEncoder;
use larder_store::codec::{CHUNK, Encoding, prove};

use super::rebuild::encoded;
use super::*;

fn proven(bytes: &[u8], jobs: usize) -> Option<String> {
    let (blob, _) = stored(bytes, b"", false);
    prove(&blob, jobs, &Cancel::new()).unwrap().map(|encoding| encoding.to_string())
}

fn plain(length: usize) -> Vec<u8> {
    let mut plain = noise(length as u64, length);
    plain.chunks_mut(3000).step_by(2).for_each(|piece| piece.fill(7));
    plain.chunks_mut(500).step_by(3).for_each(|piece| piece[0] = 1);
    plain
}

#[test]
fn what_larder_wrote_is_told_by_its_level() {
    for encoding in ["zstd:3", "zstd:1", "zstd:5", "gzip:6", "gzip:1", "none"] {
        for length in [0, 1, 50_000, CHUNK, 2 * CHUNK + 77] {
            if encoding.contains('z') && length == 0 && !encoding.ends_with(['3', '6']) {
                continue; // Every level makes the same of nothing.
            }
            let blob = encoded(&plain(length), encoding.parse().unwrap());
            for jobs in [1, 3] {
                let proven = proven(&blob, jobs);
                let told: Encoding = proven.as_deref().unwrap_or("none").parse().unwrap();
                assert!(encoded(&plain(length), told) == blob, "{encoding} of {length}: {proven:?}");
                assert!(proven.is_some());
            }
        }
    }
}

#[test]
fn what_others_wrote_is_not_provable() {
    let content = plain(2 * CHUNK + 5);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&content).unwrap();
    let gzip = gzip.finish().unwrap();
    let ours = encoded(&content, Encoding::default());
    let ours_gzip = encoded(&content, "gzip".parse().unwrap());
    let bomb = {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![0; 64 << 20]).unwrap();
        gzip.finish().unwrap()
    };
    let mut flipped_late = ours_gzip.clone();
    let at = flipped_late.len() - 9;
    flipped_late[at] ^= 1;
    for (name, blob) in [
        ("one gzip member", &gzip[..]),
        ("one zstd frame", &zstd::bulk::compress(&content, 3).unwrap()),
        ("a bomb", &bomb),
        ("ours without its table", &ours[..ours.len() - 20]),
        ("ours, twice", &[&ours[..], &ours[..]].concat()),
        ("our gzip, flipped", &flipped_late),
        ("our gzip, cut", &ours_gzip[..ours_gzip.len() - 3]),
        ("our gzip, and more", &[&ours_gzip[..], b"more"].concat()),
        ("our gzip, twice", &[&ours_gzip[..], &ours_gzip[..]].concat()),
    ] {
        assert_eq!(proven(blob, 2), None, "{name}");
    }
}

#[test]
fn a_raised_flag_ends_it() {
    let (blob, _) = stored(&encoded(&plain(3 * CHUNK), Encoding::default()), b"", true);
    let cancel = Cancel::new();
    cancel.raise();
    assert!(matches!(prove(&blob, 2, &cancel), Err(Error::Interrupted)));
}
