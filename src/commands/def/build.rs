//! `larder def build`: images of definitions, each behind what it needs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_store::archive::options::Named;
use larder_store::building::Building;
use larder_store::descriptor::{Annotations, Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::index::{self, Index};
use larder_store::reference::Reference;
use larder_store::store::Store;
use serde_json::{Value, json};

use super::super::build::{How, make, register};
use super::super::plain_http::PlainHttp;
use super::super::pull;
use super::affected::affected;
use super::{Folder, give, known};
use crate::build::engine;
use crate::cli::{Context, Format, Outcome, fail, line, note, print_json};
use crate::def::generate::directory;
use crate::def::labels::{self, Origin};
use crate::def::settings::{self, Settings};
use crate::def::{Definitions, Tag};

/// What a build may take in all: whoever waits for it waits no longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Beside the Dockerfile.
const ARCHIVE: &str = "image.tar";

/// Build images of definitions, each behind what it needs
///
/// What they need is built as well where it is missing or has changed. An image is not built again while its Dockerfile, its files and the
/// images that it begins with are the same. It gets its tag and its aliases at once, or none of them.
///
/// Steps and their output go to stderr. Prints a line for each image: name, digest, `built` or `unchanged`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true).args(["names", "all", "affected_by"])))]
pub(super) struct Args {
    /// Images: all tags of a NAME, or one
    #[arg(value_name = "NAME[:TAG]")]
    names: Vec<String>,

    /// All images of the folder
    #[arg(long, conflicts_with_all = ["names", "affected_by"])]
    all: bool,

    /// All images that are made anew where this one changes: one of the folder, or one of another place that Dockerfiles name
    #[arg(long, value_name = "BASE")]
    affected_by: Vec<String>,

    /// Build nothing else: what they need is taken from the store as it is
    #[arg(long)]
    only: bool,

    /// Write each image to DIST/NAME/TAG/image.tar as well
    #[arg(long)]
    tar: bool,

    /// Push each image under all its names below HOST[/PATH] [default: the registry of .image-manager.yml]
    #[arg(long, value_name = "HOST[/PATH]", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    push: Option<String>,

    #[command(flatten)]
    plain_http: PlainHttp,

    #[command(flatten)]
    folder: Folder,

    /// Where Dockerfiles are written
    #[arg(short, long, value_name = "DIST", default_value = "dist")]
    output: PathBuf,

    #[command(flatten)]
    how: How,

    /// Threads that compress [default: one for each core, at most 6]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How to print what was built
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What all images of a run have in common.
struct Work<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    definitions: &'a Definitions,
    settings: &'a Settings,
    origin: Origin,
}

/// An image that is there.
struct Done {
    digest: Digest,
    /// Steps that were done and steps that were known; nothing, where nothing was built.
    steps: Option<(usize, usize)>,
    displaced: Vec<Digest>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    super::check_output(&args.output)?;
    let definitions = args.folder.read()?;
    let settings = read_settings(&args.folder.project())?;
    let wanted = wanted(&definitions, args)?;
    let place = place(args, &settings)?;
    let registries = match &place {
        Some(_) => Some(pull::registries(context, &args.plain_http)?),
        None => None,
    };
    let numbers = if args.only { wanted } else { definitions.with_needs(&wanted) };
    check(context, args, &definitions, &numbers)?;
    definitions.write(&args.output)?;
    let store = context.store()?;
    let origin = known::origin(&args.folder.project());
    let work = Work { context, args, store: &store, definitions: &definitions, settings: &settings, origin };
    let (mut rows, mut built) = (Vec::new(), 0);
    let mut index = store.index()?;
    for at in numbers {
        context.cancel.check()?;
        let tag = &definitions.tags[at];
        let done = work.one(tag, &mut index).and_then(|done| {
            let names = tag.references();
            if args.tar {
                let path = args.output.join(directory(tag)).join(ARCHIVE);
                give::archive(context, &store, &names[0], &path)?;
            }
            let pushed = match (&registries, &place) {
                (Some(registries), Some(place)) => {
                    give::to_registry(context, &store, registries, &names, place)?
                }
                _ => Vec::new(),
            };
            Ok((done, pushed))
        });
        match done {
            Ok((done, pushed)) => {
                built += usize::from(done.steps.is_some());
                match args.format {
                    Format::Table => line(shown(tag, &done))?,
                    Format::Json => rows.push(value(tag, &done, &pushed)),
                }
            }
            Err(error) => {
                // What was done before a failure is said all the same.
                if args.format == Format::Json && !rows.is_empty() {
                    print_json(&rows)?;
                }
                let error = error.of(tag.shown());
                return Err(if built > 0 { error.in_part() } else { error });
            }
        }
    }
    if args.format == Format::Json { print_json(&rows) } else { Ok(()) }
}

/// The numbers of the tags that are asked for.
fn wanted(definitions: &Definitions, args: &Args) -> Outcome<Vec<usize>> {
    if args.all {
        return Ok((0..definitions.tags.len()).collect());
    }
    let mut wanted: BTreeSet<_> = super::numbers(definitions, &args.names)?.into_iter().collect();
    for base in &args.affected_by {
        wanted.extend(affected(definitions, base)?);
    }
    Ok(wanted.into_iter().collect())
}

fn read_settings(project: &Path) -> Outcome<Settings> {
    let path = project.join(settings::FILE);
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(Settings::default());
    }
    if !path.is_file() {
        let hint = "labels and the registry are read from it; remove it where there are none";
        return Err(fail(format!("{}: is no file that can be read", path.display())).with_hint(hint));
    }
    let mut file = File::open(&path).map_err(larder_store::Error::io("open", &path))?;
    let text = engine::text_of(&mut file as &mut dyn Read, &path)?;
    let settings = Settings::parse(&text, &|name| std::env::var(name).ok());
    let settings = settings.map_err(|why| fail(format!("{}: {why}", path.display())))?;
    settings.notes.iter().for_each(|text| note(format_args!("{text}")));
    Ok(settings)
}

