//! Labels that are known only when an image is made: what was seen in it.

use std::collections::BTreeMap;

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::ids::ImageId;
use larder_store::index;
use larder_store::manifest::{Document, ImageManifest};
use larder_store::media_type::OCI_CONFIG;
use serde_json::Value;

use super::Built;
use super::error::Result;

impl Built<'_> {
    /// Gives the image these labels in place of all others of larder's own, which may be its base's. Config and manifest are
    /// others then; those of before are for GC.
    pub(crate) fn relabel(&mut self, labels: &BTreeMap<String, String>) -> Result<()> {
        let store = self.tx.store();
        let missing = |digest: Digest| StoreError::damaged(format!("manifest {digest}"), "is missing");
        let raw = store.document(&self.entry)?.ok_or_else(|| missing(self.entry.digest))?;
        let Document::Image(image) = raw.document else { return Err(missing(raw.digest).into()) };
        let (bytes, _) = store.config(&image)?;
        let mut document: Value = serde_json::from_slice(&bytes)
            .map_err(|why| StoreError::damaged(format!("config {}", image.config.digest), why))?;
        let mut all: BTreeMap<String, Value> = match &document["config"]["Labels"] {
            Value::Object(labels) => labels.clone().into_iter().collect(),
            _ => BTreeMap::new(),
        };
        all.retain(|label, _| !label.starts_with(index::OURS));
        all.extend(labels.iter().map(|(label, value)| (label.clone(), value.clone().into())));
        if !document["config"].is_object() {
            document["config"] = Value::Object(Default::default());
        }
        document["config"]["Labels"] = Value::Object(all.into_iter().collect());
        let text = document.to_string();
        let config = Descriptor::new(OCI_CONFIG, self.tx.put(text.as_bytes())?, text.len() as u64);
        let manifest = ImageManifest::write(&config, &image.layers);
        self.tx.put(&manifest.bytes)?;
        let made = manifest.descriptor();
        (self.entry.digest, self.entry.size) = (made.digest, made.size);
        self.image_id = ImageId(config.digest);
        let size = image.layers.iter().fold(config.size, |sum, layer| sum.saturating_add(layer.size));
        self.entry.annotations.insert(index::SIZE.to_owned(), size.to_string());
        self.entry.annotations.insert(index::IMAGE_ID.to_owned(), config.digest.to_string());
        Ok(())
    }
}
