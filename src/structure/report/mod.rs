//! What became of tests, for people and programs: the JSON and the XML have container-structure-test's fields, and what that has no word for beside them.

mod junit;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Value, json};

use super::tested::{Outcome, Tested};

pub(crate) use junit::junit;

/// All that was tested.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) suites: Vec<Suite>,
}

/// A test file and an image.
#[derive(Debug, Clone)]
pub(crate) struct Suite {
    pub(crate) image: String,
    pub(crate) file: String,
    pub(crate) tests: Vec<Tested>,
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Count {
    /// All of them.
    pub(crate) fn total(self) -> usize {
        self.passed + self.failed + self.skipped
    }
}

impl Report {
    /// Counts all tests.
    pub(crate) fn count(&self) -> Count {
        count(self.suites.iter().flat_map(|suite| &suite.tests))
    }

    /// Why tests were skipped, each reason once.
    pub(crate) fn skips(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for test in self.suites.iter().flat_map(|suite| &suite.tests) {
            if let Outcome::Skipped(why) = &test.outcome
                && !all.contains(&why.as_str())
            {
                all.push(why);
            }
        }
        all
    }

    /// As `container-structure-test --output json` has it, with `Skip`, `Skipped`, `Image` and `File` beside. Durations are in nanoseconds.
    pub(crate) fn json(&self) -> Value {
        let count = self.count();
        let results = self.suites.iter().flat_map(|suite| suite.tests.iter().map(move |test| (suite, test)));
        let results = results.map(|(suite, test)| {
            let mut value = json!({
                "Name": test.name,
                "Pass": test.outcome == Outcome::Passed,
                "Duration": nanoseconds(test.duration),
                "Image": suite.image,
                "File": suite.file,
            });
            for (key, text) in [("Stdout", &test.stdout), ("Stderr", &test.stderr)] {
                if !text.is_empty() {
                    value[key] = json!(text);
                }
            }
            match &test.outcome {
                Outcome::Passed => {}
                Outcome::Failed(errors) => value["Errors"] = json!(errors),
                Outcome::Skipped(why) => value["Skipped"] = json!(why),
            }
            value
        });
        json!({
            "Pass": count.passed,
            "Fail": count.failed,
            "Skip": count.skipped,
            "Total": count.total(),
            "Duration": nanoseconds(self.duration()),
            "Results": results.collect::<Vec<_>>(),
        })
    }

    fn duration(&self) -> Duration {
        self.suites.iter().flat_map(|suite| &suite.tests).map(|test| test.duration).sum()
    }
}

fn count<'t>(tests: impl Iterator<Item = &'t Tested>) -> Count {
    let mut count = Count::default();
    for test in tests {
        match test.outcome {
            Outcome::Passed => count.passed += 1,
            Outcome::Failed(_) => count.failed += 1,
            Outcome::Skipped(_) => count.skipped += 1,
        }
    }
    count
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
