//! `larder export`: archives, and the hand-over to Docker.

use std::collections::{BTreeSet, HashSet};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use larder_store::archive::image::{Images, LayerForm};
use larder_store::archive::package::{Form, Item, Package, package};
use larder_store::archive::write::{Output, Sink, write};
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::error::Error;
use larder_store::exports::{Export, Identity};
use larder_store::fs::{Dir, unique};
use larder_store::reference::Reference;
use larder_store::store::Store;
use serde_json::json;

use super::platform::{self, Wanted, choose};
use super::to_docker::{self, HandOvers};
use super::to_tree;
use crate::cli::{Bar, CommandError, Context, Format, Outcome, fail, human, line, note, print_json};
use crate::docker::Engine;

/// Write images into one archive or into a folder, or hand them over to Docker
///
/// The archive (-o) is an OCI layout with Docker's manifest.json in it; Docker, containerd, podman
/// and skopeo load it. Engines older than Docker 23 read no zstd layers: give them `--layers plain`
/// or `--layers gzip`.
///
/// For a file, a line for each image is printed: its name in the archive and its digest, which
/// `import --expect` takes on the other side.
///
/// A folder (--to-tree) gets an archive for each image, and a registry of them: docs/catalog.md.
///
/// --to-docker gives the image to the engine at DOCKER_HOST (else /var/run/docker.sock), sends only
/// what it lacks, and prints the name to use, alone. Use it so, because a failing $(…) inside
/// `act -P` would leave an empty name:
///
///   img=$(larder export --to-docker gcc15) && act -P ubuntu-latest=$img --pull=false
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["output", "to_docker", "to_tree"])))]
pub(crate) struct Args {
    /// The images: names, or digests (also the first 12 or more digits); a folder gets all named images if none is said
    #[arg(required_unless_present = "to_tree", value_name = "REF")]
    pub(super) images: Vec<String>,

    /// Write an archive to this file; `-` is stdout
    #[arg(long, short, value_name = "FILE|-")]
    output: Option<PathBuf>,

    /// Hand over to a Docker engine
    #[arg(long)]
    to_docker: bool,

    /// Write each to <project>/<name>.tar in this folder, and its entry into the folder's image-registry.yml
    #[arg(long, value_name = "DIR", conflicts_with_all = ["names", "format"])]
    to_tree: Option<PathBuf>,

    /// Write over files of the folder that are not larder's
    #[arg(long, requires = "to_tree")]
    pub(super) replace: bool,

    /// The name to give the image there; once for each REF, in the same order
    #[arg(long = "as", value_name = "NAME")]
    names: Vec<Reference>,

    /// Who shall read the archive
    #[arg(long, value_enum, default_value_t, conflicts_with = "to_docker")]
    archive: ArchiveForm,

    /// How to write layers
    #[arg(long, value_enum, default_value_t, conflicts_with = "to_docker")]
    layers: Layers,

    /// Which image of a multi-platform one [default: this machine's, or the engine's]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse)]
    platform: Option<Platform>,

    /// Write multi-platform images whole
    #[arg(long, conflicts_with_all = ["to_docker", "platform"])]
    all_platforms: bool,

    /// Threads [default: one for each core, at most 6]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,

    /// How to print what was handed over or written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ArchiveForm {
    /// An OCI layout with Docker's manifest.json: for all readers
    #[default]
    Hybrid,
    /// Docker's manifest.json alone
    Docker,
    /// An OCI layout alone
    Oci,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Layers {
    /// As they are in the store
    #[default]
    Stored,
    /// Not compressed
    Plain,
    /// With gzip: what is not stored so is compressed anew, in the store, before the archive begins
    Gzip,
}

impl Args {
    /// Images for a folder, as they are in the store.
    pub(super) fn of_tree(images: &[String], jobs: Option<usize>) -> Args {
        Args {
            images: images.to_vec(),
            output: None,
            to_docker: false,
            to_tree: None,
            replace: false,
            names: Vec::new(),
            archive: ArchiveForm::default(),
            layers: Layers::default(),
            platform: None,
            all_platforms: false,
            jobs,
            format: Format::default(),
        }
    }

