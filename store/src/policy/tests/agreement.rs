//! A hundred thousand random stores and policies: the decision is the model's.

use std::collections::BTreeMap;

use super::super::{Dropped, Kept, Verdict};
use super::model::Model;
use super::random::check_all;

const CASES: u64 = 100_000;

#[test]
fn a_hundred_thousand_stores_are_decided_as_the_model_decides() {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    check_all(0..CASES, |case| {
        let decision = case.decide();
        for verdict in &decision.verdicts {
            *seen.entry(word(verdict)).or_default() += 1;
        }
        for (word, bytes) in [("over size", decision.over_size), ("short of space", decision.short_of_space)]
        {
            *seen.entry(word).or_default() += u64::from(bytes > 0);
        }
        let (policy, state, occasion) = (&case.policy, &case.state(), case.occasion);
        let expected = Model { policy, state, occasion }.decide();
        if decision == expected { Ok(()) } else { Err(format!("the model decides {expected:#?}")) }
    });
    // Each of the fourteen reasons, and both limits out of reach.
    assert_eq!(seen.len(), 16, "{seen:?}");
    assert!(seen.values().all(|times| *times >= CASES / 50), "{seen:?}");
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Keep(Kept::InUse(_)) => "in use",
        Verdict::Keep(Kept::Pinned) => "pinned",
        Verdict::Keep(Kept::Protected) => "protected",
        Verdict::Keep(Kept::Newest(_)) => "newest",
        Verdict::Keep(Kept::Young(_)) => "young",
        Verdict::Keep(Kept::Orphan(_)) => "orphan",
        Verdict::Keep(Kept::Busy) => "busy",
        Verdict::Keep(Kept::FreesNothing) => "frees nothing",
        Verdict::Keep(Kept::Reserve) => "reserve",
        Verdict::Keep(Kept::WithinLimits) => "within limits",
        Verdict::Drop(Dropped::Unused(_)) => "unused",
        Verdict::Drop(Dropped::Old(_)) => "old",
        Verdict::Drop(Dropped::Size) => "size",
        Verdict::Drop(Dropped::Space) => "space",
    }
}
