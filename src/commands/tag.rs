//! `larder tag`: another name for an image.

use larder_store::index::{self, Tagged};
use larder_store::reference::Reference;

use crate::cli::{Context, Outcome, fail, line, note};

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
    target: Reference,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if args.target.digest().is_some() {
        return Err(fail("DST is a name and a tag, no digest").usage());
    }
    let store = context.store()?;
    let now = jiff::Timestamp::now().as_second();
    let tagged = store.edit(|index| {
        let mut entry = store.resolve(index, &args.source)?;
        // These belong to the name that the image had, not to the image.
        for key in [index::PINNED, index::WAS, index::DISPLACED] {
            entry.annotations.remove(key);
        }
        Ok(index.tag(&args.target, entry, now))
    })?;
    if let Tagged::Displaced(old) = tagged {
        note(format_args!("{} was {old}, which stays in the store without a name", args.target));
    }
    line(args.target.to_string())
}
