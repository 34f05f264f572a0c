//! `larder sync`: what a list says of registries is to be here.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::index::{self, Index};
use larder_store::prune::Judged;
use larder_store::reference::Reference;
use larder_store::store::Store;
use serde_json::{Value, json};

use super::import::say_gone;
use super::naming::Names;
use super::pull::{MOST_JOBS, options, registries, say};
use super::resolve::file;
use crate::catalog::Declared;
use crate::cli::{Bar, CommandError, Context, Format, Outcome, count, fail, human, line, note, print_json};
use crate::registry::Registries;
use crate::registry::pull::{Found, Platforms, Request, Source};
use crate::registry::sync::{self, Entry};

/// Bring in what a list says of registries, and keep it as it is there
///
/// The list is YAML: repositories, and which of their tags are wanted, by name, pattern or range of versions, and of these the newest.
/// First all is looked at and the plan is told; then only what the store lacks is fetched, as by `pull`. A tag that is as it was costs one
/// request. Prints a line for each image: name, digest, what becomes of it (there, new, moved, gone), bytes to fetch. docs/sync.md has the
/// keys and examples:
///
///   - repository: debian
///     tags: [12, 12-slim]
///   - registry: ghcr.io
///     repository: me/tools
///     semver: '>=1.2, <2'
///     newest: 3
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The list; `-` is stdin
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// Look, tell what would be done, and fetch no layer
    #[arg(long)]
    dry_run: bool,

    /// Take names away that came from these repositories and are not wanted any more (pinned ones stay)
    #[arg(long)]
    delete: bool,

    /// Take signatures, inventories and attestations along that refer to the images
    #[arg(long)]
    referrers: bool,

    /// Ask without TLS (loopback hosts may be asked so anyway); who listens in on the network reads and changes everything
    #[arg(long)]
    plain_http: bool,

    /// Blobs that are fetched at a time
    #[arg(long, value_name = "N", default_value = "12")]
    jobs: NonZeroUsize,

    /// How to print what is done
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Bytes of documents that are kept from the look until they are taken in; of more they are read again.
const MAX_HELD: usize = 64 << 20;

/// A wanted image.
struct Wanted {
    reference: Reference,
    digest: Digest,
    state: State,
    /// Which no image before it in the list brings.
    bytes: u64,
    found: Option<Found>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    New,
    Moved,
    Gone,
}

/// The plan for a repository.
struct Planned<'e> {
    entry: &'e Entry,
    /// What was asked, and may be asked again.
    source: Option<Source>,
    images: Vec<Wanted>,
    /// Whether all could be looked at.
    is_whole: bool,
}

/// What is done, with what.
struct Sync<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    registries: &'a Registries,
    names: &'a Names,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let text = file::text(&args.file, &context.cancel)?;
    let entries = sync::parse(&text).map_err(|why| {
        let hint =
            "keys are registry, repository, tags, semver, newest, platforms; docs/sync.md has examples";
        fail(format!("{}: {why}", args.file.display())).with_hint(hint).usage()
    })?;
    let store = context.store()?;
    let names = Names::of(&store, Declared::default(), false)?;
    let registries = registries(context, args.plain_http)?;
    let sync = Sync { context, args, store: &store, registries: &registries, names: &names };
    let mut failed = Failures::default();
    let mut planned = sync.plan(&entries, &mut failed)?;
    sync.tell(&planned);
    let mut rows = Rows { format: args.format, values: Vec::new() };
    for plan in &mut planned {
        sync.bring(plan, &mut rows, &mut failed)?;
    }
    if args.delete {
        sync.delete(&planned, &mut rows)?;
    }
    if args.format == Format::Json {
        print_json(&rows.values)?;
    }
    failed.end(planned.iter().map(|plan| plan.images.len()).sum())
}

