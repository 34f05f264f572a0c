//! Where a registry may have blobs already: other repositories of it that they can be mounted from.
//!
//! What is known here is only believed: a wrong belief costs one request.

use std::collections::HashMap;

use larder_store::Store;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::elsewhere;
use larder_store::index::{self, ORIGIN};
use larder_store::reference::Reference;
use larder_store::walk;

/// Repositories that are named to a registry in one push: each costs a token of its own.
const MOST_REPOSITORIES: usize = 8;
/// Images of the store that are looked into.
const MOST_IMAGES: usize = 200;

/// For each of these blobs the repository that most likely has it, on the registry of `to` and not `to` itself.
pub(in crate::registry) fn sources(
    store: &Store,
    to: &Reference,
    blobs: &[&Descriptor],
    been: &[(Reference, Vec<Digest>)],
) -> HashMap<Digest, String> {
    let mut known = HashMap::new();
    let wanted: std::collections::HashSet<_> = blobs.iter().map(|blob| blob.digest).collect();
    let mut learn = |digest: Digest, name: &str| {
        if wanted.contains(&digest) && name != to.path() {
            known.insert(digest, name.to_owned());
        }
    };
    // What is surest comes last.
    for (name, digests) in stored(store, to) {
        digests.into_iter().for_each(|digest| learn(digest, &name));
    }
    elsewhere::each(store, to.domain(), &mut learn);
    for (there, digests) in been.iter().filter(|(there, _)| there.domain() == to.domain()) {
        digests.iter().for_each(|digest| learn(*digest, there.path()));
    }
    few(known)
}

/// Blobs of images in the store that came from this registry, or bear a name of it.
fn stored(store: &Store, to: &Reference) -> Vec<(String, Vec<Digest>)> {
    let Ok(all) = store.index() else { return Vec::new() };
    let name = |entry: &Descriptor| {
        let origin = entry.annotation(ORIGIN).and_then(|origin| origin.parse::<Reference>().ok());
        let mut names = [index::reference(entry), origin].into_iter().flatten();
        names.rfind(|name| name.domain() == to.domain() && name.path() != to.path())
    };
    let fitting = all.entries().iter().filter_map(|entry| Some((name(entry)?, entry))).take(MOST_IMAGES);
    fitting
        .map(|(name, entry)| {
            let mut digests = Vec::new();
            // Who is damaged is looked at elsewhere.
            let _ = walk::walk(entry, &mut |document| store.document(document), &mut |node| {
                digests.push(node.descriptor.digest);
                Ok(())
            });
            (name.path().to_owned(), digests)
        })
        .collect()
}

/// Without the repositories that have the fewest of them, where there are too many.
fn few(known: HashMap<Digest, String>) -> HashMap<Digest, String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in known.values() {
        *counts.entry(name).or_default() += 1;
    }
    let mut names: Vec<_> =
        counts.into_iter().map(|(name, count)| (std::cmp::Reverse(count), name.to_owned())).collect();
    names.sort();
    names.truncate(MOST_REPOSITORIES);
    let mut known = known;
    known.retain(|_, name| names.iter().any(|(_, kept)| kept == name));
    known
}
