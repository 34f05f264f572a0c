//! What builds may keep for the next one: unpacked layers, and the layers of steps.
//!
//! Pure, as the rest of the policy. Records of steps that nobody has used for long go, and then the blobs that only records keep, those first
//! that were used longest ago, with all records of them. All of it can be made again, so that it goes before any image has to, whoever holds what:
//! what a running build uses is leased.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::digest::Digest;
use crate::quantity::Amount;

/// Limits of what builds keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildLimits {
    /// Bytes of the blobs that only steps keep.
    pub steps_max_size: u64,
    /// Not used for so long (seconds): the record of a step goes.
    pub steps_unused_for: u64,
    /// Bytes of all snapshots, or a share of the disk.
    pub snapshots_max_size: Amount,
}

impl Default for BuildLimits {
    fn default() -> BuildLimits {
        BuildLimits {
            steps_max_size: 5_000_000_000,
            steps_unused_for: 14 * 86_400,
            snapshots_max_size: Amount::Percent(10),
        }
    }
}

/// The record of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepCandidate {
    /// Its key.
    pub key: Digest,
    /// When it was used last (seconds since 1970).
    pub last_used: i64,
    /// When the step was done (seconds since 1970).
    pub created: i64,
    /// The blob of its layer, and bytes of that; a step may have none.
    pub blob: Option<(Digest, u64)>,
}

/// Why the record of a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepDropped {
    /// Not used for so many seconds.
    Unused(u64),
    /// The layers of steps had more than their own limit.
    Limit,
    /// The store was larger than `max_size`.
    Size,
    /// Free space was below `min_free`.
    Space,
}

/// Bytes that steps are to set free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// For `max_size`.
    pub size: u64,
    /// For `min_free`.
    pub space: u64,
    /// No more than this goes for `min_free`: the store keeps its `reserve`.
    pub spare: u64,
}

/// What becomes of the records of steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepDecision {
    /// For each record, in their order: why it goes.
    pub dropped: Vec<Option<StepDropped>>,
    /// Bytes that are set free.
    pub freed: u64,
}

/// Decides on the records of steps. Blobs that are `needed` otherwise (by images, leases) are not set free by it; of their
/// records only those go that nobody has used for long. Without limits nothing goes but what is wanted.
pub fn decide_steps(
    limits: Option<&BuildLimits>,
    steps: &[StepCandidate],
    needed: impl Fn(&Digest) -> bool,
    wanted: Wanted,
    now: i64,
) -> StepDecision {
    let mut work = Work::new(steps, needed, now);
    if let Some(limits) = limits {
        work.drop_unused(limits.steps_unused_for);
        work.drop_while(StepDropped::Limit, |work| work.kept > limits.steps_max_size, |_, _| true);
    }
    work.drop_while(StepDropped::Size, |work| work.freed < wanted.size, |_, _| true);
    let fits = |work: &Work<'_>, size| work.freed.saturating_add(size) <= wanted.spare;
    work.drop_while(StepDropped::Space, |work| work.freed < wanted.space, fits);
    StepDecision { dropped: work.dropped, freed: work.freed }
}

/// A blob that only steps keep.
struct Blob {
    size: u64,
    last_used: i64,
    created: i64,
    records: Vec<usize>,
}

struct Work<'a> {
    steps: &'a [StepCandidate],
    now: i64,
    only: HashMap<Digest, Blob>,
    dropped: Vec<Option<StepDropped>>,
    /// Bytes that only steps keep, as things stand.
    kept: u64,
    freed: u64,
}

impl<'a> Work<'a> {
    fn new(steps: &'a [StepCandidate], needed: impl Fn(&Digest) -> bool, now: i64) -> Work<'a> {
        let mut only: HashMap<Digest, Blob> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            let Some((digest, size)) = step.blob.filter(|(digest, _)| !needed(digest)) else { continue };
            let new = || Blob { size, last_used: i64::MIN, created: i64::MIN, records: Vec::new() };
            let blob = only.entry(digest).or_insert_with(new);
            // A time of the future is now.
            blob.last_used = blob.last_used.max(step.last_used.min(now));
            blob.created = blob.created.max(step.created);
            blob.records.push(at);
        }
        let kept = only.values().fold(0u64, |sum, blob| sum.saturating_add(blob.size));
        Work { steps, now, only, dropped: vec![None; steps.len()], kept, freed: 0 }
    }

    fn drop_unused(&mut self, most: u64) {
        for (step, dropped) in self.steps.iter().zip(&mut self.dropped) {
            let age = self.now.abs_diff(step.last_used.min(self.now));
            if age >= most {
                *dropped = Some(StepDropped::Unused(age));
            }
        }
        let is_gone = |blob: &Blob| blob.records.iter().all(|at| self.dropped[*at].is_some());
        let gone: HashSet<_> =
            self.only.iter().filter(|(_, blob)| is_gone(blob)).map(|(digest, _)| *digest).collect();
        gone.iter().for_each(|digest| self.take(digest, StepDropped::Limit));
    }

    /// Takes one blob after the other, the one first that was used longest ago. Of those that were used together the later steps come first:
    /// without the earlier ones they are of no use.
    fn drop_while(
        &mut self,
        why: StepDropped,
        is_wanted: impl Fn(&Work<'_>) -> bool,
        may: impl Fn(&Work<'_>, u64) -> bool,
    ) {
        let mut order: Vec<_> = self.only.keys().copied().collect();
        order.sort_by_key(|digest| {
            let blob = &self.only[digest];
            (blob.last_used, Reverse(blob.created), Reverse(blob.size), *digest)
        });
        for digest in order {
            if !is_wanted(self) {
                return;
            }
            if may(self, self.only[&digest].size) {
                self.take(&digest, why);
            }
        }
    }

    fn take(&mut self, digest: &Digest, why: StepDropped) {
        let Some(blob) = self.only.remove(digest) else { return };
        for at in blob.records {
            self.dropped[at].get_or_insert(why);
        }
        self.freed = self.freed.saturating_add(blob.size);
        self.kept = self.kept.saturating_sub(blob.size);
    }
}
