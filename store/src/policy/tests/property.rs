//! What the policy promises, of every decision, whatever the model says.

use std::collections::{BTreeSet, HashSet};

use super::super::rules::limits;
use super::super::{Candidate, Decision, Dropped, Kept, Occasion, Verdict, WhenBusy};
use super::random::{Case, check_all};
use crate::digest::Digest;

const CASES: u64 = 20_000;

#[test]
fn nothing_goes_that_something_protects() {
    check_all(0..CASES, |case| {
        let decision = case.decide();
        for image in going(case, &decision) {
            let (limits, is_protected) = limits(&case.policy, image);
            let is_in_use = image.used_by.is_some() || image.is_pinned || is_protected;
            ensure(!is_in_use, || format!("{} is protected", image.digest.short()))?;
            let came_in = i128::from(case.now) - i128::from(image.imported);
            ensure(limits.min_age == 0 || came_in >= i128::from(limits.min_age), || {
                format!("{} is young", image.digest.short())
            })?;
            for group in image.groups.iter().map(|one| &one.group).collect::<BTreeSet<_>>() {
                let newer = case.images.iter().filter(|other| outranks(other, image, group)).count();
                ensure(newer >= limits.keep_last.get(), || {
                    format!("only {newer} of {group} are newer than {}", image.digest.short())
                })?;
            }
        }
        Ok(())
    });
}

fn outranks(image: &Candidate, other: &Candidate, group: &str) -> bool {
    let rank = |image: &Candidate| {
        let named = image.groups.iter().filter(|one| one.group == group).map(|one| one.is_named).max();
        named.map(|is_named| (is_named, image.imported, std::cmp::Reverse(image.digest)))
    };
    rank(image).is_some_and(|first| rank(other).is_some_and(|second| first > second))
}

#[test]
fn nothing_exceeded_nothing_goes() {
    let mut quiet = 0;
    check_all(0..CASES, |case| {
        let is_prune = case.occasion == Occasion::Prune;
        let is_outdated = |image: &Candidate| {
            let limits = limits(&case.policy, image).0;
            let is_since = |then: i64, limit: u64| {
                i128::from(case.now) - i128::from(then) >= i128::from(limit) || limit == 0
            };
            limits.unused_for.is_some_and(|limit| is_since(image.last_used, limit))
                || limits.max_age.is_some_and(|limit| is_since(image.imported, limit))
        };
        let is_large = case.policy.max_size.is_some_and(|limit| case.stored(&HashSet::new()) > limit);
        let is_exceeded = is_prune && (is_large || case.images.iter().any(is_outdated));
        if !is_exceeded && case.missing_to_min_free(0) == 0 {
            quiet += 1;
            let decision = case.decide();
            ensure(going(case, &decision).is_empty(), || "nothing is exceeded".into())?;
            ensure(decision.over_size == 0 && decision.short_of_space == 0, || "nothing is missing".into())?;
        }
        Ok(())
    });
    assert!(quiet >= CASES / 20, "{quiet}");
}

#[test]
fn bytes_are_those_of_the_set_that_goes() {
    check_all(0..CASES, |case| {
        let decision = case.decide();
        let gone: HashSet<Digest> = going(case, &decision).iter().map(|image| image.digest).collect();
        let freed = case.stored(&HashSet::new()) - case.stored(&gone);
        ensure(decision.freed == freed, || format!("{freed} bytes are freed"))?;
        let is_space_wanted = decision.short_of_space > 0;
        ensure(is_space_wanted || case.missing_to_min_free(freed) == 0, || "space is missing".into())?;
        let limit = case.policy.max_size.filter(|_| case.occasion == Occasion::Prune).unwrap_or(u64::MAX);
        ensure(decision.over_size == case.stored(&gone).saturating_sub(limit), || "over the size".into())
    });
}

