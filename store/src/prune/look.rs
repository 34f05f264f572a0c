//! What the policy decides on: the images, and the space that there is for them.

use std::collections::HashSet;

use super::Options;
use super::candidates::candidates;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::gc::{Found, View, leftovers, plan};
use crate::policy::{Candidate, Decision, Occasion, Policy, State};
use crate::store::Store;

/// The store and its disk, both locks held.
pub(super) struct Look {
    pub(super) images: Vec<Candidate>,
    /// What nothing needs as it is.
    pub(super) found: Found,
    /// Bytes of all blobs.
    pub(super) stored: u64,
    /// Bytes of blobs that belong to none of the images, and stay.
    other: u64,
    /// Bytes of blobs that nothing needs, and that go in any case.
    pub(super) unneeded: u64,
    /// Bytes that are free once they are gone, and what is in the trash already.
    pub(super) free: u64,
    pub(super) total: u64,
}

impl Look {
    pub(super) fn at(store: &Store, view: &mut View<'_>, options: &Options<'_>) -> Result<Look> {
        let found = view.without(HashSet::new(), &HashSet::new())?;
        let unneeded: u64 =
            plan(found.unneeded.iter().copied(), options.grace, options.now).sweep.values().sum();
        let left = leftovers(store, options.grace_of_transfers(), options.now, |digest| view.knows(digest))?;
        let left: u64 = left.iter().map(|left| left.bytes).sum();
        // The disk first: what another sweep frees in between counts once, or not at all.
        let (free, total) = store.disk_space()?;
        let trashed = trashed(store)?;
        let sizes = view.sizes()?;
        let images = candidates(store, view, &sizes, options.now)?;
        let parts: HashSet<_> =
            images.iter().flat_map(|image| &image.parts).map(|(digest, _)| *digest).collect();
        let others = sizes.iter().filter(|(digest, _)| !parts.contains(digest));
        Ok(Look {
            stored: sizes.values().sum(),
            other: others.map(|(_, size)| size).sum::<u64>().saturating_sub(unneeded),
            unneeded,
            free: free.saturating_add(unneeded).saturating_add(left).saturating_add(trashed).min(total),
            total,
            images,
            found,
        })
    }

    /// Counts bytes that are set free.
    pub(super) fn add_free(&mut self, bytes: u64) {
        self.free = self.free.saturating_add(bytes).min(self.total);
    }

    /// Counts blobs that belong to none of the images, and go.
    pub(super) fn let_go(&mut self, bytes: u64) {
        self.other = self.other.saturating_sub(bytes);
        self.add_free(bytes);
    }

    pub(super) fn state<'a>(&'a self, kept: &'a HashSet<Digest>, is_busy: bool, now: i64) -> State<'a> {
        State {
            images: &self.images,
            kept,
            other: self.other,
            free: self.free,
            total: self.total,
            is_busy,
            now,
        }
    }

    /// Bytes that the policy's limits of free space lack before anything goes.
    pub(super) fn missing(&self, policy: &Policy, occasion: Occasion) -> u64 {
        let Some(least) = policy.min_free.map(|least| least.of(self.total)) else { return 0 };
        let target = policy.target_free.map_or(least, |target| target.of(self.total)).max(least);
        let wanted = match occasion {
            Occasion::Incoming(bytes) => least.saturating_add(bytes),
            Occasion::Prune if self.free < least => target,
            Occasion::Prune => 0,
        };
        wanted.saturating_sub(self.free)
    }

    pub(super) fn no_room(&self, store: &Store, needed: u64, decision: &Decision) -> Error {
        Error::NoRoom {
            path: store.path().to_path_buf(),
            needed,
            free: self.free,
            freeable: decision.freed,
            missing: decision.short_of_space,
        }
    }
}

/// Bytes in the trash: taken out of sight by a sweep, and freed by it a moment later, or by the next one if it died.
fn trashed(store: &Store) -> Result<u64> {
    let Some(trash) = if_there(store.layout().private().sub("trash"))? else { return Ok(0) };
    let mut bytes = sizes(&trash)?;
    for name in trash.names()? {
        if trash.stat(&name)?.is_some_and(|stat| stat.is_dir)
            && let Some(inside) = if_there(trash.sub(&name))?
        {
            bytes += sizes(&inside)?;
        }
    }
    Ok(bytes)
}

fn if_there(dir: Result<Dir>) -> Result<Option<Dir>> {
    match dir {
        Err(error) if fs::is_not_found(&error) => Ok(None),
        dir => dir.map(Some),
    }
}

fn sizes(dir: &Dir) -> Result<u64> {
    let mut bytes = 0u64;
    for name in dir.names()? {
        bytes += dir.stat(&name)?.filter(|stat| stat.is_file).map_or(0, |stat| stat.size);
    }
    Ok(bytes)
}
