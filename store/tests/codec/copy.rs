//! Layers that come compressed: copied as they are, unpacked on the way, both names checked.

use std::io::Read;

use larder_store::blob::BlobWriter;
use larder_store::cancel::Cancel;
use larder_store::codec::{CHUNK, CopiedLayer, Copy, Limits, copy_layer, decoder, measure};
use larder_store::error::Kind;
use larder_store::media_type::Compression;
use larder_store::{Digest, Error, Result};
use proptest::prelude::*;

use super::{Bench, JOBS, compression, content};
use crate::support::image::noise;

const PLAIN: usize = CHUNK + 100_000;

fn plain() -> Vec<u8> {
    let mut bytes = noise(5, PLAIN);
    bytes.chunks_mut(3000).for_each(|piece| piece[1000..].fill(9));
    bytes
}

/// The plain layer in every form, as others write it and as we do.
fn blobs() -> Vec<(&'static str, Compression, Vec<u8>)> {
    let (bench, plain) = (Bench::new(), plain());
    let ours = |encoding| content(&bench.encode(encoding, 2, &plain[..]).unwrap());
    let mut blobs: Vec<_> = ["zstd", "gzip", "none"].map(|name| (name, compression(name), ours(name))).into();
    blobs.push(("one zstd frame", Compression::Zstd, zstd::bulk::compress(&plain, 3).unwrap()));
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast()).read_to_end(&mut gzip).unwrap();
    blobs.push(("one gzip member", Compression::Gzip, gzip));
    blobs
}

fn copy(bench: &Bench, source: &[u8], what: &Copy<'_>, jobs: usize) -> Result<CopiedLayer> {
    let writer: BlobWriter = bench.ingest().writer()?;
    copy_layer(&mut &source[..], writer, what, jobs, &Cancel::new(), &|_| {})
}

fn announce<'a>(bench: &'a Bench, blob: &[u8], unpack: Option<Compression>) -> Copy<'a> {
    Copy { digest: Digest::of(blob), size: blob.len() as u64, unpack, shown: bench.dir.path() }
}

#[test]
fn copies_and_unpacks() {
    let plain = plain();
    for (name, compression, blob) in blobs() {
        for jobs in JOBS {
            let bench = Bench::new();
            let copied = copy(&bench, &blob, &announce(&bench, &blob, Some(compression)), jobs).unwrap();
            assert_eq!(copied.staged.digest(), Digest::of(&blob), "{name}");
            let unpacked = copied.plain.clone().unwrap();
            assert_eq!((unpacked.diff_id.0, unpacked.size), (Digest::of(&plain), PLAIN as u64), "{name}");
            let mut stored = Vec::new();
            copied.staged.open().unwrap().verified().read_to_end(&mut stored).unwrap();
            assert!(stored == blob, "{name}: not kept as it came");
            let measured = measure(&copied.staged.open().unwrap(), compression, &Cancel::new()).unwrap();
            assert_eq!(measured, unpacked, "{name}");
            let untouched = copy(&bench, &blob, &announce(&bench, &blob, None), jobs).unwrap();
            assert!(untouched.plain.is_none());
            drop((copied, untouched));
            bench.assert_empty(name);
        }
    }
}

#[test]
fn refuses_what_is_not_what_was_announced() {
    for (name, compression, blob) in blobs() {
        for jobs in JOBS {
            let with_tail = [&blob[..], b"tail"].concat();
            let mut flipped = blob.clone();
            flipped[blob.len() / 2] ^= 1;
            let cases: [(&str, &[u8], Digest, u64); 6] = [
                ("another digest", &blob, Digest::of(b"other"), blob.len() as u64),
                ("flipped", &flipped, Digest::of(&blob), blob.len() as u64),
                ("cut", &blob[..blob.len() - 1], Digest::of(&blob), blob.len() as u64),
                ("empty", b"", Digest::of(&blob), blob.len() as u64),
                ("longer", &with_tail, Digest::of(&blob), blob.len() as u64),
                ("longer than announced", &blob, Digest::of(&blob), blob.len() as u64 - 1),
            ];
            for (why, source, digest, size) in cases {
                let bench = Bench::new();
                let what = Copy { digest, size, ..announce(&bench, &blob, Some(compression)) };
                let error = copy(&bench, source, &what, jobs).unwrap_err();
                assert_eq!(error.kind(), Kind::Damaged, "{name}, {why}, {jobs} jobs: {error}");
                assert!(error.to_string().contains(&digest.to_string()), "{name}, {why}: {error}");
                bench.assert_empty(why);
            }
        }
    }
}

