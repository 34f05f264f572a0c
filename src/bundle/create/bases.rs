//! What a layer may go as a difference to: layers that the targets have, and that are here as well.

use std::collections::{BTreeMap, BTreeSet};

use larder_store::bundle::have::Known;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::ids::DiffId;
use larder_store::index::{WAS, reference};
use larder_store::manifest::Document;
use larder_store::store::Store;
use larder_store::walk;

/// A layer that every target has.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// It here.
    pub(super) layer: Descriptor,
    /// What it is without compression.
    pub(super) diff_id: DiffId,
    /// The targets' blob of it.
    pub(super) from: Digest,
    /// The names of images that it belongs or belonged to, in full.
    pub(super) names: BTreeSet<String>,
}

/// All layers of this store's images, those that lost their names among them, that the targets have too.
pub(super) fn bases(store: &Store, known: &[Known]) -> Result<Vec<Base>> {
    let mut found: BTreeMap<DiffId, Base> = BTreeMap::new();
    for entry in store.index()?.entries() {
        let name = reference(entry).map(|name| name.full());
        let name = name.or_else(|| entry.annotation(WAS).map(str::to_owned));
        let walked = walk::walk_entry(entry, &mut |document| store.document(document), &mut |node| {
            let Some(Document::Image(image)) = node.document.map(|raw| &raw.document) else { return Ok(()) };
            if !image.is_container() {
                return Ok(());
            }
            let (_, config) = store.config(image)?;
            if config.diff_ids().len() != image.layers.len() {
                return Ok(());
            }
            for (layer, diff_id) in image.layers.iter().zip(config.diff_ids()) {
                let is_here = store.blobs().contains(&layer.digest)? == Some(layer.size);
                if let (true, Some(from)) = (is_here, common(known, diff_id, &layer.digest)) {
                    let base =
                        || Base { layer: layer.clone(), diff_id: *diff_id, from, names: BTreeSet::new() };
                    found.entry(*diff_id).or_insert_with(base).names.extend(name.clone());
                }
            }
            Ok(())
        });
        match walked.map_err(|error: Error| (error.kind(), error)) {
            // There is no difference to what is damaged here.
            Err((Kind::Damaged, _)) | Ok(()) => {}
            Err((_, error)) => return Err(error),
        }
    }
    Ok(found.into_values().collect())
}

/// The blob of a layer that all targets have: ours where they have that, else the same other one.
fn common(known: &[Known], diff_id: &DiffId, ours: &Digest) -> Option<Digest> {
    if known.iter().all(|known| known.blobs.contains_key(ours)) {
        return (!known.is_empty()).then_some(*ours);
    }
    let mut theirs = known.iter().map(|known| known.layers.get(diff_id));
    let first = *theirs.next()??;
    theirs.all(|blob| blob == Some(&first)).then_some(first)
}
