//! `def build --affected-by`: what is made anew where an image changes, and what is no such image.

use std::collections::BTreeSet;

use larder_store::reference::Reference;

use crate::catalog::meant;
use crate::cli::{Outcome, fail, note};
use crate::def::Definitions;

/// The numbers of the tags that are built on this image.
pub(super) fn affected(definitions: &Definitions, base: &str) -> Outcome<Vec<usize>> {
    let found = definitions.affected_by(base);
    if found.is_empty() && definitions.find(base).is_empty() {
        unknown(definitions, base)?;
    }
    Ok(found)
}

/// Nothing is built on this. Another place may have an image that nobody here needs, but a slip of the pen is none.
fn unknown(definitions: &Definitions, base: &str) -> Outcome {
    let hint = "--affected-by takes NAME or NAME:TAG, of the folder or of another place";
    let parsed = base.parse::<Reference>();
    let reference = parsed.map_err(|why| fail(format!("--affected-by {why}")).with_hint(hint).usage())?;
    let is_repository = |name: &str| {
        let its = name.parse::<Reference>();
        its.is_ok_and(|its| (its.domain(), its.path()) == (reference.domain(), reference.path()))
    };
    if let Some(tag) = definitions.tags.iter().find(|tag| is_repository(&tag.name)) {
        return Err(super::no_such_tag(definitions, base, &tag.name));
    }
    let foreign: Vec<_> = definitions.tags.iter().flat_map(|tag| &tag.foreign).collect();
    if !foreign.iter().any(|name| is_repository(name)) {
        let names = foreign.iter().filter_map(|name| Some(name.parse::<Reference>().ok()?.familiar_name()));
        let names: BTreeSet<_> = names.chain(definitions.tags.iter().map(|tag| tag.name.clone())).collect();
        if let Some(meant) = meant(&reference.familiar_name(), names.iter().map(String::as_str)) {
            let hint = format!("did you mean {meant}?");
            return Err(fail(format!("{base}: no Dockerfile names it")).with_hint(hint).usage());
        }
    }
    note(format_args!("{base}: no Dockerfile names it, and nothing is affected"));
    Ok(())
}