/// Where images are pushed to, if anywhere.
fn place(args: &Args, settings: &Settings) -> Outcome<Option<String>> {
    match (args.push.as_deref(), &settings.registry) {
        (None, _) => Ok(None),
        (Some(""), Some(registry)) => Ok(Some(registry.clone())),
        (Some(""), None) => {
            let hint = format!("--push=HOST[/PATH], or registry: {{url: HOST}} in {}", settings::FILE);
            Err(fail("--push does not say where images go").with_hint(hint).usage())
        }
        (Some(place), _) => Ok(Some(place.trim_end_matches('/').to_owned())),
    }
}

/// All that is wrong with the Dockerfiles of these tags is told before anything is written.
fn check(context: &Context, args: &Args, definitions: &Definitions, numbers: &[usize]) -> Outcome {
    let mut wrong = Vec::new();
    for at in numbers {
        context.cancel.check()?;
        let (directory, source) = source(args, &definitions.tags[*at])?;
        match engine::images(&args.how.request(&directory, &source)?) {
            Ok(_) => {}
            Err(error @ engine::Error::Problems { .. }) => wrong.extend(error.lines()),
            Err(error) => return Err(error.into()),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let first = wrong.remove(0);
    Err(fail(first).with_lines(wrong))
}

/// Where the Dockerfile of a tag is, and what is in it.
fn source(args: &Args, tag: &Tag) -> Outcome<(PathBuf, engine::Source)> {
    let directory = args.output.join(directory(tag));
    let file = directory.join("Dockerfile").display().to_string();
    let source = engine::Source::of_text(&directory, file, tag.dockerfile.clone())?;
    // What came of the image is no part of it.
    Ok((directory, source.without(ARCHIVE)?))
}

impl Work<'_> {
    /// Sees to it that an image is there under all its names.
    fn one(&self, tag: &Tag, index: &mut Index) -> Outcome<Done> {
        let names = tag.references();
        let reference = names.first().ok_or_else(|| fail("is no name of an image"))?;
        let (directory, source) = source(self.args, tag)?;
        let mut request = self.args.how.request(&directory, &source)?;
        request.jobs = super::super::jobs(self.args.jobs);
        let fetch =
            |name: &str, platform: Option<&Platform>| pull::fetch(self.context, self.store, name, platform);
        request.fetch = self.args.how.pull.then_some(engine::Fetch(&fetch));
        let mut said = labels::said(&self.definitions.images[tag.image], tag, self.settings);
        // What the command line says beats the definition.
        said.extend(std::mem::take(&mut request.labels));
        let unchanged = |index: &Index| -> Outcome<Option<Descriptor>> {
            let key = known::key(&request, &said, index, &self.context.cancel)?;
            match request.no_cache {
                true => Ok(None),
                false => Ok(known::unchanged(self.store, index, reference, key.as_ref())?),
            }
        };
        if let Some(entry) = unchanged(index)? {
            return self.keep(entry, &names, index);
        }
        let mut waits = |holder: &str| note(format_args!("{reference} is built by {holder}; waiting for it"));
        let _building = Building::begin(self.store, reference, LONGEST, &self.context.cancel, &mut waits)?;
        // Whoever built it meanwhile built it for this run, too.
        *index = self.store.index()?;
        if let Some(entry) = unchanged(index)? {
            return self.keep(entry, &names, index);
        }
        note(format_args!("{reference}: is built"));
        let mut built = make(self.store, &request, &self.context.cancel)?;
        let created = index::timestamp(request.epoch.unwrap_or_else(super::super::now));
        let mut all = labels::seen(&self.origin, created, built.base.as_ref(), &tag.dockerfile);
        all.extend(said.clone());
        built.relabel(&all)?;
        // As the store is now: what was pulled for it is there.
        *index = self.store.index()?;
        let key = known::key(&request, &said, index, &self.context.cancel)?;
        let annotations: Annotations =
            key.iter().map(|key| (index::DEFINITION.to_owned(), key.to_string())).collect();
        let named: Vec<_> = names
            .iter()
            .map(|name| Named {
                reference: name.clone(),
                declared: annotations.clone(),
                known: Annotations::new(),
            })
            .collect();
        let (digest, steps) = (built.entry.digest, built.steps);
        let displaced = register(built, &named)?;
        for (name, old) in names.iter().zip(&displaced) {
            if let Some(old) = old {
                note(format_args!("{name} was {old}, which stays in the store"));
            }
        }
        *index = self.store.index()?;
        Ok(Done { digest, steps: Some(steps), displaced: displaced.into_iter().flatten().collect() })
    }

    /// An image that is there already; aliases that mean another one come to it.
    fn keep(&self, entry: Descriptor, names: &[Reference], index: &mut Index) -> Outcome<Done> {
        let is_there = |name: &&Reference| index.named(name).any(|other| other.digest == entry.digest);
        let lacking: Vec<_> = names.iter().filter(|name| !is_there(name)).cloned().collect();
        let digest = entry.digest;
        if lacking.is_empty() {
            return Ok(Done { digest, steps: None, displaced: Vec::new() });
        }
        let mut plain = entry;
        plain.annotations.remove(index::PINNED);
        let displaced = self.store.edit(|index| {
            // It may have gone since it was looked at.
            if !index.entries().iter().any(|other| other.digest == digest) {
                return Err(larder_store::Error::invalid(&names[0], "is gone meanwhile"));
            }
            let tag = |name: &Reference| match index.tag(name, plain.clone(), super::super::now()) {
                index::Tagged::Displaced(old) => Some(old),
                index::Tagged::New | index::Tagged::Same => None,
            };
            Ok(lacking.iter().filter_map(tag).collect::<Vec<_>>())
        })?;
        *index = self.store.index()?;
        Ok(Done { digest, steps: None, displaced })
    }
}

fn shown(tag: &Tag, done: &Done) -> String {
    let state = if done.steps.is_some() { "built" } else { "unchanged" };
    format!("{} {} {state}", tag.shown(), done.digest)
}

fn value(tag: &Tag, done: &Done, pushed: &[Reference]) -> Value {
    json!({
        "reference": tag.shown(),
        "aliases": tag.aliases,
        "digest": done.digest,
        "built": done.steps.is_some(),
        "steps": done.steps.map(|(done, cached)| json!({"done": done, "cached": cached})),
        "displaced": done.displaced,
        "pushed": pushed.iter().map(Reference::familiar).collect::<Vec<_>>(),
    })
}
