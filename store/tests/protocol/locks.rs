//! The locks: who waits, for how long, and for whom.

use std::time::{Duration, Instant};

use larder_store::error::Kind;
use larder_store::{Error, Result, Store};

use crate::support::child::{self, Child};
use crate::support::{here, image, open, quick_directory};

const SHORT: Duration = Duration::from_millis(300);

/// Fails after the timeout and not much later, and says who has the lock.
fn must_time_out<T>(what: &str, mut take: impl FnMut() -> Result<T>, holder: u32) {
    let mut said = Vec::new();
    // The kernel's table is read piece by piece; where other tests take and drop locks meanwhile, a line may be missed.
    for _ in 0..5 {
        let begun = Instant::now();
        let error = match take() {
            Ok(_) => panic!("{what} was had although another process holds it"),
            Err(error) => error,
        };
        let waited = begun.elapsed();
        assert!(SHORT <= waited && waited < SHORT * 10, "{what}: waited {waited:?}");
        assert_eq!(error.kind(), Kind::LockTimeout, "{what}: {error}");
        let Error::LockTimeout { waited, .. } = &error else { panic!("{what}: {error}") };
        assert_eq!(*waited, SHORT, "{what}");
        said.push(error.to_string());
        if error.to_string().contains(&format!("process {holder} ")) {
            return;
        }
    }
    panic!("{what}: process {holder} has it: {said:?}");
}

#[test]
fn a_wait_ends_and_names_the_holder() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        let _held: Box<dyn std::any::Any> = match part.role.as_str() {
            "shared" => Box::new(store.locks().shared().unwrap()),
            "exclusive" => Box::new(store.locks().exclusive().unwrap()),
            _ => Box::new(store.locks().index().unwrap()),
        };
        child::say("held");
        return child::wait();
    }
    let dir = quick_directory();
    let store = Store::open(dir.path(), SHORT).unwrap();
    for role in ["shared", "exclusive", "index"] {
        let mut holder = Child::start(here!(), role, 0, dir.path());
        holder.expect("held");
        let id = holder.id();
        if role == "index" {
            must_time_out("index", || store.locks().index(), id);
            must_time_out("edit", || image::name(&store, "name", b"content"), id);
            drop(store.locks().shared().unwrap());
            drop(store.locks().exclusive().unwrap());
        } else {
            must_time_out("exclusive", || store.locks().exclusive(), id);
            // Who gave up does not keep the gate.
            let gate = store.locks().shared();
            match role {
                "shared" => drop(gate.unwrap()),
                _ => {
                    must_time_out("shared", || store.locks().shared(), id);
                    must_time_out("begin", || store.begin("a test").map(drop), id);
                    must_time_out("protect", || store.protect(&[], "a test").map(drop), id);
                }
            }
            drop(store.locks().index().unwrap());
        }
        holder.kill();
        let begun = Instant::now();
        drop((store.locks().exclusive().unwrap(), store.locks().index().unwrap()));
        assert!(begun.elapsed() < SHORT, "the dead do not hold locks");
    }
}

/// While somebody waits for it exclusively, newcomers stand behind him.
#[test]
fn newcomers_wait_behind_who_wants_it_alone() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        let shared = (part.role == "reader").then(|| store.locks().shared().unwrap());
        child::say("ready");
        if shared.is_none() {
            drop(store.locks().exclusive().unwrap());
            child::say("had it");
        }
        return child::wait();
    }
    let dir = quick_directory();
    let store = Store::open(dir.path(), SHORT).unwrap();
    let mut reader = Child::start(here!(), "reader", 0, dir.path());
    reader.expect("ready");
    let mut collector = Child::start(here!(), "collector", 0, dir.path());
    collector.expect("ready");
    // It has the gate within a moment; from then on nobody passes.
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.locks().shared().is_ok() {
        assert!(Instant::now() < deadline, "newcomers overtake");
    }
    must_time_out("shared", || store.locks().shared(), collector.id());
    reader.go();
    reader.finish();
    collector.expect("had it");
    drop(store.locks().shared().unwrap());
    collector.go();
    collector.finish();
}

/// Six processes hold it shared, always some of them at once; a lock without a gate would never be free.
#[test]
fn a_storm_of_shared_holds_starves_nobody() {
    const ROUNDS: usize = 10;
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        let mut holds = 0u64;
        child::say("ready");
        child::wait();
        let stop = part.dir.join("stop");
        while !stop.exists() {
            let held = store.locks().shared().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            drop(held);
            holds += 1;
        }
        return child::say(holds);
    }
    let dir = quick_directory();
    let store = open(dir.path());
    let mut storm: Vec<_> = (0..6).map(|number| Child::start(here!(), "storm", number, dir.path())).collect();
    storm.iter_mut().for_each(|process| process.expect("ready"));
    storm.iter_mut().for_each(Child::go);
    std::thread::sleep(Duration::from_millis(100));
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        drop(store.locks().exclusive().unwrap());
        longest = longest.max(begun.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(dir.path().join("stop"), "").unwrap();
    for process in storm {
        let holds: u64 = process.finish().last().unwrap().parse().unwrap();
        assert!(holds >= ROUNDS as u64, "a process had it shared only {holds} times: that is no storm");
    }
    assert!(longest < Duration::from_secs(2), "waited {longest:?}");
}

/// Shared holds are for moments, and go on while the index is edited.
#[test]
fn the_two_locks_are_two() {
    let dir = quick_directory();
    let store = Store::open(dir.path(), SHORT).unwrap();
    let shared = store.locks().shared().unwrap();
    image::name(&store, "name", b"content").unwrap();
    drop(shared);
    let exclusive = store.locks().exclusive().unwrap();
    image::name(&store, "other", b"content").unwrap();
    drop(exclusive);
}
