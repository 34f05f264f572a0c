//! Readers and writers that fail in the middle.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::Command;

use larder_store::cancel::Cancel;
use larder_store::codec::CHUNK;
use larder_store::error::Kind;
use larder_store::fs::is_full;
use larder_store::{Error, Result};

use super::{Bench, JOBS};
use crate::support::child::{self, Child};
use crate::support::disk::{Disk, own_namespace};
use crate::support::{here, image, leftovers, open, quick_directory};

const ENCODINGS: [&str; 3] = ["zstd", "gzip:1", "none"];

/// Reads zeros, and fails behind so many of them.
struct Broken {
    left: usize,
    error: fn() -> io::Error,
}

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err((self.error)());
        }
        let count = buffer.len().min(self.left);
        buffer[..count].fill(0);
        self.left -= count;
        Ok(count)
    }
}

#[test]
fn a_reader_that_fails() {
    for encoding in ENCODINGS {
        for jobs in JOBS {
            for left in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK + 1] {
                let why = format!("{encoding}, {jobs} jobs, after {left}");
                let bench = Bench::new();
                let broken = Broken { left, error: || io::Error::other("the cable was pulled") };
                let error = bench.encode(encoding, jobs, broken).unwrap_err();
                let Error::Io { source, .. } = &error else { panic!("{why}: {error}") };
                assert!(source.to_string().contains("cable"), "{why}: {error}");
                bench.assert_empty(&why);
            }
        }
    }
}

/// A reader that checks digests fails with an error of the library; its kind must come through.
#[test]
fn a_reader_that_finds_damage() {
    for jobs in JOBS {
        let bench = Bench::new();
        let damage =
            || io::Error::new(io::ErrorKind::InvalidData, Error::damaged("blob sha256:1", "digest mismatch"));
        let error = bench.encode("zstd", jobs, Broken { left: CHUNK + 5, error: damage }).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (Kind::Damaged, "blob sha256:1: digest mismatch".to_owned())
        );
        bench.assert_empty("damage");
    }
}

#[test]
fn layers_before_the_failed_one_are_whole() {
    for jobs in JOBS {
        let bench = Bench::new();
        let mut encoder = bench.encoder("zstd", jobs, &Cancel::new());
        let writer = || bench.ingest().writer().unwrap();
        encoder.layer(&mut &image::noise(1, CHUNK + 1)[..], writer(), &|_| {}).unwrap();
        let mut broken = Broken { left: CHUNK, error: || io::Error::other("broken") };
        encoder.layer(&mut broken, writer(), &|_| {}).unwrap_err();
        let done = encoder.finish().unwrap();
        assert_eq!(done.len(), 1, "{jobs} jobs");
        assert!(
            super::decode(super::compression("zstd"), &super::content(&done[0]))
                == image::noise(1, CHUNK + 1)
        );
        drop(done);
        bench.assert_empty("the failed one");
    }
}

#[test]
fn an_encoder_that_is_dropped_leaves_nothing() {
    for jobs in JOBS {
        let bench = Bench::new();
        let mut encoder = bench.encoder("zstd", jobs, &Cancel::new());
        for seed in 0..3 {
            let writer = bench.ingest().writer().unwrap();
            encoder.layer(&mut &image::noise(seed, CHUNK + 1)[..], writer, &|_| {}).unwrap();
        }
        drop(encoder);
        bench.assert_empty(&format!("{jobs} jobs"));
    }
}

#[test]
fn cancelled_in_the_middle() {
    for jobs in JOBS {
        let bench = Bench::new();
        let cancel = Cancel::new();
        let mut encoder = bench.encoder("zstd", jobs, &cancel);
        let mut endless = io::repeat(7);
        let raise = |_| cancel.raise();
        let done = encoder.layer(&mut endless, bench.ingest().writer().unwrap(), &raise);
        assert!(matches!(done, Err(Error::Interrupted)), "{jobs} jobs: {done:?}");
        drop(encoder);
        bench.assert_empty("cancelled");
    }
}

/// Compresses three layers of noise; whichever step fails, what it said.
fn encode_much(bench: &Bench, encoding: &str, jobs: usize) -> Result<()> {
    let mut encoder = bench.encoder(encoding, jobs, &Cancel::new());
    for seed in 0..3 {
        let noise = image::noise(seed, 4 * CHUNK);
        encoder.layer(&mut &noise[..], bench.ingest().writer()?, &|_| {})?;
    }
    encoder.finish().map(drop)
}

/// Files may not grow over 6 MiB: a limit that the kernel keeps, for whoever runs the test.
#[test]
fn a_writer_that_fails() {
    if let Some(part) = child::part() {
        for encoding in ENCODINGS {
            let bench = Bench::new();
            match encode_much(&bench, encoding, part.number) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::FileTooLarge => {}
                other => panic!("{encoding}: {other:?}"),
            }
            bench.assert_empty(encoding);
        }
        return;
    }
    for jobs in JOBS {
        let dir = quick_directory();
        let mut command = Command::new("sh");
        // In blocks of 512 bytes; without the trap the signal would kill.
        command
            .args(["-c", r#"trap "" XFSZ; ulimit -f 12288; exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap());
        command.args(child::arguments(here!())).process_group(0);
        Child::start_as(command, "limited", jobs, dir.path()).finish();
    }
}

#[test]
fn a_disk_that_gets_full() {
    if !own_namespace(here!()) {
        return;
    }
    for jobs in JOBS {
        let disk = Disk::tmpfs("size=20m");
        let path = disk.path().join("store");
        let store = open(&path);
        image::add(&store, "image", 1, 1000).unwrap();
        let tx = store.begin("a test").unwrap();
        let encoding = "zstd".parse().unwrap();
        let mut encoder =
            larder_store::codec::Encoder::new(encoding, jobs, Cancel::new(), path.clone()).unwrap();
        let noise = image::noise(1, 3 * CHUNK);
        let mut encode = || {
            for _ in 0..3 {
                encoder.layer(&mut &noise[..], tx.writer()?, &|_| {})?;
            }
            Ok(())
        };
        let error = encode().and_then(|()| encoder.finish().map(drop)).unwrap_err();
        assert!(is_full(&error), "{jobs} jobs: {error}");
        drop(tx);
        assert_eq!(leftovers(&path), Vec::<String>::new(), "{jobs} jobs");
        assert_eq!(image::verify(&store).len(), 1);
    }
}
