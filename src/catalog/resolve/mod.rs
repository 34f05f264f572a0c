//! Which image serves a job, by two marks.
//!
//! *Essential*: os with version and architecture (70, without them an image is no candidate), and the compiler (30). *Extra*: 10
//! for a package, 20 for a tool, 10 for a tool that is there as a package only. Whoever has the essential 100 is used, the
//! highest extra first; else the best of the others is the base of a new image. Pure: offers in, an answer out, whatever their
//! order. The rules with examples are in `docs/resolve.md`.

mod base;
mod offer;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

pub(crate) use offer::{Offer, Why};

use super::compiler::Compiler;
use super::declared::Word;
use super::requirements::Requirements;

/// Os and architecture match.
const SYSTEM: u32 = 70;
/// The compiler is there, or none is asked for.
const COMPILER: u32 = 30;
/// A full match.
pub(crate) const FULL: u32 = SYSTEM + COMPILER;
const PACKAGE: u32 = 10;
const TOOL: u32 = 20;

/// What becomes of a full match that lacks packages or tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// It is used.
    Used,
    /// It is a base.
    Built,
}

/// What an image lacks of all that a job asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) compiler: Option<Compiler>,
    pub(crate) packages: Vec<Word>,
    pub(crate) tools: Vec<Word>,
}

/// An image whose os and architecture match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    /// The name to use it by.
    pub(crate) name: &'a str,
    pub(crate) offer: &'a Offer<'a>,
    pub(crate) essential: u32,
    pub(crate) extra: u32,
    pub(crate) missing: Missing,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) needs_build: bool,
    /// The best first: it is the image, or the base of the one to build.
    pub(crate) candidates: Vec<Candidate<'a>>,
    /// The others, by name.
    pub(crate) rejected: Vec<(&'a Offer<'a>, Why)>,
    /// What the best one lacks; all that is asked for where there is none.
    pub(crate) missing: Missing,
    /// The name of the official image of the os, where nothing here is a base.
    pub(crate) official_base: Option<String>,
}

impl Missing {
    /// Whether nothing is.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Missing::default()
    }
}

/// Chooses.
pub(crate) fn resolve<'a>(wanted: &Requirements, offers: &'a [Offer<'a>], lacking: Lacking) -> Answer<'a> {
    let (mut candidates, mut rejected) = (Vec::new(), Vec::new());
    for offer in offers {
        match offer.serves(wanted) {
            Err(why) => rejected.push((offer, why)),
            Ok(name) => candidates.push(marked(wanted, name, offer)),
        }
    }
    candidates.sort_by_cached_key(|candidate| {
        let Candidate { name, offer, essential, extra, missing } = candidate;
        let is_whole = lacking == Lacking::Built && missing.is_nothing();
        let marks = Reverse((is_whole, *essential, *extra));
        let distance = offer.distance(&wanted.suffixes);
        (marks, distance, Reverse(offer.last_used), Reverse(offer.use_count), offer.size, *name, offer.digest)
    });
    rejected.sort_by_key(|(offer, _)| (offer.name(None), offer.digest));
    let best = candidates.first();
    let serves = |best: &Candidate<'_>| {
        best.essential == FULL && (lacking == Lacking::Used || best.missing.is_nothing())
    };
    Answer {
        needs_build: !best.is_some_and(serves),
        missing: best.map_or_else(|| all(wanted), |best| best.missing.clone()),
        official_base: if best.is_none() { base::official(&wanted.os) } else { None },
        candidates,
        rejected,
    }
}

fn marked<'a>(wanted: &Requirements, name: &'a str, offer: &'a Offer<'a>) -> Candidate<'a> {
    let (mut missing, mut extra) = (Missing::default(), 0);
    missing.compiler = wanted.compiler.clone().filter(|wanted| !offer.has_compiler(wanted));
    for package in &wanted.packages {
        match offer.has_package(package) {
            true => extra += PACKAGE,
            false => missing.packages.push(package.clone()),
        }
    }
    for tool in &wanted.tools {
        match () {
            () if offer.has_tool(tool) => extra += TOOL,
            () if offer.has_package(tool) => extra += PACKAGE,
            () => missing.tools.push(tool.clone()),
        }
    }
    let essential = SYSTEM + if missing.compiler.is_none() { COMPILER } else { 0 };
    Candidate { name, offer, essential, extra, missing }
}

/// All that is asked for beside the system.
fn all(wanted: &Requirements) -> Missing {
    Missing {
        compiler: wanted.compiler.clone(),
        packages: wanted.packages.iter().cloned().collect(),
        tools: wanted.tools.iter().cloned().collect(),
    }
}
