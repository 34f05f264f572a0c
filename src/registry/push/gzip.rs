//! Layers of zstd as gzip, for engines that read no zstd: other manifests, and the same configs.

use std::collections::HashMap;

use larder_store::Store;
use larder_store::archive::image::{Content, Images, shown_compression};
use larder_store::blob::Blob;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::manifest::{Document, ImageManifest, RawManifest};
use larder_store::media_type::{Compression, DOCKER_LIST, OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use super::plan::Documents;

/// What an attestation in an index says which image it is about by (moby/buildkit, docs/attestations).
const ABOUT: &str = "vnd.docker.reference.digest";

/// Makes other manifests for images with layers of zstd, and for the indexes that list them. The layers that were made are
/// given to `made`; they are files without a name.
pub(super) fn convert(
    store: &Store,
    documents: Documents,
    images: &mut Images<'_>,
    made: &mut HashMap<Digest, Blob>,
) -> Result<Documents> {
    let mut converted = HashMap::new();
    let mut all = Vec::new();
    for raw in documents.all {
        let other = match &raw.document {
            Document::Image(parts) if parts.is_container() && has_zstd(store, parts)? => {
                Some(image(&raw, images, made)?)
            }
            Document::Image(_) => None,
            Document::Index(list)
                if list.manifests.iter().any(|child| converted.contains_key(&child.digest)) =>
            {
                Some(index(&raw, &converted)?)
            }
            Document::Index(_) => None,
        };
        all.push(match other {
            Some(other) => {
                converted.insert(raw.digest, other.clone());
                other
            }
            None => raw,
        });
    }
    Ok(Documents { all, absent: documents.absent })
}

/// Media types have been seen to lie: the first bytes say it.
fn has_zstd(store: &Store, image: &ImageManifest) -> Result<bool> {
    for layer in &image.layers {
        if let Some(blob) = store.blobs().open(&layer.digest)?
            && shown_compression(&blob)? == Compression::Zstd
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn image(
    raw: &RawManifest,
    images: &mut Images<'_>,
    made: &mut HashMap<Digest, Blob>,
) -> Result<RawManifest> {
    let image = images.read(&raw.descriptor())?;
    for (layer, content) in image.parts.layers.iter().zip(image.layers()) {
        if let Content::Open(blob) = content {
            made.insert(layer.digest, blob.clone());
        }
    }
    match raw.annotations() {
        Some(said) if !said.is_empty() => {
            let mut value = parsed(&image.manifest)?;
            value["annotations"] = json!(said);
            written(&value, OCI_MANIFEST, raw)
        }
        _ => Ok(image.manifest),
    }
}

/// The same index with other children.
fn index(raw: &RawManifest, converted: &HashMap<Digest, RawManifest>) -> Result<RawManifest> {
    let mut value = parsed(raw)?;
    let other = |digest: &Value| converted.get(&digest.as_str()?.parse().ok()?);
    for child in value["manifests"].as_array_mut().into_iter().flatten() {
        if let Some(other) = other(&child["digest"]) {
            child["digest"] = json!(other.digest);
            child["size"] = json!(other.bytes.len());
            child["mediaType"] = json!(other.media_type);
            // A copy of the old one.
            child.as_object_mut().map(|child| child.remove("data"));
        }
        if let Some(about) = child.get_mut("annotations").and_then(|said| said.get_mut(ABOUT))
            && let Some(other) = other(about)
        {
            *about = json!(other.digest);
        }
    }
    // Docker's list is of Docker's manifests.
    let media_type = if raw.media_type == DOCKER_LIST { OCI_INDEX } else { &raw.media_type };
    value["mediaType"] = json!(media_type);
    written(&value, media_type, raw)
}

fn parsed(raw: &RawManifest) -> Result<Value> {
    serde_json::from_slice(&raw.bytes).map_err(|why| Error::damaged(format!("manifest {}", raw.digest), why))
}

fn written(value: &Value, media_type: &str, old: &RawManifest) -> Result<RawManifest> {
    let other = RawManifest::parse(value.to_string().into_bytes(), media_type);
    other.map_err(|why| Error::invalid(format!("manifest {} with layers of gzip", old.digest), why))
}
