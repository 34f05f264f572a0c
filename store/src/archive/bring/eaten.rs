//! What an archive that is eaten (`--consume`) has lost already, and what can go from it now.

use super::Bring;
use super::layers::wrong_diff_id;
use crate::archive::consume::Consume;
use crate::archive::contents::Contents;
use crate::archive::image::shown_compression;
use crate::archive::plan::{Planned, PlannedImage};
use crate::codec::measure;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layers::LayerFacts;

impl Bring<'_, '_> {
    /// What an earlier import has consumed is in the store, whatever has become of the cache that knows it.
    pub(super) fn find_consumed(&mut self, images: &[PlannedImage]) -> Result<()> {
        let Some(consume) = self.consume.as_deref() else { return Ok(()) };
        let mut consumed = Vec::new();
        for image in images {
            let Planned::Made(made) = &image.content else { continue };
            let missing = made.layers.iter().filter(|layer| !self.made.contains_key(&layer.diff_id));
            consumed.extend(missing.filter_map(|layer| Some((layer.clone(), consume.blob_of(&layer.path)?))));
        }
        for (layer, digest) in consumed {
            let gone = || {
                Error::damaged(
                    format!("entry {:?}", layer.path),
                    format!("was consumed by an earlier import, and its blob {digest} is not in the store"),
                )
            };
            let blob = self.tx.store().blobs().open(&digest)?.ok_or_else(gone)?;
            if !self.reuse(&[(digest, blob.size())])?.contains(&digest) {
                return Err(gone());
            }
            let compression = shown_compression(&blob)?;
            let plain = measure(&blob, compression, &self.options.cancel)?;
            let (diff_id, plain_size) = (plain.diff_id, plain.size);
            if diff_id != layer.diff_id {
                return Err(wrong_diff_id(layer.diff_id, diff_id));
            }
            let facts = LayerFacts {
                blob: digest,
                size: blob.size(),
                compression,
                diff_id,
                plain_size,
                seekable: false,
            };
            self.layers.learn(&facts, true)?;
            plain.keep(&self.layers);
            self.made.insert(diff_id, facts);
        }
        Ok(())
    }

    /// Frees the space of all entries whose blobs are in the store.
    pub(super) fn free_present(&mut self, contents: &dyn Contents, images: &[PlannedImage]) -> Result<()> {
        let Some(consume) = self.consume.as_deref_mut() else { return Ok(()) };
        let mut free = |path: &str, blob: Digest| match contents.place(path) {
            Some(place) if Consume::takes(place.1) && self.freed.insert(path.to_owned()) => {
                consume.free(self.tx.store(), path, place, blob)
            }
            _ => Ok(()),
        };
        for image in images {
            match &image.content {
                Planned::Made(made) => {
                    for layer in &made.layers {
                        if let Some(facts) = self.made.get(&layer.diff_id) {
                            free(&layer.path, facts.blob)?;
                        }
                    }
                }
                Planned::Kept(kept) => {
                    for blob in
                        kept.blobs.iter().filter(|blob| self.present.contains(&blob.descriptor.digest))
                    {
                        free(&blob.path, blob.descriptor.digest)?;
                    }
                }
            }
        }
        Ok(())
    }
}