    /// Plans an archive of the form that is asked for.
    pub(super) fn package(&self, context: &Context, store: &Store, items: &[Item]) -> Result<Package, Error> {
        let form = match self.archive {
            ArchiveForm::Hybrid => Form::Hybrid,
            ArchiveForm::Docker => Form::Docker,
            ArchiveForm::Oci => Form::Oci,
        };
        let layers = match self.layers {
            Layers::Stored => LayerForm::Stored,
            Layers::Plain => LayerForm::Plain,
            Layers::Gzip => LayerForm::Gzip,
        };
        let mut images = Images::new(store, layers, super::jobs(self.jobs), &context.cancel);
        package(store, items, form, &mut images, &HashSet::new())
    }

    /// What of an entry is written.
    pub(super) fn root(&self, store: &Store, entry: &Descriptor, query: &str) -> Result<Descriptor, Error> {
        if self.all_platforms {
            return Ok(entry.clone());
        }
        let host = Platform::host();
        choose(store, entry, Wanted::new(self.platform.as_ref(), &host)).map_err(|e| e.within(query))
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    to_docker::check_names(&args.names, &args.images)?;
    if args.format == Format::Json && args.output.as_deref() == Some(Path::new("-")) {
        return Err(fail("--format json says what was written, and stdout is the archive")
            .with_hint("-o FILE")
            .usage());
    }
    let store = context.store()?;
    match &args.to_tree {
        Some(dir) => to_tree::run(context, args, &store, dir, to_tree::Said::AsData),
        None if args.to_docker => to_docker(context, args, &store),
        None => to_archive(context, args, &store),
    }
}

fn to_docker(context: &Context, args: &Args, store: &Store) -> Outcome {
    // The image first: whether there is an engine does not matter where there is no image.
    let (_protection, entries) = store.protect(&args.images, "export --to-docker")?;
    let engine = Engine::connect(&context.cancel)?;
    let wanted = HandOvers {
        images: &args.images,
        names: &args.names,
        platform: args.platform.as_ref(),
        jobs: super::jobs(args.jobs),
        lease: None,
    };
    let mut answers = Vec::new();
    let mut said = Ok(());
    let handed = to_docker::hand_over_all(
        context,
        store,
        &engine,
        &entries,
        &wanted,
        &mut |handed| match args.format {
            Format::Table => {
                let printed = line(handed.name.familiar());
                if said.is_ok() {
                    said = printed;
                }
            }
            Format::Json => answers.push(json!({
                "name": handed.name.familiar(),
                "digest": handed.manifest.digest,
                "engine": handed.engine.id,
                "sent_bytes": handed.sent.bytes,
                "sent_layers": handed.sent.layers,
                "spared_bytes": handed.sent.spared_bytes,
                "spared_layers": handed.sent.spared_layers,
            })),
        },
    );
    // What was done before a failure is said all the same.
    if args.format == Format::Json && (handed.is_ok() || !answers.is_empty()) {
        print_json(&answers)?;
    }
    handed.and(said)
}

fn to_archive(context: &Context, args: &Args, store: &Store) -> Outcome {
    let output = args.output.as_deref().unwrap_or(Path::new("-"));
    let is_stdout = output.as_os_str() == "-";
    if is_stdout && io::stdout().is_terminal() {
        return Err(fail("an archive is not for a terminal")
            .with_hint("-o FILE, or a pipe: larder export REF -o - | docker load")
            .usage());
    }
    let (_protection, entries) = store.protect(&args.images, "export")?;
    let names = to_docker::names(&args.names, &entries);
    let mut items = Vec::new();
    for ((entry, name), query) in entries.iter().zip(names).zip(&args.images) {
        items.push(Item { name, root: args.root(store, entry, query)? });
    }
    let archive = args.package(context, store, &items)?;
    let bar = Bar::new(&output.to_string_lossy());
    let stream = |out: Sink<'_>, shown: &Path| {
        let watch = |event| bar.on(event);
        let mut output =
            Output { out, shown, jobs: super::jobs(args.jobs), cancel: &context.cancel, watch: &watch };
        write(store, &archive, &mut output)
    };
    let mut written = None;
    if is_stdout {
        stream(Sink::Stream(&mut io::stdout().lock()), Path::new("stdout"))?;
    } else {
        written = write_file(output, archive.size(), stream)?;
    }
    drop(bar);
    let now = super::now();
    if let Some((path, identity)) = written {
        let images: BTreeSet<_> =
            entries.iter().chain(items.iter().map(|item| &item.root)).map(|image| image.digest).collect();
        let images = images.into_iter().collect();
        store.record_export(&Export { path, identity, images, exported: now })?;
    }
    for entry in &entries {
        store.record_use(&entry.digest, now)?;
    }
    if is_stdout {
        return Ok(());
    }
    note(format_args!("{}: {}", output.display(), human(archive.size())));
    if args.format == Format::Json {
        let row = |item: &Item| json!({"name": item.name.as_ref().map(Reference::familiar), "digest": item.root.digest});
        return print_json(&items.iter().map(row).collect::<Vec<_>>());
    }
    items.iter().try_for_each(|item| line(told(item)))
}

/// What `import --expect` takes.
fn told(item: &Item) -> String {
    let digest = item.root.digest;
    match item.name.clone().and_then(Reference::without_digest) {
        Some(name) => format!("{name}@{digest}"),
        None => digest.to_string(),
    }
}

/// The disk that is full is not the store's.
fn unwritten(error: Error) -> CommandError {
    let is_full = matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull);
    let error = CommandError::from(error);
    if is_full { error.with_hint("free space there, or give -o another place") } else { error }
}

