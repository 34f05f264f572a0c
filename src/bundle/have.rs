//! What this store says that it has, for a bundle that is made elsewhere.

use std::collections::{BTreeMap, HashSet};

use larder_store::bundle::have::{Have, Layer, Named, Sized};
use larder_store::codec::encoder;
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::ids::DiffId;
use larder_store::index::{REF_NAME, WAS, reference};
use larder_store::manifest::Document;
use larder_store::store::Store;
use larder_store::{have, walk};

/// Lists what the store has of its images. `keep_until` (seconds since 1970) is how long all of it stays; without it, what has lost its
/// name is left out: it may go at any time. An image that is damaged is left out as well, and given to `damaged`.
pub(crate) fn list(
    store: &Store,
    keep_until: Option<i64>,
    damaged: &mut dyn FnMut(&Error),
) -> Result<Vec<u8>> {
    let stays = |entry: &larder_store::descriptor::Descriptor| {
        keep_until.is_some()
            || entry.annotations.contains_key(REF_NAME)
            || !entry.annotations.contains_key(WAS)
    };
    let (_protection, index) = store.protect_chosen("bundle have", |index| {
        Ok(index.entries().iter().filter(|entry| stays(entry)).cloned().collect())
    })?;
    let private = store.layout().private();
    let mut list = Have::new(have::identity(private)?, encoder(), store.free_space()?);
    let (mut blobs, mut layers) = (BTreeMap::new(), BTreeMap::new());
    let mut seen = HashSet::new();
    for entry in index.entries().iter().filter(|entry| stays(entry)) {
        let name = reference(entry).filter(|_| entry.annotations.contains_key(REF_NAME));
        if seen.insert(entry.digest)
            && let Err(error) = below(store, entry, &mut blobs, &mut layers)
        {
            if error.kind() != Kind::Damaged {
                return Err(error);
            }
            damaged(&error);
            continue;
        }
        list.images.extend(name.map(|name| Named { name: name.full(), digest: entry.digest }));
    }
    list.images.sort_by(|one, other| one.name.cmp(&other.name));
    layers.retain(|_, digest| blobs.contains_key(digest));
    list.layers = layers.into_iter().map(|(diff_id, digest)| Layer { diff_id, digest }).collect();
    let digests: Vec<_> = blobs.keys().copied().collect();
    list.blobs = blobs.into_iter().map(|(digest, size)| Sized { digest, size }).collect();
    let bytes = list.to_bytes();
    if let Some(until) = keep_until {
        have::keep(private, &Digest::of(&bytes), until, &digests)?;
    }
    Ok(bytes)
}

/// What is there of an image.
fn below(
    store: &Store,
    entry: &larder_store::descriptor::Descriptor,
    blobs: &mut BTreeMap<Digest, u64>,
    layers: &mut BTreeMap<DiffId, Digest>,
) -> Result<()> {
    walk::walk_entry(entry, &mut |document| store.document(document), &mut |node| {
        let (digest, size) = (node.descriptor.digest, node.descriptor.size);
        if store.blobs().contains(&digest)? == Some(size) {
            blobs.insert(digest, size);
        }
        if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
            && image.is_container()
        {
            let (_, config) = store.config(image)?;
            if config.diff_ids().len() == image.layers.len() {
                let pairs =
                    config.diff_ids().iter().copied().zip(image.layers.iter().map(|layer| layer.digest));
                layers.extend(pairs);
            }
        }
        Ok(())
    })
}
