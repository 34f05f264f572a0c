//! `larder tag`: another name for an image.

use larder_store::archive::options::Named;
use larder_store::index::{self, Tagged};

use super::naming::{Given, Names};
use crate::catalog::{Declared, declare_anew};
use crate::cli::{Context, Outcome, line, note};

/// Give an image another name
///
/// If another image has that name, it stays in the store without one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "SRC")]
    source: String,
    /// Its new name
    #[arg(value_name = "DST")]
    target: Given,
    /// Its name is <project>-<os>-<variant>; one that is not gives way to the nearest one that is
    #[arg(long)]
    normalize: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let names = Names::of(&store, Declared::default(), args.normalize)?;
    let Named { reference, declared, .. } = names.take_given(&args.target)?;
    let now = super::now();
    let tagged = store.edit(|index| {
        let mut entry = store.resolve(index, &args.source)?;
        // These belong to the name that the image had, not to the image.
        for key in [index::PINNED, index::WAS, index::DISPLACED, index::REGISTRY] {
            entry.annotations.remove(key);
        }
        declare_anew(&mut entry.annotations, declared);
        Ok(index.tag(&reference, entry, now))
    })?;
    if let Tagged::Displaced(old) = tagged {
        note(format_args!("{reference} was {old}, which stays in the store without a name"));
    }
    line(reference.to_string())
}
