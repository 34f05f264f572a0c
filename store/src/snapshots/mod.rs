//! Snapshots: layers, each unpacked into a directory of its own, by chain ID.
//!
//! A cache that can be lost at any time. `.larder/snapshots/<chain ID>/` has the layer's files in `fs/` and a record, `made`, whose
//! time is that of the last use. It is made under another name, flocked, and renamed when it is whole, so that a killed
//! process leaves nothing that could be taken for a snapshot. Nothing is made durable: a snapshot counts until the machine
//! starts anew, and then it is made again.
//!
//! Files in it may be setuid and of any owner: `snapshots/` is its maker's alone (0700), and no other user's is used, by root neither.
//! A lease protects a snapshot by the digest of its chain ID.

mod evict;
mod new;
mod record;

use crate::error::Result;
use crate::fs::Dir;
use crate::ids::ChainId;
use crate::owned;
use crate::store::Store;

pub use evict::usage;
pub(crate) use evict::{Evictable, evictable};
pub use new::NewSnapshot;
use record::Record;

/// The directory below `.larder/`.
pub(crate) const PLACE: &str = "snapshots";
const FILES: &str = "fs";
/// Of one whose files overlayfs writes: its own directory beside them.
const WORK: &str = "work";
const RECORD: &str = "made";
/// Begins the name of one that is being made.
const NEW: &str = "new.";
/// Directories that are looked into when one is counted that nobody finished.
const DEPTH: usize = 64;

/// The snapshots of a store.
#[derive(Debug)]
pub struct Snapshots<'s> {
    store: &'s Store,
    dir: Dir,
}

/// A layer's files.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The layer with all below it.
    pub chain_id: ChainId,
    /// Its files.
    pub files: Dir,
    /// Bytes that it takes on the disk.
    pub allocated: u64,
}

impl<'s> Snapshots<'s> {
    /// Opens the snapshots of a store, or makes the directory for them.
    pub fn open(store: &'s Store) -> Result<Snapshots<'s>> {
        let dir = owned::open(store.layout().private(), PLACE, "snapshots")?;
        Ok(Snapshots { store, dir })
    }

    /// The snapshot of a chain ID, used at `now` (seconds since 1970); `None` where there is no whole one. The caller has leased it before.
    pub fn get(&self, chain_id: &ChainId, now: i64) -> Result<Option<Snapshot>> {
        let Some(dir) = self.dir.sub_if_there(&chain_id.0.hex())? else { return Ok(None) };
        let Some(allocated) = Record::read(&dir)?.filter(Record::is_valid).map(|record| record.allocated)
        else {
            return Ok(None);
        };
        dir.touch(RECORD, now)?;
        Ok(Some(Snapshot { chain_id: *chain_id, files: dir.sub(FILES)?, allocated }))
    }

    /// Where one is when it is whole, for messages.
    fn shown(&self, chain_id: &ChainId) -> String {
        self.dir.at(chain_id.0.hex()).display().to_string()
    }
}
