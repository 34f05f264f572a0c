//! Who goes to make room, in which order, and how much of it is made.

use super::super::Dropped::{Old, Size, Space};
use super::super::Kept::{Busy, FreesNothing, InUse, Orphan, Reserve, WithinLimits, Young};
use super::super::Verdict::{self, Drop, Keep};
use super::super::{Candidate, Occasion};
use super::by_hand::{DAY, NOW, digest, displaced, image, parts, store};
use super::random::Case;

const STAYS: Verdict = Keep(WithinLimits);

/// An image that was used so many days ago, with these blobs.
fn used(days: i64, image: Candidate, blobs: &[(&str, u64)]) -> Candidate {
    Candidate { last_used: NOW - days * DAY, parts: parts(blobs), ..image }
}

/// Three of 100 bytes each, least recently used last.
fn three() -> Vec<Candidate> {
    let image = |days, name| used(days, image(name), &[(name, 100)]);
    vec![image(1, "a:1"), image(2, "b:1"), image(3, "c:1")]
}

/// In which order they go, by place: the limit falls by a byte at a time.
fn order(images: Vec<Candidate>) -> Vec<usize> {
    let mut case = store("", images);
    let mut order = Vec::new();
    for most in (0..1000).rev() {
        case.policy.max_size = Some(most);
        let verdicts = case.decide().verdicts;
        let goes = |at: &usize| verdicts[*at] == Drop(Size) && !order.contains(at);
        let next: Vec<usize> = (0..verdicts.len()).filter(goes).collect();
        assert!(next.len() <= 1, "{next:?} go together");
        order.extend(next);
    }
    order
}

#[test]
fn displaced_first_then_least_recently_used_then_what_frees_most() {
    assert_eq!(order(three()), [2, 1, 0]);
    let mut images = three();
    images.push(used(0, displaced("d:1"), &[("d", 1)]));
    images.push(used(1, image("e:1"), &[("e", 101)]));
    images.push(used(1, image("f:1"), &[("f", 100)]));
    images.push(used(2, displaced("g:1"), &[("g", 1)]));
    // Two that were used in the future: that is now.
    images.push(used(-2, image("h:1"), &[("h", 7)]));
    images.push(used(-3, image("i:1"), &[("i", 8)]));
    let a_and_f = if digest("a:1") < digest("f:1") { [0, 5] } else { [5, 0] };
    assert_eq!(order(images.clone())[..4], [6, 3, 2, 1]);
    assert_eq!(order(images)[4..], [[4].as_slice(), &a_and_f, &[8, 7]].concat());
}

#[test]
fn what_is_outdated_has_gone_before_it_is_counted_what_frees_most() {
    let old = Candidate { imported: NOW - 200 * DAY, ..used(0, image("a:1"), &[("a", 1), ("base", 100)]) };
    let heir = used(0, image("b:1"), &[("b", 1), ("base", 100)]);
    let other = used(0, image("c:1"), &[("c", 50)]);
    let decision = store("max_age = '150d'\nmax_size = '60'", vec![old, other, heir]).decide();
    assert_eq!(decision.verdicts, [Drop(Old(200 * DAY as u64)), STAYS, Drop(Size)]);
    assert_eq!(decision.freed, 102);
}

#[test]
fn room_is_made_as_far_as_it_is_asked_for() {
    let goes = |count: usize, why: Verdict| -> Vec<Verdict> {
        (0..3).map(|at| if 3 - at <= count { why.clone() } else { STAYS }).collect()
    };
    for (policy, other, free, going, why, over_size, short) in [
        ("", 10_000, 0, 0, Size, 0, 0),
        ("max_size = '300'", 0, 0, 0, Size, 0, 0),
        ("max_size = '299'", 0, 0, 1, Size, 0, 0),
        ("max_size = '200'", 0, 0, 1, Size, 0, 0),
        ("max_size = '199'", 0, 0, 2, Size, 0, 0),
        // Blobs of nobody count, and go by themselves.
        ("max_size = '300'", 1, 0, 1, Size, 0, 0),
        ("max_size = '300'", 301, 0, 3, Size, 1, 0),
        ("max_size = '0'", 0, 0, 3, Size, 0, 0),
        ("min_free = '100'", 0, 100, 0, Space, 0, 0),
        ("min_free = '100'", 0, 99, 1, Space, 0, 0),
        ("min_free = '101'", 0, 0, 2, Space, 0, 0),
        ("min_free = '10%'", 0, 100, 0, Space, 0, 0),
        ("min_free = '10%'", 0, 99, 1, Space, 0, 0),
        ("min_free = '301'", 0, 0, 3, Space, 0, 1),
        ("min_free = '100'\ntarget_free = '200'", 0, 100, 0, Space, 0, 0),
        ("min_free = '100'\ntarget_free = '200'", 0, 99, 2, Space, 0, 0),
        ("min_free = '100'\ntarget_free = '20%'", 0, 99, 2, Space, 0, 0),
        ("min_free = '100'\ntarget_free = '5%'", 0, 99, 1, Space, 0, 0),
        ("min_free = '100'\ntarget_free = '400'", 0, 99, 3, Space, 0, 1),
        // What goes for the size counts for space as well.
        ("max_size = '200'\nmin_free = '100'", 0, 99, 1, Size, 0, 0),
        ("max_size = '200'\nmin_free = '100'\ntarget_free = '900'", 0, 0, 1, Size, 0, 0),
        // Growth by others never takes more than this leaves.
        ("min_free = '500'\nreserve = '200'", 0, 0, 1, Space, 0, 400),
        ("min_free = '500'\nreserve = '20%'", 100, 0, 2, Space, 0, 300),
        ("max_size = '0'\nreserve = '200'", 0, 0, 3, Size, 0, 0),
    ] {
        let case = Case { other, free, ..store(policy, three()) };
        let decision = case.decide();
        let what = format!("{policy:?}, {other} of nobody, {free} free");
        let reserved = |verdict: &Verdict| if *verdict == Keep(Reserve) { STAYS } else { verdict.clone() };
        let verdicts: Vec<Verdict> = decision.verdicts.iter().map(reserved).collect();
        assert_eq!(verdicts, goes(going, Drop(why)), "{what}");
        assert_eq!(decision.freed, 100 * going as u64, "{what}");
        assert_eq!((decision.over_size, decision.short_of_space), (over_size, short), "{what}");
    }
}

