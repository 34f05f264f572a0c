//! `larder import`: brings archives in.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use larder_store::archive::import::{import, open, seal};
use larder_store::archive::options::{Existing, Imported, Input, Options, Outcome as Became, Source};
use larder_store::codec::Encoding;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::prune::Judged;
use larder_store::quantity::shown_seconds;
use larder_store::reference::Reference;
use larder_store::store::Store;
use serde_json::{Value, json};

use super::naming::{Flags, Given, Names};
use super::{base, facts, signed};
use crate::cli::{Bar, Context, Format, Outcome, fail, interruptible_stdin, line, note, print_json};
use crate::trust::Trust;

/// Bring the images of an archive or a layout into the store
///
/// Reads docker-archives (`docker save`, podman, skopeo, kaniko) and oci-archives, plain or compressed with gzip,
/// zstd, xz or bzip2, from a file or from stdin (`-`), and image layouts in directories. Layers that the store has are not read. Prints a line for each image:
/// reference, digest, image ID, bytes written (new=), bytes that were there (reused=).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archives; `-` is stdin
    #[arg(required = true, value_name = "PATH|-")]
    archives: Vec<PathBuf>,

    /// Take only this image of the archive (a name or a digest in it)
    #[arg(long, value_name = "NAME")]
    image: Option<String>,

    /// Name the image so, whatever the archive says
    #[arg(long, value_name = "REF")]
    name: Option<Given>,

    /// Take the archive only if it has just these images, as `export -o` printed them when it wrote it
    #[arg(long, value_name = "NAME:TAG@DIGEST", value_delimiter = ',', value_parser = expected)]
    expect: Option<Vec<(Reference, Digest)>>,

    /// Names are <project>-<os>-<variant>; one that is not gives way to the nearest one that is
    #[arg(long)]
    normalize: bool,

    /// Let a name move here from another image, which stays in the store without a name
    #[arg(long)]
    replace: bool,

    /// What the images are made on: an image of the store, with whose layers theirs begin; its name and digest are noted
    #[arg(long, value_name = "REF")]
    base: Option<String>,

    /// The signature of the archive, as minisign -S writes it [default: the archive's name and .minisig, where that is there]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,

    /// Free the archive's space while it is read, and remove it in the end; a broken-off import is run again
    #[arg(long)]
    consume: bool,

    /// Read and hash what the store has of it already, and put right what is damaged there
    #[arg(long)]
    verify: bool,

    #[command(flatten)]
    taking: Taking,

    #[command(flatten)]
    declared: Flags,
}

/// How images are taken in, wherever they come from.
#[derive(Debug, clap::Args)]
pub(super) struct Taking {
    /// Do not read what is in the images (os, packages, programs); it is read when it is first needed
    #[arg(long)]
    pub(super) no_facts: bool,

    /// How to compress layers that come without a digest to keep: zstd[:1-19], gzip[:1-9] or none
    #[arg(long, value_name = "HOW", default_value = "zstd")]
    pub(super) compression: Encoding,

    /// Threads [default: one for each core, at most 6: each takes 10 MiB of memory]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,

    /// How to print what came in
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    if args.archives.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(fail("stdin can be read once only").usage());
    }
    if args.name.is_some() && args.archives.len() > 1 {
        return Err(fail("--name is for one archive").usage());
    }
    if args.signature.is_some() && args.archives.len() > 1 {
        return Err(fail("--signature is of one archive").usage());
    }
    if args.expect.is_some() && args.archives.len() > 1 {
        return Err(fail("--expect is of one archive").usage());
    }
    let trust = signed::trust()?;
    // No store is made for an archive that is not trusted.
    let mut first = match (context.has_store(), args.archives.first()) {
        (false, Some(path)) => Some(input(context, args, None, &trust, path)?),
        _ => None,
    };
    let store = context.store()?;
    let names = Names::of(&store, args.declared.declared(), args.normalize)?;
    let name = args.name.as_ref().map(|name| names.take_given(name)).transpose()?;
    let base = args.base.as_ref().map(|base| base::of(&store, &store.index()?, base)).transpose()?;
    let named = |name: &_| {
        let mut named = names.take(name)?;
        if base.as_ref().is_some_and(|(base, _)| base.name == named.reference) {
            return Err(base::own(named.reference.familiar()));
        }
        base.iter().for_each(|(base, _)| base.write(&mut named.declared));
        Ok(named)
    };
    let mut rows = Vec::new();
    let mut said = Ok(());
    for (at, path) in args.archives.iter().enumerate() {
        let bar = Bar::new(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
        let opened = first.take().map_or_else(|| input(context, args, Some(&store), &trust, path), Ok);
        let (input, source) = match opened {
            Ok((input, source)) => (Ok(input), source),
            Err(error) => (Err(error), Source::Kept),
        };
        let options = Options {
            image: args.image.clone(),
            name: name.as_ref().map(|name| name.reference.clone()),
            expected: args.expect.clone(),
            naming: &named,
            upon: base.as_ref().map(|(_, image)| image.stacks.clone()),
            replace: args.replace,
            existing: if args.verify { Existing::Verified } else { Existing::Trusted },
            source,
            encoding: args.taking.compression,
            jobs: super::jobs(args.taking.jobs),
            now: super::now,
            made_room: &|gone| bar.suspended(|| gone.iter().for_each(say_gone)),
            cancel: context.cancel.clone(),
            watch: &|event| bar.on(event),
        };
        let imported = input.and_then(|input| Ok(import(&store, input, &options)?));
        drop(bar);
        let imported = match imported {
            Ok(imported) => imported,
            Err(error) => {
                // What came in is said all the same.
                if args.taking.format == Format::Json && at > 0 {
                    print_json(&rows)?;
                }
                return Err(if at > 0 { error.in_part() } else { error });
            }
        };
        if !args.taking.no_facts {
            take_facts(context, &store, &imported);
        }
        for image in &imported {
            say_replaced(image);
            match args.taking.format {
                // Printed as they come: the next archive may fail. Who does not listen does not stop the others.
                Format::Table => said = said.and(line(row(image))),
                Format::Json => rows.push(value(image)),
            }
        }
    }
    if args.taking.format == Format::Json { print_json(&rows) } else { said }
}

