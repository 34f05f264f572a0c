//! The ways in by which larder starts itself for a step; they are no verbs.

use std::process::ExitCode;

use super::{attend, first};

/// Makes a larder the attendant of a step.
pub(super) const ATTEND: &str = "__attend-step";
/// Makes a larder the first process of a step.
pub(super) const FIRST: &str = "__first-of-step";

/// What a larder is that another one started for a step; `None` for all others.
pub(crate) fn entry() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        ATTEND => Some(attend::run()),
        FIRST => Some(first::run(args)),
        _ => None,
    }
}
