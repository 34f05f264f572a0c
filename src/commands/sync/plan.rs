//! Looking at all that is wanted, before anything is done.

use std::collections::BTreeSet;

use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use larder_store::index::Index;
use larder_store::reference::Reference;

use super::Sync;
use super::rows::{Failures, Row, State};
use crate::cli::{Bar, Outcome, count, fail, human, note};
use crate::registry::mirror::{Found as FoundThere, Ledger, Looked, Mirror, Part, Unwanted};
use crate::registry::pull::{Found, Platforms, Request, Source};
use crate::registry::sync::{self, Entry};

/// Bytes of documents that are kept from the look until they are taken in; of more they are read again.
const MAX_HELD: usize = 64 << 20;

/// A wanted image.
pub(super) struct Wanted {
    pub(super) reference: Reference,
    pub(super) digest: Digest,
    pub(super) state: State,
    /// Which no image before it in the list brings.
    pub(super) fetch: u64,
    /// Its name in another registry, and the bytes that go there.
    pub(super) to: Option<(u64, Reference)>,
    pub(super) found: Kept,
}

/// What is kept of the look.
pub(super) enum Kept {
    Nothing,
    ForStore(Found),
    ForRegistry(Looked),
}

/// Whom an entry asks.
pub(super) enum Sides {
    /// Nobody could be asked.
    Nobody,
    /// What it has goes into the store.
    Store(Source),
    /// From one registry to another.
    Registries(Box<Mirror>),
}

impl Sides {
    /// Closes connections until they are needed again: a list may have more entries than files may be open.
    pub(super) fn rest(&self) {
        match self {
            Sides::Nobody => {}
            Sides::Store(source) => source.rest(),
            Sides::Registries(mirror) => mirror.rest(),
        }
    }
}

/// The plan for a repository.
pub(super) struct Planned<'e> {
    pub(super) entry: &'e Entry,
    pub(super) sides: Sides,
    pub(super) images: Vec<Wanted>,
    /// Whether all could be looked at, and was brought.
    pub(super) is_whole: bool,
    /// Tags of the other registry that go, where that was asked for.
    pub(super) unwanted: Vec<Unwanted>,
}

/// Tags that are wanted, by a registry's list.
#[derive(Default)]
struct Listed {
    tags: Vec<String>,
    /// Asked for by name, and not in the list.
    unlisted: Vec<String>,
    /// Whether patterns and ranges mean anything of it: where they mean nothing, a list that was lost looks the same.
    is_credible: bool,
}

/// What the look at one image needs to know of those before it.
#[derive(Default)]
struct Known {
    seen: BTreeSet<Digest>,
    ledger: Ledger,
    held: usize,
}

impl Wanted {
    pub(super) fn row(&self) -> Row {
        Row {
            name: self.reference.to_string(),
            digest: self.digest,
            state: self.state,
            fetch: self.fetch,
            to: self.to.as_ref().map(|(send, to)| (*send, to.to_string())),
        }
    }
}

