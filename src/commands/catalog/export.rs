//! `larder catalog export`: the registry of all named images.

use std::path::PathBuf;

use larder_store::error::{Error, Result};
use larder_store::index::{self, Index};

use super::folder_of;
use crate::catalog::image_registry::{Archive, Kept, Registry, Stored, placed, updated};
use crate::cli::{Context, Outcome, count, note, print};

/// Write the registry of all named images
///
/// An image that came with an entry gets it back, with what has changed since. In a FILE that is there already other entries, keys that larder does not know,
/// order and comments stay. The archives are written by `export --to-tree`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The registry; `-` is stdout
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.existing_store()?;
    let index = store.index()?;
    let used = store.usage()?;
    let images: Vec<_> =
        index.entries().iter().filter_map(|entry| Stored::of(&store, entry, &used)).collect();
    context.cancel.check()?;
    if args.file.as_os_str() == "-" {
        let empty = Registry::parse("").map_err(|why| Error::invalid("an empty registry", why))?;
        return print(&text(&empty, &index, &images)?);
    }
    let (dir, name) = folder_of(&args.file)?;
    let kept = Registry::edit(&store, &dir, name, |registry| text(registry, &index, &images))?;
    say_kept(kept, name);
    note(format_args!("{}: {}", args.file.display(), count(images.len(), "image")));
    Ok(())
}

/// What went of a registry that was edited.
pub(crate) fn say_kept(kept: Kept, name: &str) {
    if kept == Kept::NotComments {
        note(format_args!("{name}: not all comments could stay where values changed"));
    }
}

fn text(registry: &Registry, index: &Index, images: &[Stored<'_>]) -> Result<String> {
    // No archive is written: several images may be in one.
    let places = placed(registry, images, &|_| false);
    let entries = images.iter().zip(places).map(|(image, place)| {
        let listed = place.at.and_then(|at| registry.entries().nth(at));
        (place.at, updated(listed, image, &place.file, Archive::Unknown))
    });
    Ok(registry.with(entries.collect(), index.annotation(index::REGISTRY)))
}
