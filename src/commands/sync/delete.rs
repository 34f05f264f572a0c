//! Taking away what the list does not choose any more, where that was asked for.
//!
//! Of a repository that could not be looked at as a whole, or of which not all was brought, nothing goes, nor where nothing at all was
//! chosen: a registry that has lost its tags is no reason to lose them elsewhere.

use std::collections::BTreeSet;

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::index;
use larder_store::reference::Reference;

use super::Sync;
use super::plan::{Planned, Sides};
use super::rows::{Failures, Row, Rows, State};
use crate::cli::{Outcome, note};
use crate::registry::mirror::{Left, Mirror, Unwanted};

impl Sync<'_> {
    pub(super) fn delete(&self, planned: &[Planned<'_>], rows: &mut Rows, failed: &mut Failures) -> Outcome {
        let mut of_store = Vec::new();
        for plan in planned {
            let shown = plan.entry.to.as_ref().unwrap_or(&plan.entry.repository).familiar_name();
            if !plan.is_whole || plan.images.is_empty() {
                let why = if plan.is_whole { "nothing was chosen" } else { "not all could be looked at" };
                note(format_args!("{shown}: {why}, so that nothing is taken away"));
                continue;
            }
            match &plan.sides {
                Sides::Nobody => {}
                Sides::Store(_) => of_store.push(plan),
                Sides::Registries(mirror) => self.delete_there(mirror, plan, &shown, rows, failed)?,
            }
            plan.sides.rest();
        }
        self.delete_here(&of_store, rows)
    }

    /// Tags of another registry.
    fn delete_there(
        &self,
        mirror: &Mirror,
        plan: &Planned<'_>,
        shown: &str,
        rows: &mut Rows,
        failed: &mut Failures,
    ) -> Outcome {
        let tags: BTreeSet<&str> = plan.images.iter().filter_map(|image| image.reference.tag()).collect();
        let left = match self.args.dry_run {
            true => Left { gone: plan.unwanted.clone(), ..Left::default() },
            false => {
                // Others may have been there meanwhile: only what was planned and still is as it was goes, and nothing that a wanted tag means by now.
                let now = mirror.unwanted(&tags).and_then(|now| Ok((now, mirror.meant(&tags)?)));
                let Some((now, mut wanted)) = failed.told(shown, now)? else { return Ok(()) };
                wanted.extend(plan.images.iter().map(|image| image.digest));
                let (unwanted, others): (Vec<_>, Vec<_>) =
                    now.unwanted.into_iter().partition(|one| plan.unwanted.contains(one));
                // What came there since is somebody's, whatever else it is called.
                wanted.extend(others.iter().map(|other| other.digest));
                mirror.delete(unwanted, &wanted)
            }
        };
        for Unwanted { reference, digest } in &left.gone {
            let (name, to) = (reference.to_string(), Some((0, reference.to_string())));
            rows.add(&Row { name, digest: *digest, state: State::Gone, fetch: 0, to })?;
        }
        for Unwanted { reference, .. } in &left.bound {
            note(format_args!(
                "{reference} is not wanted any more, and stays: the registry takes away manifests and no tags, and this one is of an image that is wanted"
            ));
        }
        for (tags, error) in left.refused {
            let names: Vec<_> = tags.iter().map(|one| one.reference.to_string()).collect();
            failed.told(&format!("{} stays", names.join(", ")), Err::<(), _>(error))?;
        }
        if let Some(error) = left.failed {
            failed.told(shown, Err::<(), _>(error))?;
        }
        Ok(())
    }

    /// Names of the store that came from these repositories.
    fn delete_here(&self, planned: &[&Planned<'_>], rows: &mut Rows) -> Outcome {
        let index = self.store.index()?;
        let mut gone = Vec::new();
        for plan in planned {
            for entry in index.entries() {
                let Some(name) = came_from(entry, &plan.entry.repository) else { continue };
                if plan.images.iter().any(|image| image.reference == name) {
                    continue;
                }
                match entry.annotations.contains_key(index::PINNED) {
                    true => note(format_args!("{name} is not wanted any more, and stays: it is pinned")),
                    false => gone.push((name, entry.digest)),
                }
            }
        }
        if !self.args.dry_run && !gone.is_empty() {
            self.store.edit(|index| {
                let is_gone = |entry: &Descriptor| {
                    let is_it = |(name, digest): &(Reference, Digest)| {
                        entry.digest == *digest && index::bears(entry, name)
                    };
                    gone.iter().any(is_it) && !entry.annotations.contains_key(index::PINNED)
                };
                // Noted before the names are gone: the other way round a crash in between would forget it.
                let released: Vec<_> = index.entries().iter().filter(|entry| is_gone(entry)).collect();
                self.store.release(&released.iter().map(|entry| entry.digest).collect::<Vec<_>>())?;
                index.take(is_gone);
                Ok(())
            })?;
        }
        gone.iter().try_for_each(|(name, digest)| {
            let row = Row { name: name.to_string(), digest: *digest, state: State::Gone, fetch: 0, to: None };
            rows.add(&row)
        })
    }
}

/// The name of an image that came from this repository, and is called as it is there.
fn came_from(entry: &Descriptor, repository: &Reference) -> Option<Reference> {
    let name = index::reference(entry).filter(|_| entry.annotations.contains_key(index::REF_NAME))?;
    let is_of = name.domain() == repository.domain() && name.path() == repository.path();
    let is_origin = entry.annotation(index::ORIGIN).is_some_and(|origin| origin == name.full());
    (is_of && is_origin).then_some(name)
}
