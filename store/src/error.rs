//! The library's error: what failed, where, why, and what to do next.
//!
//! Parsers of floor 0 have small errors of their own; everything that touches a store or an archive
//! ends up here, so that a caller can tell the *kind* (for an exit code) and the *hint* apart from the text.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::Digest;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is; a command line maps it to its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything that has no kind of its own.
    Failed,
    /// The named image is not in the store.
    NoSuchImage,
    /// Content is damaged, incomplete or does not match its digest.
    Damaged,
    /// A lock was not had in time.
    LockTimeout,
    /// The caller asked to stop (a signal).
    Interrupted,
}

/// A failure of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on a named file failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: `open`, `rename`, `fsync`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Content is missing, cut, or not what its digest says.
    #[error("{what}: {why}")]
    Damaged {
        /// The thing, with its digest or entry name.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Input that is understood and refused, or not understood.
    #[error("{what}: {why}")]
    Invalid {
        /// The thing, with its digest or entry name.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// No index entry answers to the reference.
    #[error("{reference}: no such image in {}", store.display())]
    NoSuchImage {
        /// As it was asked for.
        reference: String,
        /// Where it was looked for.
        store: PathBuf,
    },
    /// The archive holds no image of the name or digest that was asked for.
    #[error("holds no image {wanted:?} (its names: {known})")]
    NotInArchive {
        /// As it was asked for.
        wanted: String,
        /// The names that there are.
        known: String,
    },
    /// The archive is not the one that somebody told.
    #[error("is not what was expected: {}", differences.join("; "))]
    NotExpected {
        /// What differs, a phrase each; at least one.
        differences: Vec<String>,
    },
    /// Several entries answer to the reference and none of them exactly.
    #[error("{reference}: ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// As it was asked for.
        reference: String,
        /// Names or digests that match.
        candidates: Vec<String>,
    },
    /// A name is taken by another image.
    #[error("{reference}: the store has another image of this name ({existing})")]
    NameTaken {
        /// The name.
        reference: String,
        /// The manifest digest that holds it.
        existing: Digest,
    },
    /// A name that is not given to an image here.
    #[error("{reference}: {why}")]
    NameRefused {
        /// The name.
        reference: String,
        /// What speaks against it.
        why: String,
        /// Which name would be given, or how to find one.
        hint: String,
    },
    /// The image is pinned.
    #[error("{reference}: is pinned")]
    Pinned {
        /// The name.
        reference: String,
    },
    /// The directory is not an image layout.
    #[error("{}: not an image layout: {why}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What speaks against it.
        why: String,
    },
    /// The store was written by a newer larder.
    #[error("{}: the store has format {found}, this larder knows {known}", path.display())]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// A lock was not had within the timeout.
    #[error("the {lock} was not free within {waited:?}; held by {holder}")]
    LockTimeout {
        /// Which lock.
        lock: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// Who has it, as far as the kernel tells.
        holder: String,
    },
    /// Less free space than the work needs beside what others are about to write; nothing was written.
    #[error("{}: {needed} bytes are needed and {free} are free", path.display())]
    NoSpace {
        /// The store.
        path: PathBuf,
        /// Upper bound of what would be written, bytes.
        needed: u64,
        /// What the file system has for this user, bytes.
        free: u64,
    },
    /// Less space than the work needs beside what the policy keeps free, and not enough may be freed; nothing was changed.
    #[error("{}: {needed} bytes are needed beside what min_free keeps free; {free} are free or need no image to go, {freeable} more could be freed by images, {missing} would be missing", path.display())]
    NoRoom {
        /// The store.
        path: PathBuf,
        /// Upper bound of what would be written, bytes.
        needed: u64,
        /// What the file system has for this user, with what nothing needs any more, bytes.
        free: u64,
        /// What the policy could free, bytes.
        freeable: u64,
        /// What would be missing then, bytes.
        missing: u64,
    },
    /// The caller's cancel flag was raised.
    #[error("interrupted")]
    Interrupted,
    /// A failure while working on a part of something larger.
    #[error("{context}")]
    Within {
        /// The larger thing: `archive gcc15.tar: entry blobs/sha256/…`.
        context: String,
        /// What happened in it.
        source: Box<Error>,
    },
}

/// Whether this process has as many files open as it may.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

impl Error {
    /// Wraps an operating system error with what was tried and where.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }

    /// Content that is not what it should be.
    pub fn damaged(what: impl ToString, why: impl ToString) -> Error {
        Error::Damaged { what: what.to_string(), why: why.to_string() }
    }

    /// Input that is refused.
    pub fn invalid(what: impl ToString, why: impl ToString) -> Error {
        Error::Invalid { what: what.to_string(), why: why.to_string() }
    }

    /// Names the larger thing in which this happened.
    pub fn within(self, context: impl ToString) -> Error {
        match self {
            Error::Interrupted => Error::Interrupted,
            other => Error::Within { context: context.to_string(), source: Box::new(other) },
        }
    }

    /// The kind, for an exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NoSuchImage { .. } | Error::NotInArchive { .. } => Kind::NoSuchImage,
            Error::Damaged { .. } | Error::NotExpected { .. } => Kind::Damaged,
            Error::LockTimeout { .. } => Kind::LockTimeout,
            Error::Interrupted => Kind::Interrupted,
            Error::Within { source, .. } => source.kind(),
            _ => Kind::Failed,
        }
    }

    /// What to do next, where there is something to say.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Error::NoSuchImage { .. } => "`larder images` lists what is there",
            Error::NotExpected { .. } => {
                "names and digests have to be those that `larder export` printed when it wrote the archive"
            }
            Error::Ambiguous { .. } => "give the full reference, or more of the digest",
            Error::NameTaken { .. } => "--replace moves the name; the displaced image stays, without a name",
            Error::NameRefused { hint, .. } => hint,
            Error::Pinned { .. } => "`larder unpin` it first",
            Error::NotALayout { .. } => {
                "--store (or LARDER_STORE) names an image layout, or an empty or new directory"
            }
            Error::NewerFormat { .. } => "use the larder that wrote it, or a newer one",
            Error::LockTimeout { .. } => "wait for the other process, or raise --lock-timeout",
            Error::NoSpace { .. } => "free space on this disk, or choose another --store",
            Error::NoRoom { .. } => {
                "`larder prune --dry-run --explain` says why the others stay; `larder holds` who uses what"
            }
            Error::Io { source, .. } if is_out_of_descriptors(source) => {
                "raise the limit of open files: `ulimit -n` of the shell, LimitNOFILE= of a service, --ulimit nofile= of a container"
            }
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => "free space on this disk; the store is as it was before",
                io::ErrorKind::PermissionDenied => "run as the user that owns it",
                _ => return None,
            },
            Error::Within { source, .. } => return source.hint(),
            _ => return None,
        })
    }
}
