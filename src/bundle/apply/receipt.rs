//! Receipts: that a bundle was applied, so that the same one again costs a look.
//!
//! `.larder/receipts/<digest of the manifest>`; any of them may be lost, which costs looking through the files again.

use larder_store::archive::options::{Imported, Outcome};
use larder_store::bundle::manifest::Manifest;
use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::fs;
use larder_store::ids::ImageId;
use larder_store::index::{self, IMAGE_ID};
use larder_store::store::Store;
use serde_json::json;

const PLACE: &str = "receipts";

/// Notes that all of a bundle is there.
pub(super) fn write(store: &Store, bundle: &Digest, manifest: &Manifest, now: i64) -> Result<()> {
    let names: Vec<_> = manifest.images.iter().filter_map(|image| image.name.as_deref()).collect();
    let text = json!({"bundle": bundle, "applied": index::timestamp(now), "images": names});
    let noted = store
        .layout()
        .private()
        .ensure_dir(PLACE)
        .and_then(|dir| dir.replace_lossy(&bundle.hex(), format!("{text}\n").as_bytes()));
    match noted {
        Err(error) if fs::is_full(&error) => Ok(()),
        noted => noted,
    }
}

/// The images of a bundle that was applied, where all of it is still there, by type and size, and still has its names.
pub(super) fn stands(store: &Store, bundle: &Digest, manifest: &Manifest) -> Result<Option<Vec<Imported>>> {
    let Some(receipts) = store.layout().private().sub_if_there(PLACE)? else { return Ok(None) };
    if receipts.stat(&bundle.hex())?.is_none_or(|stat| !stat.is_file) {
        return Ok(None);
    }
    // Nobody sweeps between the look and the answer.
    let _guard = store.locks().shared()?;
    let carried = manifest.blobs.iter().map(|blob| (blob.digest, blob.size));
    let presumed = manifest.presumes.iter().filter(|blob| !blob.base).map(|blob| (blob.digest, blob.size));
    for (digest, size) in carried.chain(presumed) {
        if store.blobs().contains(&digest)? != Some(size) {
            return Ok(None);
        }
    }
    let index = store.index()?;
    let mut images = Vec::new();
    for (number, image) in manifest.images.iter().enumerate() {
        let reference = image.reference();
        let entry = match &reference {
            Some(name) => index.named(name).find(|entry| entry.digest == image.digest),
            None => index.entries().iter().find(|entry| entry.digest == image.digest),
        };
        let Some(entry) = entry else { return Ok(None) };
        let of_it = |images: &[u32]| images.contains(&(number as u32));
        let carried = manifest.blobs.iter().filter(|blob| of_it(&blob.images)).map(|blob| blob.size);
        let presumed = manifest.presumes.iter().filter(|blob| of_it(&blob.images)).map(|blob| blob.size);
        images.push(Imported {
            reference,
            digest: image.digest,
            image_id: entry.annotation(IMAGE_ID).and_then(|id| id.parse().ok()).map(ImageId),
            new_bytes: 0,
            reused_bytes: carried.chain(presumed).fold(0, u64::saturating_add),
            outcome: Outcome::Unchanged,
        });
    }
    Ok(Some(images))
}
