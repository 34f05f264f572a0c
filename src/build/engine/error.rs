//! How a build fails.

use std::fmt::Write;

use larder_store::Error as StoreError;

use crate::build::problem::Problem;
use crate::build::run;

/// The result of building.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store, a file, or a signal that came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is wrong with a Dockerfile or a `.dockerignore`; at least one thing.
    #[error("{}", shown(file, problems))]
    Problems {
        /// The file, as people call it.
        file: String,
        /// In the order of their lines.
        problems: Vec<Problem>,
    },
    /// A step could not be done.
    #[error("{place}: {text}: {source}")]
    Step {
        /// File and line.
        place: String,
        /// The instruction.
        text: String,
        /// Why.
        source: StoreError,
    },
    /// A command could not be run, or not to its end.
    #[error("{place}: {text}: {source}")]
    Run {
        /// File and line.
        place: String,
        /// The instruction.
        text: String,
        /// Why.
        source: run::Error,
    },
    /// A command ended with another code than 0.
    #[error("{place}: {text}: ended with {code}")]
    Failed {
        /// File and line.
        place: String,
        /// The instruction.
        text: String,
        /// Its exit code; 128 and more for a signal.
        code: i32,
        /// The end of its output.
        last_lines: Vec<String>,
    },
}

impl Error {
    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Error::Store(error) | Error::Step { source: error, .. } => error.hint().map(str::to_owned),
            Error::Run { source, .. } => source.hint().map(str::to_owned),
            // Each is said with its problem.
            Error::Problems { .. } => None,
            Error::Failed { .. } => Some("its last lines are above; nothing was registered".to_owned()),
        }
    }

    /// The end of the output of what failed.
    pub(crate) fn last_lines(&self) -> &[String] {
        match self {
            Error::Failed { last_lines, .. }
            | Error::Run { source: run::Error::TimedOut { last_lines, .. }, .. } => last_lines,
            _ => &[],
        }
    }
}

fn shown(file: &str, problems: &[Problem]) -> String {
    let mut text = String::new();
    for (at, problem) in problems.iter().enumerate() {
        let _ = write!(text, "{}{}", if at == 0 { "" } else { "\n" }, problem.of(file));
        if let Some(hint) = problem.hint() {
            let _ = write!(text, " ({hint})");
        }
    }
    text
}
