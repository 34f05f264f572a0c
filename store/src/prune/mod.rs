//! Prune: looks at the store, lets the policy decide, and does it, in one critical section.
//!
//! What nothing needs is swept as by a GC, and counts before any image has to go. The same look and the same decision stand
//! behind a dry run, which changes nothing and predicts exactly.

mod candidates;
mod evict;
mod incoming;
mod look;

use std::collections::{BTreeMap, HashSet};

use crate::blob::Ingest;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::gc::{Mode, View, empty_trash, leftovers, plan, sweep};
use crate::lease::Seen;
use crate::policy::{Candidate, Dropped, Occasion, Policy, Verdict, WhenBusy, decide};
use crate::store::Store;
pub use candidates::group;
use candidates::note_seen;
pub use evict::Cache;
use evict::Evicted;
use incoming::expect;
pub use incoming::{Incoming, make_room};
use look::Look;

/// How to prune.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The limits.
    pub policy: &'a Policy,
    /// Why.
    pub occasion: Occasion,
    /// Seconds that foreign and orphaned content is left alone, as by [`crate::gc::gc`].
    pub grace: u64,
    /// Seconds since 1970.
    pub now: i64,
    /// Whether to do it.
    pub mode: Mode,
    /// Asks to stop; from the first change on it is too late.
    pub cancel: &'a Cancel,
}

impl Options<'_> {
    /// Seconds that suspended transfers are left alone: where room is needed, none.
    fn grace_of_transfers(&self) -> u64 {
        match self.occasion {
            Occasion::Prune => self.grace,
            Occasion::Incoming(_) => 0,
        }
    }
}

/// An image and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The image.
    pub image: Candidate,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What went, or would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// All images.
    pub images: Vec<Judged>,
    /// Blobs that go, those that nothing needed anyway included, with their sizes in bytes.
    pub swept: BTreeMap<Digest, u64>,
    /// Bytes of all that goes, leftovers of dead processes included.
    pub freed_bytes: u64,
    /// Of these, what the images set free.
    pub freed_by_images: u64,
    /// What went of what builds keep, before any image had to.
    pub cache: Cache,
    /// Bytes of all blobs afterwards.
    pub stored_bytes: u64,
    /// Bytes that are free on the disk afterwards: predicted in a dry run, else measured.
    pub free_bytes: u64,
    /// Bytes of the disk.
    pub disk_bytes: u64,
    /// Whether less than `min_free` was free.
    pub is_urgent: bool,
    /// Whether a `hold` lives, and limits of age and size wait for its end.
    pub is_waiting: bool,
    /// Bytes by which the store is still larger than `max_size`.
    pub over_size: u64,
    /// Bytes of free space that are still missing: predicted in a dry run, else measured.
    pub short_of_space: u64,
}

impl Pruned {
    /// Whether a limit could not be reached.
    pub fn is_short(&self) -> bool {
        self.over_size > 0 && !self.is_waiting || self.short_of_space > 0
    }
}

/// Prunes.
pub fn prune(store: &Store, options: &Options<'_>) -> Result<Pruned> {
    prune_for(store, options, None)
}

