//! What builds keep, in the eyes of whoever frees space: which records of steps go, and which snapshots.

use std::collections::HashSet;

use super::plan::Plan;
use super::roots::View;
use super::sweep::Leftover;
use crate::digest::Digest;
use crate::error::Result;
use crate::policy::{BuildLimits, StepDecision, StepDropped, Wanted, decide_steps};
use crate::snapshots;
use crate::store::Store;

/// Records of steps, and what becomes of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    pub(crate) decision: StepDecision,
    /// The keys of those that go.
    pub(crate) gone: HashSet<Digest>,
}

impl Steps {
    /// Decides on the records as the view shows them.
    pub(crate) fn decide(
        view: &mut View<'_>,
        limits: Option<&BuildLimits>,
        wanted: Wanted,
        now: i64,
    ) -> Result<Steps> {
        if view.steps.is_empty() {
            return Ok(Steps::default());
        }
        let needed = view.needed()?;
        let decision = decide_steps(limits, &view.steps, |digest| needed.contains(digest), wanted, now);
        let records = view.steps.iter().zip(&decision.dropped);
        let gone = records.filter(|(_, dropped)| dropped.is_some()).map(|(step, _)| step.key).collect();
        Ok(Steps { decision, gone })
    }

    /// Why records go, each reason once, with how many they are.
    pub(crate) fn reasons(&self) -> Vec<(StepDropped, usize)> {
        let mut reasons: Vec<(StepDropped, usize)> = Vec::new();
        for why in self.decision.dropped.iter().flatten() {
            let is_same = |known: &StepDropped| std::mem::discriminant(known) == std::mem::discriminant(why);
            match reasons.iter_mut().find(|(known, _)| is_same(known)) {
                Some((known, count)) => {
                    *count += 1;
                    if let (StepDropped::Unused(least), StepDropped::Unused(age)) = (known, why) {
                        *least = (*least).min(*age);
                    }
                }
                None => reasons.push((*why, 1)),
            }
        }
        reasons
    }

    /// Their records, to be swept.
    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        let mut keys: Vec<_> = self.gone.iter().collect();
        keys.sort_unstable();
        keys.into_iter().map(Leftover::of_step).collect()
    }
}

/// The snapshots that go, besides those that nobody can use: each whose layer goes by the plan or is gone, then those first that were used longest ago, until so many
/// bytes of room are made and all together take no more than `most`.
pub(crate) fn snapshots_to_go(
    store: &Store,
    view: &View<'_>,
    plan: &Plan,
    missing: u64,
    most: u64,
) -> Result<Vec<Leftover>> {
    let goes = |blob: &Digest| -> Result<bool> {
        Ok(plan.sweep.contains_key(blob) || store.blobs().contains(blob)?.is_none())
    };
    let (mut room, mut left) = (0u64, 0u64);
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for snapshot in snapshots::evictable(store.layout().private(), |_| false)? {
        // Those that nobody can use go in any case, as leftovers of the dead.
        let Some((_, blob)) = snapshot.usable else { continue };
        let is_leased = Digest::from_hex(&snapshot.name).is_some_and(|chain| view.knows(&chain));
        if !is_leased && goes(&blob)? {
            room = room.saturating_add(snapshot.bytes);
            chosen.push(snapshot);
            continue;
        }
        left = left.saturating_add(snapshot.bytes);
        if !is_leased {
            others.push(snapshot);
        }
    }
    for snapshot in others {
        if room >= missing && left <= most {
            break;
        }
        room = room.saturating_add(snapshot.bytes);
        left = left.saturating_sub(snapshot.bytes);
        chosen.push(snapshot);
    }
    Ok(chosen.into_iter().map(Leftover::of).collect())
}
