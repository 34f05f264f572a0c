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
use std::fmt;

pub(crate) use base::official;
pub(crate) use offer::{Offer, Why};

use super::compiler::Compiler;
use super::declared::Word;
use super::name::Suffix;
use super::requirements::Requirements;

/// Os and architecture match.
const SYSTEM: u32 = 70;
/// The compiler is there, or none is asked for.
const COMPILER: u32 = 30;
/// A full match.
pub(crate) const FULL: u32 = SYSTEM + COMPILER;
const PACKAGE: u32 = 10;
const TOOL: u32 = 20;
/// Candidates that an answer shows.
pub(crate) const MAX_CANDIDATES: usize = 100;
/// Other images that an answer shows.
pub(crate) const MAX_REJECTED: usize = 20;

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
pub(crate) struct Missing<'a> {
    pub(crate) compiler: Option<&'a Compiler>,
    pub(crate) suffixes: Vec<Suffix>,
    pub(crate) packages: Vec<&'a Word>,
    pub(crate) tools: Vec<&'a Word>,
}

/// An image whose os and architecture match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    /// The name to use it by.
    pub(crate) name: &'a str,
    pub(crate) offer: &'a Offer<'a>,
    pub(crate) essential: u32,
    pub(crate) extra: u32,
    pub(crate) missing: Missing<'a>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) needs_build: bool,
    /// The best first, not more than are shown: it is the image, or the base of the one to build.
    pub(crate) candidates: Vec<Candidate<'a>>,
    pub(crate) candidate_count: usize,
    /// The others, by name, not more than are shown.
    pub(crate) rejected: Vec<(&'a Offer<'a>, Why)>,
    pub(crate) rejected_count: usize,
    /// What the best one lacks; all that is asked for where there is none.
    pub(crate) missing: Missing<'a>,
    /// The name of the official image of the os, where nothing here is a base.
    pub(crate) official_base: Option<String>,
}

impl Missing<'_> {
    /// Whether nothing is.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Missing::default()
    }
}

/// `gcc-15, the variant asan, the package zlib1g-dev, the tool cmake`.
impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compiler = self.compiler.iter().map(ToString::to_string);
        let suffixes = self.suffixes.iter().map(|suffix| format!("the variant {suffix}"));
        let packages = self.packages.iter().map(|package| format!("the package {package}"));
        let tools = self.tools.iter().map(|tool| format!("the tool {tool}"));
        let all: Vec<_> = compiler.chain(suffixes).chain(packages).chain(tools).collect();
        f.write_str(&all.join(", "))
    }
}

/// Chooses. The best one is asked what is damaged of it, as is the next one where something is.
pub(crate) fn resolve<'a>(
    wanted: &'a Requirements,
    offers: &'a [Offer<'a>],
    lacking: Lacking,
    damage: &mut dyn FnMut(&Offer<'_>) -> Option<String>,
) -> Answer<'a> {
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
        // What nobody could look into may be damaged.
        let doubt = (offer.read.is_none(), offer.distance(&wanted.suffixes));
        (marks, doubt, Reverse(offer.last_used), Reverse(offer.use_count), offer.size, *name, offer.digest)
    });
    let damaged = candidates.iter().map_while(|best| Some((best.offer, Why::Damaged(damage(best.offer)?))));
    rejected.extend(damaged);
    let damaged = rejected.iter().filter(|(_, why)| matches!(why, Why::Damaged(_))).count();
    candidates.drain(..damaged);
    rejected.sort_by_key(|(offer, _)| (offer.name(None), offer.digest));
    let best = candidates.first();
    let serves = |best: &Candidate<'_>| {
        best.essential == FULL && (lacking == Lacking::Used || best.missing.is_nothing())
    };
    Answer {
        needs_build: !best.is_some_and(serves),
        missing: best.map_or_else(|| all(wanted), |best| best.missing.clone()),
        official_base: if best.is_none() { official(&wanted.os) } else { None },
        candidate_count: candidates.len(),
        rejected_count: rejected.len(),
        candidates: first(candidates, MAX_CANDIDATES),
        rejected: first(rejected, MAX_REJECTED),
    }
}

/// What one image lacks of what a job asks for; or why it is no candidate, whatever it has.
pub(crate) fn lacks<'a>(wanted: &'a Requirements, offer: &'a Offer<'a>) -> Result<Missing<'a>, Why> {
    Ok(marked(wanted, offer.serves(wanted)?, offer).missing)
}

impl Candidate<'_> {
    /// Whether nothing of what was asked for is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_nothing()
    }
}

/// The first of them alone: a workflow has thousands of answers over ten thousand images.
fn first<T>(mut all: Vec<T>, count: usize) -> Vec<T> {
    all.truncate(count);
    all.shrink_to_fit();
    all
}

fn marked<'a>(wanted: &'a Requirements, name: &'a str, offer: &'a Offer<'a>) -> Candidate<'a> {
    let (mut missing, mut extra) = (Missing::default(), 0);
    missing.compiler = wanted.compiler.as_ref().filter(|wanted| !offer.has_compiler(wanted));
    missing.suffixes = offer.lacks(&wanted.suffixes).collect();
    for package in &wanted.packages {
        match offer.has_package(package) {
            true => extra += PACKAGE,
            false => missing.packages.push(package),
        }
    }
    for tool in &wanted.tools {
        match () {
            () if offer.has_tool(tool) => extra += TOOL,
            () if offer.has_package(tool) => extra += PACKAGE,
            () => missing.tools.push(tool),
        }
    }
    let essential = SYSTEM + if missing.compiler.is_none() { COMPILER } else { 0 };
    Candidate { name, offer, essential, extra, missing }
}

/// All that is asked for beside the system.
fn all(wanted: &Requirements) -> Missing<'_> {
    Missing {
        compiler: wanted.compiler.as_ref(),
        suffixes: wanted.suffixes.iter().copied().collect(),
        packages: wanted.packages.iter().collect(),
        tools: wanted.tools.iter().collect(),
    }
}
