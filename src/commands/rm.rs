//! `larder rm`: takes names away.

use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::index::{self, Index};
use larder_store::store::Store;

use crate::cli::{Context, Outcome, line};

/// Take names away; what no name needs any more goes with the next `gc`
///
/// A digest stands for the images without a name; those with names are removed by name. A pinned name is refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The names
    #[arg(required = true, value_name = "REF")]
    images: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let removed = store.edit(|index| {
        let mut removed = Vec::new();
        let mut released = Vec::new();
        for query in &args.images {
            let (gone, name) = remove(&store, index, query)?;
            released.push(gone);
            removed.push(name.unwrap_or_else(|| query.clone()));
        }
        // Noted before the names are gone: the other way round a crash in between would forget it.
        store.release(&released)?;
        Ok(removed)
    })?;
    removed.iter().try_for_each(line)
}

/// Takes one name, or a nameless entry; what it meant, and the name.
fn remove(store: &Store, index: &mut Index, query: &str) -> Result<(Digest, Option<String>), Error> {
    let entry = store.resolve(index, query)?;
    let Some(name) = entry.annotation(index::REF_NAME).map(str::to_owned) else {
        index.forget(entry.digest);
        return Ok((entry.digest, None));
    };
    let by_name = name == query || query.parse().is_ok_and(|reference| index::bears(&entry, &reference));
    if !by_name {
        // A digest stands for what has no name.
        if !index.forget(entry.digest).is_empty() {
            return Ok((entry.digest, None));
        }
        let names = index.entries().iter().filter(|other| other.digest == entry.digest);
        let names: Vec<_> = names.filter_map(|other| other.annotation(index::REF_NAME)).collect();
        return Err(Error::invalid(query, format!("has names ({}); remove those", names.join(", "))));
    }
    if entry.annotations.contains_key(index::PINNED) {
        return Err(Error::Pinned { reference: name });
    }
    index.take(|other| other.digest == entry.digest && other.annotation(index::REF_NAME) == Some(&name));
    Ok((entry.digest, Some(name)))
}
