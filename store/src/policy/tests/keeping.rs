//! Who goes without any need of room, and who never goes.

use super::super::Dropped::{Old, Unused};
use super::super::Kept::{InUse, Newest, Pinned, Protected, WithinLimits, Young};
use super::super::Verdict::{self, Drop, Keep};
use super::super::{Candidate, Kept};
use super::by_hand::{DAY, NOW, displaced, image, lost, named, store, verdicts};

/// 100 days, as `image` has not been used.
const UNUSED: Verdict = Drop(Unused(100 * DAY as u64));

fn newest(group: &str) -> Verdict {
    Keep(Newest(group.into()))
}

#[test]
fn what_protects_an_image() {
    let both = Candidate { names: vec!["a:1".into(), "b:1".into()], ..image("a:1") };
    let held = Candidate { used_by: Some("hold of 7".into()), ..image("a:1") };
    let pinned = Candidate { is_pinned: true, ..image("a:1") };
    let young = Candidate { imported: NOW - 5, ..image("a:1") };
    for (what, policy, image, expected) in [
        ("nothing", "", image("a:1"), UNUSED),
        ("its use", "", held.clone(), Keep(InUse("hold of 7".into()))),
        ("a pin", "", pinned.clone(), Keep(Pinned)),
        ("a pattern without the tag", "protect = ['a']", image("a:1"), Keep(Protected)),
        ("a pattern with the tag", "protect = ['a:?']", image("a:1"), Keep(Protected)),
        ("a pattern for another tag", "protect = ['a:2']", image("a:1"), UNUSED),
        ("one name of two", "protect = ['x', 'b']", both.clone(), Keep(Protected)),
        ("the name that it lost", "protect = ['a']", displaced("a:1"), UNUSED),
        ("a rule", "[[rule]]\npattern = 'b'\nprotect = true", both, Keep(Protected)),
        (
            "a rule for the name that it lost",
            "[[rule]]\npattern = 'a'\nprotect = true",
            displaced("a:1"),
            UNUSED,
        ),
        ("its group", "", Candidate { groups: vec![named("g")], ..image("a:1") }, newest("g")),
        ("its age", "", young.clone(), Keep(Young(5))),
        // The first reason is told.
        (
            "its use, before a pin",
            "protect = ['*']",
            Candidate { is_pinned: true, ..held },
            Keep(InUse("hold of 7".into())),
        ),
        ("a pin, before a pattern", "protect = ['*']", pinned, Keep(Pinned)),
        ("a pattern, before its age", "protect = ['*']", young.clone(), Keep(Protected)),
        ("its group, before its age", "", Candidate { groups: vec![lost("g")], ..young }, newest("g")),
    ] {
        assert_eq!(verdicts(&format!("unused_for = '1s'\n{policy}"), &[image]), [expected], "{what}");
    }
}

#[test]
fn ages_count_from_the_very_second() {
    let forever = format!("unused_for = '{}s'", u64::MAX);
    for (policy, imported, last_used, expected) in [
        ("", 10_000, 10_000, Keep(WithinLimits)),
        ("unused_for = '10s'", 10_000, 9, Keep(WithinLimits)),
        ("unused_for = '10s'", 10_000, 10, Drop(Unused(10))),
        ("unused_for = '10s'", 10_000, -3, Keep(WithinLimits)),
        ("unused_for = '0s'", 10_000, -3, Drop(Unused(0))),
        ("max_age = '2h'", 7199, 0, Keep(WithinLimits)),
        ("max_age = '2h'", 7200, 0, Drop(Old(7200))),
        ("max_age = '2h'", -7200, 0, Keep(Young(0))),
        ("max_age = '2h'\nunused_for = '1h'", 7200, 3600, Drop(Unused(3600))),
        ("max_age = '2h'\nunused_for = '2h'", 7200, 3600, Drop(Old(7200))),
        // Ten minutes are young, unless it says otherwise.
        ("unused_for = '1s'", 599, 599, Keep(Young(599))),
        ("unused_for = '1s'", 600, 600, Drop(Unused(600))),
        ("unused_for = '1s'\nmin_age = '1h'", 3599, 3599, Keep(Young(3599))),
        ("unused_for = '1s'\nmin_age = '1h'", 3600, 3600, Drop(Unused(3600))),
        ("max_age = '0s'\nmin_age = '0s'", -1, -1, Drop(Old(0))),
        (&forever, 10_000, i64::MAX, Keep(WithinLimits)),
    ] {
        let image = Candidate { imported: NOW - imported, last_used: NOW - last_used, ..image("a:1") };
        assert_eq!(verdicts(policy, &[image]), [expected], "{policy}: {imported} {last_used}");
    }
}

#[test]
fn times_at_both_ends_are_no_trouble() {
    for (now, then, expected) in [
        (i64::MAX, i64::MIN, Drop(Unused(u64::MAX))),
        (0, i64::MIN, Drop(Unused(1 << 63))),
        (i64::MIN, i64::MIN, Keep(Young(0))),
        // The clock was set back: everything came in just now.
        (i64::MIN, i64::MAX, Keep(Young(0))),
        (NOW - 200 * DAY, NOW - 100 * DAY, Keep(Young(0))),
    ] {
        let mut store = store("unused_for = '1s'\nmax_age = '1s'", vec![image("a:1")]);
        store.now = now;
        (store.images[0].imported, store.images[0].last_used) = (then, then);
        assert_eq!(store.decide().verdicts, [expected], "{then} at {now}");
    }
}

