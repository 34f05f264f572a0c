//! The life of a blob, from its first byte to its removal.

use std::io::{Read, Write};

use larder_store::blob::BlobStore;
use larder_store::error::Kind;
use larder_store::{Digest, Error};

use super::{Bench, Form, list, read};
use crate::support::image::noise;

const HELLO: &[u8] = b"hello, larder";

pub fn what_is_not_there<F: Form>(bench: Bench<F>) {
    let digest = Digest::of(HELLO);
    assert!(bench.blobs.open(&digest).unwrap().is_none());
    assert_eq!(bench.blobs.contains(&digest).unwrap(), None);
    assert!(!bench.blobs.remove(&digest).unwrap());
    assert!(bench.blobs.settle(&digest).is_err(), "what is not there cannot be made durable");
    assert!(bench.list().is_empty());
    bench.blobs.sync().unwrap();
}

pub fn a_life<F: Form>(bench: Bench<F>) {
    let digest = Digest::of(HELLO);
    let mut writer = bench.writer(&HELLO[..5]);
    assert_eq!(writer.size(), 5);
    writer.write_all(&HELLO[5..]).unwrap();
    let staged = writer.finish_as(digest, HELLO.len() as u64).unwrap();
    assert_eq!((staged.digest(), staged.size()), (digest, HELLO.len() as u64));
    let mut content = Vec::new();
    staged.open().unwrap().verified().read_to_end(&mut content).unwrap();
    assert_eq!(content, HELLO, "it can be read before it is published");
    assert!(bench.blobs.open(&digest).unwrap().is_none(), "it is visible before it is published");
    bench.blobs.publish(staged).unwrap();
    bench.blobs.sync().unwrap();
    assert_eq!(bench.blobs.contains(&digest).unwrap(), Some(HELLO.len() as u64));
    let blob = bench.blobs.open(&digest).unwrap().unwrap();
    assert_eq!((blob.digest(), blob.size()), (digest, HELLO.len() as u64));
    assert_eq!(bench.read(&digest).unwrap(), HELLO);
    assert_eq!(bench.in_ingest(), Vec::<String>::new(), "nothing is left where it was written");
}

pub fn the_empty_blob<F: Form>(bench: Bench<F>) {
    bench.publish(HELLO);
    let digest = bench.publish(b"");
    assert_eq!(bench.blobs.contains(&digest).unwrap(), Some(0));
    assert_eq!(bench.read(&digest).unwrap(), b"");
    assert_eq!(bench.blobs.open(&digest).unwrap().unwrap().read_at(&mut [0; 8], 0).unwrap(), 0);
    assert!(bench.list().contains(&(digest, 0)));
    assert!(bench.blobs.remove(&digest).unwrap());
    assert_eq!(bench.read(&digest), None);
}

pub fn a_large_blob<F: Form>(bench: Bench<F>) {
    let content = noise(1, 20_000_003);
    let mut writer = bench.ingest.writer().unwrap();
    for piece in content.chunks(777_777) {
        writer.write_all(piece).unwrap();
    }
    let staged = writer.finish().unwrap();
    let digest = Digest::of(&content);
    assert_eq!(staged.digest(), digest);
    bench.blobs.publish(staged).unwrap();
    assert!(bench.read(&digest).unwrap() == content);
}

pub fn published_twice<F: Form>(bench: Bench<F>) {
    let digest = bench.publish(HELLO);
    let early = bench.blobs.open(&digest).unwrap().unwrap();
    assert_eq!(bench.publish(HELLO), digest);
    assert_eq!(bench.list(), [(digest, HELLO.len() as u64)]);
    assert_eq!(bench.read(&digest).unwrap(), HELLO);
    assert_eq!(bench.in_ingest(), Vec::<String>::new(), "the second copy is thrown away");
    let mut content = Vec::new();
    early.verified().read_to_end(&mut content).unwrap();
    assert_eq!(content, HELLO, "who reads it already is not disturbed");
}

pub fn a_writer_that_is_dropped<F: Form>(bench: Bench<F>) {
    drop(bench.ingest.writer().unwrap());
    let writer = bench.writer(HELLO);
    assert_eq!(bench.in_ingest().len(), 1);
    drop(writer);
    assert_eq!(bench.in_ingest(), Vec::<String>::new());
    assert!(bench.list().is_empty());
}

pub fn a_staged_blob_that_is_dropped<F: Form>(bench: Bench<F>) {
    let staged = bench.staged(HELLO);
    assert_eq!(bench.in_ingest().len(), 1);
    drop(staged);
    assert_eq!(bench.in_ingest(), Vec::<String>::new());
    assert_eq!(bench.blobs.contains(&Digest::of(HELLO)).unwrap(), None);
}

