//! What is wrong with a Dockerfile, and where.

use std::fmt;

/// One thing that is wrong: a line, what stands there, why that cannot be, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Counted from 1; `None` where it is the file as a whole, or an option.
    line: Option<usize>,
    what: String,
    why: String,
    hint: Option<&'static str>,
}

impl Problem {
    /// What is wrong at a line.
    pub(in crate::build) fn new(line: usize, what: impl Into<String>, why: impl Into<String>) -> Problem {
        Problem { line: Some(line), what: what.into(), why: why.into(), hint: None }
    }

    /// What is wrong, but with no line in particular.
    pub(super) fn of_file(what: impl Into<String>, why: impl Into<String>) -> Problem {
        Problem { line: None, what: what.into(), why: why.into(), hint: None }
    }

    /// With a remedy.
    pub(super) fn with_hint(mut self, hint: &'static str) -> Problem {
        self.hint = Some(hint);
        self
    }

    /// The line, counted from 1.
    pub(crate) fn line(&self) -> Option<usize> {
        self.line
    }

    /// What to do instead.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// `FILE:LINE: what: why`.
    pub(crate) fn of(&self, file: &str) -> String {
        match self.line {
            Some(line) => format!("{file}:{line}: {self}"),
            None => format!("{file}: {self}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
