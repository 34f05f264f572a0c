//! Limits on the command line, which win over those of the store.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use larder_store::policy::{NamePattern, Policy, WhenBusy};
use larder_store::quantity::{Amount, bytes, positive, seconds};

use crate::cli::{Outcome, fail};

/// What `.larder/larder.toml` can say, but for rules.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits, instead of those in the store's .larder/larder.toml")]
pub(super) struct Limits {
    /// The store may have so many bytes, such as 20GB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_size: Option<u64>,

    /// Images that were not used for so long go: 90s, 30m, 12h, 30d (the forms of every TIME)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    unused_for: Option<u64>,

    /// Images that came in so long ago go
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    max_age: Option<u64>,

    /// So many of a group stay, the newest [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    keep_last: Option<NonZeroUsize>,

    /// With less free space on the disk than this, room is made: 10GB, or 10% of the disk (the forms of every SPACE)
    #[arg(long, value_name = "SPACE")]
    min_free: Option<Amount>,

    /// Up to so much, then; no less than --min-free, which it needs [default: as --min-free]
    #[arg(long, value_name = "SPACE")]
    target_free: Option<Amount>,

    /// But the store keeps so much, whatever others put on the disk
    #[arg(long, value_name = "SPACE")]
    reserve: Option<Amount>,

    /// Versions that lost their name less than this ago are not taken to make room [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    orphan_age: Option<u64>,

    /// What came in less than this ago stays [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_age: Option<u64>,

    /// While a `hold` lives
    #[arg(long, value_enum, value_name = "skip|evict")]
    when_busy: Option<Busy>,

    /// Names that stay, besides those that the store protects: 'base-*' with or without the tag; `*` stands for any characters,
    /// `?` for one, [ab] for a or b
    #[arg(long, value_name = "PATTERN")]
    protect: Vec<NamePattern>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Busy {
    /// Nothing goes, unless free space is below --min-free [default]
    Skip,
    /// What nobody holds goes
    Evict,
}

impl Limits {
    /// The policy with what was said here.
    pub(super) fn over(&self, mut policy: Policy) -> Outcome<Policy> {
        policy.max_size = self.max_size.or(policy.max_size);
        policy.min_free = self.min_free.or(policy.min_free);
        policy.target_free = self.target_free.or(policy.target_free);
        policy.reserve = self.reserve.or(policy.reserve);
        policy.protect.extend(self.protect.iter().cloned());
        policy.when_busy = match self.when_busy {
            None => policy.when_busy,
            Some(Busy::Skip) => WhenBusy::Skip,
            Some(Busy::Evict) => WhenBusy::Evict,
        };
        let limits = &mut policy.limits;
        limits.unused_for = self.unused_for.or(limits.unused_for);
        limits.max_age = self.max_age.or(limits.max_age);
        limits.keep_last = self.keep_last.unwrap_or(limits.keep_last);
        limits.orphan_age = self.orphan_age.unwrap_or(limits.orphan_age);
        limits.min_age = self.min_age.unwrap_or(limits.min_age);
        if self.target_free.is_some() {
            policy.check().map_err(|why| fail(why).usage())?;
        }
        Ok(policy)
    }
}