/// `app:1@sha256:…`.
fn expected(text: &str) -> Result<(Reference, Digest), String> {
    if text.is_empty() {
        return Err("nobody said what the archive has".to_owned());
    }
    let reference: Reference = text.parse().map_err(|why| format!("{why}"))?;
    match (reference.digest(), reference.without_digest()) {
        (Some(digest), Some(name)) => Ok((name, digest)),
        _ => Err("expected NAME:TAG@DIGEST".to_owned()),
    }
}

/// An archive that is signed as this host demands, and what becomes of it.
fn input(
    context: &Context,
    args: &Args,
    store: Option<&Store>,
    trust: &Trust,
    path: &Path,
) -> Outcome<(Input, Source)> {
    let source = if args.consume { Source::Consumed { seal: None } } else { Source::Kept };
    let is_stdin = path.as_os_str() == "-";
    let is_demanded = args.signature.is_some() || trust.is_required();
    if is_stdin || path.is_dir() {
        if is_demanded {
            return Err(signed::twice(path, if is_stdin { "stdin" } else { "a directory" }));
        }
        return Ok(match is_stdin {
            true => {
                (Input::Stream(Box::new(interruptible_stdin(context.cancel.clone())), "-".into()), source)
            }
            false => (Input::File(path.to_path_buf()), source),
        });
    }
    let mut file = open(path, args.consume)?;
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return match is_demanded {
            true => Err(signed::twice(path, "a pipe")),
            false => Ok((Input::Open(file, path.to_path_buf()), source)),
        };
    }
    let signature = signed::of_file(trust, path, args.signature.as_deref())?;
    let sealed = match &signature {
        Some(text) if args.consume => seal(store, &file, path, text, &context.cancel)?,
        _ => None,
    };
    let source = match sealed {
        Some((seal, _)) => Source::Consumed { seal: Some(seal) },
        None => source,
    };
    match (&signature, sealed) {
        // It was looked at before the first piece was freed.
        (Some(text), Some((_, true))) => signed::check_key(trust, path, text)?,
        (text, _) => signed::check(trust, path, &mut file, text.as_deref(), &context.cancel)?,
    }
    Ok((Input::Open(file, path.to_path_buf()), source))
}

/// What had the name before.
pub(super) fn say_replaced(image: &Imported) {
    if let Became::Replaced(old) = image.outcome {
        let name = image.reference.as_ref().map(ToString::to_string).unwrap_or_default();
        note(format_args!("{name} was {old}, which stays in the store without a name"));
    }
}

/// What went to make room is said, whatever becomes of the import.
pub(super) fn say_gone(gone: &Judged) {
    let unused = super::now().saturating_sub(gone.image.last_used).max(0).unsigned_abs();
    note(format_args!(
        "made room: {} (not used for {}) went",
        gone.image.shown_name(),
        shown_seconds(unused)
    ));
}

/// Reads what is in the images that came in. They are in the store by now, so that nothing that goes wrong here is a failure.
pub(super) fn take_facts(context: &Context, store: &Store, imported: &[Imported]) {
    let mut seen = HashSet::new();
    for image in imported.iter().filter(|image| image.image_id.is_some() && seen.insert(image.digest)) {
        let digest = image.digest;
        let Ok(Some(size)) = store.blobs().contains(&digest) else { continue };
        let manifest = Descriptor::new(String::new(), digest, size);
        match facts::of(store, &manifest, &context.cancel) {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => note(format_args!("{why}")),
            // Whoever wants to stop gets what came in.
            Err(_) => return,
        }
    }
}

pub(super) fn row(image: &Imported) -> String {
    let reference = image.reference.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let id = image.image_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!("{reference} {} {id} new={} reused={}", image.digest, image.new_bytes, image.reused_bytes)
}

pub(super) fn value(image: &Imported) -> Value {
    let (status, displaced) = match image.outcome {
        Became::Added => ("added", None),
        Became::Unchanged => ("unchanged", None),
        Became::Replaced(old) => ("replaced", Some(old)),
    };
    json!({
        "reference": image.reference.as_ref().map(ToString::to_string),
        "digest": image.digest,
        "image_id": image.image_id,
        "new_bytes": image.new_bytes,
        "reused_bytes": image.reused_bytes,
        "status": status,
        "displaced": displaced,
    })
}
