//! Which records of steps go: by hand, and what holds of any.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::super::{BuildLimits, StepCandidate, StepDecision, StepDropped, Wanted, decide_steps};
use super::by_hand::{DAY, NOW, digest};
use crate::digest::Digest;
use crate::quantity::Amount;

/// A step of so many days ago, with a layer by a word.
fn step(key: &str, days: i64, blob: &str, size: u64) -> StepCandidate {
    StepCandidate {
        key: digest(key),
        last_used: NOW - days * DAY,
        created: NOW - days * DAY,
        blob: Some((digest(blob), size)),
    }
}

fn limits(most: u64, days: i64) -> BuildLimits {
    BuildLimits {
        steps_max_size: most,
        steps_unused_for: (days * DAY) as u64,
        snapshots_max_size: Amount::Percent(10),
    }
}

const ALL_FREE: Wanted = Wanted { size: 0, space: 0, spare: u64::MAX };

#[test]
fn limits_of_their_own_and_room_for_others() {
    use StepDropped::{Limit, Size, Space, Unused};
    let three = [step("a", 3, "x", 10), step("b", 2, "y", 10), step("c", 1, "z", 10)];
    let old = |days: i64| Some(Unused((days * DAY) as u64));
    let shared = [step("a", 9, "x", 10), step("b", 1, "x", 10), step("c", 5, "y", 10)];
    let empty = [StepCandidate { blob: None, ..step("a", 9, "", 0) }, step("b", 5, "y", 10)];
    let later = StepCandidate { last_used: NOW - 3 * DAY, ..three[1] };
    let to_come = [StepCandidate { last_used: NOW + 99, ..three[0] }, three[1]];
    let wanted = |size, space, spare| Wanted { size, space, spare };
    for (what, steps, limits, needed, wanted, expected, freed) in [
        ("room for all", &three[..], limits(30, 4), "", ALL_FREE, vec![None, None, None], 0),
        ("the one used longest ago", &three, limits(29, 4), "", ALL_FREE, vec![Some(Limit), None, None], 10),
        ("none at all", &three, limits(0, 4), "", ALL_FREE, vec![Some(Limit); 3], 30),
        ("for long, to the second", &three, limits(99, 2), "", ALL_FREE, vec![old(3), old(2), None], 20),
        (
            "for long, and too many",
            &three,
            limits(9, 3),
            "",
            ALL_FREE,
            vec![old(3), Some(Limit), Some(Limit)],
            30,
        ),
        ("what an image has is not counted", &three, limits(20, 4), "x", ALL_FREE, vec![None, None, None], 0),
        ("of that, too, what is old", &three, limits(20, 3), "x", ALL_FREE, vec![old(3), None, None], 0),
        ("a layer of two is one", &shared, limits(20, 10), "", ALL_FREE, vec![None, None, None], 0),
        ("by its last use", &shared, limits(10, 10), "", ALL_FREE, vec![None, None, Some(Limit)], 10),
        ("with all its records", &shared, limits(0, 10), "", ALL_FREE, vec![Some(Limit); 3], 20),
        ("without a layer: by age alone", &empty, limits(0, 10), "", ALL_FREE, vec![None, Some(Limit)], 10),
        (
            "used together: the later one first",
            &[three[0], later],
            limits(10, 9),
            "",
            ALL_FREE,
            vec![None, Some(Limit)],
            10,
        ),
        ("the clock was set back", &to_come, limits(10, 9), "", ALL_FREE, vec![None, Some(Limit)], 10),
        (
            "for the size of the store",
            &three,
            limits(99, 9),
            "",
            wanted(11, 0, 0),
            vec![Some(Size), Some(Size), None],
            20,
        ),
        (
            "for space, beside that",
            &three,
            limits(20, 9),
            "",
            wanted(11, 21, 99),
            vec![Some(Limit), Some(Size), Some(Space)],
            30,
        ),
        (
            "for space down to the reserve",
            &three,
            limits(99, 9),
            "",
            wanted(0, 99, 25),
            vec![Some(Space), Some(Space), None],
            20,
        ),
    ] {
        let decision = decide_steps(Some(&limits), steps, |blob| *blob == digest(needed), wanted, NOW);
        assert_eq!(decision, StepDecision { dropped: expected, freed }, "{what}");
    }
    let decision = decide_steps(None, &three, |_| false, ALL_FREE, NOW);
    assert_eq!(decision.dropped, [None; 3], "an import minds no limits");
}

