//! What happened in a day.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// Counts, and the longest time of each verb.
#[derive(Default)]
pub(super) struct Record {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    longest: Mutex<BTreeMap<String, (Duration, usize)>>,
    said: Mutex<Vec<String>>,
}

impl Record {
    /// Adds to a count.
    pub(super) fn add(&self, what: &'static str, number: u64) {
        *self.counts.lock().unwrap().entry(what).or_default() += number;
    }

    /// A count.
    pub(super) fn count(&self, what: &str) -> u64 {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// A verb took so long.
    pub(super) fn took(&self, verb: &str, time: Duration) {
        let mut longest = self.longest.lock().unwrap();
        let (most, runs) = longest.entry(verb.to_owned()).or_default();
        *most = time.max(*most);
        *runs += 1;
    }

    /// Something worth reading.
    pub(super) fn say(&self, text: String) {
        self.said.lock().unwrap().push(text);
    }

    /// Shows it to whoever wants to see it, with --nocapture or because the test failed.
    #[allow(clippy::print_stderr)]
    pub(super) fn show_said(&self) {
        for said in self.said.lock().unwrap().iter() {
            eprintln!("{said}");
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, number) in self.counts.lock().unwrap().iter() {
            writeln!(f, "  {number:>12} {what}")?;
        }
        for (verb, (time, runs)) in self.longest.lock().unwrap().iter() {
            writeln!(f, "  {:>10.1} s the longest of {runs} × {verb}", time.as_secs_f64())?;
        }
        Ok(())
    }
}
