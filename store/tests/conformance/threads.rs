//! Several threads at one store.

use std::io::Read;
use std::sync::Barrier;

use larder_store::Digest;
use larder_store::blob::BlobStore;

use super::{Bench, Form};
use crate::support::image::noise;

const THREADS: usize = 12;

pub fn the_same_blob_at_once<F: Form>(bench: Bench<F>) {
    let content = noise(1, 300_000);
    let digest = Digest::of(&content);
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let staged = bench.staged(&content);
                start.wait();
                bench.blobs.publish(staged).unwrap();
                assert!(bench.read(&digest).unwrap() == content, "not there although publish said so");
            });
        }
    });
    assert_eq!(bench.list(), [(digest, 300_000)]);
    assert_eq!(bench.in_ingest(), Vec::<String>::new());
}

pub fn different_blobs_at_once<F: Form>(bench: Bench<F>) {
    let start = Barrier::new(THREADS);
    let mut expected: Vec<_> = std::thread::scope(|scope| {
        let publish = |thread: usize| {
            start.wait();
            let contents =
                (0..10).map(|number| noise((thread * 100 + number) as u64, 1000 * thread + number));
            contents.map(|content| (bench.publish(&content), content.len() as u64)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || publish(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    expected.sort_unstable();
    assert_eq!(bench.list(), expected);
    for (digest, size) in expected {
        assert_eq!(bench.read(&digest).unwrap().len() as u64, size);
    }
}

pub fn one_blob_read_at_once<F: Form>(bench: Bench<F>) {
    let content = noise(2, 1_000_000);
    let blob = bench.blobs.open(&bench.publish(&content)).unwrap().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (blob, content) = (&blob, &content);
            scope.spawn(move || {
                let mut all = Vec::new();
                blob.verified().read_to_end(&mut all).unwrap();
                assert!(all == *content);
                for position in (thread..content.len()).step_by(50_000) {
                    let mut byte = [0];
                    assert_eq!(blob.read_at(&mut byte, position as u64).unwrap(), 1);
                    assert_eq!(byte[0], content[position]);
                }
            });
        }
    });
}