pub fn the_ingest_goes_last<F: Form>(bench: Bench<F>) {
    let (kept, dropped) = (bench.staged(HELLO), bench.writer(b"other"));
    let Bench { ingests, ingest, blobs, root: _root } = bench;
    drop(ingest);
    assert_eq!(ingests.names().unwrap().len(), 1, "a staged blob and a writer still need it");
    drop(dropped);
    blobs.publish(kept).unwrap();
    assert_eq!(ingests.names().unwrap(), Vec::<String>::new());
    assert_eq!(read(&blobs, &Digest::of(HELLO)).unwrap(), HELLO);
}

pub fn announced_wrong<F: Form>(bench: Bench<F>) {
    let (digest, size) = (Digest::of(HELLO), HELLO.len() as u64);
    for (why, announced) in [
        ("digest", (Digest::of(b"other"), size)),
        ("longer", (digest, size + 1)),
        ("shorter", (digest, size - 1)),
    ] {
        let error = bench.writer(HELLO).finish_as(announced.0, announced.1).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{why}: {error}");
        assert!(error.to_string().contains(&announced.0.to_string()), "{why}: {error}");
        assert_eq!(bench.in_ingest(), Vec::<String>::new(), "{why}");
    }
    assert!(bench.list().is_empty());
}

pub fn read_at_edges<F: Form>(bench: Bench<F>) {
    // Neighbours on both sides, which must never show through.
    bench.publish(&[b'<'; 1000]);
    let digest = bench.publish(HELLO);
    bench.publish(&[b'>'; 1000]);
    let blob = bench.blobs.open(&digest).unwrap().unwrap();
    let size = HELLO.len() as u64;
    for (position, length) in
        [(0, 5), (0, 100), (3, 4), (size - 1, 1), (size - 1, 9), (size, 9), (size + 1, 9), (7, 0)]
    {
        let mut buffer = vec![b'?'; length];
        let count = blob.read_at(&mut buffer, position).unwrap();
        let expected: Vec<_> = HELLO.iter().copied().skip(position as usize).take(length).collect();
        assert_eq!(&buffer[..count], expected, "at {position}");
        assert!(
            buffer[count..].iter().all(|byte| *byte == b'?'),
            "at {position}: written behind what was read"
        );
    }
    let mut content = Vec::new();
    blob.reader().read_to_end(&mut content).unwrap();
    assert_eq!(content, HELLO);
}

/// Positions come from tables that others wrote.
pub fn read_far_behind_the_end<F: Form>(bench: Bench<F>) {
    bench.publish(&[b'<'; 1000]);
    let blob = bench.blobs.open(&bench.publish(HELLO)).unwrap().unwrap();
    for position in [1 << 40, i64::MAX as u64, 1 << 63, u64::MAX] {
        assert_eq!(blob.read_at(&mut [0; 9], position).unwrap(), 0, "at {position}");
    }
}

pub fn listed<F: Form>(bench: Bench<F>) {
    F::add_strangers(&bench.dir());
    assert!(bench.list().is_empty(), "a stranger is listed as a blob");
    let mut expected = Vec::new();
    for number in 0..50 {
        let content = noise(number, number as usize * 10);
        expected.push((bench.publish(&content), content.len() as u64));
    }
    expected.sort_unstable();
    assert_eq!(bench.list(), expected);
    bench.blobs.remove(&expected.remove(7).0).unwrap();
    assert_eq!(bench.list(), expected);
}

pub fn removed<F: Form>(bench: Bench<F>) {
    let (digest, other) = (bench.publish(HELLO), bench.publish(b"other"));
    assert!(bench.blobs.remove(&digest).unwrap());
    assert!(!bench.blobs.remove(&digest).unwrap(), "it was there only once");
    assert_eq!(bench.blobs.contains(&digest).unwrap(), None);
    assert!(bench.blobs.open(&digest).unwrap().is_none());
    assert_eq!(bench.read(&other).unwrap(), b"other");
    assert_eq!(bench.publish(HELLO), digest, "it can come back");
    assert_eq!(bench.read(&digest).unwrap(), HELLO);
}

pub fn settled<F: Form>(bench: Bench<F>) {
    let digest = bench.publish(HELLO);
    bench.blobs.settle(&digest).unwrap();
    assert_eq!(bench.read(&digest).unwrap(), HELLO);
    bench.blobs.remove(&digest).unwrap();
    assert!(matches!(bench.blobs.settle(&digest), Err(Error::Damaged { .. })));
}

pub fn opened_by_another<F: Form>(bench: Bench<F>) {
    let digest = bench.publish(HELLO);
    bench.blobs.sync().unwrap();
    let other = F::open(&bench.dir());
    assert_eq!(list(&other), [(digest, HELLO.len() as u64)]);
    assert_eq!(read(&other, &digest).unwrap(), HELLO);
}

pub fn read_while_removed<F: Form>(bench: Bench<F>) {
    let digest = bench.publish(HELLO);
    let blob = bench.blobs.open(&digest).unwrap().unwrap();
    assert!(bench.blobs.remove(&digest).unwrap());
    let mut content = Vec::new();
    blob.verified().read_to_end(&mut content).unwrap();
    assert_eq!(content, HELLO);
}
