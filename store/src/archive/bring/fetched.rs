//! The middle of a pull: what the store lacks is fetched by whoever can, and published as it comes.

use std::sync::Arc;

use super::Bring;
use crate::archive::entry::Ready;
use crate::archive::fetched::{Came, Fetch, Incoming};
use crate::archive::plan::kept::{described, layers_in};
use crate::archive::plan::{Config, KeptBlob, KeptImage, Planned, PlannedImage};
use crate::archive::room::Room;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::ImageManifest;
use crate::progress::Event;
use crate::store::Store;

impl Bring<'_, '_> {
    /// Brings in images whose blobs somebody fetches; they are complete and durable then, and lack nothing but their names.
    pub(in crate::archive) fn all_fetched<E: From<Error>>(
        &mut self,
        images: &mut [PlannedImage],
        fetch: Fetch<'_, E>,
    ) -> Result<Vec<Ready>, E> {
        self.find_present(images)?;
        let blobs = self.blobs_to_copy(images);
        let sum =
            |blobs: &[KeptBlob]| blobs.iter().map(|blob| blob.descriptor.size).fold(0, u64::saturating_add);
        let (all, lacking) =
            (images.iter().map(super::size_in_archive).fold(0, u64::saturating_add), sum(&blobs));
        let begun = self.adopt(&blobs)?;
        let needed = lacking.saturating_sub(begun);
        Room::of(&self.tx, self.options).make(needed)?;
        (self.options.watch)(Event::Total(needed));
        (self.options.watch)(Event::Spared(all.saturating_sub(needed)));
        if !blobs.is_empty() {
            let descriptors: Vec<_> = blobs.into_iter().map(|blob| blob.descriptor).collect();
            let ingest = self.tx.ingest().clone();
            let mut done = |came: Came<'_>| match came {
                Came::New(staged) => {
                    let size = staged.size();
                    self.publish(staged, size).map(|()| true)
                }
                Came::There(blob) => self.found(blob),
            };
            fetch(Incoming { blobs: &descriptors, ingest: &ingest, done: &mut done })?;
        }
        let mut ready = Vec::new();
        for image in images {
            if let Planned::Kept(kept) = &mut image.content {
                describe(self.tx.store(), kept)?;
                ready.push(self.keep_image(image)?);
            }
        }
        Ok(ready)
    }

    /// Leases a blob that another process has brought meanwhile; whether it is there, and good enough.
    fn found(&mut self, blob: &Descriptor) -> Result<bool> {
        let (digest, size) = (blob.digest, blob.size);
        // What is there under the name of a damaged one may be that one still.
        if self.damaged.contains(&digest) || !self.reuse(&[(digest, size)])?.contains(&digest) {
            return Ok(false);
        }
        self.present.insert(digest);
        self.tx.ingest().came(size)?;
        (self.options.watch)(Event::Done(size));
        (self.options.watch)(Event::Spared(size));
        Ok(true)
    }

    /// Takes over what transfers that were cut off left of these blobs; its bytes.
    fn adopt(&self, blobs: &[KeptBlob]) -> Result<u64> {
        let wanted: Vec<Digest> = blobs.iter().map(|blob| blob.descriptor.digest).collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        let _guard = self.tx.store().locks().shared()?;
        let adopted = self.tx.ingest().adopt(&wanted)?;
        let bytes = |blob: &KeptBlob| {
            adopted.get(&blob.descriptor.digest).map_or(0, |have| (*have).min(blob.descriptor.size))
        };
        Ok(blobs.iter().map(bytes).fold(0, u64::saturating_add))
    }
}

/// Completes what an image's entry says by its config, which is there now; refuses one whose config does not fit.
fn describe(store: &Store, kept: &mut KeptImage) -> Result<()> {
    let mut config_of = |image: &ImageManifest| {
        let (bytes, parsed) = store.config(image)?;
        Ok(Arc::new(Config { bytes, parsed, image_id: image.image_id() }))
    };
    layers_in(&kept.documents, &mut config_of)?;
    let described = described(&kept.root, &kept.documents, &mut config_of)?;
    kept.root = described.root;
    kept.annotations = described.annotations;
    kept.image_id = described.image_id;
    Ok(())
}
