//! Blobs that other processes are fetching, and what becomes of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_store::blob::{Became, Rival};
use larder_store::descriptor::Descriptor;

use super::super::error::Result;

/// How often is looked what became of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Why it is a blob's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) enum Turn {
    /// Nobody has looked at it yet.
    First,
    /// Another process has brought it, or given it up.
    Gone,
    /// Another process died, and left the beginning of it.
    Left,
    /// Another process is at it, and does not get on.
    Stalled,
}

/// Blobs that others are fetching.
pub(in crate::registry) struct Rivals<'a> {
    /// How long a process may take to get on with a blob.
    patience: Duration,
    waiting: Mutex<Vec<Waiting<'a>>>,
    /// Whether somebody has been told that others are waited for.
    is_said: Mutex<bool>,
}

struct Waiting<'a> {
    blob: &'a Descriptor,
    rival: Rival,
    /// How much of it there was, and when it came to be that much.
    last: (u64, Instant),
}

impl<'a> Rivals<'a> {
    pub(in crate::registry) fn new(patience: Duration) -> Rivals<'a> {
        Rivals { patience, waiting: Mutex::default(), is_said: Mutex::new(false) }
    }

    /// Waits for one more; whether it is the first one.
    pub(in crate::registry) fn add(&self, blob: &'a Descriptor, rival: Rival) -> bool {
        let waiting = Waiting { blob, rival, last: (0, Instant::now()) };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
        !std::mem::replace(&mut *self.is_said.lock().unwrap_or_else(PoisonError::into_inner), true)
    }

    /// Waits until there is something to do about one of them; `None` where there are none, or where `go_on` says that it is
    /// over.
    pub(in crate::registry) fn wait(
        &self,
        go_on: &dyn Fn() -> Result<bool>,
    ) -> Result<Option<(&'a Descriptor, Turn)>> {
        while go_on()? {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.is_empty() {
                return Ok(None);
            }
            let now = Instant::now();
            for at in 0..waiting.len() {
                let one = &mut waiting[at];
                if let Some(turn) = judge(one.rival.look()?, &mut one.last, now, self.patience) {
                    return Ok(Some((waiting.swap_remove(at).blob, turn)));
                }
            }
            drop(waiting);
            std::thread::sleep(PAUSE);
        }
        Ok(None)
    }
}

/// Whether there is something to do about a blob, by what became of it.
fn judge(became: Became, last: &mut (u64, Instant), now: Instant, patience: Duration) -> Option<Turn> {
    match became {
        Became::Gone => Some(Turn::Gone),
        Became::Left => Some(Turn::Left),
        Became::Written(size) if size != last.0 => {
            *last = (size, now);
            None
        }
        Became::Written(_) => (now.saturating_duration_since(last.1) >= patience).then_some(Turn::Stalled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_on_is_waited_for_and_who_does_not_is_not() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let (mut last, patience) = ((0, start), Duration::from_secs(30));
        for (became, seconds, expected) in [
            (Became::Written(0), 29, None),
            (Became::Written(5), 31, None),
            (Became::Written(5), 60, None),
            (Became::Written(5), 61, Some(Turn::Stalled)),
            (Became::Gone, 61, Some(Turn::Gone)),
            (Became::Left, 61, Some(Turn::Left)),
        ] {
            assert_eq!(judge(became, &mut last, after(seconds), patience), expected, "{became:?} {seconds}");
        }
    }
}