/// An image that came in so many days ago.
fn of_day(days: i64, image: Candidate) -> Candidate {
    Candidate { imported: NOW - days * DAY, ..image }
}

#[test]
fn the_newest_of_a_group_stay() {
    let in_group = |image: Candidate| Candidate { groups: vec![named("g")], ..image };
    let out_of_group = |image: Candidate| Candidate { groups: vec![lost("g")], ..image };
    let (one, two) = (of_day(3, in_group(image("a:1"))), of_day(2, in_group(image("a:2"))));
    let (older, newer) =
        (of_day(2, out_of_group(displaced("a:1"))), of_day(1, out_of_group(displaced("a:2"))));
    let held = Candidate { used_by: Some("hold".into()), ..two.clone() };
    let to_come = of_day(-9, one.clone());
    let two_groups = Candidate { groups: vec![named("g"), named("h")], ..one.clone() };
    let first_of_two = of_day(1, Candidate { groups: vec![named("h"), named("g")], ..image("a:3") });
    let twice = Candidate { groups: vec![lost("g"), named("g")], ..one.clone() };
    for (what, policy, images, expected) in [
        ("by import, not by place", "", vec![one.clone(), two.clone()], vec![UNUSED, newest("g")]),
        ("a name comes first", "", vec![newer.clone(), one.clone()], vec![UNUSED, newest("g")]),
        (
            "then what lost it last",
            "keep_last = 2",
            vec![older.clone(), newer.clone(), one.clone()],
            vec![UNUSED, newest("g"), newest("g")],
        ),
        ("without a name at all", "", vec![older, newer.clone()], vec![UNUSED, newest("g")]),
        ("what is held counts", "", vec![one.clone(), held], vec![UNUSED, Keep(InUse("hold".into()))]),
        ("in one of its groups", "", vec![two_groups, two.clone()], vec![newest("h"), newest("g")]),
        ("in both: the first by name", "", vec![first_of_two], vec![newest("g")]),
        (
            "once in a group, by the name that it has",
            "keep_last = 2",
            vec![twice, two.clone(), newer],
            vec![newest("g"), newest("g"), UNUSED],
        ),
        (
            "the clock was set back",
            "",
            vec![to_come, two.clone(), one.clone()],
            vec![newest("g"), newest("g"), UNUSED],
        ),
        (
            "a rule keeps more",
            "[[rule]]\npattern = 'a:1'\nkeep_last = 2",
            vec![one.clone(), two.clone()],
            vec![newest("g"), newest("g")],
        ),
        (
            "a rule keeps less",
            "keep_last = 2\n[[rule]]\npattern = 'a:1'\nkeep_last = 1",
            vec![one, two],
            vec![UNUSED, newest("g")],
        ),
    ] {
        assert_eq!(verdicts(&format!("unused_for = '1s'\n{policy}"), &images), expected, "{what}");
    }
}

#[test]
fn of_those_that_came_together_the_same_stay_in_any_order() {
    let images: Vec<Candidate> =
        ["a:1", "a:2", "a:3"].map(|name| Candidate { groups: vec![named("g")], ..image(name) }).into();
    let mut turned = images.clone();
    turned.reverse();
    let policy = "unused_for = '1s'\nkeep_last = 2";
    let (there, mut back) = (verdicts(policy, &images), verdicts(policy, &turned));
    back.reverse();
    assert_eq!(there, back);
    assert_eq!(there.iter().filter(|verdict| **verdict == newest("g")).count(), 2);
}

#[test]
fn the_first_rule_that_matches_counts() {
    let rules = "
        unused_for = '1000d'
        max_age = '100d'
        [[rule]]
        pattern = '*-asan'
        unused_for = '50d'
        max_age = '200d'
        [[rule]]
        pattern = 'a*'
        max_age = '300d'
        [[rule]]
        pattern = 'a:old'
        unused_for = '1s'";
    let (two_names, moved) = (
        Candidate { names: vec!["b:1".into(), "c-asan:1".into()], ..image("b:1") },
        Candidate { lost: vec!["c-asan:1".into()], ..image("b:1") },
    );
    let old = Drop(Old(100 * DAY as u64));
    for (what, image, expected) in [
        ("none", image("b:1"), old.clone()),
        ("its own values", image("b-asan:1"), UNUSED),
        ("the first of two", image("a-asan:1"), UNUSED),
        ("what it does not say holds as it is", image("a:1"), Keep(WithinLimits)),
        ("a later one that fits better", image("a:old"), Keep(WithinLimits)),
        ("any of its names", two_names, UNUSED),
        ("not a name that it lost, while it has one", moved, old),
        ("the name that it lost, when it has none", displaced("c-asan:1"), UNUSED),
    ] {
        assert_eq!(verdicts(rules, &[image]), [expected], "{what}");
    }
    let min_age = "unused_for = '1s'\n[[rule]]\npattern = 'a'\nmin_age = '101d'";
    let young: Kept = Young(100 * DAY as u64);
    assert_eq!(verdicts(min_age, &[image("a:1"), image("b:1")]), [Keep(young), UNUSED]);
}
