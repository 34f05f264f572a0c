//! Stores for tables of cases: old images of nobody, with nothing that keeps them and a disk that has room.

use std::collections::HashSet;

use super::super::{Candidate, Membership, Occasion, Verdict, parse};
use super::random::Case;
use crate::digest::Digest;

pub(super) const NOW: i64 = 2_000_000_000;
pub(super) const DAY: i64 = 86_400;

pub(super) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// An image of a hundred days, of one blob of a byte.
pub(super) fn image(name: &str) -> Candidate {
    Candidate {
        digest: digest(name),
        names: vec![name.to_owned()],
        lost: Vec::new(),
        groups: Vec::new(),
        imported: NOW - 100 * DAY,
        last_used: NOW - 100 * DAY,
        nameless_since: NOW - 100 * DAY,
        is_pinned: false,
        used_by: None,
        parts: parts(&[(name, 1)]),
    }
}

/// An image that lost its name.
pub(super) fn displaced(name: &str) -> Candidate {
    let image = image(name);
    Candidate { digest: digest(&format!("was {name}")), names: Vec::new(), lost: image.names, ..image }
}

/// Blobs by words, with their bytes.
pub(super) fn parts(parts: &[(&str, u64)]) -> Vec<(Digest, u64)> {
    parts.iter().map(|(word, size)| (digest(word), *size)).collect()
}

pub(super) fn named(group: &str) -> Membership {
    Membership { group: group.into(), is_named: true }
}

pub(super) fn lost(group: &str) -> Membership {
    Membership { group: group.into(), is_named: false }
}

/// A disk of 1000 bytes, of which 500 are free, and nobody at work.
pub(super) fn store(policy: &str, images: Vec<Candidate>) -> Case {
    Case {
        policy: parse(policy).unwrap_or_else(|error| panic!("{policy:?}: {error}")),
        images,
        kept: HashSet::new(),
        other: 0,
        free: 500,
        total: 1000,
        is_busy: false,
        now: NOW,
        occasion: Occasion::Prune,
    }
}

/// What becomes of them.
pub(super) fn verdicts(policy: &str, images: &[Candidate]) -> Vec<Verdict> {
    store(policy, images.to_vec()).decide().verdicts
}
