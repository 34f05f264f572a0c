//! Why definitions cannot be read or written.

use larder_store::Error as StoreError;
use rustix::io::Errno;

/// The result of this module.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What is wrong with the files, a line each: all that was found. At least one.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
    /// What is in the output and is not larder's, a line each. At least one.
    #[error("{}", .0.join("; "))]
    InTheWay(Vec<String>),
    /// Images that need each other.
    #[error("{}: these need each other, so that none can be built first", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A file could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Wrong(_) => Some("docs/definitions.md says what image.yml and its templates may have"),
            Error::InTheWay(_) => Some(
                "remove it, or name another directory by -o; only what .larder-generated lists there is replaced or removed",
            ),
            Error::Cycle(_) => {
                Some("resolve_base_image and extends say what an image needs; one of these has to do without")
            }
            Error::Store(StoreError::Io { source, .. })
                if source.raw_os_error() == Some(Errno::LOOP.raw_os_error()) =>
            {
                Some("it is a link that leads to itself; put a file in its place")
            }
            Error::Store(_) => None,
        }
    }
}
