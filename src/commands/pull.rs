//! `larder pull`: brings images in from registries.

use std::num::NonZeroUsize;

use larder_store::archive::options::{Existing, Named, Options, Source};
use larder_store::codec::Encoding;
use larder_store::descriptor::{Annotations, Platform};
use larder_store::error::Error;
use larder_store::progress::Watch;
use larder_store::prune::Judged;
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::import::{row, say_gone, say_replaced, take_facts, value};
use super::naming::{Flags, Given, Names};
use super::plain_http::PlainHttp;
use super::platform;
use crate::cli::{
    Bar, CommandError, Context, Format, Outcome, environment, fail, human, line, note, print_json,
};
use crate::registry::access;
use crate::registry::pull::{Notice, Platforms, Request, pull};
use crate::registry::{self, GivenUp, Kind, Patience, Registries};

/// Bring images in from registries
///
/// Only what the store lacks is fetched: an image that is there already costs one request, and one that is asked for by its
/// digest none. A transfer that breaks goes on where it stopped, also in the next pull. Of an image for several platforms
/// that of this machine is taken; the index is kept as it is. Prints a line for each image, as `import` does:
/// reference, digest, image ID, bytes written (new=), bytes that were there (reused=).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images: debian:12, ghcr.io/me/app@sha256:…
    #[arg(required = true, value_name = "REF")]
    images: Vec<Reference>,

    /// Take the image for this platform, and no lone image for another one; may be given several times
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Vec<Platform>,

    /// Take the images for all platforms, and whatever else the index lists
    #[arg(long, conflicts_with = "platform")]
    all_platforms: bool,

    /// Name the image so, whatever it is called in the registry
    #[arg(long, value_name = "REF")]
    name: Option<Given>,

    /// Names are <project>-<os>-<variant>; one that is not gives way to the nearest one that is
    #[arg(long)]
    normalize: bool,

    /// Let a name move here from an image that did not come from there; that one stays in the store without a name
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    fetching: Fetching,

    /// Read what is in the images (os, packages, programs) now, and not when it is first needed
    #[arg(long)]
    facts: bool,

    /// How to print what came in
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    declared: Flags,
}

/// How images are fetched.
#[derive(Debug, clap::Args)]
pub(super) struct Fetching {
    /// Take signatures, inventories and attestations along that refer to an image
    #[arg(long)]
    pub(super) referrers: bool,

    #[command(flatten)]
    pub(super) plain_http: PlainHttp,

    /// Blobs that are fetched at a time
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: NonZeroUsize,
}

impl Fetching {
    /// Blobs that are fetched at a time, within bounds.
    pub(super) fn jobs(&self) -> usize {
        self.jobs.get().min(MOST_JOBS)
    }
}

/// More connections than this are no faster, and each takes memory.
pub(super) const MOST_JOBS: usize = 16;
/// As many as nobody asked for otherwise.
const JOBS: NonZeroUsize = NonZeroUsize::new(12).expect("not zero");

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if args.name.is_some() && args.images.len() > 1 {
        return Err(fail("--name is for one image").usage());
    }
    let store = context.store()?;
    let names = Names::of(&store, args.declared.declared(), args.normalize)?;
    let given = args.name.as_ref().map(|name| names.take_given(name)).transpose()?;
    let registries = registries(context, &args.fetching.plain_http)?;
    let platforms = match (&args.platform[..], args.all_platforms) {
        (_, true) => Platforms::All,
        ([], false) => Platforms::Host(Platform::host()),
        (some, false) => Platforms::These(some.to_vec()),
    };
    let mut rows = Vec::new();
    let mut said = Ok(());
    for (at, image) in args.images.iter().enumerate() {
        let bar = Bar::new(&image.familiar());
        let made_room = |gone: &[Judged]| bar.suspended(|| gone.iter().for_each(say_gone));
        let (naming, watch) = (|name: &Reference| names.take(name), |event| bar.on(event));
        let options = options(context, args.replace, &naming, &made_room, &watch);
        let request = Request {
            reference: image,
            name: given
                .as_ref()
                .map(|given| given.reference.clone())
                .or_else(|| image.clone().without_digest()),
            platforms: &platforms,
            referrers: args.fetching.referrers,
            jobs: args.fetching.jobs(),
        };
        let notice = |notice| bar.suspended(|| say(notice));
        let pulled = pull(&store, &registries, &request, &notice, &options);
        drop(bar);
        let pulled = match pulled {
            Ok(pulled) => pulled,
            Err(error) => {
                // What came in is said all the same.
                if args.format == Format::Json && at > 0 {
                    print_json(&rows)?;
                }
                let error = CommandError::from(error);
                return Err(if at > 0 { error.in_part() } else { error });
            }
        };
        if args.facts {
            take_facts(context, &store, &pulled);
        }
        for image in &pulled {
            say_replaced(image);
            match args.format {
                // Printed as they come: the next one may fail. Who does not listen does not stop the others.
                Format::Table => said = said.and(line(row(image))),
                Format::Json => rows.push(value(image)),
            }
        }
    }
    if args.format == Format::Json { print_json(&rows) } else { said }
}

