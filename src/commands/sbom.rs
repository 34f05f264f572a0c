//! `larder sbom`: what is in an image.

use std::path::PathBuf;

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::error::Error;
use larder_store::index;
use larder_store::manifest::{Document, ImageManifest, RawManifest};
use larder_store::store::{Protection, Store};

use super::export::write_bytes;
use super::platform::{self, Wanted, choose};
use crate::cli::{Context, Format, Outcome, Table, count, fail, note, print, print_json, safe_json};
use crate::sbom::diff::{Change, diff};
use crate::sbom::inventory::{Inventory, Subject};
use crate::sbom::{Spec, attach, kept};

/// Say what is in an image: its packages, with versions, licences, and the layer that brought each
///
/// Read from the layers: databases of dpkg, apk, pacman and rpm, metadata of Python and npm. No layer is unpacked to the disk, and nothing is run. Prints a document
/// for auditors; the same image gives the same bytes. What is damaged is named, and the rest is there: the exit code is 7 then.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", required_unless_present = "diff", conflicts_with = "diff")]
    image: Option<String>,

    /// The document: SPDX 2.3 or CycloneDX 1.6, in JSON
    #[arg(long, value_enum, default_value_t, conflicts_with = "diff")]
    spec: Spec,

    /// Write it to this file
    #[arg(short, long, value_name = "FILE|-", conflicts_with = "diff")]
    output: Option<PathBuf>,

    /// Keep it in the store beside the image, where push, bundle and gc find it; prints its digest unless -o says more
    #[arg(long, conflicts_with = "diff")]
    attach: bool,

    /// Which image of a multi-platform one [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse)]
    platform: Option<Platform>,

    /// Show which packages are in one of two images only, or in another version
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    diff: Option<Vec<String>>,

    /// How to print a diff
    #[arg(long, value_enum, default_value_t, conflicts_with = "image")]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if let Some(file) = &args.output {
        super::export::refuse_directory(file)?;
    }
    let store = context.existing_store()?;
    match (&args.diff, &args.image) {
        (Some(two), _) => compare(context, &store, args, two),
        (None, Some(image)) => document(context, &store, args, image),
        (None, None) => Err(fail("which image?").usage()),
    }
}

/// An image, its manifest's descriptor, and what is in it.
struct Looked {
    subject: Subject,
    at: Descriptor,
    inventory: Inventory,
    /// Nothing of it goes before all is done.
    _protection: Protection,
}

fn look(context: &Context, store: &Store, args: &Args, query: &str) -> Outcome<Looked> {
    let (protection, found) = store.protect(&[query.to_owned()], "sbom")?;
    let entry = &found[0];
    let host = Platform::host();
    let at = choose(store, entry, Wanted::new(args.platform.as_ref(), &host))?;
    let image = container(store, &at)?;
    let (_, config) = store.config(&image)?;
    let created = config.created.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let subject = Subject {
        name: index::shown_name(entry),
        digest: at.digest,
        architecture: config.architecture.clone(),
        created: created.map_or(0, |time| time.as_second()),
    };
    let inventory = kept::inventory(store, &image, &context.cancel).map_err(|error| error.within(query))?;
    Ok(Looked { subject, at, inventory, _protection: protection })
}

fn container(store: &Store, at: &Descriptor) -> Outcome<ImageManifest> {
    match store.document(at)? {
        Some(RawManifest { document: Document::Image(image), .. }) if image.is_container() => Ok(image),
        Some(_) => {
            Err(Error::invalid(format!("manifest {}", at.digest), "is of an artifact, not of an image")
                .into())
        }
        None => Err(Error::damaged(format!("manifest {}", at.digest), "is missing").into()),
    }
}

fn document(context: &Context, store: &Store, args: &Args, query: &str) -> Outcome {
    let looked = look(context, store, args, query)?;
    // The same bytes on a terminal, in a file and in the store.
    let text = safe_json(&args.spec.document(&looked.subject, &looked.inventory));
    // What cannot be written is not attached either.
    if let Some(file) = args.output.as_ref().filter(|file| file.as_os_str() != "-") {
        write_bytes(file, text.as_bytes())?;
    }
    if args.attach {
        let artifact = attach::attach(store, &looked.at, args.spec, text.as_bytes(), super::now())?;
        if args.output.is_none() {
            crate::cli::line(artifact.digest.to_string())?;
        }
    }
    let is_printed = match &args.output {
        Some(file) => file.as_os_str() == "-",
        None => !args.attach,
    };
    if is_printed {
        print(&text)?;
    }
    note(format_args!("{query}: {}", count(looked.inventory.found.len(), "package")));
    told(query, &looked.inventory)
}

/// What is damaged, for people and for the exit code.
fn told(query: &str, inventory: &Inventory) -> Outcome {
    inventory.problems.iter().for_each(|problem| note(format_args!("{query}: {problem}")));
    match inventory.problems.len() {
        0 => Ok(()),
        some => {
            Err(fail(format!("{query}: not all of it is listed: {} cannot be read", count(some, "thing")))
                .in_part())
        }
    }
}

fn compare(context: &Context, store: &Store, args: &Args, two: &[String]) -> Outcome {
    let looked = two.iter().map(|query| look(context, store, args, query)).collect::<Outcome<Vec<_>>>()?;
    let [before, after] = &looked[..] else { return Err(fail("--diff takes two images").usage()) };
    let changes = diff(&before.inventory, &after.inventory);
    match args.format {
        Format::Json => print_json(&changes)?,
        Format::Table => table(&changes)?,
    }
    note(format_args!(
        "{} of {} and {}",
        count(changes.len(), "difference"),
        before.inventory.found.len(),
        count(after.inventory.found.len(), "package")
    ));
    told(&two[0], &before.inventory).and(told(&two[1], &after.inventory))
}

fn table(changes: &[Change]) -> Outcome {
    let mut table = Table::new(&["PACKAGE", "KIND", "CHANGE", "BEFORE", "AFTER"]);
    for change in changes {
        let shown =
            |versions: &[String]| if versions.is_empty() { "-".to_owned() } else { versions.join(", ") };
        table.row([
            change.name.clone(),
            change.kind.word().to_owned(),
            change.change.word().to_owned(),
            shown(&change.before),
            shown(&change.after),
        ]);
    }
    table.print()
}
