//! What is printed, and what could not be done.

use larder_store::digest::Digest;
use serde_json::{Value, json};

use crate::cli::{CommandError, Format, Outcome, count, fail, line, print_json};

/// What becomes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    There,
    New,
    Moved,
    Gone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::There => "there",
            State::New => "new",
            State::Moved => "moved",
            State::Gone => "gone",
        }
    }
}

/// An image, and what becomes of it.
pub(super) struct Row {
    /// In full.
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) state: State,
    /// Bytes to fetch.
    pub(super) fetch: u64,
    /// Bytes to send, and the name in the other registry.
    pub(super) to: Option<(u64, String)>,
}

/// What is printed.
pub(super) struct Rows {
    format: Format,
    values: Vec<Value>,
    count: usize,
}

impl Rows {
    pub(super) fn new(format: Format) -> Rows {
        Rows { format, values: Vec::new(), count: 0 }
    }

    pub(super) fn add(&mut self, row: &Row) -> Outcome {
        let Row { name, digest, state, fetch, to } = row;
        let state = state.word();
        self.count += 1;
        if self.format == Format::Table {
            return match to {
                None => line(format!("{name} {digest} {state} {fetch}")),
                Some((send, to)) => line(format!("{name} {digest} {state} {fetch} {send} {to}")),
            };
        }
        let mut value = json!({"reference": name, "digest": digest, "state": state, "bytes": fetch});
        if let Some((send, to)) = to {
            value["to"] = json!(to);
            value["send_bytes"] = json!(send);
        }
        self.values.push(value);
        Ok(())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn end(self) -> Outcome {
        match self.format {
            Format::Json => print_json(&self.values),
            Format::Table => Ok(()),
        }
    }
}

/// Failures in a row after which a repository is given up.
const IN_VAIN: usize = 3;

/// What could not be done; the rest is.
#[derive(Default)]
pub(super) struct Failures {
    count: usize,
    /// In a row, where nobody answered.
    in_vain: usize,
    first: Option<CommandError>,
}

impl Failures {
    /// Tells what went wrong with something.
    pub(super) fn told<T, E: Into<CommandError>>(
        &mut self,
        what: &str,
        outcome: Result<T, E>,
    ) -> Outcome<Option<T>> {
        let error = match outcome {
            Ok(done) => {
                self.in_vain = 0;
                return Ok(Some(done));
            }
            Err(error) => error.into(),
        };
        self.in_vain = if error.is_unanswered() { self.in_vain + 1 } else { 0 };
        if error.is_stop() {
            return Err(error);
        }
        error.tell(&format!("{what}: "));
        self.count += 1;
        self.first.get_or_insert(error);
        Ok(None)
    }

    /// Another repository begins, which may be of another host.
    pub(super) fn begin(&mut self) {
        self.in_vain = 0;
    }

    /// Whether the next one of the same repository need not be tried: each is asked for more than once, and a list may have thousands.
    pub(super) fn is_in_vain(&self) -> bool {
        self.in_vain >= IN_VAIN
    }

    pub(super) fn end(self, done: usize) -> Outcome {
        let Some(first) = self.first else { return Ok(()) };
        let error = fail(format!("{} of the list could not be had", count(self.count, "thing")));
        Err(if done > 0 { error.in_part() } else { error.like(&first) })
    }
}
