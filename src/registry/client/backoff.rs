//! How long to wait before a request is tried again. No clock and no dice in here: both are handed in.

use std::time::Duration;

use super::wire::Patience;

/// Tries in a row of which none brought anything.
pub(super) const TRIES: u32 = 5;
/// Before the second try; doubled each time.
const FIRST: Duration = Duration::from_millis(200);
/// The same where the other side is overrun and does not say how long to leave it alone.
const FIRST_OVERRUN: Duration = Duration::from_secs(1);
/// The longest that the other side may ask to be left alone.
pub(super) const MOST: Duration = Duration::from_secs(60);

/// Why a try failed, as far as it matters for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The next one will fail as well.
    Never,
    /// It was cut, or the other side has a problem of its own.
    Soon,
    /// The other side is overrun (429), and may have said how long to leave it alone.
    Later(Option<Duration>),
}

/// Counts tries.
#[derive(Debug)]
pub(super) struct Backoff {
    failed: u32,
    /// In a row.
    tries: u32,
    /// The longest that the other side may ask to be left alone.
    leave: Duration,
}

impl Backoff {
    /// With so much patience.
    pub(super) fn new(patience: &Patience) -> Backoff {
        Backoff { failed: 0, tries: patience.tries, leave: patience.leave }
    }

    /// A try failed: how long to wait before the next one; `None` where there is none. `dice` is in 0..1: several that
    /// were turned away together must not come back together.
    pub(super) fn failed(&mut self, again: Again, dice: f64) -> Option<Duration> {
        let doubled = |first: Duration| first * 2u32.pow(self.failed.min(16));
        let wait = match again {
            Again::Never => return None,
            Again::Later(Some(asked)) if asked > self.leave => return None,
            // Never sooner than it was asked for.
            Again::Later(Some(asked)) => asked + FIRST.mul_f64(dice),
            Again::Later(None) => doubled(FIRST_OVERRUN).min(MOST).mul_f64(0.5 + dice / 2.0),
            Again::Soon => doubled(FIRST).min(MOST).mul_f64(0.5 + dice / 2.0),
        };
        self.failed += 1;
        (self.failed < self.tries).then_some(wait)
    }

    /// A try brought something before it failed: it is not one of those in a row, and the next one need not wait.
    pub(super) fn brought(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_each_time_and_ends() {
        let mut backoff = Backoff::new(&Patience::default());
        let waits: Vec<_> = std::iter::from_fn(|| backoff.failed(Again::Soon, 1.0)).collect();
        assert_eq!(waits, [200, 400, 800, 1600].map(Duration::from_millis));
        let mut backoff = Backoff::new(&Patience::default());
        assert_eq!(backoff.failed(Again::Soon, 0.0), Some(Duration::from_millis(100)), "the jitter is half");
    }

    #[test]
    fn what_is_asked_for_is_honoured_and_bounded() {
        let mut backoff = Backoff::new(&Patience::default());
        let asked = Duration::from_secs(7);
        assert!(backoff.failed(Again::Later(Some(asked)), 0.5).is_some_and(|wait| wait >= asked));
        assert_eq!(backoff.failed(Again::Later(Some(MOST * 2)), 0.5), None);
        assert_eq!(backoff.failed(Again::Never, 0.5), None);
    }

    #[test]
    fn what_a_job_waits_for_is_over_soon() {
        let brief = Patience::brief();
        let mut backoff = Backoff::new(&brief);
        assert_eq!(backoff.failed(Again::Later(Some(MOST)), 0.5), None, "it is not left alone for so long");
        let waits: Duration = std::iter::from_fn(|| backoff.failed(Again::Later(None), 1.0)).sum();
        let each = brief.connect.max(brief.silence).max(brief.document);
        assert!(waits + each * brief.tries <= Duration::from_secs(30), "{waits:?} {brief:?}");
    }

    #[test]
    fn who_gets_on_is_never_given_up() {
        let mut backoff = Backoff::new(&Patience::default());
        for _ in 0..1000 {
            assert!(backoff.failed(Again::Soon, 0.5).is_some());
            backoff.brought();
        }
    }
}
