//! How long one waits for the locks: a process like any other takes them, again and again, and looks at the clock.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use larder_store::Store;

use super::Soak;

/// Every wait, for the store lock shared and alone and for the index lock.
#[derive(Default)]
pub(super) struct Waits(Mutex<[Vec<Duration>; 3]>);

impl Waits {
    /// Takes each lock in its turn, holds it for no time, and pauses a little, as commands do.
    pub(super) fn measure(&self, soak: &Soak) {
        let store = Store::open(&soak.sandbox.store(), Duration::from_secs(60)).unwrap();
        soak.repeats(|_| {
            let locks = store.locks();
            let time = |lock: &dyn Fn()| {
                let begun = Instant::now();
                lock();
                begun.elapsed()
            };
            let waited = [
                time(&|| drop(locks.shared().unwrap())),
                time(&|| drop(locks.exclusive().unwrap())),
                time(&|| drop(locks.index().unwrap())),
            ];
            for (waits, waited) in self.0.lock().unwrap().iter_mut().zip(waited) {
                waits.push(waited);
            }
            std::thread::sleep(Duration::from_millis(5));
        });
        assert!(soak.is_over.load(Ordering::Relaxed));
    }

    /// The longest of the 99th percentiles, and all in words.
    pub(super) fn figures(&self) -> (Duration, String) {
        let mut all = self.0.lock().unwrap();
        let mut worst = Duration::ZERO;
        let mut words = Vec::new();
        for (waits, name) in all.iter_mut().zip(["shared", "alone", "index"]) {
            waits.sort_unstable();
            let p99 = waits[(waits.len() - 1) * 99 / 100];
            worst = worst.max(p99);
            let longest = waits.last().unwrap();
            words.push(format!("{name} p99 {p99:.1?}, longest {longest:.1?} of {}", waits.len()));
        }
        (worst, words.join("; "))
    }
}
