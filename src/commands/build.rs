//! `larder build`: an image from a Dockerfile.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_store::Error;
use larder_store::archive::options::Named;
use larder_store::base::Base;
use larder_store::cancel::Cancel;
use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use larder_store::index::Tagged;
use larder_store::quantity;
use larder_store::reference::Reference;
use larder_store::store::Store;
use rustix::fs::OFlags;
use serde_json::json;

use super::facts;
use super::import::Taking;
use super::naming::{Flags, Given, Names};
use super::pull;
use crate::build::engine::{self, Built, Fetch, Request, Source};
use crate::build::run::Network;
use crate::cli::{
    CommandError, Context, Format, Outcome, Steps, count, fail, human, interruptible, interruptible_stdin,
    line, note, plain, print_json,
};
use crate::registry::steps::{Known, StepCache};
use crate::registry::{Patience, Registries, access};

/// Make an image from a Dockerfile
///
/// Without Docker and without a daemon: bases come from the store, commands run under runc or crun (as root), and what they
/// change becomes a layer of the store. What was done before on the same layers, with the same files, is not done again.
/// All that is wrong with the Dockerfile is told before anything runs; docs/build.md says what is read.
///
/// Steps and their output go to stderr. Prints a line for each name: reference, digest, image ID.
///
/// SOURCE_DATE_EPOCH in the environment is the latest time in the image: the same files then give the same digest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory that COPY and ADD read
    #[arg(value_name = "CONTEXT")]
    context: PathBuf,

    /// The Dockerfile; `-` is stdin [default: Dockerfile in CONTEXT]
    #[arg(short, long, value_name = "FILE|-")]
    file: Option<PathBuf>,

    /// The image's name; another image's name moves here, and that image stays in the store without it
    #[arg(short, long, value_name = "REF", required = true)]
    tag: Vec<Given>,

    /// Names are <project>-<os>-<variant>; one that is not gives way to the nearest one that is
    #[arg(long)]
    normalize: bool,

    #[command(flatten)]
    how: How,

    /// Take steps from this repository that other hosts have done; whoever can write there decides what the image is made of
    #[arg(long, value_name = "HOST/REPOSITORY", value_parser = access::cache)]
    cache_from: Option<Reference>,

    /// Bring steps to this repository for other hosts
    #[arg(long, value_name = "HOST/REPOSITORY", value_parser = access::cache)]
    cache_to: Option<Reference>,

    #[command(flatten)]
    taking: Taking,

    #[command(flatten)]
    declared: Flags,
}

/// How a Dockerfile is built, wherever it comes from.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// A value for an ARG; without `=` the environment's
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) build_arg: Vec<String>,

    /// The stage to build, by name or number [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub(super) target: Option<String>,

    /// A label of the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) label: Vec<String>,

    /// Do every step anew
    #[arg(long)]
    pub(super) no_cache: bool,

    /// Fetch images that the store lacks from their registries
    #[arg(long)]
    pub(super) pull: bool,

    /// What commands see of the network: the machine's own, or nothing
    #[arg(long, value_enum, default_value = "host")]
    pub(super) network: Network,

    /// How long one command may take: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = timeout)]
    pub(super) timeout: Duration,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let names = Names::of(&store, args.declared.declared(), args.normalize)?;
    let named = args.tag.iter().map(|given| names.take_given(given)).collect::<Outcome<Vec<_>>>()?;
    if !args.context.is_dir() {
        return Err(fail(format!("{} is no directory", args.context.display()))
            .with_hint("CONTEXT is the directory that COPY and ADD read; -f names the Dockerfile")
            .usage());
    }
    let source = match &args.file {
        Some(file) if file.as_os_str() == "-" => {
            let mut stdin = interruptible_stdin(context.cancel.clone());
            let text = engine::text_of(&mut stdin as &mut dyn Read, Path::new("stdin"))?;
            Source::of_text(&args.context, "stdin".to_owned(), text)?
        }
        // `-f <(…)`, or a pipe that nobody writes to.
        Some(file) if std::fs::metadata(file).is_ok_and(|metadata| metadata.file_type().is_fifo()) => {
            let mut options = File::options();
            let pipe = options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(file);
            let pipe = pipe.map_err(Error::io("open", file))?;
            let mut pipe = interruptible(pipe, context.cancel.clone());
            let text = engine::text_of(&mut pipe as &mut dyn Read, file)?;
            Source::of_text(&args.context, file.display().to_string(), text)?
        }
        Some(file) => Source::read(&args.context, file)?,
        None => {
            let file = args.context.join("Dockerfile");
            if matches!(file.try_exists(), Ok(false)) {
                return Err(fail(format!("{}: there is no such file", file.display()))
                    .with_hint("-f names the Dockerfile, and `-f -` takes it from stdin"));
            }
            Source::read(&args.context, &file)?
        }
    };
    let request = Request { encoding: args.taking.compression, ..args.how.request(&args.context, &source)? };
    let fetch = |name: &str, platform: Option<&Platform>| pull::fetch(context, &store, name, platform);
    let fetch = args.how.pull.then_some(Fetch(&fetch));
    let [from, to] = caches(context, [&args.cache_from, &args.cache_to])?;
    let request =
        Request { jobs: super::jobs(args.taking.jobs), fetch, cache_from: from.as_ref(), ..request };
    let mut built = make(&store, &request, &context.cancel)?;
    let (entry, image_id, steps) = (built.entry.clone(), built.image_id, built.steps);
    let known = std::mem::take(&mut built.known);
    let given = register(built, &named)?;
    if let Some(to) = &to {
        share(&store, to, &known, &context.cancel)?;
    }
    if !args.taking.no_facts
        && let Ok(Err(why)) = facts::of(&store, &entry, &context.cancel)
    {
        note(format_args!("{why}"));
    }
    let mut rows = Vec::new();
    for (named, displaced) in named.iter().zip(&given) {
        let reference = &named.reference;
        if let Some(old) = displaced {
            note(format_args!("{reference} was {old}, which stays in the store without a name"));
        }
        match args.taking.format {
            Format::Table => line(format!("{reference} {} {image_id}", entry.digest))?,
            Format::Json => rows.push(json!({
                "reference": reference.to_string(),
                "digest": entry.digest,
                "image_id": image_id,
                "displaced": displaced,
                "steps": {"done": steps.0, "cached": steps.1},
            })),
        }
    }
    if args.taking.format == Format::Json { print_json(&rows) } else { Ok(()) }
}