/// Writes a file whole or not at all; a device or a pipe is written to.
pub(super) fn write_bytes(path: &Path, bytes: &[u8]) -> Outcome {
    write_file(path, bytes.len() as u64, |out, shown| {
        let written = match out {
            Sink::File(mut out) => out.write_all(bytes),
            Sink::Stream(out) => out.write_all(bytes),
        };
        written.map_err(Error::io("write", shown))
    })
    .map(drop)
}

/// Under a temporary name beside the file, then renamed: nobody sees half an archive. Returns where it is and what it is now;
/// nothing of what is no regular file.
pub(super) fn write_file(
    path: &Path,
    size: u64,
    stream: impl Fn(Sink<'_>, &Path) -> Result<(), Error>,
) -> Outcome<Option<(String, Identity)>> {
    // Only what is known to be free or a file is renamed over: a device that could not be looked at would be gone.
    let is_special = match path.metadata() {
        Ok(meta) => !meta.is_file() && !meta.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::io("stat", path)(error).into()),
    };
    if is_special {
        let mut out = OpenOptions::new().write(true).open(path).map_err(Error::io("open", path))?;
        stream(Sink::Stream(&mut out), path).map_err(unwritten)?;
        return Ok(None);
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| fail(format!("{}: is no file name", path.display())).usage())?;
    refuse_directory(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = Dir::open(parent)?;
    let free = larder_store::fs::free_space(&dir)?;
    if size > free {
        return Err(Error::NoSpace { path: parent.to_path_buf(), needed: size, free }.into());
    }
    let temporary = parent.join(format!(".{name}.{}", unique()));
    // Not by the store's own means: this file is the user's, and so is its mode.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .map_err(Error::io("create", &temporary))?;
    let written = stream(Sink::File(&file), path).and_then(|()| {
        larder_store::fs::sync_file(&file, path)?;
        std::fs::rename(&temporary, path).map_err(Error::io("rename", &temporary))
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(unwritten)?;
    dir.sync()?;
    // Whoever looks for it later comes by another way, perhaps.
    let real =
        parent.canonicalize().ok().and_then(|parent| parent.join(name).into_os_string().into_string().ok());
    let meta = file.metadata().map_err(Error::io("stat", path))?;
    Ok(real.map(|real| (real, Identity::of(&meta))))
}

/// Refuses a directory where `-o` takes a file.
pub(super) fn refuse_directory(path: &Path) -> Outcome {
    if path.is_dir() {
        return Err(fail(format!("{}: is a directory", path.display())).with_hint("-o takes a file").usage());
    }
    Ok(())
}
