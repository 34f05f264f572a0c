//! How running a step fails, where the step's own exit code is not the answer.

use std::io;
use std::path::Path;
use std::time::Duration;

use larder_store::Error as StoreError;

/// The result of running a step.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A step that was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file, or a signal that came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to run it with.
    #[error("no container runtime: neither runc nor crun is on the PATH")]
    NoRuntime,
    /// It took too long, and was ended.
    #[error("the step ran longer than {} s and was ended", after.as_secs())]
    TimedOut {
        /// How long it was allowed to take.
        after: Duration,
        /// The end of its output.
        last_lines: Vec<String>,
    },
    /// Directories cannot be stacked here: neither the kernel's nor the file system's doing.
    #[error("overlayfs cannot be mounted: {0}")]
    NoOverlay(String),
    /// It could not be prepared or started.
    #[error("{message}")]
    NotRun {
        /// What failed, and why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Error {
    /// What could not be done, and the system's answer.
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Store(StoreError::io(action, path)(source))
    }

    /// Something that cannot be run as it is.
    pub(super) fn not_run(message: impl ToString) -> Error {
        Error::NotRun { message: message.to_string(), hint: None }
    }

    /// Says what to do about it.
    pub(super) fn with_hint(self, hint: impl ToString) -> Error {
        match self {
            Error::NotRun { message, .. } => Error::NotRun { message, hint: Some(hint.to_string()) },
            other => Error::NotRun { message: other.chain(), hint: Some(hint.to_string()) },
        }
    }

    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Error::Store(error) => error.hint(),
            Error::NoRuntime => Some("install runc or crun; every host with Docker has one"),
            Error::TimedOut { .. } => Some("--timeout sets how long a step may take"),
            Error::NoOverlay(_) => Some("`larder doctor` says whether this machine has overlayfs"),
            Error::NotRun { hint, .. } => hint.as_deref(),
        }
    }

    /// The error with its causes.
    pub(super) fn chain(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            message = format!("{message}: {next}");
            cause = next.source();
        }
        message
    }
}