#[test]
fn room_is_made_in_order_and_no_further_than_asked() {
    let mut checked = 0;
    check_all(0..CASES, |case| {
        let decision = case.decide();
        let place = |image: &Candidate| (!image.names.is_empty(), image.last_used.min(case.now));
        for why in [Dropped::Size, Dropped::Space] {
            let verdict = Verdict::Drop(why.clone());
            let victims = || case.with(&decision, |one| *one == verdict);
            let Some(last) = victims().map(place).max() else { continue };
            checked += 1;
            // What comes before the last one and is left has a reason of its own.
            for left in case.with(&decision, |one| *one == Verdict::Keep(Kept::WithinLimits)) {
                ensure(place(left) >= last, || format!("{} comes first", left.digest.short()))?;
            }
            // Without the last one the limit would not hold. (What goes for space went after what goes for size.)
            let is_gone = |one: &Verdict| match one {
                Verdict::Drop(Dropped::Space) => why == Dropped::Space,
                Verdict::Drop(_) => true,
                Verdict::Keep(_) => false,
            };
            let gone: HashSet<Digest> = case.with(&decision, is_gone).map(|image| image.digest).collect();
            let is_needed = |image: &Candidate| {
                let mut but_this = gone.clone();
                but_this.remove(&image.digest);
                case.is_missing(&why, &but_this)
            };
            let mut last_ones = victims().filter(|image| place(image) == last);
            ensure(last_ones.any(is_needed), || format!("less would do for {why:?}"))?;
        }
        Ok(())
    });
    assert!(checked >= CASES / 20, "{checked}");
}

#[test]
fn out_of_reach_all_that_helps_goes_and_no_more() {
    let mut checked = 0;
    check_all(0..CASES, |case| {
        let decision = case.decide();
        let is_waiting = case.is_busy && case.policy.when_busy == WhenBusy::Skip;
        let is_missed = decision.short_of_space > 0 || decision.over_size > 0 && !is_waiting;
        let left = case.with(&decision, |one| *one == Verdict::Keep(Kept::WithinLimits)).count();
        ensure(!is_missed || left == 0, || "something could still go".into())?;
        checked += u64::from(is_missed);
        // Taking back anything that made room takes back bytes.
        let gone: HashSet<Digest> = going(case, &decision).iter().map(|image| image.digest).collect();
        for victim in case.with(&decision, |one| matches!(one, Verdict::Drop(Dropped::Size | Dropped::Space)))
        {
            let mut but_this = gone.clone();
            but_this.remove(&victim.digest);
            let is_helping = case.stored(&but_this) > case.stored(&gone);
            ensure(is_helping, || format!("{} frees nothing", victim.digest.short()))?;
        }
        Ok(())
    });
    assert!(checked >= CASES / 20, "{checked}");
}

#[test]
fn the_store_is_not_emptied_below_its_reserve_for_others() {
    check_all(0..CASES, |case| {
        let decision = case.decide();
        let gone: HashSet<Digest> = going(case, &decision).iter().map(|image| image.digest).collect();
        let for_others = case.with(&decision, |one| *one == Verdict::Drop(Dropped::Space)).count();
        let reserve = case.policy.reserve.map_or(0, |reserve| reserve.of(case.total));
        ensure(for_others == 0 || case.stored(&gone) >= reserve, || format!("{reserve} are reserved"))
    });
}

#[test]
fn the_order_of_what_is_handed_in_and_the_time_zone_do_not_matter() {
    check_all(0..CASES, |case| {
        let decision = case.decide();
        ensure(case.decide() == decision, || "another time, another decision".into())?;
        let mut turned = case.clone();
        turned.images.reverse();
        for image in &mut turned.images {
            image.parts.reverse();
            image.groups.reverse();
            image.names.reverse();
            image.lost.reverse();
        }
        let mut expected = decision.clone();
        expected.verdicts.reverse();
        ensure(turned.decide() == expected, || "turned round it is another decision".into())?;
        let Some(later) = case.later(86_400 / 2) else { return Ok(()) };
        ensure(later.decide() == decision, || "half a day later it is another decision".into())
    });
}

