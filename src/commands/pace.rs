//! How often what costs as much as all that is there may be done while one thing after the other comes.

use std::time::{Duration, Instant};

/// Nobody waits longer than this to see what came, unless it costs too much.
const EACH: Duration = Duration::from_secs(1);
/// So much longer than the work itself are the pauses between.
const SHARE: u32 = 5;

/// Says when it is due: at once the first time, then each second or more seldom.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<(Instant, Duration)>,
}

impl Pace {
    pub(super) fn is_due(&self) -> bool {
        self.last.is_none_or(|(ended, took)| ended.elapsed() >= EACH.max(took * SHARE))
    }

    /// Does it, and takes its time.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.last = Some((Instant::now(), begun.elapsed()));
        done
    }
}
