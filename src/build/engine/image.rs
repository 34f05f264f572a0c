//! A stage as an image: config, manifest, and the index entry that it will have.

use larder_store::descriptor::{Annotations, Descriptor, Platform};
use larder_store::ids::ImageId;
use larder_store::index;
use larder_store::manifest::ImageManifest;
use larder_store::media_type::{Compression, OCI_CONFIG};
use larder_store::transaction::Transaction;
use serde_json::json;

use super::error::Result;
use super::stage::Stage;

/// Writes config and manifest of a stage; the manifest's descriptor with its annotations, and the image ID.
pub(super) fn write(
    tx: &mut Transaction<'_>,
    stage: &Stage,
    created: i64,
    now: i64,
) -> Result<(Descriptor, ImageId)> {
    let mut document = stage.state.document().clone();
    document["created"] = index::timestamp(created).into();
    document["history"] = stage.history.clone().into();
    let diff_ids: Vec<_> = stage.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    document["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    // The names of a value are sorted: the same image has the same bytes.
    let bytes = document.to_string();
    let config = Descriptor::new(OCI_CONFIG, tx.put(bytes.as_bytes())?, bytes.len() as u64);
    let layers: Vec<_> = stage.layers.iter().map(|layer| in_oci_form(&layer.descriptor)).collect();
    let manifest = ImageManifest::write(&config, &layers);
    tx.put(&manifest.bytes)?;
    let mut entry = manifest.descriptor();
    let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
    entry.platform = Some(Platform {
        os: text("os"),
        architecture: text("architecture"),
        variant: document["variant"].as_str().map(str::to_owned),
        ..Platform::default()
    })
    .filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
    let size = layers.iter().fold(config.size, |sum, layer| sum.saturating_add(layer.size));
    entry.annotations = Annotations::from([
        (index::IMPORTED.to_owned(), index::timestamp(now)),
        (index::ORIGIN.to_owned(), "build".to_owned()),
        (index::SIZE.to_owned(), size.to_string()),
        (index::IMAGE_ID.to_owned(), config.digest.to_string()),
    ]);
    if let Some(base) = &stage.base {
        base.write(&mut entry.annotations);
    }
    Ok((entry, ImageId(config.digest)))
}

/// The base's layers may come from a manifest of Docker's; the blobs are the same.
fn in_oci_form(layer: &Descriptor) -> Descriptor {
    let media_type = Compression::of_layer(&layer.media_type)
        .map_or(layer.media_type.clone(), |compression| compression.oci_layer().to_owned());
    Descriptor::new(media_type, layer.digest, layer.size)
}
