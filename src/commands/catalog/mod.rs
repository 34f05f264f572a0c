//! `larder catalog`: registries of folders of archives (`image-registry.yml`), in and out.

mod export;
mod import;

pub(crate) use export::say_kept;
use std::path::Path;

use larder_store::fs::Dir;

use crate::cli::{Context, Outcome, fail};

/// Take images in with the registry of their folder, or write such a registry
///
/// The format, and where the store keeps which key of it, is in docs/catalog.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Import(import::Args),
    Export(export::Args),
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Import(args) => import::run(context, args),
        Verb::Export(args) => export::run(context, args),
    }
}

/// The folder that a file is in, and its name there.
fn folder_of(path: &Path) -> Outcome<(Dir, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| fail(format!("{}: is no file name", path.display())).usage())?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((Dir::open(parent)?, name))
}
