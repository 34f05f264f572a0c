//! A process that is killed at a named point of its transaction.

use std::io::Write;

use larder_store::lease;
use larder_store::{Digest, Error, Store};

use crate::support::child::{self, Child, Part};
use crate::support::{directory, here, image, open};

/// The points, in their order. Up to which of them the index is the old one?
const POINTS: [&str; 8] =
    ["begun", "written", "staged", "published", "all published", "committing", "committed", "ended"];
const FIRST_NEW: usize = 6;

/// Goes as far as the point and stays there.
fn play(part: &Part) {
    let stop = |point: &str| {
        if point == POINTS[part.number] {
            child::say(point);
            child::wait();
        }
    };
    let store = open(&part.dir);
    let mut tx = store.begin("to be killed").unwrap();
    stop("begun");
    let mut writer = tx.writer().unwrap();
    writer.write_all(&image::noise(77, 300_000)).unwrap();
    stop("written");
    let staged = writer.finish().unwrap();
    stop("staged");
    tx.publish(staged).unwrap();
    stop("published");
    let entry = image::put(&mut tx, 2, 20_000).unwrap();
    stop("all published");
    tx.commit(|index| {
        index.tag(&"moved".parse().unwrap(), entry.clone(), 0);
        index.tag(&"new".parse().unwrap(), entry.clone(), 0);
        stop("committing");
        Ok(())
    })
    .unwrap();
    stop("committed");
    drop(store);
    stop("ended");
}

fn live(store: &Store) -> usize {
    let _alone = store.locks().exclusive().unwrap();
    lease::live(&store.layout().private().sub("leases").unwrap()).unwrap().len()
}

#[test]
fn at_every_named_point() {
    if let Some(part) = child::part() {
        return play(&part);
    }
    for (number, point) in POINTS.into_iter().enumerate() {
        let dir = directory();
        let store = open(dir.path());
        let old = image::add(&store, "moved", 1, 20_000).unwrap();
        let bytes = || std::fs::read(dir.path().join("index.json")).unwrap();
        let before = bytes();
        let mut process = Child::start(here!(), "importer", number, dir.path());
        process.expect(point);
        assert_eq!(live(&store), usize::from(number < FIRST_NEW), "{point}: leases while it lives");
        process.kill();

        assert_eq!(live(&store), 0, "{point}: leases after its death");
        let names = image::verify(&store);
        let holds = store.resolve(&store.index().unwrap(), "moved").unwrap().digest;
        if number < FIRST_NEW {
            assert_eq!(bytes(), before, "{point}: the index has changed");
            assert_eq!((names.len(), holds), (1, old.digest), "{point}");
        } else {
            assert_ne!(holds, old.digest, "{point}");
            assert!(names.contains("new:latest") && names.len() == 2, "{point}: {names:?}");
        }
        image::verify_all(store.blobs());
        let published = store.blobs().contains(&Digest::of(&image::noise(77, 300_000))).unwrap();
        assert_eq!(published.is_some(), number >= 3, "{point}: visible before it is published");

        // Nothing that it held stands in anybody's way, and who tries again succeeds.
        image::add(&store, "moved", 2, 20_000).unwrap();
        image::add(&store, "new", 2, 20_000).unwrap();
        assert_eq!(image::verify(&open(dir.path())).len(), 2, "{point}");
    }
}

/// The whole process group dies in the middle of many transactions, again and again.
#[test]
fn at_random_moments() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        child::say("ready");
        for number in 0.. {
            let (name, seed) = (format!("p{}-n{}", part.number, number % 7), number + part.number as u64 * 3);
            let added = image::add(&store, &name, seed % 40, 30_000);
            assert!(!matches!(added, Err(Error::Damaged { .. })), "{added:?}");
            child::say(format!("added {name}"));
        }
    }
    let dir = directory();
    let store = open(dir.path());
    let mut expected = std::collections::BTreeSet::new();
    for round in 0..8u64 {
        let mut processes: Vec<_> =
            (0..3).map(|number| Child::start(here!(), "importer", number, dir.path())).collect();
        processes.iter_mut().for_each(|process| process.expect("ready"));
        let pause = 5 + (round * 37) % 90;
        std::thread::sleep(std::time::Duration::from_millis(pause));
        for process in &mut processes {
            let (_, said) = process.stop();
            expected.extend(
                said.iter()
                    .filter_map(|line| line.strip_prefix("added "))
                    .map(|name| format!("{name}:latest")),
            );
        }
        let names = image::verify(&store);
        assert!(
            names.is_superset(&expected),
            "round {round}: a name was lost: {:?}",
            expected.difference(&names)
        );
        image::verify_all(store.blobs());
        assert_eq!(live(&store), 0, "round {round}");
    }
    assert!(!expected.is_empty(), "nothing was ever finished: the moments are badly chosen");
}
