//! Prune: looks at the store, lets the policy decide, and does it, in one critical section.
//!
//! What nothing needs is swept as by a GC, and counts before any image has to go. The same look and the same decision stand
//! behind a dry run, which changes nothing and predicts exactly.

mod candidates;

use std::collections::{BTreeMap, HashSet};

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gc::{Mode, View, empty_trash, leftovers, plan, sweep};
use crate::lease::Seen;
use crate::policy::{self, Candidate, Decision, Occasion, Policy, State, Verdict, WhenBusy, decide};
use crate::store::Store;
pub use candidates::group;
use candidates::{candidates, note_seen};

/// The file of `.larder/` with the policy.
pub const POLICY: &str = "larder.toml";
const MAX_POLICY: u64 = 1 << 20;

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
    /// Bytes of free space that are still missing.
    pub short_of_space: u64,
}

impl Pruned {
    /// Whether a limit could not be reached.
    pub fn is_short(&self) -> bool {
        self.over_size > 0 && !self.is_waiting || self.short_of_space > 0
    }
}

/// Reads the store's policy; none is one without limits.
pub fn policy_of(store: &Store) -> Result<Policy> {
    let private = store.layout().private();
    let shown = private.at(POLICY);
    if private.read_link(POLICY)?.is_some() {
        let why = "is a symbolic link, and none is followed in a store; put the file itself there";
        return Err(Error::invalid(shown.display(), why));
    }
    let Some(bytes) = private.read(POLICY, MAX_POLICY)? else { return Ok(Policy::default()) };
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(shown.display(), "is not text"))?;
    policy::parse(&text).map_err(|why| Error::invalid(shown.display(), why))
}

/// Makes room for so many bytes and what `min_free` wants beside them, if there is a policy that wants it; or refuses, and then
/// nothing was changed. What shall not go is leased before. Returns the bytes that were freed.
pub fn make_room(store: &Store, bytes: u64, now: i64, cancel: &Cancel) -> Result<u64> {
    let policy = policy_of(store)?;
    let Some(min_free) = policy.min_free else { return Ok(0) };
    let (free, total) = store.disk_space()?;
    if min_free.of(total).saturating_add(bytes) <= free {
        return Ok(0);
    }
    let occasion = Occasion::Incoming(bytes);
    let options =
        Options { policy: &policy, occasion, grace: crate::gc::GRACE, now, mode: Mode::Sweep, cancel };
    Ok(prune(store, &options)?.freed_bytes)
}

/// Prunes.
pub fn prune(store: &Store, options: &Options<'_>) -> Result<Pruned> {
    let mut pruned = {
        let _store_lock = store.locks().exclusive()?;
        let _index_lock = store.locks().index()?;
        let mut view = View::open(store, options.cancel)?;
        let look = Look::at(store, &mut view, options)?;
        let is_busy = view.leases.iter().any(Seen::is_hold);
        let decision =
            decide(options.policy, &look.state(&view.kept, is_busy, options.now), options.occasion);
        if let Occasion::Incoming(needed) = options.occasion
            && decision.short_of_space > 0
        {
            return Err(no_room(store, needed, &look, &decision));
        }
        let is_dropped = |(_, verdict): &(&Candidate, &Verdict)| matches!(verdict, Verdict::Drop(_));
        let gone: HashSet<_> = look
            .images
            .iter()
            .zip(&decision.verdicts)
            .filter(is_dropped)
            .map(|(image, _)| image.digest)
            .collect();
        let found = view.without(gone.clone())?;
        let plan = plan(found.unneeded.iter().copied(), options.grace, options.now);
        let left = leftovers(store, options.now, |digest| view.knows(digest) && !gone.contains(digest))?;
        options.cancel.check()?;
        if options.mode == Mode::Sweep {
            sweep(store, &found, &plan, &left)?;
            note_seen(store, &view.index, &look.images)?;
        }
        let freed: u64 = plan.sweep.values().sum();
        let freed_bytes = freed + left.iter().map(|left| left.bytes).sum::<u64>();
        Pruned {
            images: look
                .images
                .into_iter()
                .zip(decision.verdicts)
                .map(|(image, verdict)| Judged { image, verdict })
                .collect(),
            stored_bytes: look.stored.saturating_sub(freed),
            free_bytes: look.free.saturating_add(freed - look.unneeded),
            disk_bytes: look.total,
            freed_by_images: freed - look.unneeded,
            swept: plan.sweep,
            freed_bytes,
            is_urgent: options.policy.min_free.is_some_and(|least| look.free < least.of(look.total)),
            is_waiting: is_busy && options.policy.when_busy == WhenBusy::Skip,
            over_size: decision.over_size,
            short_of_space: decision.short_of_space,
        }
    };
    if options.mode == Mode::Sweep {
        empty_trash(store)?;
        pruned.free_bytes = store.free_space()?;
    }
    Ok(pruned)
}

/// What the policy decides on.
struct Look {
    images: Vec<Candidate>,
    /// Bytes of all blobs.
    stored: u64,
    /// Bytes of blobs that belong to none of the images, and stay.
    other: u64,
    /// Bytes of blobs that nothing needs, and that go in any case.
    unneeded: u64,
    /// Bytes that are free once they are gone.
    free: u64,
    total: u64,
}

impl Look {
    fn at(store: &Store, view: &mut View<'_>, options: &Options<'_>) -> Result<Look> {
        let unneeded = view.without(HashSet::new())?.unneeded;
        let unneeded: u64 = plan(unneeded, options.grace, options.now).sweep.values().sum();
        let left = leftovers(store, options.now, |digest| view.knows(digest))?;
        let left: u64 = left.iter().map(|left| left.bytes).sum();
        let (free, total) = store.disk_space()?;
        let sizes = view.sizes()?;
        let images = candidates(store, view, &sizes, options.now)?;
        let parts: HashSet<_> =
            images.iter().flat_map(|image| &image.parts).map(|(digest, _)| *digest).collect();
        let others = sizes.iter().filter(|(digest, _)| !parts.contains(digest));
        Ok(Look {
            stored: sizes.values().sum(),
            other: others.map(|(_, size)| size).sum::<u64>().saturating_sub(unneeded),
            unneeded,
            free: free.saturating_add(unneeded).saturating_add(left),
            total,
            images,
        })
    }

    fn state<'a>(&'a self, kept: &'a HashSet<Digest>, is_busy: bool, now: i64) -> State<'a> {
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
}

fn no_room(store: &Store, needed: u64, look: &Look, decision: &Decision) -> Error {
    Error::NoRoom {
        path: store.path().to_path_buf(),
        needed,
        free: look.free,
        freeable: decision.freed,
        missing: decision.short_of_space,
    }
}
