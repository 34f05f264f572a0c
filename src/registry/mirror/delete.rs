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
/// Deletions in a row that were not answered, after which the rest is not tried.
const IN_VAIN: usize = 3;

/// A tag that nobody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwanted {
    /// The tag at the destination.
    pub(crate) reference: Reference,
    pub(crate) digest: Digest,
}

/// Tags that nobody wants, and those of which that cannot be told: what they mean the registry does not say.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) unwanted: Vec<Unwanted>,
    pub(crate) unknown: Vec<(Reference, Error)>,
}

/// What is left of the tags that were to go.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// These went.
    pub(crate) gone: Vec<Unwanted>,
    /// These cannot go without what is wanted.
    pub(crate) bound: Vec<Unwanted>,
    /// These stay, each for a reason of its own: tags of one manifest together.
    pub(crate) refused: Vec<(Vec<Unwanted>, Error)>,
    /// Why all the others were not even tried.
    pub(crate) failed: Option<Error>,
}

/// A deletion: what became of its tags by now, and what it knows of the registry.
struct Deleting<'a> {
    line: &'a Line,
    left: &'a mut Left,
    /// What has to be there afterwards.
    needed: HashSet<Digest>,
    /// Whether the registry takes tags away by themselves, as far as is known.
    knows_tags: bool,
    /// Deletions in a row that were not answered.
    in_vain: usize,
}

