//! The policy as it is stated, as plainly and slowly as can be: what `decide` is compared with.
//!
//! It knows nothing but the list of what has gone. Which blobs stay, what one more image frees and who is the newest is found
//! anew whenever it is asked, from sets of blobs. Quotes are from the statement of the policy.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Candidate, Decision, Dropped, Kept, Limits, Occasion, Policy, Rule, State, Verdict, WhenBusy,
};
use crate::digest::Digest;
use crate::quantity::Amount;

type Gone = BTreeMap<Digest, Dropped>;

#[derive(Clone, Copy)]
pub(super) struct Model<'a> {
    pub(super) policy: &'a Policy,
    pub(super) state: &'a State<'a>,
    pub(super) occasion: Occasion,
}

impl Model<'_> {
    pub(super) fn decide(&self) -> Decision {
        // "while a `hold` lives nothing goes, unless free space is below `min_free`"
        let waits = self.state.is_busy && self.policy.when_busy == WhenBusy::Skip;
        if waits && !self.is_short(&Gone::new()) {
            return self.nothing_goes();
        }
        let (mut gone, mut passed_over) = (Gone::new(), BTreeMap::new());
        if self.occasion == Occasion::Prune && !waits {
            gone.extend(self.outdated());
            self.make_room(Dropped::Size, &mut gone, &mut passed_over, |gone| self.over_size(gone));
        }
        let was_short = self.is_short(&gone);
        if was_short {
            self.make_room(Dropped::Space, &mut gone, &mut passed_over, |gone| self.short_of_target(gone));
        }
        for image in self.helped_nothing(&gone) {
            gone.remove(&image);
            passed_over.insert(image, Kept::FreesNothing);
        }
        let verdict = |image: &Candidate| {
            let kept = || self.shield(image).or(passed_over.get(&image.digest).cloned());
            match gone.get(&image.digest) {
                Some(why) => Verdict::Drop(why.clone()),
                None => Verdict::Keep(kept().unwrap_or(Kept::WithinLimits)),
            }
        };
        Decision {
            verdicts: self.state.images.iter().map(verdict).collect(),
            freed: self.freed(&gone),
            over_size: self.over_size(&gone),
            // An import wants `min_free`; that it could not make as much room as `target_free` asks for is no reason to refuse.
            short_of_space: match self.occasion {
                Occasion::Prune if was_short => self.short_of_target(&gone),
                _ => self.short_of_least(&gone),
            },
        }
    }

    /// What would go if no hold lived stays for that reason, everything else for its own.
    fn nothing_goes(&self) -> Decision {
        let idle = State { is_busy: false, ..*self.state };
        let mut decision = Model { state: &idle, ..*self }.decide();
        for verdict in &mut decision.verdicts {
            if matches!(verdict, Verdict::Drop(_)) {
                *verdict = Verdict::Keep(Kept::Busy);
            }
        }
        let nothing = Gone::new();
        Decision { freed: 0, over_size: self.over_size(&nothing), short_of_space: 0, ..decision }
    }

    /// "`unused_for` (since last use), `max_age` (since import)"
    fn outdated(&self) -> Gone {
        let why = |image: &Candidate| {
            let (limits, unused, age) =
                (self.limits(image), self.since(image.last_used), self.since(image.imported));
            let is_unused = limits.unused_for.is_some_and(|limit| unused >= limit);
            let is_old = limits.max_age.is_some_and(|limit| age >= limit);
            is_unused.then_some(Dropped::Unused(unused)).or(is_old.then_some(Dropped::Old(age)))
        };
        let may_go = self.state.images.iter().filter(|image| self.shield(image).is_none());
        may_go.filter_map(|image| Some((image.digest, why(image)?))).collect()
    }

    /// One after the other goes, until nothing is missing.
    fn make_room(
        &self,
        why: Dropped,
        gone: &mut Gone,
        passed_over: &mut BTreeMap<Digest, Kept>,
        missing: impl Fn(&Gone) -> u64,
    ) {
        for image in self.in_order(gone) {
            if missing(gone) == 0 {
                return;
            }
            // "`orphan_age` for nameless versions"
            let nameless = self.since(image.nameless_since);
            if image.names.is_empty() && nameless < self.limits(image).orphan_age {
                passed_over.insert(image.digest, Kept::Orphan(nameless));
                continue;
            }
            // "`reserve` (growth by others never empties the store below it)"
            let mut and_this = gone.clone();
            and_this.insert(image.digest, why.clone());
            if why == Dropped::Space && self.size(&and_this) < self.bytes(self.policy.reserve) {
                passed_over.insert(image.digest, Kept::Reserve);
                continue;
            }
            *gone = and_this;
        }
    }

    /// "displaced first, then least recently used, then what frees most"; and to be the same every time, by digest.
    fn in_order(&self, gone: &Gone) -> Vec<&Candidate> {
        let may_go = |image: &&Candidate| !gone.contains_key(&image.digest) && self.shield(image).is_none();
        let mut images: Vec<&Candidate> = self.state.images.iter().filter(may_go).collect();
        images.sort_by_cached_key(|image| {
            let unused = self.since(image.last_used);
            (!image.names.is_empty(), Reverse(unused), Reverse(self.frees(image, gone)), image.digest)
        });
        images
    }

    /// What went to make room, though all that it has is needed by something that stays.
    fn helped_nothing(&self, gone: &Gone) -> Vec<Digest> {
        let made_no_room = |image: &Digest| {
            let mut but_this = gone.clone();
            but_this.remove(image);
            self.size(&but_this) == self.size(gone)
        };
        let is_for_room = |why: &Dropped| matches!(why, Dropped::Size | Dropped::Space);
        let victims = gone.iter().filter(|(_, why)| is_for_room(why)).map(|(image, _)| *image);
        victims.filter(made_no_room).collect()
    }

    /// "Never: in use, pinned, protected, the newest of its group, younger than `min_age`"
    pub(super) fn shield(&self, image: &Candidate) -> Option<Kept> {
        if let Some(user) = &image.used_by {
            return Some(Kept::InUse(user.clone()));
        }
        if image.is_pinned {
            return Some(Kept::Pinned);
        }
        let rule_protects = self.rule(image).is_some_and(|rule| rule.protect) && !image.names.is_empty();
        let patterns = &self.policy.protect;
        if rule_protects
            || patterns.iter().any(|pattern| image.names.iter().any(|name| pattern.matches(name)))
        {
            return Some(Kept::Protected);
        }
        let groups: BTreeSet<&String> = image.groups.iter().map(|membership| &membership.group).collect();
        let is_newest = |group: &&String| {
            let newest = self.newest_first(group).into_iter().take(self.limits(image).keep_last.get());
            // One from the future is no newer than any other; it is not known to be older either.
            image.imported > self.state.now || newest.into_iter().any(|newest| newest.digest == image.digest)
        };
        if let Some(group) = groups.into_iter().find(is_newest) {
            return Some(Kept::Newest(group.clone()));
        }
        let age = self.since(image.imported);
        (age < self.limits(image).min_age).then_some(Kept::Young(age))
    }

    /// All of a group: those with a name in it before those that lost it, then by the time that they came in.
    fn newest_first(&self, group: &str) -> Vec<&Candidate> {
        let is_in = |image: &Candidate| image.groups.iter().any(|membership| membership.group == group);
        let is_named = |image: &Candidate| image.groups.iter().any(|one| one.group == group && one.is_named);
        let is_told = |image: &&Candidate| image.imported <= self.state.now;
        let members = self.state.images.iter().filter(|image| is_in(image)).filter(is_told);
        let mut members: Vec<&Candidate> = members.collect();
        members.sort_by_key(|image| (!is_named(image), Reverse(image.imported), image.digest));
        members
    }

    /// "`[[rule]]` with a pattern and its own values, first match wins"
    fn rule(&self, image: &Candidate) -> Option<&Rule> {
        let names = if image.names.is_empty() { &image.lost } else { &image.names };
        self.policy.rules.iter().find(|rule| names.iter().any(|name| rule.pattern.matches(name)))
    }

    fn limits(&self, image: &Candidate) -> Limits {
        let general = self.policy.limits;
        let Some(rule) = self.rule(image) else { return general };
        Limits {
            unused_for: rule.unused_for.or(general.unused_for),
            max_age: rule.max_age.or(general.max_age),
            keep_last: rule.keep_last.unwrap_or(general.keep_last),
            orphan_age: rule.orphan_age.unwrap_or(general.orphan_age),
            min_age: rule.min_age.unwrap_or(general.min_age),
        }
    }

    /// Seconds since then; what lies in the future is just now.
    fn since(&self, then: i64) -> u64 {
        u64::try_from(i128::from(self.state.now) - i128::from(then)).unwrap_or(0)
    }

    /// Bytes of the store without what has gone.
    pub(super) fn size(&self, gone: &Gone) -> u64 {
        let images = || self.state.images.iter();
        let stays = images().filter(|image| !gone.contains_key(&image.digest));
        let needed: BTreeSet<Digest> = stays.flat_map(|image| &image.parts).map(|part| part.0).collect();
        let all: BTreeMap<Digest, u64> = images().flat_map(|image| image.parts.clone()).collect();
        let stays = |blob: &Digest| needed.contains(blob) || self.state.kept.contains(blob);
        self.state.other + all.iter().filter(|(blob, _)| stays(blob)).map(|(_, size)| size).sum::<u64>()
    }

    fn freed(&self, gone: &Gone) -> u64 {
        self.size(&Gone::new()) - self.size(gone)
    }

    /// What this one frees after those that have gone.
    fn frees(&self, image: &Candidate, gone: &Gone) -> u64 {
        let mut and_this = gone.clone();
        and_this.insert(image.digest, Dropped::Size);
        self.size(gone) - self.size(&and_this)
    }

    fn over_size(&self, gone: &Gone) -> u64 {
        let limit = self.policy.max_size.filter(|_| self.occasion == Occasion::Prune);
        limit.map_or(0, |limit| self.size(gone).saturating_sub(limit))
    }

    fn is_short(&self, gone: &Gone) -> bool {
        self.short_of_least(gone) > 0
    }

    /// Bytes that are missing to `min_free`.
    fn short_of_least(&self, gone: &Gone) -> u64 {
        self.short_of(self.bytes(self.policy.min_free), gone)
    }

    /// Bytes that are missing to `target_free`, which is not less than `min_free`.
    fn short_of_target(&self, gone: &Gone) -> u64 {
        self.short_of(self.bytes(self.policy.target_free).max(self.bytes(self.policy.min_free)), gone)
    }

    /// Without `min_free` nothing is ever missing.
    fn short_of(&self, wanted: u64, gone: &Gone) -> u64 {
        let incoming = match self.occasion {
            Occasion::Prune => 0,
            Occasion::Incoming(bytes) => bytes,
        };
        let is_asked = self.policy.min_free.is_some();
        let missing = (wanted + incoming).saturating_sub(self.state.free + self.freed(gone));
        if is_asked { missing } else { 0 }
    }

    fn bytes(&self, amount: Option<Amount>) -> u64 {
        amount.map_or(0, |amount| amount.of(self.state.total))
    }
}
