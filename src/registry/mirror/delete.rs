//! Tags of the destination that nobody wants any more.
//!
//! A tag is taken away by itself where the registry knows that. Docker's registry (distribution 2.8) takes manifests away only, each
//! with all tags that mean it, and asks nobody whether an index lists it: so a manifest that a wanted tag means, or that is in what
//! one means, stays there, and the tag with it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::reference::Reference;

use super::super::client::{Deletion, Line, Repository, Which};
use super::super::error::{Error, Failed, Kind, Result};
use super::super::push::plan::children;
use super::super::sync::is_of_referrers;
use super::Mirror;

/// Documents below wanted tags that are read before something goes by its digest.
const MOST: usize = 100_000;

/// A tag that nobody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwanted {
    /// The tag at the destination.
    pub(crate) reference: Reference,
    pub(crate) digest: Digest,
}

/// What is left of the tags that were to go.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// These went.
    pub(crate) gone: Vec<Unwanted>,
    /// These cannot go without what is wanted.
    pub(crate) bound: Vec<Unwanted>,
    /// Why others did not.
    pub(crate) failed: Option<Error>,
}

impl Mirror {
    /// The tags of the destination that are not among these, but for lists of referrers, which go with what they are about.
    pub(crate) fn unwanted(&self, wanted: &BTreeSet<&str>) -> Result<Vec<Unwanted>> {
        let tags = match self.line.tags() {
            Err(error) if error.kind() == Some(Kind::Absent) => Vec::new(),
            tags => tags?,
        };
        let mut unwanted = Vec::new();
        for tag in tags.iter().filter(|tag| !wanted.contains(tag.as_str()) && !is_of_referrers(tag)) {
            // A registry may list what is no tag, and what went meanwhile.
            let Some(reference) = self.to.with_tag(tag) else { continue };
            if let Some(digest) = self.line.manifest_there(&Which::Tag(tag.clone()))? {
                unwanted.push(Unwanted { reference, digest });
            }
        }
        Ok(unwanted)
    }

    /// What these tags mean now; each must be there.
    pub(crate) fn meant(&self, tags: &BTreeSet<&str>) -> Result<HashSet<Digest>> {
        let mut meant = HashSet::new();
        for tag in tags {
            let Some(digest) = self.line.manifest_there(&Which::Tag((*tag).to_owned()))? else {
                return Err(self.kept(format!("manifest {tag}"), "is wanted, and not there any more"));
            };
            meant.insert(digest);
        }
        Ok(meant)
    }

    fn kept(&self, request: String, why: &str) -> Error {
        Error::from(Failed {
            side: self.to.familiar_name(),
            request,
            why: why.into(),
            hint: "nothing is taken away; the next sync brings it".into(),
            kind: Kind::Failed,
        })
    }

    /// Takes tags away. `wanted` is what those that stay mean.
    pub(crate) fn delete(&self, unwanted: Vec<Unwanted>, wanted: &HashSet<Digest>) -> Left {
        let mut left = Left::default();
        let done = self.delete_into(unwanted, wanted, &mut left);
        Left { failed: done.err(), ..left }
    }

    fn delete_into(&self, unwanted: Vec<Unwanted>, wanted: &HashSet<Digest>, left: &mut Left) -> Result<()> {
        if unwanted.is_empty() {
            return Ok(());
        }
        let line = Repository::for_deletion(&self.to, &self.registries)?.line()?;
        let mut by_digest: BTreeMap<Digest, VecDeque<Unwanted>> = BTreeMap::new();
        for one in unwanted {
            by_digest.entry(one.digest).or_default().push_back(one);
        }
        // A registry may take away more than it is asked to: what has to be there is known before.
        let needed = self.below(&line, wanted)?;
        let mut knows_tags = true;
        for (digest, mut tags) in by_digest {
            while let Some(one) = tags.pop_front() {
                let tag = Which::Tag(one.reference.tag().unwrap_or_default().to_owned());
                let is_gone = knows_tags
                    && !matches!(line.delete_manifest(&tag)?, Deletion::Unsupported(_))
                    // Some say that it is gone, or that there is none, and mean that they know no tags here.
                    && line.manifest_there(&tag)? != Some(digest);
                if !is_gone {
                    knows_tags = false;
                    tags.push_front(one);
                    break;
                }
                left.gone.push(one);
                if needed.contains(&digest) && line.manifest_there(&Which::Digest(digest))?.is_none() {
                    return Err(self.took_more(&digest));
                }
            }
            if tags.is_empty() {
                continue;
            }
            if needed.contains(&digest) {
                left.bound.extend(tags);
                continue;
            }
            match line.delete_manifest(&Which::Digest(digest))? {
                Deletion::Done | Deletion::NotThere => left.gone.extend(tags),
                Deletion::Unsupported(error) => return Err(explained(error)),
            }
        }
        Ok(())
    }

    /// These manifests, all that is in them, and what refers to those.
    fn below(&self, line: &Line, roots: &HashSet<Digest>) -> Result<HashSet<Digest>> {
        let (mut all, mut left) = (roots.clone(), roots.iter().copied().collect::<Vec<_>>());
        while let Some(digest) = left.pop() {
            let Some(raw) = line.manifest_if_there(&Which::Digest(digest))? else {
                // A child may be missing in a sparse index, and what refers to an image, too.
                match roots.contains(&digest) {
                    true => return Err(self.kept(format!("manifest {digest}"), "is wanted, and not there")),
                    false => continue,
                }
            };
            let about = line.referrers(&digest)?.into_iter().map(|about| about.digest);
            let found: Vec<_> = children(&raw).map(|child| child.digest).chain(about).collect();
            left.extend(found.into_iter().filter(|found| all.insert(*found)));
            if all.len() > MOST {
                let why = format!("what is wanted has more than {MOST} manifests");
                return Err(StoreError::invalid(line.host(), why).into());
            }
        }
        Ok(all)
    }

    fn took_more(&self, digest: &Digest) -> Error {
        Error::from(Failed {
            side: self.to.familiar_name(),
            request: format!("manifest {digest}"),
            why: "went with a tag, and other tags that are wanted mean it".into(),
            hint: "the next sync brings it back; nothing else was taken away".into(),
            kind: Kind::Failed,
        })
    }
}

/// Says of a registry that takes nothing away what may be done.
fn explained(mut error: Error) -> Error {
    if let Error::Request(failed) = &mut error {
        failed.hint =
            "the registry takes nothing away; Docker's does with storage.delete.enabled in its configuration"
                .into();
    }
    error
}
