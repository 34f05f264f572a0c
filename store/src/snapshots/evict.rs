//! Snapshots as whoever frees space sees them.

use std::fs::File;

use super::record::{Record, allocated};
use super::{DEPTH, NEW, PLACE, RECORD};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Dir;
use crate::owned;
use crate::store::Store;
use crate::tree::Directory;

/// A directory among the snapshots, as whoever frees space sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evictable {
    /// Its name below `snapshots/`.
    pub(crate) name: String,
    /// Bytes that it takes.
    pub(crate) bytes: u64,
    /// When it was last used (seconds since 1970), and the blob of its layer; `None` where nobody can use it any more.
    pub(crate) usable: Option<(i64, Digest)>,
}

/// What may go: all that is not `kept` and that is not just being made. Those that nobody can use come first, and then those
/// that were used longest ago. The caller holds the store lock exclusively: then a free flock means a dead owner.
pub(crate) fn evictable(private: &Dir, kept: impl Fn(&Digest) -> bool) -> Result<Vec<Evictable>> {
    let mut found = Vec::new();
    let Some(all) = owned::look(private, PLACE)? else { return Ok(found) };
    for name in all.names()? {
        // What is no directory is none of ours.
        let Ok(dir) = all.sub(&name) else { continue };
        let chain = Digest::from_hex(&name);
        if chain.is_none() && !name.starts_with(NEW) || chain.is_some_and(|chain| kept(&chain)) {
            continue;
        }
        let record = chain.map_or(Ok(None), |_| Record::read(&dir))?.filter(Record::is_valid);
        if let Some(record) = record {
            let last_use = dir.stat(RECORD)?.map_or(0, |stat| stat.modified);
            found.push(Evictable { name, bytes: record.allocated, usable: Some((last_use, record.blob)) });
            continue;
        }
        let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
        if lock.try_lock().is_ok() {
            let bytes = allocated(&Directory::of(&dir)?, DEPTH)?;
            found.push(Evictable { name, bytes, usable: None });
        }
    }
    found.sort_by(|a, b| (a.usable, &a.name).cmp(&(b.usable, &b.name)));
    Ok(found)
}

/// Bytes of all snapshots, and how many there are. A directory of another user counts for nothing.
pub fn usage(store: &Store) -> Result<(usize, u64)> {
    let all = owned::look(store.layout().private(), PLACE)?;
    let (mut count, mut bytes) = (0, 0u64);
    let Some(all) = all else { return Ok((count, bytes)) };
    for name in all.names()?.iter().filter(|name| Digest::from_hex(name).is_some()) {
        if let Some(dir) = all.sub_if_there(name)?
            && let Some(record) = Record::read(&dir)?
        {
            count += 1;
            bytes = bytes.saturating_add(record.allocated);
        }
    }
    Ok((count, bytes))
}
