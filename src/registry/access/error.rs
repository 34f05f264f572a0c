//! Why a host cannot be asked. No message quotes what stands in a file of credentials, or what a helper printed.

use larder_store::Error as StoreError;

/// What `access` returns.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no access to a host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read, or a signal came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No request may leave this host.
    #[error("{host}: not asked: {file} says `offline = true`")]
    Offline { host: String, file: String },
    /// A file that says how hosts are asked is not what it should be.
    #[error("{file}: {why}")]
    File { file: String, why: String, hint: &'static str },
    /// A credential helper did not do its work.
    #[error("{host}: credential helper {program}: {why}")]
    Helper { host: String, program: String, why: String, hint: &'static str },
}

impl Error {
    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Error::Store(error) => error.hint(),
            Error::Offline { .. } => {
                Some("this host is set to ask no registry; take the line out of the file if it may")
            }
            Error::File { hint, .. } | Error::Helper { hint, .. } => {
                Some(hint).copied().filter(|hint| !hint.is_empty())
            }
        }
    }
}
