//! Garbage collection: what no root reaches goes.
//!
//! Roots are the entries of the index, live leases, the journals of `import --consume` and of bundles, and kept have-lists. The store lock is held
//! exclusively, and the index lock, from reading the roots (leases first, then the index) to the last rename into the
//! trash; the trash is emptied after both are released. A reachable document that cannot be read ends it, by name,
//! before anything is swept. Files that larder does not know are never touched.
//!
//! The layers of steps of builds are roots that may go: within limits of the store (`policy`), and with them what only they keep.
//!
//! What `rm` let go goes at once. All else that nothing needs (of another tool, or of an import that failed) waits for a
//! grace, counted from when a GC first saw it: other tools take no lock, and write their blobs before their index.

mod inside;
mod mark;
mod plan;
mod roots;
mod steps;
mod sweep;

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::Result;
use crate::journal;
use crate::policy::Wanted;
use crate::settings::settings_of;
use crate::store::Store;

pub use mark::{Kind, Node, mark};
pub use plan::{Plan, Unneeded, plan};
pub(crate) use roots::{Found, View, times};
pub(crate) use steps::{Steps, snapshots_to_go};
pub(crate) use sweep::{Leftover, empty_trash, leftovers, sweep};

/// How long foreign and orphaned content is left alone unless the caller says otherwise, seconds.
pub const GRACE: u64 = 3600;

/// Whether anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All is planned, nothing is changed.
    DryRun,
    /// What is planned is done.
    Sweep,
}

/// How to collect.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Seconds that foreign and orphaned content is left alone, from when it was first seen.
    pub grace: u64,
    /// Seconds since 1970.
    pub now: i64,
    /// Whether to do it.
    pub mode: Mode,
    /// Asks to stop; from the first blob on it is too late.
    pub cancel: &'a Cancel,
}

/// What went, or would go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Blobs, with their sizes in bytes.
    pub swept: BTreeMap<Digest, u64>,
    /// The bytes of all that went: blobs and leftovers.
    pub freed_bytes: u64,
    /// Entries of the index that said something about an image that is not there any more (referrers).
    pub forgotten: Vec<Digest>,
    /// Records of steps of builds that went: not used for too long, or over their limit.
    pub steps: usize,
    /// Directories and files that dead processes left, and snapshots.
    pub leftovers: usize,
    /// Blobs that nothing needs and whose grace is not over: when a GC first saw them (seconds since 1970).
    pub waiting: BTreeMap<Digest, i64>,
    /// Their bytes.
    pub waiting_bytes: u64,
}

/// Collects.
pub fn gc(store: &Store, options: &Options<'_>) -> Result<Collected> {
    let limits = settings_of(store)?.policy.build;
    let collected = {
        let _store_lock = store.locks().exclusive()?;
        let _index_lock = store.locks().index()?;
        let mut view = View::open(store, options.now, options.cancel)?;
        let steps = Steps::decide(&mut view, Some(&limits), Wanted::default(), options.now)?;
        let found = view.without(HashSet::new(), &steps.gone)?;
        let plan = plan(found.unneeded.iter().copied(), options.grace, options.now);
        let mut leftovers = leftovers(store, options.grace, options.now, |digest| view.knows(digest))?;
        // A layer that goes takes its files along.
        let most = limits.snapshots_max_size.of(store.disk_space()?.1);
        leftovers.extend(snapshots_to_go(store, &view, &plan, 0, most)?);
        let freed_bytes =
            plan.sweep.values().sum::<u64>() + leftovers.iter().map(|left| left.bytes).sum::<u64>();
        options.cancel.check()?;
        if options.mode == Mode::Sweep {
            let all: Vec<_> = leftovers.iter().cloned().chain(steps.leftovers()).collect();
            sweep(store, &found, &plan, &all)?;
            journal::forget_done(store.layout().private())?;
        }
        Collected {
            swept: plan.sweep,
            freed_bytes,
            forgotten: found.forgotten,
            steps: steps.gone.len(),
            leftovers: leftovers.len(),
            waiting: plan.wait,
            waiting_bytes: plan.waiting_bytes,
        }
    };
    if options.mode == Mode::Sweep {
        empty_trash(store)?;
    }
    Ok(collected)
}
