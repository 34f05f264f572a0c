//! Reading apart: in a thread that has stack enough for every template, and that is given up once it takes too long or too much.
//!
//! A template's fuel counts most of what it does, but not all: `a + a` is a list that is made when it is read, and forty of those are never
//! read to their end. Such a thread cannot be stopped, so the program reports it and ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::error::{Error, Result};

/// A template of 64 KiB takes 4 KiB for each byte at most: no page of it is there before it is touched.
const STACK: usize = 256 << 20;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// What a reading may take.
pub(super) struct Limits {
    /// For one template: its fuel is gone in a second.
    pub(super) time: Duration,
    /// Pages of 4 KiB, beyond what the program has.
    pub(super) pages: u64,
}

/// More than a folder takes, whose texts are 128 MiB at most.
pub(super) const LIMITS: Limits = Limits { time: Duration::from_secs(30), pages: (1 << 30) / 4096 };

/// Counts beginnings and ends of templates, so that who looks on sees that it goes on: an odd number is within one. Files may take long.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps(Arc<AtomicU64>);

impl Steps {
    /// A template begins, or ends.
    pub(super) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Does work in a thread of its own.
pub(super) fn apart<T: Send + 'static>(
    folder: &Path,
    limits: &Limits,
    work: impl FnOnce(&Steps) -> Result<T> + Send + 'static,
) -> Result<T> {
    let wrong = |why: &str| Error::Wrong(vec![format!("{}: {why}", folder.display())]);
    let steps = Steps::default();
    let (said, heard) = mpsc::sync_channel(1);
    let its = steps.clone();
    let thread = std::thread::Builder::new().name("definitions".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || said.send(work(&its)));
    started.map_err(|why| wrong(&format!("no thread to read it: {why}")))?;
    let most = pages().map(|now| now.saturating_add(limits.pages));
    let (mut last, mut since) = (0, Instant::now());
    loop {
        match heard.recv_timeout(LOOK) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Disconnected) => return Err(wrong("reading it broke off")),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = steps.0.load(Ordering::Relaxed);
        if now != last || now.is_multiple_of(2) {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > limits.time {
            return Err(wrong("a template does not come to an end"));
        }
        if pages().zip(most).is_some_and(|(now, most)| now > most) {
            return Err(wrong("a template takes too much memory"));
        }
    }
}

/// Pages that the program has in memory, where the system says it.
fn pages() -> Option<u64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(limits: &Limits, work: impl FnOnce(&Steps) -> Result<()> + Send + 'static) -> String {
        apart(Path::new("images"), limits, work).expect_err("given up").to_string()
    }

    #[test]
    fn who_takes_too_long_is_given_up_and_who_goes_on_is_not() {
        let limits = Limits { time: Duration::from_millis(300), pages: u64::MAX };
        let (end, ended) = mpsc::channel::<()>();
        let said = why(&limits, move |steps| {
            steps.step();
            ended.recv().ok();
            Ok(())
        });
        assert!(said.contains("does not come to an end"), "{said}");
        drop(end);
        let goes_on = |steps: &Steps| {
            (0..8).for_each(|_| {
                std::thread::sleep(Duration::from_millis(100));
                steps.step();
            });
            std::thread::sleep(Duration::from_millis(600));
            Ok(7)
        };
        assert_eq!(apart(Path::new("images"), &limits, goes_on).expect("done"), 7);
    }

    #[test]
    fn who_takes_too_much_is_given_up() {
        let limits = Limits { time: Duration::from_secs(60), pages: (256 << 20) / 4096 };
        let (end, ended) = mpsc::channel::<()>();
        let said = why(&limits, move |_| {
            let much = vec![1_u8; 512 << 20];
            ended.recv().ok();
            drop(much);
            Ok(())
        });
        assert!(said.contains("too much memory"), "{said}");
        drop(end);
    }
}
