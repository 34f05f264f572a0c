//! What `prune` may take: the policy, and the decision.
//!
//! Pure: images, sizes, free space and the time are handed in. Nothing that is in use, pinned, protected, among the newest of
//! its group or too young ever goes; of the rest only what a limit asks for: what is too old or unused for too long, and as much
//! as brings size and free space back to their limits.

mod build;
mod config;
mod decide;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::num::NonZeroUsize;

use crate::digest::Digest;
use crate::quantity::Amount;
use crate::reference::Reference;

pub use build::{BuildLimits, StepCandidate, StepDecision, StepDropped, Wanted, decide_steps};
pub use config::{parse, read};
pub use decide::decide;
pub use rules::NamePattern;

/// Limits of a store. Without any, nothing goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Bytes of all blobs.
    pub max_size: Option<u64>,
    /// Free space on the disk below which room is made.
    pub min_free: Option<Amount>,
    /// Free space up to which room is made then; `min_free` where it is not given, or (bytes beside a share) turns out less.
    pub target_free: Option<Amount>,
    /// Making room for others never brings the store below this.
    pub reserve: Option<Amount>,
    /// What to do while a `hold` lives.
    pub when_busy: WhenBusy,
    /// Names that never go.
    pub protect: Vec<NamePattern>,
    /// What holds where no rule says otherwise.
    pub limits: Limits,
    /// The first one that matches a name of an image counts.
    pub rules: Vec<Rule>,
    /// Images that were made so many seconds ago are stale (`crate::freshness`); none goes for it.
    pub rebuild_after: Option<u64>,
    /// The same for images on certain bases: before what a rule says, and that before what holds for all.
    pub bases: Vec<BaseRule>,
    /// What builds may keep.
    pub build: BuildLimits,
}

impl Policy {
    /// Whether its limits go together; the error says which do not.
    pub fn check(&self) -> Result<(), String> {
        let Some(target) = self.target_free else { return Ok(()) };
        let Some(least) = self.min_free else {
            return Err(
                "target_free says how much room is made once less than min_free is free: it needs min_free"
                    .into(),
            );
        };
        // Bytes and a share can only be compared on a disk.
        let is_below = match (target, least) {
            (Amount::Bytes(target), Amount::Bytes(least)) => target < least,
            (Amount::Percent(target), Amount::Percent(least)) => target < least,
            _ => false,
        };
        if is_below { Err(format!("target_free ({target}) is less than min_free ({least})")) } else { Ok(()) }
    }
}

/// What to do while a `hold` lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenBusy {
    /// Nothing goes, unless free space is below `min_free`.
    #[default]
    Skip,
    /// What nobody holds goes.
    Evict,
}

/// Limits of an image. Durations are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Not used for so long: it goes.
    pub unused_for: Option<u64>,
    /// Imported so long ago: it goes.
    pub max_age: Option<u64>,
    /// So many of a group never go, the newest.
    pub keep_last: NonZeroUsize,
    /// A version that lost its name less than this ago is not taken to make room.
    pub orphan_age: u64,
    /// Imported less than this ago: it stays.
    pub min_age: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            unused_for: None,
            max_age: None,
            keep_last: NonZeroUsize::MIN,
            orphan_age: 7 * 86_400,
            min_age: MIN_AGE,
        }
    }
}

/// Images and hand-overs younger than this are left alone unless the policy says otherwise, seconds.
pub const MIN_AGE: u64 = 600;

/// Limits for some names; what it does not give holds as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which names.
    pub pattern: NamePattern,
    /// Whether they never go.
    pub protect: bool,
    /// See [`Limits`].
    pub unused_for: Option<u64>,
    /// See [`Limits`].
    pub max_age: Option<u64>,
    /// See [`Limits`].
    pub keep_last: Option<NonZeroUsize>,
    /// See [`Limits`].
    pub orphan_age: Option<u64>,
    /// See [`Limits`].
    pub min_age: Option<u64>,
    /// See [`Policy::rebuild_after`].
    pub rebuild_after: Option<u64>,
}

/// What holds for images on a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRule {
    /// The base's name.
    pub name: Reference,
    /// See [`Policy::rebuild_after`].
    pub rebuild_after: u64,
}

/// Some content with all that matters of it: what goes, goes with all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The manifest's or index's digest.
    pub digest: Digest,
    /// Its names, as people type them.
    pub names: Vec<String>,
    /// Names that it lost to others.
    pub lost: Vec<String>,
    /// The groups that it belongs to.
    pub groups: Vec<Membership>,
    /// When it came in, the last time (seconds since 1970).
    pub imported: i64,
    /// When any of its names was used last (seconds since 1970).
    pub last_used: i64,
    /// Since when it has no name (seconds since 1970); only meant where it has none.
    pub nameless_since: i64,
    /// Whether one of its names is pinned.
    pub is_pinned: bool,
    /// What uses it at the moment, for people.
    pub used_by: Option<String>,
    /// All blobs that it needs and that are there, each once, with their sizes in bytes.
    pub parts: Vec<(Digest, u64)>,
}

impl Candidate {
    /// All its names, or those that it lost.
    pub fn shown_name(&self) -> String {
        match (&self.names[..], &self.lost[..]) {
            ([], []) => "(nameless)".into(),
            ([], lost) => format!("(was {})", lost.join(", ")),
            (names, _) => names.join(", "),
        }
    }
}

/// Belonging to a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// Project, os and variant, or the repository.
    pub group: String,
    /// Whether by a name that it has: before all that lost theirs.
    pub is_named: bool,
}

/// The store and its disk.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// All content of the index.
    pub images: &'a [Candidate],
    /// Blobs that stay, whatever goes: leases, journals.
    pub kept: &'a HashSet<Digest>,
    /// Bytes of blobs that belong to none of the images, and stay.
    pub other: u64,
    /// Bytes that are free on the disk, once what nothing needs is swept.
    pub free: u64,
    /// Bytes of the disk.
    pub total: u64,
    /// Whether a `hold` lives.
    pub is_busy: bool,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why room is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// All limits are to hold.
    Prune,
    /// So many bytes are about to be written, and `min_free` is to hold after that. Where it would not, room is made up to
    /// `target_free`; limits of age and size do not matter, and neither does a `hold`.
    Incoming(u64),
}

/// Why an image stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Somebody uses it.
    InUse(String),
    /// A name of it is pinned.
    Pinned,
    /// A pattern protects a name of it.
    Protected,
    /// It is among the newest of this group.
    Newest(String),
    /// It came in so many seconds ago, less than `min_age`.
    Young(u64),
    /// It lost its name so many seconds ago, less than `orphan_age`, and room was needed.
    Orphan(u64),
    /// It would go if no `hold` lived.
    Busy,
    /// Room was needed, and it has nothing for itself alone.
    FreesNothing,
    /// Room was needed, and without it the store would fall below its reserve.
    Reserve,
    /// No limit asks for it.
    WithinLimits,
}

/// Why an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// Not used for so many seconds.
    Unused(u64),
    /// Imported so many seconds ago.
    Old(u64),
    /// The store was larger than `max_size`.
    Size,
    /// Free space was below `min_free`.
    Space,
}

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep(Kept),
    /// It goes.
    Drop(Dropped),
}

/// What becomes of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// For each image of the state, in its order.
    pub verdicts: Vec<Verdict>,
    /// Bytes that all that goes frees together.
    pub freed: u64,
    /// Bytes by which `max_size` is still exceeded.
    pub over_size: u64,
    /// Bytes of free space that are still missing: to `min_free`, and where a prune had to make room, to `target_free`.
    pub short_of_space: u64,
}
