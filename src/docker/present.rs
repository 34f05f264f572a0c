//! What an engine has of an image already.
//!
//! Pure where it decides: [`by_chain`] and [`by_blob`] take what was seen.

use std::collections::HashSet;

use larder_store::archive::image::Image;
use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::ids::{ChainId, DiffId};
use larder_store::manifest::Document;
use larder_store::media_type;
use larder_store::store::Store;

use super::engine::Engine;
use super::error::{Error, Result};
use super::record::Record;

/// The layers (by the digest that they have in the archive) that a graph driver need not be sent: those whose
/// chain ID belongs to some image of the engine.
pub(super) fn by_chain(image: &Image, seen: &HashSet<ChainId>) -> HashSet<Digest> {
    let chain = ChainId::stack(image.config.diff_ids());
    let layers = image.parts.layers.iter().zip(&chain);
    let there: HashSet<_> =
        layers.clone().filter(|(_, chain)| seen.contains(chain)).map(|(layer, _)| layer.digest).collect();
    // One blob may stand at two places of the stack; it is spared only if both are there.
    let missing: HashSet<_> =
        layers.filter(|(_, chain)| !seen.contains(chain)).map(|(layer, _)| layer.digest).collect();
    there.difference(&missing).copied().collect()
}

/// The layers that a containerd image store need not be sent: those whose blob belongs to some image of the engine.
pub(super) fn by_blob(image: &Image, seen: &HashSet<Digest>) -> HashSet<Digest> {
    image.parts.layers.iter().map(|layer| layer.digest).filter(|digest| seen.contains(digest)).collect()
}

/// Looks through the images of a graph driver for the layers of ours. An image that the engine cannot list or describe
/// spares nothing, and is no reason to fail.
pub(super) fn chains(engine: &Engine, wanted: &[DiffId], cancel: &Cancel) -> Result<HashSet<ChainId>> {
    let wanted: HashSet<_> = ChainId::stack(wanted).into_iter().collect();
    let mut seen = HashSet::new();
    for id in or_nothing(engine.image_ids(cancel))?.unwrap_or_default() {
        if wanted.is_subset(&seen) {
            break;
        }
        // An image that goes away meanwhile is simply not there.
        if let Some(Some(image)) = or_nothing(engine.inspect(&id.to_string(), cancel))? {
            seen.extend(ChainId::stack(&image.diff_ids));
        }
    }
    Ok(seen)
}

/// The blobs of those images of a containerd store that we know: by the manifest, or because we sent them.
pub(super) fn blobs(
    engine: &Engine,
    store: &Store,
    records: &[Record],
    cancel: &Cancel,
) -> Result<HashSet<Digest>> {
    let mut seen = HashSet::new();
    for id in or_nothing(engine.image_ids(cancel))?.unwrap_or_default() {
        seen.extend(
            records.iter().filter(|record| record.id == id).flat_map(|record| record.layers.iter().copied()),
        );
        let Some(size) = store.blobs().contains(&id)? else { continue };
        let manifest = Descriptor::new(media_type::OCI_MANIFEST, id, size);
        let docker = Descriptor::new(media_type::DOCKER_MANIFEST, id, size);
        let read = store.document(&manifest).or_else(|_| store.document(&docker));
        if let Ok(Some(raw)) = read
            && let Document::Image(image) = raw.document
        {
            seen.extend(image.layers.iter().map(|layer| layer.digest));
        }
    }
    Ok(seen)
}

/// What the engine said, if it did; what is wrong on our side stays wrong.
fn or_nothing<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error @ Error::Store(_)) => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_store::manifest::{ImageConfig, ImageManifest};

    fn layer(text: &str) -> Descriptor {
        Descriptor::new(media_type::OCI_LAYER, Digest::of(text.as_bytes()), 1)
    }

    /// An image of plain layers: digest and diff ID are the same.
    fn image(layers: &[&str]) -> Image {
        let layers: Vec<_> = layers.iter().map(|text| layer(text)).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
        let config =
            serde_json::json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}})
                .to_string();
        let descriptor =
            Descriptor::new(media_type::OCI_CONFIG, Digest::of(config.as_bytes()), config.len() as u64);
        let parts = ImageManifest { config: descriptor, layers, subject: None, annotations: None };
        let manifest = ImageManifest::write(&parts.config, &parts.layers);
        let parsed = ImageConfig::parse(config.as_bytes()).expect("a config");
        Image::stored(manifest, parts, config.into_bytes(), parsed)
    }

    fn digests(layers: &[&str]) -> HashSet<Digest> {
        layers.iter().map(|text| layer(text).digest).collect()
    }

    fn chains_of(layers: &[&str]) -> HashSet<ChainId> {
        let diff_ids: Vec<_> = layers.iter().map(|text| DiffId(layer(text).digest)).collect();
        ChainId::stack(&diff_ids).into_iter().collect()
    }

    #[test]
    fn a_layer_is_spared_only_on_top_of_the_same_layers() {
        let ours = image(&["base", "gcc", "app"]);
        assert_eq!(by_chain(&ours, &chains_of(&["base", "gcc"])), digests(&["base", "gcc"]));
        assert_eq!(by_chain(&ours, &chains_of(&["gcc", "app"])), digests(&[]));
        assert_eq!(by_chain(&ours, &chains_of(&["base", "other", "app"])), digests(&["base"]));
        assert_eq!(by_blob(&ours, &digests(&["app", "x"])), digests(&["app"]));
    }

    #[test]
    fn a_layer_that_stands_twice_is_spared_only_if_both_are_there() {
        let ours = image(&["empty", "app", "empty"]);
        assert_eq!(by_chain(&ours, &chains_of(&["empty"])), digests(&[]));
        assert_eq!(by_chain(&ours, &chains_of(&["empty", "app"])), digests(&["app"]));
        assert_eq!(by_chain(&ours, &chains_of(&["empty", "app", "empty"])), digests(&["app", "empty"]));
    }
}
