//! How a build fails.

use std::error::Error as _;

use larder_store::Error as StoreError;
use larder_store::error::Kind;

use crate::build::problem::Problem;
use crate::build::run;

/// The result of building.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do where an image is missing.
const BASES: &str = "`larder images` lists what is there, `larder import` and `larder pull` bring more in, and --pull fetches what a Dockerfile names";
/// What to do where a command has filled the disk.
const FULL: &str = "free space, then build again; nothing was registered, and what the command wrote is gone";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store, a file, or a signal that came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is wrong with a Dockerfile or a `.dockerignore`; at least one thing.
    #[error("{}", all(file, problems).join("; "))]
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
    #[error("{place}: {text}: ended with exit code {code}{}", if *is_full { "; the disk of the store is full" } else { "" })]
    Failed {
        /// File and line.
        place: String,
        /// The instruction.
        text: String,
        /// Its exit code; 128 and more for a signal.
        code: i32,
        /// The end of its output.
        last_lines: Vec<String>,
        /// Whether there was no more room for what it writes.
        is_full: bool,
    },
}

impl Error {
    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Error::Step { source, .. } if source.kind() == Kind::NoSuchImage => Some(BASES.to_owned()),
            Error::Store(error) | Error::Step { source: error, .. } => error.hint().map(str::to_owned),
            Error::Run { source, .. } => source.hint().map(str::to_owned),
            // Each is said with its problem.
            Error::Problems { .. } => None,
            Error::Failed { is_full: true, .. } => Some(FULL.to_owned()),
            Error::Failed { .. } => Some("its last lines are above; nothing was registered".to_owned()),
        }
    }

    /// All that is wrong, each by itself.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Error::Problems { file, problems } => all(file, problems),
            one => {
                let mut line = one.to_string();
                // What is within it is a part of its own words.
                let mut cause = one.source().and_then(|within| within.source());
                while let Some(next) = cause {
                    line = format!("{line}: {next}");
                    cause = next.source();
                }
                vec![line]
            }
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

fn all(file: &str, problems: &[Problem]) -> Vec<String> {
    let hint = |problem: &Problem| problem.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    problems.iter().map(|problem| format!("{}{}", problem.of(file), hint(problem))).collect()
}