impl Mirror {
    /// The tags of the destination that are not among these, but for lists of referrers, which go with what they are about.
    pub(crate) fn unwanted(&self, wanted: &BTreeSet<&str>) -> Result<Found> {
        self.lines.with(|line| {
            let tags = match line.tags() {
                Err(error) if error.kind() == Some(Kind::Absent) => Vec::new(),
                tags => tags?,
            };
            let mut found = Found::default();
            for tag in tags.iter().filter(|tag| !wanted.contains(tag.as_str()) && !is_of_referrers(tag)) {
                // A registry may list what is no tag, and what went meanwhile.
                let Some(reference) = self.to.with_tag(tag) else { continue };
                match line.manifest_there(&Which::Tag(tag.clone())) {
                    Ok(Some(digest)) => found.unwanted.push(Unwanted { reference, digest }),
                    Ok(None) => {}
                    // Of an older schema, or withheld by a rule of the registry's: no reason to keep the others.
                    Err(error)
                        if matches!(error.kind(), Some(Kind::Denied | Kind::Damaged | Kind::Failed)) =>
                    {
                        found.unknown.push((reference, error));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
    }

    /// What these tags mean now; each must be there.
    pub(crate) fn meant(&self, tags: &BTreeSet<&str>) -> Result<HashSet<Digest>> {
        self.lines.with(|line| {
            let meant = |tag: &&str| match line.manifest_there(&Which::Tag((*tag).to_owned()))? {
                Some(digest) => Ok(digest),
                None => Err(self.kept(format!("manifest {tag}"), "is wanted, and not there any more")),
            };
            tags.iter().map(meant).collect()
        })
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
        let mut by_digest: BTreeMap<Digest, Vec<Unwanted>> = BTreeMap::new();
        for one in unwanted {
            by_digest.entry(one.digest).or_default().push(one);
        }
        // A registry may take away more than it is asked to: what has to be there is known before.
        let needed = self.below(&line, wanted)?;
        let mut deleting = Deleting { line: &line, left, needed, knows_tags: true, in_vain: 0 };
        for (digest, tags) in by_digest {
            let before = deleting.left.refused.len();
            let tags = deleting.tags(digest, tags)?;
            if tags.is_empty() {
                continue;
            }
            if deleting.needed.contains(&digest) {
                deleting.left.bound.extend(tags);
                continue;
            }
            // With the manifest all of its tags would go, those too that the registry keeps.
            if let Some((kept, _)) = deleting.left.refused.get_mut(before..).and_then(|new| new.last_mut()) {
                kept.extend(tags);
                continue;
            }
            deleting.manifest(digest, tags)?;
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
}

impl Deleting<'_> {
    /// Takes tags of a manifest away one by one, if the registry knows that; those that are left where it does not.
    fn tags(&mut self, digest: Digest, tags: Vec<Unwanted>) -> Result<Vec<Unwanted>> {
        let mut tags = VecDeque::from(tags);
        while self.knows_tags
            && let Some(one) = tags.pop_front()
        {
            match self.tag(&one) {
                Ok(None) => self.left.gone.push(one),
                Ok(Some(Deletion::Refused(error))) => {
                    self.left.refused.push((vec![one], error));
                    continue;
                }
                Ok(Some(_)) => {
                    self.knows_tags = false;
                    tags.push_front(one);
                    break;
                }
                Err(error) => {
                    self.in_vain(vec![one], error)?;
                    continue;
                }
            }
            self.in_vain = 0;
            let is_needed = self.needed.contains(&digest);
            if is_needed && self.line.manifest_there(&Which::Digest(digest))?.is_none() {
                return Err(self.took_more(&digest));
            }
        }
        Ok(tags.into())
    }

    /// Takes a tag away; what the registry did instead where it is still there.
    fn tag(&self, one: &Unwanted) -> Result<Option<Deletion>> {
        let deleted = self.line.delete_manifest(&tag_of(one))?;
        if matches!(deleted, Deletion::Unsupported(_) | Deletion::Refused(_)) {
            return Ok(Some(deleted));
        }
        // Some say that it is gone, or that there is none, and mean that they know no tags here.
        Ok(self.is_there(one)?.then_some(deleted))
    }

    fn is_there(&self, one: &Unwanted) -> Result<bool> {
        Ok(self.line.manifest_there(&tag_of(one))? == Some(one.digest))
    }

    /// Takes a manifest away, with all of its tags.
    fn manifest(&mut self, digest: Digest, tags: Vec<Unwanted>) -> Result<()> {
        let gone = match self.line.delete_manifest(&Which::Digest(digest)) {
            Ok(Deletion::Unsupported(error)) => return Err(explained(error)),
            Ok(Deletion::Refused(error)) => {
                self.left.refused.push((tags, error));
                return Ok(());
            }
            Ok(Deletion::Done) => Ok(true),
            // That somebody else was faster is to be seen.
            Ok(Deletion::NotThere) => tags.first().map_or(Ok(true), |one| Ok(!self.is_there(one)?)),
            Err(error) => Err(error),
        };
        match gone {
            Ok(true) => {
                self.in_vain = 0;
                self.left.gone.extend(tags);
            }
            Ok(false) => {
                let error =
                    self.failed(&digest, "is not there, it says, and is still what the tag means", "");
                self.left.refused.push((tags, error));
            }
            Err(error) => self.in_vain(tags, error)?,
        }
        Ok(())
    }

    /// Notes tags about which there was no answer. Ends all where there was none several times in a row: each was asked for more than
    /// once.
    fn in_vain(&mut self, tags: Vec<Unwanted>, error: Error) -> Result<()> {
        self.in_vain += 1;
        if error.kind().is_none() || self.in_vain >= IN_VAIN {
            return Err(error);
        }
        self.left.refused.push((tags, error));
        Ok(())
    }

    fn failed(&self, digest: &Digest, why: &str, hint: &str) -> Error {
        Error::from(Failed {
            side: self.line.host().to_owned(),
            request: format!("manifest {digest}"),
            why: why.into(),
            hint: hint.into(),
            kind: Kind::Failed,
        })
    }

    fn took_more(&self, digest: &Digest) -> Error {
        let hint = "the next sync brings it back; nothing else was taken away";
        self.failed(digest, "went with a tag, and other tags that are wanted mean it", hint)
    }
}

fn tag_of(one: &Unwanted) -> Which {
    Which::Tag(one.reference.tag().unwrap_or_default().to_owned())
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
