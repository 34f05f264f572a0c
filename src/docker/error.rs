//! How a hand-over fails.

use larder_store::Error as StoreError;

/// A hand-over's result.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed hand-over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store failed, or a signal came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no engine to talk to.
    #[error("no Docker engine answers at {host}: {why}")]
    Unreachable {
        host: String,
        why: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A request that the engine did not fulfil.
    #[error("Docker engine {host}: cannot {what}: {why}")]
    Request { host: String, what: String, why: String },
    /// The image is not one that this engine can run.
    #[error("{name}: {why}")]
    Unfit { name: String, why: String },
    /// The engine took the image, and then the name was not what it should be.
    #[error("{name}: the Docker engine took it, but {why}")]
    Unverified { name: String, why: String },
}

impl Error {
    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Error::Store(error) => error.hint(),
            Error::Unreachable { hint, .. } => Some(hint),
            _ => None,
        }
    }
}
