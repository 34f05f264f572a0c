//! A repository that one entry brings to, and another one takes from: what goes there must not be what is wanted from there.

use larder_store::reference::Reference;

use super::plan::Planned;
use crate::cli::{Outcome, fail};
use crate::registry::sync::is_same_place;

/// Refuses a plan by which one entry takes a tag away that another one wants from there. Where not all that is wanted from there could be
/// looked at, nothing goes.
pub(super) fn check(planned: &mut [Planned<'_>]) -> Outcome {
    for at in 0..planned.len() {
        let Some(to) = &planned[at].entry.to else { continue };
        let takers = (0..planned.len()).filter(|&other| is_same_place(&planned[other].entry.repository, to));
        let mut is_whole = true;
        for taker in takers {
            is_whole &= planned[taker].is_whole;
            let wanted = |tag: &Reference| {
                planned[taker].images.iter().any(|image| image.reference.tag() == tag.tag())
            };
            if let Some(gone) = planned[at].unwanted.iter().find(|gone| wanted(&gone.reference)) {
                let shown = |at: usize| {
                    format!("entry {} ({})", at + 1, planned[at].entry.repository.familiar_name())
                };
                let why = format!(
                    "{} takes {} away, which {} wants from there",
                    shown(at),
                    gone.reference,
                    shown(taker)
                );
                let hint = "nothing was done: have both choose the same tags, or leave --delete out";
                return Err(fail(why).with_hint(hint).usage());
            }
        }
        planned[at].is_whole &= is_whole;
    }
    Ok(())
}