#[test]
fn for_size_and_for_space_after_one_another() {
    let case = Case { free: 0, ..store("max_size = '250'\nmin_free = '150'", three()) };
    assert_eq!(case.decide().verdicts, [STAYS, Drop(Space), Drop(Size)]);
}

#[test]
fn the_reserve_stops_what_is_too_large_and_lets_a_smaller_one_go() {
    let large = used(3, image("a:1"), &[("a", 200)]);
    let small = used(2, image("b:1"), &[("b", 50)]);
    let last = used(1, image("c:1"), &[("c", 100)]);
    let case = Case { free: 0, ..store("min_free = '50'\nreserve = '300'", vec![large, small, last]) };
    let decision = case.decide();
    assert_eq!(decision.verdicts, [Keep(Reserve), Drop(Space), STAYS]);
    assert_eq!((decision.freed, decision.short_of_space), (50, 0));
}

#[test]
fn bytes_are_counted_for_the_set() {
    let twin = |name: &str| used(9, image(name), &[("base", 100), (name, 1)]);
    let held = |name: &str| Candidate { used_by: Some("hold".into()), ..twin(name) };
    let free_of_own = |days, name| used(days, image(name), &[("base", 100)]);
    let kept = Keep(InUse("hold".into()));
    for (what, most, images, expected, freed, over) in [
        // They share all but their manifests: the second one brings the rest.
        ("twins", 1, vec![twin("a:1"), twin("b:1")], vec![Drop(Size), Drop(Size)], 102, 0),
        ("twins, one held", 100, vec![twin("a:1"), held("b:1")], vec![Drop(Size), kept.clone()], 1, 1),
        // Nothing that does not help goes.
        (
            "all of it is in another that stays",
            1,
            vec![free_of_own(9, "a:1"), held("b:1")],
            vec![Keep(FreesNothing), kept.clone()],
            0,
            100,
        ),
        (
            "two of which neither has anything for itself",
            1,
            vec![free_of_own(9, "a:1"), free_of_own(8, "b:1")],
            vec![Drop(Size), Drop(Size)],
            100,
            0,
        ),
        (
            "the same, and a third that stays",
            1,
            vec![free_of_own(9, "a:1"), free_of_own(8, "b:1"), held("c:1")],
            vec![Keep(FreesNothing), Keep(FreesNothing), kept],
            0,
            100,
        ),
    ] {
        let decision = store(&format!("max_size = '{most}'"), images).decide();
        assert_eq!(decision.verdicts, expected, "{what}");
        assert_eq!((decision.freed, decision.over_size), (freed, over), "{what}");
    }
}

#[test]
fn leased_blobs_free_nothing() {
    let mut case = store("max_size = '100'", three());
    case.kept = [digest("c:1"), digest("no image has this")].into();
    let decision = case.decide();
    assert_eq!(decision.verdicts, [Drop(Size), Drop(Size), Keep(FreesNothing)]);
    assert_eq!((decision.freed, decision.over_size), (200, 0));
    case.policy.max_size = Some(99);
    assert_eq!(case.decide().over_size, 1);
}