impl How {
    /// The request that they mean.
    pub(super) fn request<'a>(&'a self, context: &'a Path, source: &'a Source) -> Outcome<Request<'a>> {
        let pair = |text: &String, flag: &str| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(fail(format!("{flag} {text:?}: expected NAME=VALUE")).usage()),
        };
        let mut build_args = BTreeMap::new();
        for arg in &self.build_arg {
            if arg.contains('=') {
                build_args.extend([pair(arg, "--build-arg")?]);
                continue;
            }
            match std::env::var(arg) {
                Ok(value) => drop(build_args.insert(arg.clone(), value)),
                // As Docker has it: what is not set there is not given.
                Err(VarError::NotPresent) if !arg.is_empty() => {}
                Err(VarError::NotPresent) => {
                    return Err(fail("--build-arg \"\": expected NAME or NAME=VALUE").usage());
                }
                Err(VarError::NotUnicode(_)) => {
                    return Err(fail(format!(
                        "--build-arg {arg}: its value in the environment is not UTF-8"
                    ))
                    .usage());
                }
            }
        }
        Ok(Request {
            context,
            source,
            target: self.target.as_deref(),
            fetch: None,
            build_args,
            labels: self.label.iter().map(|label| pair(label, "--label")).collect::<Outcome<_>>()?,
            no_cache: self.no_cache,
            cache_from: None,
            not_before: None,
            network: self.network,
            timeout: self.timeout,
            epoch: epoch()?,
            now: super::now,
            encoding: Default::default(),
            jobs: super::jobs(None),
        })
    }
}

/// Builds, and tells people how it goes; of what failed the end is told again.
pub(super) fn make<'s>(
    store: &'s Store,
    request: &Request<'_>,
    cancel: &Cancel,
) -> Result<Built<'s>, engine::Error> {
    let mut steps = Steps::default();
    let built = engine::build(store, request, &mut steps, cancel);
    steps.finish();
    built.inspect_err(|error| {
        let last = error.last_lines();
        if !last.is_empty() {
            note(format_args!("\nThe last lines of what failed:"));
            last.iter().for_each(|line| note(format_args!("  {}", plain(line).replace('\t', "    "))));
        }
    })
}

/// Repositories of steps, as they are asked from here: a build waits for none of them for long, and what one learns of a host the
/// other one knows.
fn caches(context: &Context, repositories: [&Option<Reference>; 2]) -> Outcome<[Option<StepCache>; 2]> {
    if repositories.iter().all(|repository| repository.is_none()) {
        return Ok([None, None]);
    }
    let registries =
        Registries { patience: Patience::brief(), ..pull::registries(context, &Default::default())? };
    Ok(repositories.map(|repository| Some(StepCache::new(repository.clone()?, registries.clone()))))
}

/// Brings steps to a repository for other hosts. Whether that goes well is nothing to the image; a signal ends it.
pub(super) fn share(store: &Store, to: &StepCache, known: &[Known], cancel: &Cancel) -> Outcome {
    if to.is_given_up() && !known.is_empty() {
        note(format_args!("steps are not shared by {}, which is not asked any more", to.name()));
        return Ok(());
    }
    match to.share(store, known, cancel).map_err(CommandError::from) {
        Ok(shared) if shared.steps > 0 => {
            let (steps, bytes) = (count(shared.steps, "step"), human(shared.bytes));
            note(format_args!("{steps} shared by {} ({bytes} sent)", to.name()));
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.is_stop() => Err(error),
        Err(error) => {
            error.tell(&format!("steps are not shared by {}: ", to.name()));
            Ok(())
        }
    }
}

/// Gives an image its names, all at once; what had each of them before, where that is another image.
pub(super) fn register(built: Built<'_>, names: &[Named]) -> Outcome<Vec<Option<Digest>>> {
    let Built { tx, entry, base, .. } = built;
    Ok(tx.commit(|index| {
        let tag = |named: &Named| {
            let mut entry = entry.clone();
            if base.as_ref().is_some_and(|base| base.name == named.reference) {
                // It takes its base's name: nobody could tell by it whether that has moved.
                Base::remove(&mut entry.annotations);
            }
            let is_same = index.named(&named.reference).any(|old| old.digest == entry.digest);
            entry.annotations.extend(if is_same { named.news() } else { named.declared.clone() });
            match index.tag(&named.reference, entry, super::now()) {
                Tagged::New | Tagged::Same => None,
                Tagged::Displaced(old) => Some(old),
            }
        };
        Ok(names.iter().map(tag).collect())
    })?)
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match quantity::seconds(text)? {
        0 => Err("no command is that fast".to_owned()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// `SOURCE_DATE_EPOCH`, <https://reproducible-builds.org/specs/source-date-epoch/>.
fn epoch() -> Outcome<Option<i64>> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let number = text.parse().ok().filter(|seconds| (0..=253_402_300_799).contains(seconds));
    match number {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(fail(format!("SOURCE_DATE_EPOCH={text:?}: expected seconds since 1970")).usage()),
    }
}
