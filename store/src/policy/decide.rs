//! The decision.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::rules::limits;
use super::{
    Candidate, Decision, Dropped, Kept, Limits, Membership, Occasion, Policy, State, Verdict, WhenBusy,
};
use crate::digest::Digest;

/// Decides.
///
/// First goes what is too old or unused for too long. Then, while the store is larger than `max_size`, and then while less
/// than `min_free` is free (up to `target_free`), the next in order: what lost its name, what was used least recently, what frees
/// most (counted when room begins to be made). Where a limit cannot be reached, all that helps goes, and what does not help stays.
pub fn decide(policy: &Policy, state: &State<'_>, occasion: Occasion) -> Decision {
    let space = Space::of(policy, state, occasion);
    let is_waiting = state.is_busy && policy.when_busy == WhenBusy::Skip;
    // While a hold lives, only what is needed against a full disk goes.
    let is_urgent_only = is_waiting && state.free < space.least;
    let mut work = Work::new(policy, state);
    if occasion == Occasion::Prune && !is_urgent_only {
        work.drop_outdated();
        work.make_room(Dropped::Size, 0, |sizes| {
            policy.max_size.map_or(0, |most| sizes.stored.saturating_sub(most))
        });
    }
    let is_short = work.sizes.free < space.least;
    if is_short {
        work.make_room(Dropped::Space, space.reserve, |sizes| space.goal.saturating_sub(sizes.free));
    }
    work.give_back();
    let (mut verdicts, sizes) = (work.verdicts, work.sizes);
    let mut freed = sizes.freed;
    if is_waiting && !is_urgent_only {
        for verdict in verdicts.iter_mut().filter(|verdict| matches!(verdict, Verdict::Drop(_))) {
            *verdict = Verdict::Keep(Kept::Busy);
        }
        freed = 0;
    }
    let (stored, free) = (sizes.stored + (sizes.freed - freed), sizes.free - (sizes.freed - freed));
    let wanted = match occasion {
        Occasion::Prune if is_short => space.goal,
        _ => space.least,
    };
    let most = policy.max_size.filter(|_| occasion == Occasion::Prune).unwrap_or(u64::MAX);
    Decision {
        verdicts,
        freed,
        over_size: stored.saturating_sub(most),
        short_of_space: wanted.saturating_sub(free),
    }
}

/// Limits of free space, bytes.
struct Space {
    /// Below this, room is made.
    least: u64,
    /// Up to this.
    goal: u64,
    reserve: u64,
}

impl Space {
    fn of(policy: &Policy, state: &State<'_>, occasion: Occasion) -> Space {
        let bytes =
            |amount: Option<crate::quantity::Amount>| amount.map_or(0, |amount| amount.of(state.total));
        let incoming = match occasion {
            Occasion::Incoming(bytes) if policy.min_free.is_some() => bytes,
            _ => 0,
        };
        let least = bytes(policy.min_free);
        let goal = if policy.min_free.is_some() { bytes(policy.target_free).max(least) } else { 0 };
        Space {
            least: least.saturating_add(incoming),
            goal: goal.saturating_add(incoming),
            reserve: bytes(policy.reserve),
        }
    }
}

/// Bytes as they are after what was decided so far.
struct Sizes {
    stored: u64,
    free: u64,
    freed: u64,
}

struct Work<'a> {
    state: &'a State<'a>,
    limits: Vec<Limits>,
    verdicts: Vec<Verdict>,
    /// How many images that stay need each blob.
    owners: HashMap<Digest, usize>,
    sizes: Sizes,
    /// What nothing protects.
    may_go: Vec<usize>,
    /// What went to make room, in order.
    victims: Vec<usize>,
}