impl Sync<'_> {
    /// Looks at all that is wanted; only documents are fetched.
    pub(super) fn plan<'e>(&self, entries: &'e [Entry], failed: &mut Failures) -> Outcome<Vec<Planned<'e>>> {
        let bar = Bar::new("looking at what registries have");
        let index = self.store.index()?;
        let mut known = Known::default();
        let mut planned = Vec::new();
        for entry in entries {
            let (sides, unwanted) = (Sides::Nobody, Vec::new());
            let mut plan = Planned { entry, sides, images: Vec::new(), is_whole: true, unwanted };
            let shown = entry.repository.familiar_name();
            failed.begin();
            let tags = bar.suspended(|| failed.told(&shown, self.tags(&mut plan)))?;
            plan.is_whole = tags.is_some();
            let Listed { tags, unlisted, is_credible } = tags.unwrap_or_default();
            plan.is_whole &= is_credible;
            for tag in tags {
                self.context.cancel.check()?;
                // A registry may list what is no tag.
                let Some(reference) = entry.repository.with_tag(&tag) else { continue };
                let looked = match &mut plan.sides {
                    Sides::Nobody => Err(fail("was not asked")),
                    Sides::Store(source) => self.look(source, entry, &reference, &index, &mut known),
                    Sides::Registries(mirror) => self.look_across(mirror, entry, &reference, &mut known),
                };
                match bar.suspended(|| failed.told(&reference.familiar(), looked))? {
                    Some(image) => {
                        // A list that lacks what is there lacks who knows what else.
                        plan.is_whole &= !unlisted.contains(&tag);
                        plan.images.push(image);
                    }
                    None => plan.is_whole = false,
                }
                if failed.is_in_vain() {
                    bar.suspended(|| note(format_args!("{shown}: no answer; no more of it is asked for")));
                    plan.is_whole = false;
                    break;
                }
            }
            if let (true, true, Sides::Registries(mirror)) = (self.args.delete, plan.is_whole, &plan.sides) {
                let wanted = plan.images.iter().filter_map(|image| image.reference.tag()).collect();
                let unwanted = bar.suspended(|| failed.told(&shown, mirror.unwanted(&wanted)))?;
                plan.is_whole = unwanted.is_some();
                let FoundThere { unwanted, unknown } = unwanted.unwrap_or_default();
                plan.unwanted = unwanted;
                for (tag, error) in unknown {
                    bar.suspended(|| failed.told(&format!("{tag} stays"), Err::<(), _>(error)))?;
                }
            }
            plan.sides.rest();
            planned.push(plan);
        }
        Ok(planned)
    }

    /// The tags that are wanted; what is named and not there is an error of its own.
    fn tags(&self, plan: &mut Planned<'_>) -> Outcome<Listed> {
        let Entry { repository, choice, to, .. } = plan.entry;
        plan.sides = match to {
            None => Sides::Store(Source::of(repository, self.registries)?),
            Some(to) => Sides::Registries(Box::new(Mirror::between(repository, to, self.registries)?)),
        };
        if !choice.needs_tags() {
            let tags = choice.names.iter().cloned().collect();
            return Ok(Listed { tags, unlisted: Vec::new(), is_credible: true });
        }
        let there = match &plan.sides {
            Sides::Nobody => Vec::new(),
            Sides::Store(source) => source.tags()?,
            Sides::Registries(mirror) => mirror.tags()?,
        };
        let chosen = choice.of(&there);
        let is_credible = chosen.tags.iter().any(|tag| !choice.names.contains(*tag));
        let unlisted: Vec<_> = chosen.missing.iter().map(|tag| (*tag).to_owned()).collect();
        // Asked for by name, they are told to be missing by whoever looks.
        let tags = chosen.tags.into_iter().chain(chosen.missing).map(str::to_owned).collect();
        Ok(Listed { tags, unlisted, is_credible })
    }

    fn look(
        &self,
        source: &Source,
        entry: &Entry,
        reference: &Reference,
        index: &Index,
        known: &mut Known,
    ) -> Outcome<Wanted> {
        let platforms = platforms(entry);
        let found = source.find(self.store, &self.request(reference, &platforms))?;
        let digest = found.digest().ok_or_else(|| fail("has no manifest"))?;
        let lacking = found.lacking(self.store)?;
        let now = index.named(reference).next().map(|entry| entry.digest);
        let state = match now {
            Some(now) if now == digest && lacking.is_empty() => State::There,
            Some(now) if now != digest => State::Moved,
            _ => State::New,
        };
        let fetch = lacking
            .iter()
            .filter(|(digest, _)| known.seen.insert(*digest))
            .fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        let found = match known.keeps(state, found.held()) {
            true => Kept::ForStore(found),
            false => Kept::Nothing,
        };
        Ok(Wanted { reference: reference.clone(), digest, state, fetch, to: None, found })
    }

    fn look_across(
        &self,
        mirror: &mut Mirror,
        entry: &Entry,
        reference: &Reference,
        known: &mut Known,
    ) -> Outcome<Wanted> {
        let (looked, to) = self.across(mirror, entry, reference, &mut known.ledger)?;
        let state = match looked.was {
            _ if looked.is_there() => State::There,
            Some(was) if was != looked.digest => State::Moved,
            _ => State::New,
        };
        let (digest, fetch, to) = (looked.digest, looked.fetch, Some((looked.send, to)));
        let found = match known.keeps(state, looked.held()) {
            true => Kept::ForRegistry(looked),
            false => Kept::Nothing,
        };
        Ok(Wanted { reference: reference.clone(), digest, state, fetch, to, found })
    }

    /// What is to become of an image in another registry, and its name there.
    pub(super) fn across(
        &self,
        mirror: &mut Mirror,
        entry: &Entry,
        reference: &Reference,
        ledger: &mut Ledger,
    ) -> Outcome<(Looked, Reference)> {
        let tag = reference.tag().unwrap_or("latest");
        let to = entry.to.as_ref().and_then(|to| to.with_tag(tag)).ok_or_else(|| fail("goes nowhere"))?;
        let part = match &entry.platforms {
            sync::Platforms::Usual | sync::Platforms::All => Part::Whole,
            sync::Platforms::These(list) => Part::Platforms(list.clone()),
        };
        let looked = mirror.look(self.store, tag, &part, self.args.fetching.referrers, ledger)?;
        Ok((looked, to))
    }

    pub(super) fn request<'r>(&self, reference: &'r Reference, platforms: &'r Platforms) -> Request<'r> {
        Request {
            reference,
            name: Some(reference.clone()),
            platforms,
            referrers: self.args.fetching.referrers,
            jobs: self.args.fetching.jobs(),
        }
    }

    /// The plan, for people.
    pub(super) fn tell(&self, planned: &[Planned<'_>]) {
        let all = || planned.iter().flat_map(|plan| &plan.images);
        let left: Vec<_> = all().filter(|image| image.state != State::There).collect();
        let sum = |bytes: &dyn Fn(&Wanted) -> u64| {
            left.iter().fold(0, |sum: u64, image| sum.saturating_add(bytes(image)))
        };
        let fetch = sum(&|image| image.fetch);
        let wanted = count(all().count(), "image");
        let is_across = all().any(|image| image.to.is_some());
        let send = sum(&|image| image.to.as_ref().map_or(0, |(send, _)| *send));
        match left.len() {
            0 => note(format_args!("{wanted}: all there")),
            left if is_across => note(format_args!(
                "{wanted}, {left} of them to bring: to fetch {} ({fetch} bytes), to send {} ({send} bytes)",
                human(fetch),
                human(send)
            )),
            left => note(format_args!("{wanted}, {left} of them to fetch: {} ({fetch} bytes)", human(fetch))),
        }
    }
}

impl Known {
    /// Whether what was found of an image is kept.
    fn keeps(&mut self, state: State, held: usize) -> bool {
        let is_kept = state != State::There && self.held + held <= MAX_HELD;
        self.held += if is_kept { held } else { 0 };
        is_kept
    }
}

/// Of an index, what comes into the store.
pub(super) fn platforms(entry: &Entry) -> Platforms {
    match &entry.platforms {
        sync::Platforms::Usual => Platforms::Host(Platform::host()),
        sync::Platforms::All => Platforms::All,
        sync::Platforms::These(list) => Platforms::These(list.clone()),
    }
}
