//! Blobs that are not what they should be.

use std::io::{ErrorKind, Read};

use larder_store::blob::{BlobStore, from_io};
use larder_store::error::Kind;
use larder_store::{Digest, Error};

use super::{Bench, Form, Harm, Obstacle, Place};
use crate::support::image::noise;

pub fn verified_reads<F: Form>(bench: Bench<F>) {
    let size = 100_000;
    let mut harms = vec![Harm::Cut, Harm::Grow];
    harms.extend([0, 1, 777, 65_536, size - 1].map(Harm::Flip));
    for (number, harm) in harms.into_iter().enumerate() {
        let content = noise(number as u64, size as usize);
        let digest = bench.publish(&content);
        assert!(bench.read(&digest).unwrap() == content);
        F::damage(&bench.dir(), &digest, harm);
        let blob = F::open(&bench.dir()).open(&digest).unwrap().unwrap();
        // Read by pieces that end exactly at the end, and by one that is larger than all.
        for piece in [1000, 4096, 200_000] {
            let mut reader = blob.verified();
            let error = loop {
                match reader.read(&mut vec![0; piece]) {
                    Ok(0) => panic!("{harm:?} is not noticed"),
                    Ok(_) => {}
                    Err(error) => break from_io(error, Error::io("read", "the blob")),
                }
            };
            assert_eq!(error.kind(), Kind::Damaged, "{harm:?}: {error}");
            assert!(error.to_string().contains(&digest.to_string()), "{harm:?}: {error}");
        }
    }
}

pub fn a_failed_read_stays_failed<F: Form>(bench: Bench<F>) {
    for (number, harm) in [Harm::Flip(5), Harm::Cut, Harm::Grow].into_iter().enumerate() {
        let digest = bench.publish(&noise(number as u64, 3000));
        F::damage(&bench.dir(), &digest, harm);
        let mut reader = F::open(&bench.dir()).open(&digest).unwrap().unwrap().verified();
        let mut buffer = [0; 1000];
        let first = std::iter::repeat_with(|| reader.read(&mut buffer)).find(|read| !matches!(read, Ok(1..)));
        assert!(first.is_some_and(|read| read.is_err()), "{harm:?} is not noticed");
        for _ in 0..3 {
            let again = reader.read(&mut buffer);
            assert!(!matches!(again, Ok(0)), "{harm:?}: who reads on sees a good end");
            assert!(again.is_err_and(|error| error.kind() != ErrorKind::Interrupted), "{harm:?}");
        }
    }
}

pub fn in_the_way<F: Form>(bench: Bench<F>) {
    for (number, obstacle) in
        [Obstacle::OtherSize, Obstacle::Directory, Obstacle::Link].into_iter().enumerate()
    {
        let content = noise(number as u64, 5000);
        let digest = Digest::of(&content);
        if F::obstruct(&bench.dir(), &digest, obstacle) == Place::None {
            continue;
        }
        let blobs = F::open(&bench.dir());
        if obstacle != Obstacle::OtherSize {
            assert!(blobs.open(&digest).unwrap().is_none(), "{obstacle:?} is no blob");
            assert_eq!(blobs.contains(&digest).unwrap(), None, "{obstacle:?} is no blob");
            assert!(
                super::list(&blobs).iter().all(|(listed, _)| *listed != digest),
                "{obstacle:?} is no blob"
            );
        } else {
            assert_ne!(blobs.contains(&digest).unwrap(), Some(5000));
        }
        blobs.publish(bench.staged(&content)).unwrap();
        assert_eq!(blobs.contains(&digest).unwrap(), Some(5000), "{obstacle:?}");
        assert!(super::read(&blobs, &digest).unwrap() == content, "{obstacle:?}");
        assert_eq!(bench.in_ingest(), Vec::<String>::new(), "{obstacle:?}");
        blobs.settle(&digest).unwrap();
        assert!(blobs.remove(&digest).unwrap());
        assert!(blobs.open(&digest).unwrap().is_none(), "{obstacle:?}");
    }
}

pub fn healed<F: Form>(bench: Bench<F>) {
    let content = noise(9, 50_000);
    let digest = bench.publish(&content);
    F::damage(&bench.dir(), &digest, Harm::Flip(12_345));
    let blobs = F::open(&bench.dir());
    let is_good =
        || std::io::copy(&mut blobs.open(&digest).unwrap().unwrap().verified(), &mut std::io::sink()).is_ok();
    assert!(!is_good());
    blobs.publish(bench.staged(&content)).unwrap();
    assert!(!is_good(), "publish goes by the size alone; if it looked closer, heal would not be needed");
    blobs.heal(bench.staged(&content)).unwrap();
    assert!(is_good());
    assert_eq!(super::list(&blobs), [(digest, 50_000)]);
    assert_eq!(bench.in_ingest(), Vec::<String>::new());
    let absent = noise(10, 10);
    blobs.heal(bench.staged(&absent)).unwrap();
    assert_eq!(
        super::read(&blobs, &Digest::of(&absent)).unwrap(),
        absent,
        "heal puts what was not there as well"
    );
}

pub fn set_aside<F: Form>(bench: Bench<F>) {
    let quarantine = larder_store::fs::Dir::open(&bench.root.path().join("blobs"))
        .unwrap()
        .ensure_dir("quarantine")
        .unwrap();
    let content = noise(11, 50_000);
    let digest = bench.publish(&content);
    F::damage(&bench.dir(), &digest, Harm::Flip(12_345));
    let blobs = F::open(&bench.dir());
    let damaged = blobs.open(&digest).unwrap().unwrap();
    let name = blobs.set_aside(&damaged, Some(bench.staged(&content)), &quarantine).unwrap();
    assert_eq!(name, Some(digest.hex()));
    assert!(super::read(&blobs, &digest).unwrap() == content);
    let aside = quarantine.read(&digest.hex(), 1 << 20).unwrap().unwrap();
    assert!(aside.len() == content.len() && aside != content);
    assert_eq!(bench.in_ingest(), Vec::<String>::new());

    // It is another one by now: nothing is moved, with a good copy or without.
    for good in [Some(bench.staged(&content)), None] {
        assert_eq!(blobs.set_aside(&damaged, good, &quarantine).unwrap(), None);
        assert!(super::read(&blobs, &digest).unwrap() == content);
    }
    assert_eq!(bench.in_ingest(), Vec::<String>::new(), "the copy that nobody needs is thrown away");

    F::damage(&bench.dir(), &digest, Harm::Flip(1));
    let blobs = F::open(&bench.dir());
    let damaged = blobs.open(&digest).unwrap().unwrap();
    assert!(blobs.set_aside(&damaged, None, &quarantine).unwrap().is_some());
    assert_eq!(blobs.contains(&digest).unwrap(), None);
    assert_eq!(
        quarantine.read(&digest.hex(), 1 << 20).unwrap(),
        Some(aside),
        "the first one stays what it was"
    );
    assert_eq!(blobs.set_aside(&damaged, None, &quarantine).unwrap(), None, "it is gone");
}
