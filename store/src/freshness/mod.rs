//! Which images are stale: too old by `rebuild_after`, or made on a base whose name means another image by now.
//!
//! Deciding is pure ([`staleness`]); what it needs is read by [`Freshness`]. A stale image can be used like any other, and none
//! goes for it: it is for those to know who choose or make images.

mod look;

use std::fmt;

pub use look::{Freshness, Image, look_at, look_into};

use crate::base::Base;
use crate::policy::Policy;
use crate::quantity::shown_seconds;
use crate::reference::Reference;

/// Before 2013 there was no image of a container: an older date, such as that of a reproducible build (1970, 1980), is not
/// when something was made.
const FIRST_IMAGES: i64 = 1_356_998_400;

/// What a base's name means by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseState {
    /// The same image as then.
    Same,
    /// Another one.
    Moved,
    /// Nobody can tell: no base is said, or the store has none of that name.
    Unknown,
}

/// Why an image is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// Its base's name means another image by now.
    Base(Reference),
    /// It was made so many seconds ago, which is not less than `rebuild_after`.
    Old {
        /// Seconds since it was made.
        age: u64,
        /// Its `rebuild_after`.
        most: u64,
    },
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stale::Base(name) => write!(f, "its base {} is another image by now", name.familiar()),
            Stale::Old { age, most } => {
                write!(f, "made {} ago, rebuild_after is {}", shown_seconds(*age), shown_seconds(*most))
            }
        }
    }
}

/// Whether an image of these names is stale. `made` and `now` are seconds since 1970; of what nobody says when it was made, no
/// age is known. A base that moved is told before an age.
pub fn staleness(
    names: &[String],
    base: Option<(&Base, BaseState)>,
    made: Option<i64>,
    policy: &Policy,
    now: i64,
) -> Option<Stale> {
    if let Some((base, BaseState::Moved)) = base {
        return Some(Stale::Base(base.name.clone()));
    }
    let most = policy.rebuild_after(names, base.map(|(base, _)| &base.name))?;
    // A time in the future is now.
    let age = now.abs_diff(made?.min(now));
    (age >= most).then_some(Stale::Old { age, most })
}

/// When an image was made: when its config says so, unless that was before there were images, or after it came in; then when it
/// came in. All are seconds since 1970.
pub fn made(created: Option<i64>, imported: Option<i64>, now: i64) -> Option<i64> {
    let latest = imported.unwrap_or(now).min(now);
    created.filter(|created| (FIRST_IMAGES..=latest).contains(created)).or(imported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse;

    const NOW: i64 = 2_000_000_000;
    const DAY: i64 = 86_400;

    fn base(name: &str) -> Base {
        Base { name: name.parse().expect("a name"), digest: None }
    }

    #[test]
    fn an_image_is_stale_by_age_or_by_its_base() {
        let ubuntu = base("ubuntu:25.04");
        let said = |days: i64, state: Option<BaseState>, policy: &str| {
            let policy = parse(policy).unwrap_or_else(|why| panic!("{policy}: {why}"));
            let names = ["capy-ubuntu-25.04-gcc15:latest".to_owned()];
            let stale =
                staleness(&names, state.map(|state| (&ubuntu, state)), Some(NOW - days * DAY), &policy, NOW);
            stale.map_or("-".to_owned(), |stale| stale.to_string())
        };
        let month = "rebuild_after = '30d'";
        let rule = "rebuild_after = '30d'\n[[rule]]\npattern = 'capy-*'\nrebuild_after = '7d'";
        let by_base =
            format!("{rule}\n[[base]]\nname = 'docker.io/library/ubuntu:25.04'\nrebuild_after = '14d'");
        let (same, moved) = (Some(BaseState::Same), Some(BaseState::Moved));
        for (days, state, policy, expected) in [
            (400, None, "", "-"),
            (29, None, month, "-"),
            (30, None, month, "made 30d ago, rebuild_after is 30d"),
            (-3, None, month, "-"),
            (-3, None, "rebuild_after = '0s'", "made 0s ago, rebuild_after is 0s"),
            (29, Some(BaseState::Unknown), month, "-"),
            (1, moved, "", "its base ubuntu:25.04 is another image by now"),
            (31, moved, month, "its base ubuntu:25.04 is another image by now"),
            (400, same, "", "-"),
            // A rule before what holds for all; a base before both.
            (8, None, rule, "made 8d ago, rebuild_after is 7d"),
            (8, same, &by_base, "-"),
            (14, same, &by_base, "made 14d ago, rebuild_after is 14d"),
            (14, Some(BaseState::Unknown), &by_base, "made 14d ago, rebuild_after is 14d"),
            (8, None, &by_base, "made 8d ago, rebuild_after is 7d"),
            // The first rule that matches counts, alone; what it does not say holds as for all.
            (
                8,
                None,
                "rebuild_after = '30d'\n[[rule]]\npattern = '*'\n[[rule]]\npattern = 'capy-*'\nrebuild_after = '7d'",
                "-",
            ),
            (8, same, "[[base]]\nname = 'ubuntu:24.04'\nrebuild_after = '1d'", "-"),
        ] {
            assert_eq!(said(days, state, policy), expected, "{days} {state:?} {policy}");
        }
        let policy = parse(month).expect("a policy");
        assert_eq!(staleness(&[], None, None, &policy, NOW), None, "nobody says when it was made");
        for (now, then) in [(i64::MAX, i64::MIN), (i64::MIN, i64::MAX)] {
            let stale = staleness(&[], None, Some(then), &policy, now);
            assert_eq!(stale.is_some(), now > then, "{then} at {now}");
        }
    }

    #[test]
    fn a_date_that_cannot_be_when_it_was_made_is_none() {
        let (came, before) = (NOW - 10 * DAY, NOW - 40 * DAY);
        for (what, created, imported, expected) in [
            ("made, then imported", Some(before), Some(came), Some(before)),
            ("imported as it was made", Some(came), Some(came), Some(came)),
            ("1970", Some(0), Some(came), Some(came)),
            ("1980", Some(315_532_800), Some(came), Some(came)),
            ("2100", Some(4_102_444_800), Some(came), Some(came)),
            ("after it came in", Some(came + 1), Some(came), Some(came)),
            ("nothing said", None, Some(came), Some(came)),
            ("of another tool", Some(before), None, Some(before)),
            ("of another tool, 1970", Some(0), None, None),
            ("of another tool, 2100", Some(4_102_444_800), None, None),
            ("nothing at all", None, None, None),
        ] {
            assert_eq!(made(created, imported, NOW), expected, "{what}");
        }
    }
}
