//! `larder bundle create`: what a target lacks of images, as one file or as parts.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use larder_store::archive::package::Package;
use larder_store::archive::write::{Output, Sink, write};
use larder_store::bundle::have::{Have, Known};
use larder_store::bundle::{MAX_TEXT, manifest::Manifest};
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::error::Error;
use larder_store::index::{REF_NAME, shown_name};
use larder_store::manifest::Document;
use larder_store::policy::NamePattern;
use larder_store::quantity;
use larder_store::store::{Protection, Store};
use larder_store::walk::walk_entry;
use serde_json::json;

use super::super::export::write_file;
use super::super::platform::{self, Wanted as Platforms, choose};
use super::{cost_table, cost_values};
use crate::bundle::create::{Asked, Planned, Wanted, plan};
use crate::bundle::inspect;
use crate::cli::{Bar, Context, Format, Outcome, fail, human, line, note, print_json};
use crate::registry::push::stored_referrers;

/// Make a bundle of images: what the target lacks of them, and a list of what it must have
///
/// The target says with `bundle have` what it has; with several --have a bundle fits all of them. Without, all of the images is in it,
/// and every OCI tool loads it. The same images and lists give the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images
    #[arg(required_unless_present_any = ["all", "pattern"], value_name = "REF")]
    images: Vec<String>,

    /// All images that have a name
    #[arg(long, conflicts_with_all = ["images", "pattern"])]
    all: bool,

    /// All images with names like this, as for `larder images`
    #[arg(long = "match", value_name = "PATTERN", conflicts_with = "images")]
    pattern: Option<NamePattern>,

    /// Write it to this file; `-` is stdout. Parts get names that end with .1of3 and so on
    #[arg(long, short, value_name = "FILE|-", required_unless_present = "dry_run")]
    output: Option<PathBuf>,

    /// What a target has, as `bundle have` there said; several: what all of them have is left out
    #[arg(long, value_name = "FILE")]
    have: Vec<PathBuf>,

    /// The target has applied this bundle (or a part of it is enough to read what was in it)
    #[arg(long, value_name = "BUNDLE")]
    since: Vec<PathBuf>,

    /// The image for this platform out of those for several [default: all that is stored]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,

    /// Take signatures, inventories and attestations along that refer to an image
    #[arg(long)]
    referrers: bool,

    /// Parts of at most this size: 4G, 650MiB. Each is checked by itself, and they may come in any order
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    split: Option<u64>,

    /// Write only this part, again: 3
    #[arg(long, value_name = "N", requires = "split")]
    part: Option<NonZeroUsize>,

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
    let mut known = Vec::new();
    for path in &args.have {
        known.push(read_have(path)?);
    }
    for path in &args.since {
        let of = inspect(super::open(context, path, false)?).map_err(|e| e.within(path.display()))?;
        known.push(Known::of_bundle(&of.manifest));
    }
    let store = context.existing_store()?;
    let (_protection, asked) = asked(&store, args)?;
    let jobs = super::super::jobs(args.jobs);
    let wanted = Wanted { known: &known, split: args.split, jobs, cancel: &context.cancel };
    let planned = plan(&store, asked, &wanted)?;
    let chosen = chosen(&planned.manifest, args.part)?;
    let mut sizes = Vec::new();
    for part in chosen.clone() {
        sizes.push(planned.package(&store, part, None)?.size());
    }
    if args.dry_run {
        return say(args, &planned, &sizes.iter().map(|size| (None, *size)).collect::<Vec<_>>());
    }
    let output = args.output.as_deref().unwrap_or(Path::new("-"));
    let bar = Bar::new(&output.to_string_lossy());
    let mut written = Vec::new();
    for (part, size) in chosen.zip(sizes) {
        let package = planned.package(&store, part, None)?;
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

fn read_have(path: &Path) -> Outcome<Known> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    let known = Have::parse(&bytes).and_then(Known::of_list);
    Ok(known.map_err(|why| Error::invalid(path.display(), why))?)
}

/// The images that are asked for, and what refers to them; leased.
fn asked(store: &Store, args: &Args) -> Outcome<(Protection, Vec<Asked>)> {
    let (mut entries, mut referring) = (Vec::new(), Ok(Vec::new()));
    let (protection, _) = store.protect_chosen("bundle create", |index| {
        if args.images.is_empty() {
            let is_wanted = |entry: &&Descriptor| {
                let name = shown_name(entry).filter(|_| entry.annotation(REF_NAME).is_some());
                name.is_some_and(|name| args.pattern.as_ref().is_none_or(|pattern| pattern.matches(&name)))
            };
            entries = index.entries().iter().filter(is_wanted).cloned().collect();
        } else {
            for query in &args.images {
                entries.push(store.resolve(index, query)?);
            }
        }
        let mut all = entries.clone();
        if args.referrers {
            let mut subjects = Vec::new();
            for entry in &entries {
                walk_entry(entry, &mut |document| store.document(document), &mut |node| {
                    subjects.extend(node.document.map(|raw| raw.digest));
                    Ok(())
                })?;
            }
            referring = stored_referrers(store, &subjects);
            all.extend(referring.iter().flatten().cloned());
        }
        Ok(all)
    })?;
    if entries.is_empty() {
        let what =
            args.pattern.as_ref().map_or("the store has no image with a name", |_| "no name is like this");
        return Err(fail(what).with_hint("`larder images` lists what is there"));
    }
    let mut asked = Vec::new();
    for entry in entries {
        let label = shown_name(&entry).unwrap_or_else(|| entry.digest.to_string());
        let root = match &args.platform {
            Some(platform) => {
                choose(store, &entry, Platforms::Asked(platform)).map_err(|e| e.within(label))?
            }
            None => entry.clone(),
        };
        asked.push(Asked { entry, root });
    }
    let sent = |asked: &[Asked], subject| {
        asked.iter().any(|asked: &Asked| {
            let mut is_in = false;
            let _ = walk_entry(&asked.root, &mut |document| store.document(document), &mut |node| {
                is_in |= node.document.is_some() && node.descriptor.digest == subject;
                Ok(())
            });
            is_in
        })
    };
    for entry in referring? {
        // Of a platform that does not go, nobody asks what refers to it.
        let subject = store.document(&entry)?.and_then(|raw| match &raw.document {
            Document::Image(_) | Document::Index(_) => raw.subject().map(|subject| subject.digest),
        });
        if subject.is_some_and(|subject| sent(&asked, subject)) {
            asked.push(Asked { root: entry.clone(), entry });
        }
    }
    Ok((protection, asked))
}
