//! Waits that end by themselves, with little patience; `tests/registry` has all else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use larder_store::blob::Ingest;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::fs::Dir;

use super::*;
use crate::registry::GivenUp;
use crate::registry::access::{Environment, Settings};

/// A line to a server that does this with each connection.
fn line(serve: impl Fn(&mut TcpStream) + Send + 'static) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            serve(&mut stream);
        }
    });
    let short = Duration::from_millis(100);
    let registries = Registries {
        settings: Settings::default(),
        environment: Environment::default(),
        patience: Patience {
            connect: short,
            silence: 3 * short,
            document: 4 * short,
            window: 2 * short,
            rival: short,
            ..Patience::default()
        },
        cancel: Cancel::new(),
        given_up: GivenUp::default(),
    };
    let reference = format!("{address}/a/b:1").parse().expect("a reference");
    Repository::of(&reference, &registries).expect("a repository").line().expect("a line")
}

/// Sends a byte now and then, for ever: each is in time.
fn drip(stream: &mut TcpStream) {
    while stream.write_all(b" ").is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn which() -> Which {
    Which::Tag("1".into())
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let begun = Instant::now();
    let line = line(|stream| drop(stream.read(&mut [0])));
    let error = line.head(&which()).expect_err("no answer");
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_document_that_comes_byte_by_byte_is_not_waited_for() {
    let line = line(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        drip(stream);
    });
    let error = line.manifest(&which()).expect_err("no answer");
    assert!(error.to_string().contains("took more than"), "{error}");
}

#[test]
fn a_blob_that_comes_byte_by_byte_is_not_waited_for() {
    let line = line(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        drip(stream);
    });
    let dir = tempfile::tempdir().expect("a directory");
    let ingest = Ingest::create(&Dir::open(dir.path()).expect("it")).expect("an ingest");
    let blob = Descriptor::new("a/b", Digest::of(b"x"), 1_000_000);
    let anew = || ingest.writer_of(&blob.digest, blob.size);
    let taking = Taking { anew: &anew, watch: &|_| {}, passed_over: &|_, _| {} };
    let error = line.blob(&blob, anew().expect("a writer"), &taking).expect_err("no answer");
    assert!(error.to_string().contains("took more than"), "{error}");
}
