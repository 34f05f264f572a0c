//! Random stores and policies, small ones: few images, blobs, names and groups, and small numbers, so that boundaries and ties
//! come often. A number is the whole of a case.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use super::super::{
    BuildLimits, Candidate, Decision, Limits, Membership, NamePattern, Occasion, Policy, Rule, State,
    WhenBusy, decide,
};
use crate::digest::Digest;
use crate::quantity::Amount;

/// All that a decision is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) policy: Policy,
    pub(super) images: Vec<Candidate>,
    pub(super) kept: HashSet<Digest>,
    pub(super) other: u64,
    pub(super) free: u64,
    pub(super) total: u64,
    pub(super) is_busy: bool,
    pub(super) now: i64,
    pub(super) occasion: Occasion,
}

impl Case {
    pub(super) fn state(&self) -> State<'_> {
        State {
            images: &self.images,
            kept: &self.kept,
            other: self.other,
            free: self.free,
            total: self.total,
            is_busy: self.is_busy,
            now: self.now,
        }
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&self.policy, &self.state(), self.occasion)
    }

    /// Cases with one thing less each.
    fn smaller(&self) -> Vec<Case> {
        let mut smaller = Vec::new();
        let mut push = |change: &dyn Fn(&mut Case)| {
            let mut case = self.clone();
            change(&mut case);
            smaller.push(case);
        };
        for at in 0..self.images.len() {
            push(&|case| drop(case.images.remove(at)));
        }
        push(&|case| case.policy.rules = Vec::new());
        push(&|case| case.policy.protect = Vec::new());
        push(&|case| case.policy.limits = Limits { min_age: 0, orphan_age: 0, ..Limits::default() });
        push(&|case| case.policy.max_size = None);
        push(&|case| case.policy.min_free = None);
        push(&|case| case.policy.target_free = None);
        push(&|case| case.policy.reserve = None);
        push(&|case| case.is_busy = false);
        push(&|case| case.kept = HashSet::new());
        push(&|case| case.other = 0);
        for at in 0..self.images.len() {
            push(&|case| case.images[at].groups = Vec::new());
            push(&|case| case.images[at].lost = Vec::new());
            push(&|case| case.images[at].names.truncate(1));
            for part in 0..self.images[at].parts.len() {
                push(&|case| case.images[at].parts.truncate(part));
            }
        }
        smaller.retain(|case| case != self);
        smaller
    }
}

/// Checks the cases of these numbers; one that fails is made as small as it can be, and shown.
pub(super) fn check_all(numbers: std::ops::Range<u64>, mut check: impl FnMut(&Case) -> Result<(), String>) {
    for number in numbers {
        let mut case = case(number);
        let Err(mut failure) = check(&case) else { continue };
        while let Some((smaller, why)) =
            case.smaller().into_iter().find_map(|case| check(&case).err().map(|why| (case, why)))
        {
            (case, failure) = (smaller, why);
        }
        panic!("case {number}: {failure}\n{case:#?}\nis decided as {:#?}", case.decide());
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Random) -> T) -> Option<T> {
        if self.one_in(2) { Some(value(self)) } else { None }
    }

    fn some<T: Clone>(&mut self, most: u64, of: &[T]) -> Vec<T> {
        let mut some: Vec<T> = of.to_vec();
        while some.len() as u64 > most.min(of.len() as u64) {
            some.remove(self.below(some.len() as u64) as usize);
        }
        some
    }

    /// Mostly a little ago, sometimes still to come, now and then at an end of time.
    fn time(&mut self, now: i64) -> i64 {
        match self.below(40) {
            0 => i64::MIN,
            1 => i64::MAX,
            2..5 => now.saturating_add(self.below(4) as i64),
            _ => now.saturating_sub(self.below(12) as i64),
        }
    }

    fn amount(&mut self) -> Amount {
        if self.one_in(2) { Amount::Bytes(self.below(60)) } else { Amount::Percent(self.below(60) as u8) }
    }
}

static BLOBS: LazyLock<Vec<Digest>> = LazyLock::new(|| (0..10).map(|number| Digest::of(&[number])).collect());

