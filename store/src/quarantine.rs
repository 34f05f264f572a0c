//! The quarantine: damaged blobs that were put aside, for people to look at.
//!
//! Nothing in it is ever read again, and no GC takes it; whoever does not want it any more removes the files.

use serde::Serialize;

use crate::error::Result;
use crate::fs::{self, Dir};
use crate::store::Store;

/// Its name below `.larder/`.
const NAME: &str = "quarantine";

/// What is in the quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Files.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Counts what is in the quarantine.
pub fn held(store: &Store) -> Result<Held> {
    let mut held = Held::default();
    let dir = match store.layout().private().sub(NAME) {
        Err(error) if fs::is_not_found(&error) => return Ok(held),
        dir => dir?,
    };
    for name in dir.names()? {
        if let Some(stat) = dir.stat(&name)?.filter(|stat| stat.is_file) {
            held.blobs += 1;
            held.bytes += stat.size;
        }
    }
    Ok(held)
}

/// Opens the quarantine, and makes it where it is missing.
pub(crate) fn open(store: &Store) -> Result<Dir> {
    store.with_reserve(|| store.layout().private().ensure_dir(NAME))
}