impl Sync<'_> {
    /// Looks at all that is wanted; only documents are fetched.
    fn plan<'e>(&self, entries: &'e [Entry], failed: &mut Failures) -> Outcome<Vec<Planned<'e>>> {
        let bar = Bar::new("looking at what registries have");
        let index = self.store.index()?;
        let mut seen = BTreeSet::new();
        let mut held = 0;
        let mut planned = Vec::new();
        for entry in entries {
            let mut plan = Planned { entry, source: None, images: Vec::new(), is_whole: true };
            let tags =
                bar.suspended(|| failed.told(&entry.repository.familiar_name(), self.tags(&mut plan)))?;
            plan.is_whole = tags.is_some();
            for tag in tags.unwrap_or_default() {
                self.context.cancel.check()?;
                // A registry may list what is no tag.
                let Some(reference) = entry.repository.with_tag(&tag) else { continue };
                let looked = self.look(&plan, &reference, &index, &mut seen, &mut held);
                match bar.suspended(|| failed.told(&reference.familiar(), looked))? {
                    Some(image) => plan.images.push(image),
                    None => plan.is_whole = false,
                }
            }
            planned.push(plan);
        }
        Ok(planned)
    }

    /// The tags that are wanted; what is named and not there is an error of its own.
    fn tags(&self, plan: &mut Planned<'_>) -> Outcome<Vec<String>> {
        let Entry { repository, choice, .. } = plan.entry;
        let source = plan.source.insert(Source::of(repository, self.registries)?);
        if !choice.needs_tags() {
            return Ok(choice.names.iter().cloned().collect());
        }
        let there = source.tags()?;
        let chosen = choice.of(&there);
        // Asked for by name, they are told to be missing by whoever looks.
        Ok(chosen.tags.into_iter().chain(chosen.missing).map(str::to_owned).collect())
    }

    fn look(
        &self,
        plan: &Planned<'_>,
        reference: &Reference,
        index: &Index,
        seen: &mut BTreeSet<Digest>,
        held: &mut usize,
    ) -> Outcome<Wanted> {
        let platforms = platforms(plan.entry);
        let Some(source) = &plan.source else { return Err(fail("was not asked")) };
        let found = source.find(self.store, &self.request(reference, &platforms))?;
        let digest = found.digest().ok_or_else(|| fail("has no manifest"))?;
        let lacking = found.lacking(self.store)?;
        let now = index.named(reference).next().map(|entry| entry.digest);
        let state = match now {
            Some(now) if now == digest && lacking.is_empty() => State::There,
            Some(now) if now != digest => State::Moved,
            _ => State::New,
        };
        let bytes = lacking.iter().filter(|(digest, _)| seen.insert(*digest)).map(|(_, size)| size).sum();
        *held += found.held();
        let is_kept = state != State::There && *held <= MAX_HELD;
        Ok(Wanted {
            reference: reference.clone(),
            digest,
            state,
            bytes,
            found: Some(found).filter(|_| is_kept),
        })
    }

    fn request<'r>(&self, reference: &'r Reference, platforms: &'r Platforms) -> Request<'r> {
        Request {
            reference,
            name: Some(reference.clone()),
            platforms,
            referrers: self.args.referrers,
            jobs: self.args.jobs.get().min(MOST_JOBS),
        }
    }

    /// The plan, for people.
    fn tell(&self, planned: &[Planned<'_>]) {
        let all = || planned.iter().flat_map(|plan| &plan.images);
        let left: Vec<_> = all().filter(|image| image.state != State::There).collect();
        let bytes: u64 = left.iter().map(|image| image.bytes).sum();
        let wanted = count(all().count(), "image");
        match left.len() {
            0 => note(format_args!("{wanted}: all there")),
            left => note(format_args!("{wanted}, {left} of them to fetch: {} ({bytes} bytes)", human(bytes))),
        }
    }

    /// Takes in what is not there.
    fn bring(&self, plan: &mut Planned<'_>, rows: &mut Rows, failed: &mut Failures) -> Outcome {
        let platforms = platforms(plan.entry);
        for image in &mut plan.images {
            if image.state != State::There && !self.args.dry_run {
                let Some(source) = &plan.source else { continue };
                let brought = self.take(source, image, &platforms);
                if failed.told(&image.reference.familiar(), brought)?.is_none() {
                    plan.is_whole = false;
                    continue;
                }
            }
            rows.add(&image.reference.to_string(), image.digest, image.state, image.bytes)?;
        }
        Ok(())
    }

    fn take(&self, source: &Source, image: &mut Wanted, platforms: &Platforms) -> Outcome {
        let bar = Bar::new(&image.reference.familiar());
        let made_room = |gone: &[Judged]| bar.suspended(|| gone.iter().for_each(say_gone));
        let (naming, watch) = (|name: &Reference| self.names.take(name), |event| bar.on(event));
        // The list says what the name means.
        let options = options(self.context, true, &naming, &made_room, &watch);
        let request = self.request(&image.reference, platforms);
        let found = match image.found.take() {
            Some(found) => found,
            None => source.find(self.store, &request)?,
        };
        let notice = |notice| bar.suspended(|| say(notice));
        source.take(self.store, found, request.jobs, &notice, &options)?;
        Ok(())
    }

    /// Takes names away that came from a repository, and are not chosen any more. Of a repository that could not be looked at as a whole
    /// none goes, nor where nothing at all was chosen: a registry that has lost its tags is no reason to lose them here.
    fn delete(&self, planned: &[Planned<'_>], rows: &mut Rows) -> Outcome {
        let index = self.store.index()?;
        let mut gone = Vec::new();
        for plan in planned {
            let shown = plan.entry.repository.familiar_name();
            if !plan.is_whole || plan.images.is_empty() {
                let why = if plan.is_whole { "nothing was chosen" } else { "not all could be looked at" };
                note(format_args!("{shown}: {why}, so that nothing is taken away"));
                continue;
            }
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
        gone.iter().try_for_each(|(name, digest)| rows.add(&name.to_string(), *digest, State::Gone, 0))
    }
}

/// The name of an image that came from this repository, and is called as it is there.
fn came_from(entry: &Descriptor, repository: &Reference) -> Option<Reference> {
    let name = index::reference(entry).filter(|_| entry.annotations.contains_key(index::REF_NAME))?;
    let is_of = name.domain() == repository.domain() && name.path() == repository.path();
    let is_origin = entry.annotation(index::ORIGIN).is_some_and(|origin| origin == name.full());
    (is_of && is_origin).then_some(name)
}

fn platforms(entry: &Entry) -> Platforms {
    match &entry.platforms {
        sync::Platforms::Host => Platforms::Host(Platform::host()),
        sync::Platforms::All => Platforms::All,
        sync::Platforms::These(list) => Platforms::These(list.clone()),
    }
}

/// What is printed.
struct Rows {
    format: Format,
    values: Vec<Value>,
}

impl Rows {
    fn add(&mut self, name: &str, digest: Digest, state: State, bytes: u64) -> Outcome {
        let state = match state {
            State::There => "there",
            State::New => "new",
            State::Moved => "moved",
            State::Gone => "gone",
        };
        match self.format {
            Format::Table => line(format!("{name} {digest} {state} {bytes}")),
            Format::Json => {
                self.values
                    .push(json!({"reference": name, "digest": digest, "state": state, "bytes": bytes}));
                Ok(())
            }
        }
    }
}

/// What could not be done; the rest is.
#[derive(Default)]
struct Failures {
    count: usize,
    first: Option<CommandError>,
}

impl Failures {
    /// Tells what went wrong with something.
    fn told<T, E: Into<CommandError>>(&mut self, what: &str, outcome: Result<T, E>) -> Outcome<Option<T>> {
        let error = match outcome {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error.into(),
        };
        if error.is_stop() {
            return Err(error);
        }
        error.tell(&format!("{what}: "));
        self.count += 1;
        self.first.get_or_insert(error);
        Ok(None)
    }

    fn end(self, done: usize) -> Outcome {
        let Some(first) = self.first else { return Ok(()) };
        let error = fail(format!("{} of the list could not be had", count(self.count, "thing")));
        Err(if done > 0 { error.in_part() } else { error.like(&first) })
    }
}