/// Prunes; for what comes into an ingest, others that are coming in are counted with it.
fn prune_for(store: &Store, options: &Options<'_>, ingest: Option<&Ingest>) -> Result<Pruned> {
    if options.mode == Mode::Sweep {
        // What another sweep left is no reason to let an image go.
        empty_trash(store)?;
    }
    let (mut pruned, wanted) = {
        let _store_lock = store.locks().exclusive()?;
        let _index_lock = store.locks().index()?;
        let mut view = View::open(store, options.now, options.cancel)?;
        // Before the disk is asked: what they write meanwhile must not be missing in both.
        let others = ingest.map_or(Ok(0), Ingest::expected_by_others)?;
        let occasion = match options.occasion {
            Occasion::Incoming(bytes) => Occasion::Incoming(bytes.saturating_add(others)),
            Occasion::Prune => Occasion::Prune,
        };
        let mut look = Look::at(store, &mut view, options)?;
        let is_busy = view.leases.iter().any(Seen::is_hold);
        let mut evicted = Evicted::choose(store, &mut view, &mut look, options, occasion, is_busy)?;
        let decision = decide(options.policy, &look.state(&evicted.kept, is_busy, options.now), occasion);
        if let Occasion::Incoming(needed) = occasion
            && decision.short_of_space > 0
        {
            return Err(look.no_room(store, needed, &decision));
        }
        let is_dropped = |(_, verdict): &(&Candidate, &Verdict)| matches!(verdict, Verdict::Drop(_));
        let gone: HashSet<_> = look
            .images
            .iter()
            .zip(&decision.verdicts)
            .filter(is_dropped)
            .map(|(image, _)| image.digest)
            .collect();
        let steps = &evicted.steps.gone;
        let found = match gone.is_empty() && steps.is_empty() {
            true => look.found,
            false => view.without(gone.clone(), steps)?,
        };
        let plan = plan(found.unneeded.iter().copied(), options.grace, options.now);
        let is_known = |digest: &Digest| view.knows(digest) && !gone.contains(digest);
        let mut left = leftovers(store, options.grace_of_transfers(), options.now, is_known)?;
        evicted.follow(store, &view, &plan, &mut look.free)?;
        left.extend(evicted.leftovers());
        options.cancel.check()?;
        if let (Some(ingest), Occasion::Incoming(bytes)) = (ingest, options.occasion) {
            expect(store, ingest, bytes)?;
        }
        if options.mode == Mode::Sweep {
            sweep(store, &found, &plan, &left)?;
            note_seen(store, &view.index, &look.images)?;
        }
        let freed: u64 = plan.sweep.values().sum();
        let freed_bytes = freed + left.iter().map(|left| left.bytes).sum::<u64>();
        let freed_by_images =
            freed.saturating_sub(look.unneeded).saturating_sub(evicted.steps.decision.freed);
        let free_bytes = look.free.saturating_add(freed_by_images);
        let pruned = Pruned {
            images: look
                .images
                .into_iter()
                .zip(decision.verdicts)
                .map(|(image, verdict)| Judged { image, verdict })
                .collect(),
            stored_bytes: look.stored.saturating_sub(freed),
            free_bytes,
            disk_bytes: look.total,
            freed_by_images,
            cache: evicted.said(),
            swept: plan.sweep,
            freed_bytes,
            is_urgent: options.policy.min_free.is_some_and(|least| look.free < least.of(look.total)),
            is_waiting: is_busy && options.policy.when_busy == WhenBusy::Skip,
            over_size: decision.over_size,
            short_of_space: decision.short_of_space,
        };
        let wanted = match options.occasion {
            Occasion::Prune => wanted_free(options.policy, &pruned),
            // Others are writing what was counted for them.
            Occasion::Incoming(_) => 0,
        };
        (pruned, wanted)
    };
    if options.mode == Mode::Sweep {
        empty_trash(store)?;
        pruned.free_bytes = store.free_space()?;
        if pruned.free_bytes < wanted {
            // Some file systems count what was freed only once they have written that down.
            fs::sync_all(store.layout().root())?;
            pruned.free_bytes = store.free_space()?;
        }
        // Blobs with names elsewhere, readers that have them open and writers that know no lock make less room than was expected.
        pruned.short_of_space = wanted.saturating_sub(pruned.free_bytes);
    }
    Ok(pruned)
}

/// What was to be free on the disk afterwards, bytes: `min_free`, and `target_free` once room had to be made.
fn wanted_free(policy: &Policy, pruned: &Pruned) -> u64 {
    if pruned.short_of_space > 0 {
        return pruned.free_bytes.saturating_add(pruned.short_of_space);
    }
    let made_room = |judged: &Judged| judged.verdict == Verdict::Drop(Dropped::Space);
    let Some(least) = policy.min_free else { return 0 };
    let least = least.of(pruned.disk_bytes);
    match policy.target_free {
        Some(target) if pruned.images.iter().any(made_room) => least.max(target.of(pruned.disk_bytes)),
        _ => least,
    }
}