/// Media types have been seen to be wrong; what a layer begins with is not.
#[test]
fn the_first_bytes_say_how_to_unpack() {
    let plain = Digest::of(&plain());
    for (name, compression, blob) in blobs() {
        for said in [Compression::Gzip, Compression::Zstd] {
            let bench = Bench::new();
            let copied = copy(&bench, &blob, &announce(&bench, &blob, Some(said)), 2);
            if compression == Compression::None {
                assert!(copied.is_err(), "{name}, called {said:?}");
            } else {
                assert_eq!(copied.unwrap().plain.unwrap().diff_id.0, plain, "{name}, called {said:?}");
            }
            bench.assert_empty(name);
        }
    }
}

/// Right digests of things that do not unpack.
#[test]
fn refuses_what_does_not_unpack() {
    let (gzip, zstd) = (blobs().remove(1).2, blobs().remove(0).2);
    let tail = |blob: &[u8]| [blob, b"and more"].concat();
    for (why, compression, blob) in [
        ("no gzip", Compression::Gzip, b"plain text".to_vec()),
        ("no zstd", Compression::Zstd, b"plain text".to_vec()),
        ("empty gzip", Compression::Gzip, Vec::new()),
        ("cut gzip", Compression::Gzip, gzip[..gzip.len() - 9].to_vec()),
        ("cut zstd", Compression::Zstd, zstd[..zstd.len() / 2].to_vec()),
        ("gzip and a tail", Compression::Gzip, tail(&gzip)),
        ("zstd and a tail", Compression::Zstd, tail(&zstd)),
    ] {
        for jobs in JOBS {
            let bench = Bench::new();
            let error = copy(&bench, &blob, &announce(&bench, &blob, Some(compression)), jobs).unwrap_err();
            assert_eq!(error.kind(), Kind::Damaged, "{why}, {jobs} jobs: {error}");
            assert!(error.to_string().contains("does not unpack"), "{why}, {jobs} jobs: {error}");
            bench.assert_empty(why);
        }
    }
}

#[test]
fn cancelled_in_the_middle() {
    for jobs in JOBS {
        let bench = Bench::new();
        let cancel = Cancel::new();
        let what = announce(&bench, b"never", Some(Compression::Gzip));
        let writer = bench.ingest().writer().unwrap();
        let copied = copy_layer(&mut std::io::repeat(0), writer, &what, jobs, &cancel, &|_| cancel.raise());
        assert!(matches!(copied, Err(Error::Interrupted)), "{jobs} jobs");
        bench.assert_empty("cancelled");
    }
}

/// Also where the decoder does not care: in the seek table, in a gzip header's time, behind the last frame.
#[test]
fn measuring_checks_the_digest_as_well() {
    use std::fs::Permissions;
    use std::os::unix::fs::{FileExt, PermissionsExt};
    for (name, compression, blob) in blobs() {
        let size = blob.len() as u64;
        for position in [5, 100, size / 2, size - 30, size - 2] {
            let bench = Bench::new();
            let staged = copy(&bench, &blob, &announce(&bench, &blob, None), 1).unwrap().staged;
            let (dir, file) = staged.location();
            std::fs::set_permissions(dir.at(file), Permissions::from_mode(0o644)).unwrap();
            let file = std::fs::File::options().write(true).open(dir.at(file)).unwrap();
            file.write_all_at(&[blob[position as usize] ^ 0x10], position).unwrap();
            let measured = measure(&staged.open().unwrap(), compression, &Cancel::new());
            assert_eq!(
                measured.map_err(|error| error.kind()),
                Err(Kind::Damaged),
                "{name}: flipped at {position}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever is there to be decoded: an end or an error, within the limits.
    #[test]
    fn no_input_makes_a_decoder_panic(
        zstd in any::<bool>(),
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        real in any::<bool>(),
    ) {
        let compression = if zstd { Compression::Zstd } else { Compression::Gzip };
        if real {
            // The beginning of a real stream, and then what comes.
            let begin: &[u8] = if zstd { &[0x28, 0xb5, 0x2f, 0xfd] } else { &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255] };
            bytes.splice(0..0, begin.iter().copied());
        }
        let limits = Limits { floor: 1 << 20, ratio: 10 };
        if let Ok(plain) = decoder(compression, &bytes[..], bytes.len() as u64, limits) {
            let read = std::io::copy(&mut plain.take(4 << 20), &mut std::io::sink());
            prop_assert!(read.is_err() || read.is_ok_and(|count| count <= (1 << 20) + 10 * bytes.len() as u64));
        }
    }
}