static PATTERNS: LazyLock<Vec<NamePattern>> = LazyLock::new(|| {
    let patterns = ["a", "a:*", "b:1", "?:2", "x/*", "[xb]*", "*"];
    patterns.into_iter().map(|pattern| pattern.parse().expect("a pattern")).collect()
});

const NAMES: [&str; 5] = ["a:1", "a:2", "b:1", "b:2", "x/y:1"];

/// The case of this number.
pub(super) fn case(number: u64) -> Case {
    let mut random = Random(number);
    let random = &mut random;
    let now = match random.below(30) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => 0,
        _ => 1000,
    };
    let sizes: Vec<u64> = (0..BLOBS.len()).map(|_| random.below(10)).collect();
    let count = random.below(9);
    let images = (0..count).map(|at| image(random, at as usize, now, &sizes)).collect();
    let occasion = if random.one_in(4) { Occasion::Incoming(random.below(30)) } else { Occasion::Prune };
    let most_kept = if random.one_in(3) { 3 } else { 0 };
    Case {
        policy: policy(random),
        images,
        kept: random.some(most_kept, &BLOBS).into_iter().collect(),
        other: if random.one_in(2) { random.below(20) } else { 0 },
        free: random.below(70),
        total: if random.one_in(4) { random.below(300) } else { 100 },
        is_busy: random.one_in(4),
        now,
        occasion,
    }
}

fn image(random: &mut Random, at: usize, now: i64, sizes: &[u64]) -> Candidate {
    let names = |random: &mut Random| {
        let most = random.below(3);
        random.some(most, &NAMES).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let most_parts = random.below(5);
    let all: Vec<(Digest, u64)> = BLOBS.iter().copied().zip(sizes.iter().copied()).collect();
    let mut parts = random.some(most_parts, &all);
    // Its own document, unless that is damaged.
    if !random.one_in(5) && !parts.contains(&all[at]) {
        parts.push(all[at]);
    }
    let most_groups = random.below(5).saturating_sub(2);
    let groups =
        ["p", "p", "q", "r"].map(|group| Membership { group: group.into(), is_named: random.one_in(2) });
    Candidate {
        digest: BLOBS[at],
        names: names(random),
        lost: names(random),
        groups: random.some(most_groups, &groups),
        imported: random.time(now),
        last_used: random.time(now),
        nameless_since: random.time(now),
        is_pinned: random.one_in(15),
        used_by: random.one_in(15).then(|| "hold".into()),
        parts,
    }
}

fn policy(random: &mut Random) -> Policy {
    let age = |random: &mut Random| random.below(13);
    let keep_last = |random: &mut Random| NonZeroUsize::MIN.saturating_add(random.below(3) as usize);
    let most_rules = random.below(3);
    let most_protected = random.below(8).saturating_sub(6);
    Policy {
        max_size: random.maybe(|random| random.below(60)),
        min_free: random.maybe(Random::amount),
        target_free: random.maybe(Random::amount),
        reserve: random.maybe(Random::amount),
        when_busy: if random.one_in(2) { WhenBusy::Skip } else { WhenBusy::Evict },
        protect: random.some(most_protected, &PATTERNS),
        limits: Limits {
            unused_for: random.maybe(age),
            max_age: random.maybe(age),
            keep_last: keep_last(random),
            orphan_age: if random.one_in(2) { age(random) } else { 0 },
            min_age: if random.one_in(2) { age(random) } else { 0 },
        },
        rules: random
            .some(most_rules, &PATTERNS)
            .into_iter()
            .map(|pattern| Rule {
                pattern,
                protect: random.one_in(6),
                unused_for: random.maybe(age),
                max_age: random.maybe(age),
                keep_last: random.maybe(keep_last),
                orphan_age: random.maybe(age),
                min_age: random.maybe(age),
                // None goes for it.
                rebuild_after: None,
            })
            .collect(),
        rebuild_after: None,
        bases: Vec::new(),
        build: BuildLimits::default(),
    }
}
