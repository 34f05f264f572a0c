//! A host that says nothing, with little patience; `tests/build/shared.rs` has all else.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::registry::access::{Environment, Settings};
use crate::registry::{GivenUp, Patience};

#[test]
fn who_says_nothing_is_asked_by_nobody_of_the_run_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let came = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    let short = Duration::from_millis(100);
    let registries = Registries {
        settings: Settings::default(),
        environment: Environment::default(),
        patience: Patience { silence: short, document: 2 * short, ..Patience::brief() },
        cancel: Cancel::new(),
        given_up: GivenUp::default(),
    };
    let cache = |name: &str| {
        let repository = format!("{address}/{name}").parse().expect("a repository");
        StepCache::new(repository, registries.clone())
    };
    let (one, other) = (cache("one"), cache("other"));
    let key = Digest::of(b"key");
    assert!(one.find(&key).is_err());
    assert!(one.find(&key).expect("nobody is asked").is_none());
    assert!(other.find(&key).expect("nobody is asked").is_none());
    assert!(came.load(Ordering::SeqCst) <= 2);
}