impl<'a> Work<'a> {
    fn new(policy: &Policy, state: &'a State<'a>) -> Work<'a> {
        let (limits, protected): (Vec<_>, Vec<_>) =
            state.images.iter().map(|image| limits(policy, image)).unzip();
        let mut owners: HashMap<Digest, usize> = HashMap::new();
        let mut stored = state.other;
        for (digest, size) in state.images.iter().flat_map(|image| &image.parts) {
            let count = owners.entry(*digest).or_default();
            stored += if *count == 0 { *size } else { 0 };
            *count += 1;
        }
        let newest = newest(state.images, &limits, state.now);
        let mut verdicts = Vec::with_capacity(state.images.len());
        for (at, image) in state.images.iter().enumerate() {
            let age = age(state.now, image.imported);
            verdicts.push(Verdict::Keep(match () {
                () if image.used_by.is_some() => Kept::InUse(image.used_by.clone().unwrap_or_default()),
                () if image.is_pinned => Kept::Pinned,
                () if protected[at] => Kept::Protected,
                () if newest[at].is_some() => Kept::Newest(newest[at].unwrap_or_default().to_owned()),
                () if age < limits[at].min_age => Kept::Young(age),
                () => Kept::WithinLimits,
            }));
        }
        let may_go = |at: &usize| verdicts[*at] == Verdict::Keep(Kept::WithinLimits);
        let may_go = (0..state.images.len()).filter(may_go).collect();
        let sizes = Sizes { stored, free: state.free, freed: 0 };
        Work { state, limits, verdicts, owners, sizes, may_go, victims: Vec::new() }
    }

    /// What is still there of what may go: what lost its name first, then what was used least recently, then what frees most now.
    fn in_order(&self) -> Vec<usize> {
        let is_there = |at: &usize| matches!(self.verdicts[*at], Verdict::Keep(_));
        let mut order: Vec<usize> = self.may_go.iter().copied().filter(is_there).collect();
        order.sort_by_cached_key(|at| {
            let image = &self.state.images[*at];
            // A time of the future is now.
            let last_used = image.last_used.min(self.state.now);
            (!image.names.is_empty(), last_used, Reverse(self.frees(*at)), image.digest)
        });
        order
    }

    /// What would be freed if this went now, bytes.
    fn frees(&self, at: usize) -> u64 {
        let alone = |digest: &Digest| self.owners[digest] == 1 && !self.state.kept.contains(digest);
        self.state.images[at].parts.iter().filter(|(digest, _)| alone(digest)).map(|(_, size)| size).sum()
    }

    fn drop(&mut self, at: usize, why: Dropped) {
        let freed = self.frees(at);
        for (digest, _) in &self.state.images[at].parts {
            self.owners.entry(*digest).and_modify(|count| *count -= 1);
        }
        self.sizes.freed += freed;
        self.sizes.stored -= freed;
        self.sizes.free = self.sizes.free.saturating_add(freed);
        self.verdicts[at] = Verdict::Drop(why);
    }

    fn drop_outdated(&mut self) {
        for at in self.may_go.clone() {
            let (image, limits) = (&self.state.images[at], self.limits[at]);
            let unused = age(self.state.now, image.last_used);
            let old = age(self.state.now, image.imported);
            if limits.unused_for.is_some_and(|most| unused >= most) {
                self.drop(at, Dropped::Unused(unused));
            } else if limits.max_age.is_some_and(|most| old >= most) {
                self.drop(at, Dropped::Old(old));
            }
        }
    }

    /// Takes one after the other while something is missing, never bringing the store below `reserve`.
    fn make_room(&mut self, why: Dropped, reserve: u64, missing: impl Fn(&Sizes) -> u64) {
        for at in self.in_order() {
            if missing(&self.sizes) == 0 {
                return;
            }
            let image = &self.state.images[at];
            let nameless = age(self.state.now, image.nameless_since);
            if image.names.is_empty() && nameless < self.limits[at].orphan_age {
                self.verdicts[at] = Verdict::Keep(Kept::Orphan(nameless));
            } else if self.sizes.stored.saturating_sub(self.frees(at)) < reserve {
                self.verdicts[at] = Verdict::Keep(Kept::Reserve);
            } else {
                self.drop(at, why.clone());
                self.victims.push(at);
            }
        }
    }

    /// What went to make room, and makes none, comes back.
    fn give_back(&mut self) {
        for at in std::mem::take(&mut self.victims).into_iter().rev() {
            let helps = |(digest, size): &(Digest, u64)| {
                self.owners[digest] == 0 && !self.state.kept.contains(digest) && *size > 0
            };
            if !self.state.images[at].parts.iter().any(helps) {
                for (digest, _) in &self.state.images[at].parts {
                    self.owners.entry(*digest).and_modify(|count| *count += 1);
                }
                self.verdicts[at] = Verdict::Keep(Kept::FreesNothing);
            }
        }
    }
}

/// Seconds from then to now; a time of the future is now.
fn age(now: i64, then: i64) -> u64 {
    now.abs_diff(then.min(now))
}

/// For each image a group in which it is one of the newest that are kept: what has its name there comes before what lost it,
/// then counts when it came in.
fn newest<'a>(images: &'a [Candidate], limits: &[Limits], now: i64) -> Vec<Option<&'a str>> {
    let mut groups: HashMap<&str, Vec<(usize, bool)>> = HashMap::new();
    for (at, image) in images.iter().enumerate() {
        let mut joined = HashSet::new();
        let mut groups_of: Vec<&Membership> = image.groups.iter().collect();
        groups_of.sort_by_key(|membership| !membership.is_named);
        for Membership { group, is_named } in groups_of {
            if joined.insert(group) {
                groups.entry(group).or_default().push((at, *is_named));
            }
        }
    }
    let mut newest: Vec<Option<&str>> = vec![None; images.len()];
    for (group, mut members) in groups {
        members.sort_by_key(|(at, is_named)| (!is_named, Reverse(images[*at].imported), images[*at].digest));
        let mut rank = 0;
        for (at, _) in members {
            // A time of the future says nothing: it stays, and does not push the newest out of its place.
            let is_told = images[at].imported <= now;
            if !is_told || rank < limits[at].keep_last.get() {
                // Groups come in no order of their own: the answer has one.
                newest[at] = newest[at].filter(|known| *known <= group).or(Some(group));
            }
            rank += usize::from(is_told);
        }
    }
    newest
}
