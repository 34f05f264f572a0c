//! What can be made again goes before any image has to: unpacked layers, then the layers of steps.

use std::collections::HashSet;

use serde::Serialize;

use super::Options;
use super::look::Look;
use crate::digest::Digest;
use crate::error::Result;
use crate::gc::{Leftover, Plan, Steps, View, snapshots_to_go};
use crate::policy::{Occasion, Policy, StepDropped, Wanted, decide};
use crate::store::Store;

/// What builds kept, and what went of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// Snapshots that went.
    pub snapshots: usize,
    /// Their bytes on the disk.
    pub snapshot_bytes: u64,
    /// Records of steps that went.
    pub steps: usize,
    /// Bytes of the blobs that they alone kept.
    pub step_bytes: u64,
    /// Why, and how many for each reason.
    #[serde(skip)]
    pub reasons: Vec<(StepDropped, usize)>,
}

/// What goes before the images.
pub(super) struct Evicted {
    pub(super) snapshots: Vec<Leftover>,
    pub(super) steps: Steps,
    /// What stays whatever image goes: leases, journals, and the layers of the steps that stay.
    pub(super) kept: HashSet<Digest>,
}

impl Evicted {
    /// Decides, and counts in `look` what is set free by it.
    pub(super) fn choose(
        store: &Store,
        view: &mut View<'_>,
        look: &mut Look,
        options: &Options<'_>,
        occasion: Occasion,
        is_busy: bool,
    ) -> Result<Evicted> {
        let limits = options.policy.build;
        let most = match occasion {
            Occasion::Prune => limits.snapshots_max_size.of(look.total),
            // Limits wait for the next prune.
            Occasion::Incoming(_) => u64::MAX,
        };
        let missing = look.missing(options.policy, occasion);
        let snapshots = snapshots_to_go(store, view, &Plan::default(), missing, most)?;
        look.add_free(snapshots.iter().map(|left| left.bytes).sum());
        let wanted = if view.steps.is_empty() {
            Wanted::default()
        } else {
            wanted(view, look, options, occasion, is_busy)
        };
        let own = (occasion == Occasion::Prune).then_some(&limits);
        let steps = Steps::decide(view, own, wanted, options.now)?;
        look.let_go(steps.decision.freed);
        let stay = view.steps.iter().filter(|step| !steps.gone.contains(&step.key));
        let stay = stay.filter_map(|step| Some(step.blob?.0));
        let kept = view.kept.iter().copied().chain(stay).collect();
        Ok(Evicted { snapshots, steps, kept })
    }

    /// Takes the snapshots whose layers go by the plan, and counts them as free.
    pub(super) fn follow(
        &mut self,
        store: &Store,
        view: &View<'_>,
        plan: &Plan,
        free: &mut u64,
    ) -> Result<()> {
        let mut more = snapshots_to_go(store, view, plan, 0, u64::MAX)?;
        more.retain(|left| !self.snapshots.contains(left));
        *free = free.saturating_add(more.iter().map(|left| left.bytes).sum());
        self.snapshots.extend(more);
        Ok(())
    }

    /// All of it, to be swept.
    pub(super) fn leftovers(&self) -> Vec<Leftover> {
        self.snapshots.iter().cloned().chain(self.steps.leftovers()).collect()
    }

    /// Bytes of the snapshots.
    fn snapshot_bytes(&self) -> u64 {
        self.snapshots.iter().map(|left| left.bytes).sum()
    }

    pub(super) fn said(&self) -> Cache {
        Cache {
            snapshots: self.snapshots.len(),
            snapshot_bytes: self.snapshot_bytes(),
            steps: self.steps.gone.len(),
            step_bytes: self.steps.decision.freed,
            reasons: self.steps.reasons(),
        }
    }
}

/// What steps are to set free, once the images are gone that go without need of room.
fn wanted(view: &View<'_>, look: &Look, options: &Options<'_>, occasion: Occasion, is_busy: bool) -> Wanted {
    let policy = options.policy;
    let of_steps = view.steps.iter().filter_map(|step| Some(step.blob?.0));
    let kept: HashSet<_> = view.kept.iter().copied().chain(of_steps).collect();
    let no_room = Policy { max_size: None, min_free: None, target_free: None, ..policy.clone() };
    let outdated = decide(&no_room, &look.state(&kept, is_busy, options.now), occasion).freed;
    let stored = look.stored.saturating_sub(look.unneeded).saturating_sub(outdated);
    let most = policy.max_size.filter(|_| occasion == Occasion::Prune).unwrap_or(u64::MAX);
    let reserve = policy.reserve.map_or(0, |reserve| reserve.of(look.total));
    Wanted {
        size: stored.saturating_sub(most),
        space: look.missing(policy, occasion).saturating_sub(outdated),
        spare: stored.saturating_sub(reserve),
    }
}
