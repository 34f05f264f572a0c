//! `larder pin` and `larder unpin`: a person protects a name.

use larder_store::error::Error;
use larder_store::index;

use crate::cli::{Context, Outcome, line};

/// Names to pin or to unpin.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The names
    #[arg(required = true, value_name = "REF")]
    images: Vec<String>,
}

/// What to do with the pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Pin,
    Unpin,
}

pub(super) fn run(context: &Context, args: &Args, change: Change) -> Outcome {
    let store = context.store()?;
    let names = store.edit(|index| {
        let mut names = Vec::new();
        for query in &args.images {
            let entry = store.resolve(index, query)?;
            super::several_names(index, &entry, query)?;
            let Some(name) = entry.annotation(index::REF_NAME).map(str::to_owned) else {
                return Err(Error::invalid(
                    query,
                    "has no name, and a pin belongs to a name; `larder tag` gives it one",
                ));
            };
            for entry in index.entries_mut().iter_mut().filter(|other| **other == entry) {
                match change {
                    Change::Pin => drop(entry.annotations.insert(index::PINNED.into(), "true".into())),
                    Change::Unpin => drop(entry.annotations.remove(index::PINNED)),
                }
            }
            names.push(name);
        }
        Ok(names)
    })?;
    names.iter().try_for_each(line)
}
