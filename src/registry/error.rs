//! How talking to a registry fails: which side, which request, why, and what to do about it.
//!
//! A request is shown by method and path. Queries are left out: the address that a redirect leads to may have a signature in
//! it. What the other side says is cut and cleaned before it gets into a message.

use larder_store::Error as StoreError;
use larder_store::error::Kind as StoreKind;

use super::access;

/// A registry's result.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Something with a registry did not go well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store failed, or a signal came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not even asked.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// A request that was not answered as it should be.
    #[error("{0}")]
    Request(Box<Failed>),
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything that has no kind of its own.
    Failed,
    /// There was no answer, or none but that it has a problem of its own, however often it was asked.
    Unanswered,
    /// The registry has no such image: none of the name that somebody asked for.
    NoSuchImage,
    /// The registry itself does not have what was asked for: a part of an image, or a tag that was only looked for.
    Absent,
    /// The registry wants to know who is asking, or knows it and says no.
    Denied,
    /// What came is not what was announced.
    Damaged,
}

/// A request that was not answered as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The host that was asked.
    pub(crate) side: String,
    /// Method and path.
    pub(crate) request: String,
    /// What is wrong.
    pub(crate) why: String,
    /// What to do next; empty where there is nothing to say.
    pub(crate) hint: String,
    /// What sort of failure it is.
    pub(crate) kind: Kind,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.side, self.request, self.why)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        Error::Request(Box::new(failed))
    }
}

impl Error {
    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Error::Store(error) => error.hint(),
            Error::Access(error) => error.hint(),
            Error::Request(failed) => Some(failed.hint.as_str()).filter(|hint| !hint.is_empty()),
        }
    }

    /// Whether whatever else is to be asked need not be tried: a signal came.
    pub(crate) fn is_stop(&self) -> bool {
        let store = match self {
            Error::Store(error) | Error::Access(access::Error::Store(error)) => error,
            _ => return false,
        };
        store.kind() == StoreKind::Interrupted
    }

    /// The same, where it was the very image that somebody asked for: what is absent then is no such image.
    pub(super) fn of_image(mut self) -> Error {
        if let Error::Request(failed) = &mut self
            && failed.kind == Kind::Absent
        {
            failed.kind = Kind::NoSuchImage;
            failed.hint = "is the name right? the registry has nothing of that name for who asks".to_owned();
        }
        self
    }

    /// What sort of failure a request ended in; `None` where it is the store's.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Error::Request(failed) => Some(failed.kind),
            _ => None,
        }
    }
}

/// The most of a path that gets into a message, characters.
const PATH: usize = 64;

/// A path in a message. Where it is long, others made it, and its beginning says enough.
pub(super) fn short_path(path: &str) -> String {
    match path.char_indices().nth(PATH) {
        Some((at, _)) => format!("{}…", &path[..at]),
        None => path.to_owned(),
    }
}

/// The most of what the other side says that gets into a message, characters.
const SAID: usize = 200;

/// What the other side says, in one line.
pub(super) fn cleaned(text: &str) -> String {
    let words: Vec<_> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    let text = words.join(" ");
    match text.char_indices().nth(SAID) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut() {
        assert_eq!(short_path("/v2/a"), "/v2/a");
        assert_eq!(short_path(&"é".repeat(1000)).chars().count(), PATH + 1);
    }

    #[test]
    fn what_others_say_is_one_short_line() {
        assert_eq!(cleaned("a\u{1b}[2J\n\tb  c"), "a [2J b c");
        assert_eq!(cleaned(&"é".repeat(1000)).chars().count(), SAID + 1);
    }
}