/// How images of registries are taken in.
pub(super) fn options<'a>(
    context: &Context,
    replace: bool,
    naming: &'a dyn Fn(&Reference) -> larder_store::error::Result<Named>,
    made_room: &'a (dyn Fn(&[Judged]) + Sync),
    watch: Watch<'a>,
) -> Options<'a> {
    Options {
        image: None,
        name: None,
        naming,
        expected: None,
        upon: None,
        replace,
        existing: Existing::Trusted,
        source: Source::Kept,
        encoding: Encoding::default(),
        jobs: 1,
        now: super::now,
        made_room,
        cancel: context.cancel.clone(),
        watch,
    }
}

/// Brings in an image that a build needs, under the name by which it is needed; whether there is one. For a platform, else for this
/// machine's.
pub(super) fn fetch(
    context: &Context,
    store: &Store,
    name: &str,
    platform: Option<&Platform>,
) -> larder_store::error::Result<bool> {
    // A digest alone says no registry.
    let Ok(reference) = name.parse::<Reference>() else { return Ok(false) };
    let because = |why: String| Error::invalid(name, format!("cannot be pulled: {why}"));
    let registries = registries(context, &Default::default()).map_err(|error| because(error.to_string()))?;
    let bar = Bar::new(&reference.familiar());
    let made_room = |gone: &[Judged]| bar.suspended(|| gone.iter().for_each(say_gone));
    let known = |name: &Reference| {
        Ok(Named { reference: name.clone(), declared: Annotations::new(), known: Annotations::new() })
    };
    let watch = |event| bar.on(event);
    let options = options(context, false, &known, &made_room, &watch);
    let platforms =
        platform.map_or_else(|| Platforms::Host(Platform::host()), |one| Platforms::These(vec![one.clone()]));
    let request = Request {
        reference: &reference,
        name: reference.clone().without_digest(),
        platforms: &platforms,
        referrers: false,
        jobs: JOBS.get(),
    };
    match pull(store, &registries, &request, &|notice| bar.suspended(|| say(notice)), &options) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == Some(Kind::NoSuchImage) => Ok(false),
        Err(registry::Error::Store(error)) => Err(error),
        Err(error) => Err(because(error.to_string())),
    }
}

/// How registries are asked from this machine.
pub(super) fn registries(context: &Context, plain_http: &PlainHttp) -> Outcome<Registries> {
    let environment = environment();
    let settings = access::Settings { plain_http: plain_http.hosts(), ..access::settings(&environment)? };
    let (patience, given_up) = (Patience::default(), GivenUp::default());
    Ok(Registries { settings, environment, patience, cancel: context.cancel.clone(), given_up })
}

/// What people may want to know of what comes.
pub(super) fn say(notice: Notice) {
    match notice {
        Notice::Foreign { layer, size } => note(format_args!(
            "layer {layer} ({}) may not be passed on by registries (foreign): it is not fetched",
            human(size)
        )),
        Notice::PassedOver { why, next } => note(format_args!("{why}; {next} is asked for it")),
        Notice::Waits { blob } => {
            note(format_args!("blob {blob}: another larder is fetching it, and is waited for"));
        }
    }
}
