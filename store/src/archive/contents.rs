//! What is in an archive, by path.

use std::io::{self, Read};

use crate::blob::Staged;
use crate::codec::EncodedLayer;
use crate::error::Result;
use crate::layers::LayerFacts;

/// The members of an archive.
pub trait Contents {
    /// The size in bytes of a regular file; `None` where there is none. Links are not followed: manifests and blobs
    /// are files.
    fn file(&self, path: &str) -> Result<Option<u64>>;

    /// Where a path leads when links inside the archive are followed, as `docker save` wrote them for layers.
    fn follow(&self, path: &str) -> Result<Option<String>>;

    /// Reads a small document; `None` where there is none, an error where it is over [`crate::json::MAX_DOCUMENT`].
    fn document(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Where a member's content lies in the archive's file (offset, bytes), if it is one whose space can be freed.
    fn place(&self, _path: &str) -> Option<(u64, u64)> {
        None
    }

    /// Gives a member's content, in the form in which it is at hand.
    fn take(&mut self, path: &str) -> Result<Part>;
}

/// A member's content.
pub enum Part {
    /// It can be read from the archive.
    Source(Box<dyn Read + Send>),
    /// It was plain, and was compressed while the stream passed.
    Encoded(EncodedLayer),
    /// It came compressed, and was copied as it was while the stream passed; nobody has unpacked it yet.
    Copied(Staged),
    /// The store has a blob for what the member's name says that it holds; it was not read.
    Known(LayerFacts),
    /// The store has the very blob that the member's name says that it is; it was not read.
    Present,
}

/// A reader of a part that is known to be small enough to be kept.
pub(super) fn source(bytes: Vec<u8>) -> Part {
    Part::Source(Box::new(io::Cursor::new(bytes)))
}