/// Small numbers, so that ties and boundaries come often.
fn any_steps() -> impl Strategy<Value = Vec<StepCandidate>> {
    let one = (0..12i64, 0..12i64, prop::option::of(0..6u64));
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let all = all.into_iter().enumerate();
        let step = |(at, (last_used, created, blob)): (usize, (i64, i64, Option<u64>))| StepCandidate {
            key: digest(&at.to_string()),
            last_used,
            created,
            blob: blob.map(|blob| (digest(&format!("blob {blob}")), blob)),
        };
        all.map(step).collect()
    })
}

/// Blobs that only these records keep, with sizes and last uses.
fn only(steps: &[StepCandidate], needed: &HashSet<Digest>, now: i64) -> BTreeMap<Digest, (u64, i64)> {
    let mut blobs = BTreeMap::new();
    for step in steps {
        let Some((digest, size)) = step.blob.filter(|(digest, _)| !needed.contains(digest)) else { continue };
        let known = blobs.entry(digest).or_insert((size, i64::MIN));
        known.1 = known.1.max(step.last_used.min(now));
    }
    blobs
}

fn bytes(blobs: &BTreeMap<Digest, (u64, i64)>) -> u64 {
    blobs.values().map(|(size, _)| size).sum()
}

proptest! {
    #[test]
    fn what_holds_of_any(
        steps in any_steps(),
        needed in prop::collection::hash_set(0..6u64, 0..4),
        most in 0..20u64,
        age in 0..12u64,
        (size, space, spare) in (0..15u64, 0..15u64, 0..15u64),
        has_limits in any::<bool>(),
    ) {
        let now = 8;
        let needed: HashSet<_> = needed.iter().map(|blob| digest(&format!("blob {blob}"))).collect();
        let limits = BuildLimits { steps_max_size: most, steps_unused_for: age, snapshots_max_size: Amount::Percent(10) };
        let limits = has_limits.then_some(&limits);
        let wanted = Wanted { size, space, spare };
        let decision = decide_steps(limits, &steps, |blob| needed.contains(blob), wanted, now);
        let is_gone = |at: &usize| decision.dropped[*at].is_some();
        let stays: Vec<_> = (0..steps.len()).filter(|at| !is_gone(at)).map(|at| steps[at]).collect();
        let (before, after) = (only(&steps, &needed, now), only(&stays, &needed, now));
        prop_assert_eq!(decision.freed, bytes(&before) - bytes(&after), "freed is what only they kept");
        for (step, why) in steps.iter().zip(&decision.dropped) {
            let unused = (now - step.last_used.min(now)) as u64;
            let is_old = limits.is_some_and(|limits| unused >= limits.steps_unused_for);
            prop_assert_eq!(matches!(why, Some(StepDropped::Unused(_))), is_old, "{:?} {:?}", step, why);
            let may_be_counted = step.blob.is_some_and(|(blob, _)| !needed.contains(&blob));
            prop_assert!(may_be_counted || is_old || why.is_none(), "nothing is made room for by {:?}", step);
        }
        if limits.is_some() {
            prop_assert!(bytes(&after) <= most, "{} stay", bytes(&after));
        }
        prop_assert!(decision.freed >= size.min(bytes(&before)));
        prop_assert!(decision.freed >= space.min(spare).min(bytes(&before)) || spare < bytes(&before));
        // Nothing for space that the reserve keeps.
        let has_gone_for_space = decision.dropped.contains(&Some(StepDropped::Space));
        prop_assert!(!has_gone_for_space || decision.freed <= spare, "{} of {}", decision.freed, spare);
        // Those first that were used longest ago; what the reserve keeps aside.
        let room = [StepDropped::Limit, StepDropped::Size];
        let youngest = (0..steps.len()).filter(|at| decision.dropped[*at].is_some_and(|why| room.contains(&why)));
        let youngest = youngest.filter_map(|at| before.get(&steps[at].blob?.0)).map(|(_, used)| *used).max();
        for (_, used) in after.values() {
            prop_assert!(youngest.is_none_or(|gone| gone <= *used), "{:?} {}", youngest, used);
        }
        // And no more of them than are asked for: without the largest of what went for room, something is missing.
        if let Some(limits) = limits && size == 0 && space == 0 {
            let for_limit = (0..steps.len()).filter(|at| decision.dropped[*at] == Some(StepDropped::Limit));
            let largest = for_limit.filter_map(|at| Some(steps[at].blob?.1)).max();
            prop_assert!(largest.is_none_or(|largest| bytes(&after) + largest > limits.steps_max_size));
        }
    }
}
