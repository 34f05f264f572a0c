//! `larder bundle create`: what a target lacks of images, as one file or as parts.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use larder_store::archive::package::Package;
use larder_store::archive::write::{Output, Sink, write};
use larder_store::blob::from_io;
use larder_store::bundle::have::{Have, Known};
use larder_store::bundle::{MAX_TEXT, manifest::Manifest};
use larder_store::codec::encoder;
use larder_store::delta::LEAST_MEMORY;
use larder_store::error::Error;
use larder_store::quantity;
use larder_store::store::Store;
use serde_json::json;

use super::super::export::write_file;
use super::asked::Asked;
use super::passphrase::passphrase;
use super::{cost_table, cost_values};
use crate::bundle::create::{Differences, Planned, Wanted, plan};
use crate::bundle::inspect;
use crate::cli::{Bar, Context, Format, Outcome, fail, human, interruptible, line, note, print_json};
use crate::trust::{self, Signer};

/// Make a bundle of images: what the target lacks of them, and a list of what it must have
///
/// The target says with `bundle have` what it has; with several --have a bundle fits all of them. Without, all of the images is in it,
/// and every OCI tool loads it. The same images and lists give the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,

    /// Write it to this file; `-` is stdout. Parts get names that end with .1of3 and so on
    #[arg(long, short, value_name = "FILE|-", required_unless_present = "dry_run")]
    output: Option<PathBuf>,

    /// What a target has, as `bundle have` there said; several: what all of them have is left out
    #[arg(long, value_name = "FILE")]
    have: Vec<PathBuf>,

    /// The target has applied this bundle (or a part of it is enough to read what was in it)
    #[arg(long, value_name = "BUNDLE")]
    since: Vec<PathBuf>,

    /// Send a layer as the difference to the most similar one that all targets have, where that saves a fifth and gives the exact
    /// blob. Takes time, on both sides
    #[arg(long)]
    delta: bool,

    /// Memory for making differences: 256M, 1GiB
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, default_value = "256MiB", requires = "delta")]
    delta_memory: u64,

    /// Parts of at most this size: 4G, 650MiB. Each is checked by itself, and they may come in any order
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    split: Option<u64>,

    /// Write only this part, again: 3
    #[arg(long, value_name = "N", requires = "split")]
    part: Option<NonZeroUsize>,

    /// Sign it with this secret key, as `minisign -G` makes it. Its passphrase is asked for
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,

    /// The passphrase is all of this file but the end of its line; `-` is stdin
    #[arg(long, value_name = "FILE|-", requires = "sign")]
    passphrase_file: Option<PathBuf>,

    /// Write nothing, and say what the bundle would be
    #[arg(long)]
    dry_run: bool,

    /// Threads [default: one for each core, at most 6]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How to print what is in it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let is_stdout = !args.dry_run && args.output.as_deref() == Some(Path::new("-"));
    if is_stdout && io::stdout().is_terminal() {
        return Err(fail("a bundle is not for a terminal")
            .with_hint("-o FILE, or a pipe: larder bundle create REF -o - | ssh HOST larder bundle apply -")
            .usage());
    }
    if is_stdout && args.split.is_some() && args.part.is_none() {
        return Err(fail("parts are files: stdout takes one of them (--part)").usage());
    }
    // What a dry run says needs no key.
    let signer = match args.sign.as_deref().filter(|_| !args.dry_run) {
        Some(key) => Some(Signer::open(key, || passphrase(context, key, args.passphrase_file.as_deref()))?),
        None => None,
    };
    let mut known = Vec::new();
    for path in &args.have {
        known.push(read_have(context, path)?);
    }
    for path in &args.since {
        let of = inspect(super::open(context, path, false)?).map_err(|e| e.within(path.display()))?;
        known.push(Known::of_bundle(&of.manifest));
    }
    let store = context.existing_store()?;
    let (_protection, asked) = args.asked.choose(&store)?;
    let jobs = super::super::jobs(args.jobs);
    if args.delta && known.is_empty() {
        return Err(fail("--delta: nothing is known of what the target has")
            .with_hint("--have FILE or --since BUNDLE say that: larder bundle have >have.json, on the target")
            .usage());
    }
    if args.delta && args.delta_memory < LEAST_MEMORY {
        return Err(fail(format!("--delta-memory: {} is too little", human(args.delta_memory)))
            .with_hint(format!("differences of layers of any size take {} at the least", human(LEAST_MEMORY)))
            .usage());
    }
    if args.delta && known.iter().any(|known| known.encoder != encoder()) {
        note(format_args!("a target encodes as another version of larder does: all layers go whole"));
    }
    let differences = args.delta.then_some(Differences { memory: args.delta_memory });
    let wanted = Wanted { known: &known, split: args.split, differences, jobs, cancel: &context.cancel };
    let planned = plan(&store, asked, &wanted)?;
    let comment = format!("larder bundle {}", planned.digest());
    let signature = match &signer {
        Some(signer) => Some(signer.sign(planned.bytes(), &comment)?),
        None => args.sign.as_ref().map(|_| vec![0; trust::length(&comment)]),
    };
    let chosen = chosen(&planned.manifest, args.part)?;
    let mut sizes = Vec::new();
    for part in chosen.clone() {
        sizes.push(planned.package(&store, part, signature.as_deref())?.size());
    }
    if args.dry_run {
        return say(args, &planned, &sizes.iter().map(|size| (None, *size)).collect::<Vec<_>>());
    }
    let output = args.output.as_deref().unwrap_or(Path::new("-"));
    let bar = Bar::new(&output.to_string_lossy());
    let mut written = Vec::new();
    for (part, size) in chosen.zip(sizes) {
        let package = planned.package(&store, part, signature.as_deref())?;
        if is_stdout {
            stream(
                context,
                &store,
                &package,
                jobs,
                &bar,
                Sink::Stream(&mut io::stdout().lock()),
                Path::new("stdout"),
            )?;
            continue;
        }
        let path = path_of(output, part, planned.manifest.parts.len());
        write_file(&path, size, |out, shown| stream(context, &store, &package, jobs, &bar, out, shown))?;
        written.push((Some(path), size));
    }
    drop(bar);
    if is_stdout {
        return Ok(());
    }
    say(args, &planned, &written)
}

