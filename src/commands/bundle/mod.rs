//! `larder bundle`: images across the air gap, one file a verb.

mod apply;
mod asked;
mod create;
mod have;
mod inspect;
mod passphrase;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::{Cost, FileSource, Input, costs};
use crate::cli::{Context, Outcome, Table, human, interruptible, interruptible_stdin};
use larder_store::Error;
use larder_store::bundle::manifest::Manifest;
use larder_store::bundle::member::tar_size;
use rustix::fs::OFlags;

/// Carry images to a host that no network reaches: only what it lacks, in one file or in parts
///
/// On the target `bundle have` says what is there, outside `bundle create` makes a file of what is missing, and `bundle apply`
/// takes it in. Without a have-list a bundle is an OCI archive that every tool loads. See docs/bundle.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Have(have::Args),
    Create(create::Args),
    Apply(apply::Args),
    Inspect(inspect::Args),
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Have(args) => have::run(context, args),
        Verb::Create(args) => create::run(context, args),
        Verb::Apply(args) => apply::run(context, args),
        Verb::Inspect(args) => inspect::run(context, args),
    }
}

/// Opens a file or a pipe, without waiting for somebody who writes to it.
fn opened(path: &Path, is_written: bool) -> Outcome<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).write(is_written).custom_flags(flags).open(path);
    Ok(file.map_err(Error::io("open", path))?)
}

/// Opens a file, or stdin (`-`). What is no regular file passes once.
fn open(context: &Context, path: &Path, is_written: bool) -> Outcome<Input> {
    if path.as_os_str() == "-" {
        return Ok(Input::stream(interruptible_stdin(context.cancel.clone())));
    }
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    let file = opened(path, is_written && is_file)?;
    if file.metadata().map_err(Error::io("stat", path))?.is_file() {
        return Ok(Input::File(FileSource::new(file, path.to_path_buf())?));
    }
    Ok(Input::stream(interruptible(file, context.cancel.clone())))
}

/// What each image costs, for people.
fn cost_table(manifest: &Manifest) -> Outcome {
    let mut table = Table::new(&["IMAGE", ">CARRIED", ">SHARED", ">MADE", ">PRESUMED"]);
    let cells = |label: String, cost: &Cost| {
        [label, human(cost.carried), human(cost.shared), human(cost.made), human(cost.presumed)]
    };
    for (image, cost) in manifest.images.iter().zip(costs(manifest)) {
        table.row(cells(image.label(), &cost));
    }
    table.print()
}

/// What each image costs, for programs.
fn cost_values(manifest: &Manifest) -> Vec<Value> {
    let images = manifest.images.iter().zip(costs(manifest));
    let value = |(image, cost): (&larder_store::bundle::manifest::Image, Cost)| {
        json!({
            "reference": image.reference().map(|name| name.to_string()),
            "digest": image.digest,
            "carried_bytes": cost.carried,
            "shared_bytes": cost.shared,
            "made_bytes": cost.made,
            "presumed_bytes": cost.presumed,
        })
    };
    images.map(value).collect()
}

/// The bytes of a part's members, with what the tar has beside them.
fn members_size(manifest: &Manifest, part: usize) -> u64 {
    manifest.members_of(part).map(|member| tar_size(member.size)).fold(0, u64::saturating_add)
}
