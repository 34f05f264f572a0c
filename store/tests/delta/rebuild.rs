//! Stored layers: of larder's own encoding, and of others; out of them and a delta comes the exact blob.

use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use larder_store::blob::Ingest;
use larder_store::codec::{EncodedLayer, Encoder, Encoding};
use larder_store::delta::{Header, Wanted};
use larder_store::error::Kind;
use larder_store::fs::Dir;

use super::*;
use crate::support::{directory, quick_directory};

/// The bytes of a layer as larder stores it.
pub(super) fn encoded(plain: &[u8], encoding: Encoding) -> Vec<u8> {
    let dir = quick_directory();
    let ingest = Ingest::create(&Dir::open(dir.path()).unwrap()).unwrap();
    let mut encoder = Encoder::new(encoding, 2, Cancel::new(), dir.path().into()).unwrap();
    encoder.layer(&mut &plain[..], ingest.writer().unwrap(), &|_| {}).unwrap();
    let layer = encoder.finish().unwrap().remove(0);
    let mut bytes = Vec::new();
    std::io::copy(&mut layer.staged.open().unwrap().reader(), &mut bytes).unwrap();
    bytes
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

/// Ten MiB of members, and the same a month later.
fn layers() -> (Vec<u8>, Vec<u8>) {
    let members = |time: u64| {
        let content = move |n: u64| noise(n + u64::from(n % 50 == 3) * time, 40_000);
        (0..260).map(move |n| file(&format!("usr/share/f{n}"), content(n), time + n)).collect::<Vec<_>>()
    };
    (tar(&members(1_700_000_000)), tar(&members(1_702_600_000)))
}

fn rebuilt(
    base: &mut Base,
    mut delta: &[u8],
    wanted: (Digest, u64, Encoding),
    scratch: &Dir,
) -> Result<EncodedLayer> {
    let (digest, size, encoding) = wanted;
    let header = Header::read(&mut &delta[..])?;
    let wanted = Wanted { digest, size, header, encoding, jobs: 2, shown: Path::new("a test") };
    let writer = Ingest::create(scratch)?.writer()?;
    delta::rebuild(base, &mut delta, &wanted, writer, &Cancel::new())
}

#[test]
fn the_exact_blob_comes_out_of_a_base_of_any_form() {
    let (before, after) = layers();
    let dir = directory();
    let scratch = Dir::open(dir.path()).unwrap();
    let zstd3 = Encoding::default();
    let forms = [
        ("ours", encoded(&before, zstd3), true),
        ("ours, gzip", encoded(&before, "gzip".parse().unwrap()), false),
        ("plain", before.clone(), false),
        ("gzip", gzip(&before), false),
        ("zstd", zstd::bulk::compress(&before, 1).unwrap(), false),
        // A table that says nothing of it is no reason to fail.
        ("zstd, said to be ours", zstd::bulk::compress(&before, 1).unwrap(), true),
    ];
    let (_, target) = stored(&encoded(&after, zstd3), &after, true);
    let mut first = None;
    for (name, bytes, seekable) in forms {
        let (blob, facts) = stored(&bytes, &before, seekable);
        let open = || Base::open(&blob, &facts, &scratch, &Cancel::new()).unwrap();
        let mut delta = Vec::new();
        let announced = Target { plain: &mut &after[..], diff_id: target.diff_id, size: target.plain_size };
        let made = delta::make(&mut open(), announced, &settings(2), None, &mut delta, &Cancel::new());
        let size = made.unwrap().unwrap().size;
        assert!(size < target.size / 10, "{name}: {size} of {}", target.size);
        assert!(
            *first.get_or_insert_with(|| delta.clone()) == delta,
            "{name}: the same, however it is stored"
        );
        let layer = rebuilt(&mut open(), &delta, (target.blob, target.size, zstd3), &scratch).unwrap();
        assert_eq!((layer.staged.digest(), layer.staged.size()), (target.blob, target.size), "{name}");
        assert_eq!(layer.plain.diff_id, target.diff_id);
        drop(layer);
        assert_eq!(scratch.names().unwrap(), Vec::<String>::new(), "{name}: nothing is left");
    }
}

#[test]
fn another_blob_than_the_wanted_one_is_not_staged() {
    let (before, after) = layers();
    let dir = directory();
    let scratch = Dir::open(dir.path()).unwrap();
    let (delta, _) = made(&before, &after, 1);
    let blob = encoded(&after, Encoding::default());
    let (digest, size) = (Digest::of(&blob), blob.len() as u64);
    for wanted in [
        (digest, size, "zstd:1".parse().unwrap()),
        (digest, size + 1, Encoding::default()),
        (Digest::of(b""), size, Encoding::default()),
    ] {
        let rebuilt = rebuilt(&mut Base::of_bytes(before.clone()), &delta, wanted, &scratch);
        let error = rebuilt.expect_err("another blob");
        assert_eq!(error.kind(), Kind::Damaged);
        assert!(
            error.to_string().contains("another version of larder")
                || error.to_string().contains("is longer"),
            "{error}"
        );
        assert_eq!(scratch.names().unwrap(), Vec::<String>::new());
    }
    let wanted = (digest, size, Encoding::default());
    let cut = rebuilt(&mut Base::of_bytes(before.clone()), &delta[..delta.len() - 1], wanted, &scratch);
    assert!(cut.expect_err("cut").to_string().contains("cut off"));
    let mut flipped = delta.clone();
    flipped[delta.len() / 2] ^= 4;
    assert!(rebuilt(&mut Base::of_bytes(before), &flipped, wanted, &scratch).is_err());
    assert_eq!(scratch.names().unwrap(), Vec::<String>::new());
}

#[test]
fn a_delta_that_gives_another_layer_writes_nothing() {
    let (before, after) = layers();
    let dir = directory();
    let scratch = Dir::open(dir.path()).unwrap();
    // A bomb: a great deal of the base again and again, said to be a small layer.
    let bomb = tar(&[file("a", before.repeat(4), 1)]);
    let (delta, _) = made(&before, &bomb, 1);
    let honest = Header::read(&mut &delta[..]).unwrap();
    let blob = encoded(&after, Encoding::default());
    let small = Header { target: DiffId(Digest::of(&after)), target_size: after.len() as u64, ..honest };
    for (header, size, why) in [
        (small, blob.len() as u64, "was announced"),
        (Header { target_size: 7, ..honest }, blob.len() as u64, "was announced"),
        // Even where it is believed, no more is written than the blob has.
        (honest, 5000, "is longer than the 5000 bytes"),
    ] {
        for jobs in [1, 2] {
            let (digest, encoding) = (Digest::of(&blob), Encoding::default());
            let wanted = Wanted { digest, size, header, encoding, jobs, shown: Path::new("a test") };
            let writer = Ingest::create(&scratch).unwrap().writer().unwrap();
            let mut base = Base::of_bytes(before.clone());
            let rebuilt = delta::rebuild(&mut base, &mut &delta[..], &wanted, writer, &Cancel::new());
            let error = rebuilt.expect_err("a bomb");
            assert_eq!(error.kind(), Kind::Damaged, "{error}");
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(scratch.names().unwrap(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_base_that_is_read_back_and_forth_is_unpacked_once() {
    // 48 MiB whose pieces come in an order that asks for another frame each time.
    let content: Vec<_> = (0..48).map(|n| noise(n, 1 << 20)).collect();
    let before =
        tar(&content.iter().enumerate().map(|(n, c)| file(&format!("f{n}"), &c[..], 1)).collect::<Vec<_>>());
    let mut pieces = Vec::new();
    for piece in 0..16 {
        for (number, content) in content.iter().enumerate().rev() {
            let part = &content[piece << 16..(piece + 1) << 16];
            pieces.push(file(&format!("g{number}-{piece}"), part, 1));
        }
    }
    let after = tar(&pieces);
    let (blob, facts) = stored(&encoded(&before, Encoding::default()), &before, true);
    let dir = directory();
    let scratch = Dir::open(dir.path()).unwrap();
    let (delta, made) = made(&before, &after, 2);
    assert!(made.size < 6 << 20, "{made:?}");
    let mut base = Base::open(&blob, &facts, &scratch, &Cancel::new()).unwrap();
    let mut out = Vec::new();
    delta::apply(&mut base, &mut &delta[..], &mut out, &Cancel::new()).unwrap();
    assert!(out == after);
    assert!(base.is_unpacked(), "it changed over to a file");
    assert_eq!(scratch.names().unwrap(), Vec::<String>::new(), "that has no name");
}