fn stream(
    context: &Context,
    store: &Store,
    package: &Package,
    jobs: usize,
    bar: &Bar,
    out: Sink<'_>,
    shown: &Path,
) -> Result<(), Error> {
    let watch = |event| bar.on(event);
    write(store, package, &mut Output { out, shown, jobs, cancel: &context.cancel, watch: &watch })
}

/// The parts that are to be written.
fn chosen(manifest: &Manifest, part: Option<NonZeroUsize>) -> Outcome<std::ops::Range<usize>> {
    match part.map(NonZeroUsize::get) {
        None => Ok(0..manifest.parts.len()),
        Some(part) if part <= manifest.parts.len() => Ok(part - 1..part),
        Some(part) => {
            Err(fail(format!("there is no part {part}: the bundle has {}", manifest.parts.len())).usage())
        }
    }
}

/// The file of a part.
fn path_of(output: &Path, part: usize, parts: usize) -> PathBuf {
    if parts == 1 {
        return output.to_path_buf();
    }
    let mut path = output.as_os_str().to_owned();
    path.push(format!(".{}of{parts}", part + 1));
    path.into()
}

/// What is in the bundle, and where it is.
fn say(args: &Args, planned: &Planned, files: &[(Option<PathBuf>, u64)]) -> Outcome {
    let Planned { manifest, .. } = planned;
    let size = files.iter().map(|(_, size)| size).sum::<u64>();
    if args.format == Format::Json {
        let parts = files.iter().map(|(path, size)| json!({"file": path, "size": size}));
        return print_json(&json!({
            "bundle": planned.digest(),
            "dry_run": args.dry_run,
            "size": size,
            "parts": parts.collect::<Vec<_>>(),
            "presumed_blobs": manifest.presumes.len(),
            "images": cost_values(manifest),
        }));
    }
    if args.dry_run {
        cost_table(manifest)?;
        note(format_args!("it would have {size} bytes ({}) in {} file(s)", human(size), files.len()));
        return Ok(());
    }
    for (path, size) in files {
        if let Some(path) = path {
            line(format!("{} {size}", path.display()))?;
        }
    }
    note(format_args!("bundle {}: {}", planned.digest(), human(size)));
    Ok(())
}

fn read_have(context: &Context, path: &Path) -> Outcome<Known> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = interruptible(super::opened(path, false)?, context.cancel.clone());
    file.take(MAX_TEXT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| from_io(error, Error::io("read", path)))?;
    let known = Have::parse(&bytes).and_then(Known::of_list);
    Ok(known.map_err(|why| Error::invalid(path.display(), why))?)
}
