//! An image that came with digests: everything that its root leads to, and where the archive has it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::documents::{Documents, check_size, missing};
use super::{Config, KeptBlob, KeptImage};
use crate::base::Base;
use crate::descriptor::{Annotations, Descriptor};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::{DiffId, ImageId};
use crate::index;
use crate::manifest::{Document, ImageManifest, RawManifest};
use crate::media_type::{self, Compression};
use crate::walk::{self, Role};

/// Plans an image whose root was read.
pub(super) fn kept(documents: &mut Documents<'_>, root: &Descriptor, raw: RawManifest) -> Result<KeptImage> {
    let (mut all, mut parts) = (Vec::new(), Vec::new());
    let mut first = Some(raw);
    let mut read = |descriptor: &Descriptor| {
        if descriptor.digest == root.digest {
            return Ok(first.take());
        }
        let Some(raw) = documents.manifest(descriptor)? else { return Ok(None) };
        Ok(if is_hollow(documents, &raw)? { None } else { Some(raw) })
    };
    walk::walk(root, &mut read, &mut |node| {
        match node.document {
            Some(raw) => all.push(raw.clone()),
            None => parts.push((node.descriptor.clone(), node.role)),
        }
        Ok(())
    })?;
    let is_empty = all.len() == 1 && parts.is_empty();
    if is_empty && matches!(all[0].document, Document::Index(_)) {
        return Err(Error::damaged(format!("index {}", root.digest), "none of its images is in the archive"));
    }
    let layers = layers_in(&all, &mut |image| documents.config_of(image))?;
    let blobs = blobs(documents, parts, &layers)?;
    let Described { root, annotations, image_id } =
        described(root, &all, &mut |image| documents.config_of(image))?;
    Ok(KeptImage { root, annotations, documents: all, blobs, image_id, origin: "oci-archive".to_owned() })
}

/// How the entry of a kept image is described.
pub(in crate::archive) struct Described {
    /// Without annotations.
    pub(in crate::archive) root: Descriptor,
    pub(in crate::archive) annotations: Annotations,
    pub(in crate::archive) image_id: Option<ImageId>,
}

/// Describes the entry of a kept image by its documents, the root first, and by its config, where it is one image.
pub(in crate::archive) fn described(
    root: &Descriptor,
    documents: &[RawManifest],
    config_of: &mut dyn FnMut(&ImageManifest) -> Result<Arc<Config>>,
) -> Result<Described> {
    let image = match documents.first().map(|raw| &raw.document) {
        Some(Document::Image(image)) if image.is_container() => Some(image),
        _ => None,
    };
    let image_id = image.map(ImageManifest::image_id);
    let mut annotations = root.annotations.clone();
    annotations
        .retain(|key, _| key != index::REF_NAME && key != index::FULL_NAME && !key.starts_with(index::OURS));
    let mut root = root.clone();
    let config = image.map(config_of).transpose()?;
    if Base::of(&annotations).is_none()
        && let Some(base) =
            Base::of_image(documents.first(), config.as_ref().map_or(&[], |config| &config.bytes))
    {
        base.write(&mut annotations);
    }
    if let (None, Some(config)) = (&root.platform, &config) {
        let platform = config.parsed.platform();
        root.platform =
            Some(platform).filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
    }
    root.annotations.clear();
    root.extra.retain(|key, _| key == "artifactType");
    if let Some(raw) = documents.first() {
        root.media_type.clone_from(&raw.media_type);
    }
    Ok(Described { root, annotations, image_id })
}

/// What is known of layers before they are read, by their blobs.
pub(in crate::archive) type Layers = HashMap<Digest, (Compression, DiffId)>;

/// The compression and the diff IDs of all layers whose compression is known.
pub(in crate::archive) fn layers_in(
    documents: &[RawManifest],
    config_of: &mut dyn FnMut(&ImageManifest) -> Result<Arc<Config>>,
) -> Result<Layers> {
    let mut layers = HashMap::new();
    for raw in documents {
        if let Document::Image(image) = &raw.document {
            layers_of(config_of, image, &mut layers)?;
        }
    }
    Ok(layers)
}

/// Configs and layers, each once, and where they are.
fn blobs(
    documents: &Documents<'_>,
    parts: Vec<(Descriptor, Role)>,
    layers: &Layers,
) -> Result<Vec<KeptBlob>> {
    let mut blobs = Vec::new();
    let mut seen = HashSet::new();
    for (descriptor, role) in parts {
        let path = Documents::blob_path(&descriptor.digest);
        let Some(size) = documents.contents.file(&path)? else {
            if role == Role::Layer && media_type::is_foreign_layer(&descriptor.media_type) {
                continue;
            }
            return Err(missing(&path));
        };
        check_size(&path, size, descriptor.size)?;
        if seen.insert(descriptor.digest) {
            let layer = layers.get(&descriptor.digest).copied();
            blobs.push(KeptBlob { descriptor, path, layer });
        }
    }
    Ok(blobs)
}

/// Whether a manifest came without anything that it names: `docker save` writes the manifests of platforms
/// that it never pulled. Such a child is absent; one that is there in part is damage.
fn is_hollow(documents: &Documents<'_>, raw: &RawManifest) -> Result<bool> {
    let Document::Image(image) = &raw.document else { return Ok(false) };
    for part in std::iter::once(&image.config).chain(&image.layers) {
        if documents.contents.file(&Documents::blob_path(&part.digest))?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pairs the layers of a container image with the diff IDs of its config.
fn layers_of(
    config_of: &mut dyn FnMut(&ImageManifest) -> Result<Arc<Config>>,
    image: &ImageManifest,
    layers: &mut Layers,
) -> Result<()> {
    let known: Option<Vec<_>> =
        image.layers.iter().map(|layer| Compression::of_layer(&layer.media_type)).collect();
    let Some(compressions) = known.filter(|_| image.is_container()) else { return Ok(()) };
    let config = config_of(image)?;
    let diff_ids = config.parsed.diff_ids();
    if diff_ids.len() != image.layers.len() {
        let why = format!(
            "lists {} diff IDs where its manifest lists {} layers",
            diff_ids.len(),
            image.layers.len()
        );
        return Err(Error::damaged(format!("config {}", image.config.digest), why));
    }
    for ((layer, compression), diff_id) in image.layers.iter().zip(compressions).zip(diff_ids) {
        if layers.insert(layer.digest, (compression, *diff_id)).is_some_and(|other| other.1 != *diff_id) {
            return Err(Error::damaged(
                format!("layer {}", layer.digest),
                "two configs give it different diff IDs",
            ));
        }
    }
    Ok(())
}