#[test]
fn nameless_versions_have_a_time_to_come_back() {
    let week = 7 * DAY;
    for (policy, nameless, expected) in [
        ("max_size = '0'", week - 1, Keep(Orphan(week as u64 - 1))),
        ("max_size = '0'", week, Drop(Size)),
        ("max_size = '0'", -5, Keep(Orphan(0))),
        ("max_size = '0'\norphan_age = '1h'", 3600, Drop(Size)),
        ("max_size = '0'\n[[rule]]\npattern = 'a'\norphan_age = '1h'", 3599, Keep(Orphan(3599))),
        ("max_size = '0'\n[[rule]]\npattern = 'a'\norphan_age = '1h'", 3600, Drop(Size)),
        // Only where room is needed: neither keeps it from its age, nor is it one.
        ("max_age = '100d'", 5, Drop(Old(100 * DAY as u64))),
        ("max_size = '1'", 5, STAYS),
        ("max_size = '1'", week, STAYS),
    ] {
        let orphan = Candidate { nameless_since: NOW - nameless, ..displaced("a:1") };
        assert_eq!(store(policy, vec![orphan]).decide().verdicts, [expected], "{policy}: {nameless}");
    }
    // What has a name has none to come back to.
    let named = Candidate { nameless_since: NOW, ..image("a:1") };
    assert_eq!(store("max_size = '0'", vec![named]).decide().verdicts, [Drop(Size)]);
}

#[test]
fn out_of_reach_what_helps_goes_and_the_rest_stays() {
    let mut images = three();
    images[2].used_by = Some("hold".into());
    images.push(Candidate { imported: NOW, ..image("d:1") });
    let decision = store("max_size = '50'", images.clone()).decide();
    assert_eq!(decision.verdicts, [Drop(Size), Drop(Size), Keep(InUse("hold".into())), Keep(Young(0))]);
    assert_eq!((decision.freed, decision.over_size, decision.short_of_space), (200, 51, 0));
    let decision = Case { free: 10, ..store("min_free = '90%'", images) }.decide();
    assert_eq!(decision.verdicts[..2], [Drop(Space), Drop(Space)]);
    assert_eq!((decision.freed, decision.over_size, decision.short_of_space), (200, 0, 690));
}

#[test]
fn while_a_hold_lives_only_a_full_disk_moves_anything() {
    let limits = "max_age = '1000d'\nmax_size = '199'\nmin_free = '100'";
    let evict = &format!("when_busy = 'evict'\n{limits}");
    for (what, policy, is_busy, free, expected, freed, over_size) in [
        ("idle", limits, false, 100, [STAYS, Drop(Size), Drop(Size)], 200, 0),
        ("busy", limits, true, 100, [STAYS, Keep(Busy), Keep(Busy)], 0, 101),
        ("evicting", evict, true, 100, [STAYS, Drop(Size), Drop(Size)], 200, 0),
        ("urgent", limits, true, 99, [STAYS, STAYS, Drop(Space)], 100, 1),
        ("urgent and evicting", evict, true, 99, [STAYS, Drop(Size), Drop(Size)], 200, 0),
    ] {
        let decision = Case { is_busy, free, ..store(policy, three()) }.decide();
        assert_eq!(decision.verdicts, expected, "{what}");
        assert_eq!(
            (decision.freed, decision.over_size, decision.short_of_space),
            (freed, over_size, 0),
            "{what}"
        );
    }
}

#[test]
fn room_for_what_comes_in() {
    let outdated = "unused_for = '1s'\nmax_size = '1'\n";
    for (policy, bytes, free, is_busy, going, short) in [
        // Without min_free nobody asked for room.
        ("", 1000, 0, false, 0, 0),
        ("min_free = '0'", 50, 50, false, 0, 0),
        ("min_free = '0'", 51, 50, false, 1, 0),
        ("min_free = '20'", 50, 70, false, 0, 0),
        ("min_free = '20'", 50, 69, false, 1, 0),
        ("min_free = '20'", 150, 0, false, 2, 0),
        ("min_free = '20'", 300, 0, false, 3, 20),
        // Once room is made, up to the target; not to reach that is no reason to refuse.
        ("min_free = '20'\ntarget_free = '120'", 50, 70, false, 0, 0),
        ("min_free = '20'\ntarget_free = '120'", 50, 69, false, 2, 0),
        ("min_free = '20'\ntarget_free = '900'", 50, 69, false, 3, 0),
        ("min_free = '20'\nreserve = '250'", 50, 69, false, 0, 1),
        // A hold does not stop it, for the disk would be full.
        ("min_free = '20'", 50, 69, true, 1, 0),
        ("min_free = '20'", 50, 70, true, 0, 0),
        ("min_free = '20'", u64::MAX, 0, false, 3, u64::MAX - 300),
    ] {
        let occasion = Occasion::Incoming(bytes);
        let case = Case { free, is_busy, occasion, ..store(&format!("{outdated}{policy}"), three()) };
        let decision = case.decide();
        let gone = decision.verdicts.iter().filter(|verdict| **verdict == Drop(Space)).count();
        let what = format!("{policy:?}, {bytes} bytes, {free} free");
        assert_eq!((gone, decision.freed), (going, 100 * going as u64), "{what}");
        assert_eq!((decision.over_size, decision.short_of_space), (0, short), "{what}");
    }
}
