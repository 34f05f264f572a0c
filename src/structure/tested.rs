//! What became of a test.

use std::time::Duration;

/// A test that was done, or skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tested {
    /// Its kind and name, as container-structure-test writes them.
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// What its command wrote.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// How long its command took.
    pub(crate) duration: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// What was not as it should be, one sentence each.
    Failed(Vec<String>),
    /// Why it could not be done.
    Skipped(String),
}

impl Tested {
    /// A test that ran no command: it failed where something was wrong.
    pub(crate) fn of(name: String, wrong: Vec<String>) -> Tested {
        let outcome = if wrong.is_empty() { Outcome::Passed } else { Outcome::Failed(wrong) };
        Tested { name, outcome, stdout: String::new(), stderr: String::new(), duration: Duration::ZERO }
    }

    /// A test that could not be done.
    pub(crate) fn skipped(name: String, why: String) -> Tested {
        Tested { outcome: Outcome::Skipped(why), ..Tested::of(name, Vec::new()) }
    }
}