/// What went made no newer image an older one of its group, and left nothing without an owner that had one: so there is
/// nothing more to do. The one exception is the reserve: whether it lets something go depends on what was taken before, and of
/// that something may have come back because it freed nothing.
#[test]
fn deciding_again_drops_nothing_more() {
    let mut checked = 0;
    check_all(0..CASES, |case| {
        let decision = case.decide();
        let has = |kept: &Kept| decision.verdicts.contains(&Verdict::Keep(kept.clone()));
        if has(&Kept::Reserve) && has(&Kept::FreesNothing) {
            return Ok(());
        }
        checked += u64::from(!going(case, &decision).is_empty());
        let again = case.done(&decision).decide();
        ensure(!again.verdicts.iter().any(|one| matches!(one, Verdict::Drop(_))), || {
            format!("deciding again gives {again:#?}")
        })?;
        ensure(again.over_size == decision.over_size, || "the size is another".into())?;
        ensure(again.short_of_space <= decision.short_of_space, || "more space is missing".into())
    });
    assert!(checked >= CASES / 20, "{checked}");
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn going<'a>(case: &'a Case, decision: &Decision) -> Vec<&'a Candidate> {
    case.with(decision, |one| matches!(one, Verdict::Drop(_))).collect()
}

impl Case {
    /// The images of such a verdict.
    fn with<'a>(
        &'a self,
        decision: &Decision,
        is_such: impl Fn(&Verdict) -> bool,
    ) -> impl Iterator<Item = &'a Candidate> {
        let such: Vec<bool> = decision.verdicts.iter().map(is_such).collect();
        self.images.iter().zip(such).filter(|(_, is_such)| *is_such).map(|(image, _)| image)
    }

    /// Bytes of the store without these.
    fn stored(&self, gone: &HashSet<Digest>) -> u64 {
        let stays =
            |image: &&Candidate, part: &Digest| !gone.contains(&image.digest) || self.kept.contains(part);
        let parts = self.images.iter().flat_map(|image| image.parts.iter().map(move |part| (image, part)));
        let stay: HashSet<_> = parts.filter(|(image, part)| stays(image, &part.0)).map(|one| one.1).collect();
        self.other + stay.iter().map(|(_, size)| size).sum::<u64>()
    }

    fn missing_to_min_free(&self, freed: u64) -> u64 {
        self.missing_space(0, freed)
    }

    fn missing_space(&self, target: u64, freed: u64) -> u64 {
        let Some(min_free) = self.policy.min_free else { return 0 };
        let incoming = if let Occasion::Incoming(bytes) = self.occasion { bytes } else { 0 };
        (min_free.of(self.total).max(target) + incoming).saturating_sub(self.free + freed)
    }

    fn is_missing(&self, why: &Dropped, gone: &HashSet<Digest>) -> bool {
        let stored = self.stored(gone);
        match why {
            Dropped::Size => self.policy.max_size.is_some_and(|limit| stored > limit),
            _ => {
                let target = self.policy.target_free.map_or(0, |target| target.of(self.total));
                self.missing_space(target, self.stored(&HashSet::new()) - stored) > 0
            }
        }
    }

    /// All times moved; none where that is past the end of time.
    fn later(&self, seconds: i64) -> Option<Case> {
        let mut later = self.clone();
        later.now = self.now.checked_add(seconds)?;
        for image in &mut later.images {
            for time in [&mut image.imported, &mut image.last_used, &mut image.nameless_since] {
                *time = time.checked_add(seconds)?;
            }
        }
        Some(later)
    }

    /// The store after what was decided: blobs that are kept for another reason belong to no image then.
    fn done(&self, decision: &Decision) -> Case {
        let gone: HashSet<Digest> = going(self, decision).iter().map(|image| image.digest).collect();
        let mut done = self.clone();
        done.images.retain(|image| !gone.contains(&image.digest));
        done.free += decision.freed;
        done.other += self.stored(&gone) - done.stored(&HashSet::new());
        done
    }
}
