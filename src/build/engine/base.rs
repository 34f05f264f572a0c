//! Images that a build begins with, or copies from.

use larder_store::base::Base;
use larder_store::choose::{Wanted, choose};
use larder_store::descriptor::Platform;
use larder_store::error::{Error, Result};
use larder_store::manifest::Document;
use larder_store::store::{Protection, Store};
use larder_store::unpack::Layer;
use serde_json::Value;

/// An image of the store, which keeps it as long as this lives.
#[derive(Debug)]
pub(super) struct BaseImage {
    /// Lowest first.
    pub(super) layers: Vec<Layer>,
    /// Its config.
    pub(super) document: Value,
    /// Its name and digest, where it has a name.
    pub(super) base: Option<Base>,
    _protection: Protection,
}

/// Finds an image by what stands in a Dockerfile. Of several platforms the one that is asked for is taken, else this machine's.
pub(super) fn load(store: &Store, name: &str, platform: Option<&Platform>) -> Result<BaseImage> {
    let (protection, entries) = store.protect(&[name.to_owned()], "build")?;
    let host = Platform::host();
    let [entry] = &entries[..] else { return Err(Error::invalid(name, "is not one image")) };
    let manifest = choose(store, entry, Wanted::new(platform, &host))?;
    let missing = || Error::damaged(format!("manifest {}", manifest.digest), "is missing");
    let image = match store.document(&manifest)?.ok_or_else(missing)?.document {
        Document::Image(image) if image.is_container() => image,
        _ => return Err(Error::invalid(name, "is no container image")),
    };
    let (bytes, config) = store.config(&image)?;
    let diff_ids = config.rootfs.diff_ids.unwrap_or_default();
    let what = || format!("config {}", image.config.digest);
    if diff_ids.len() != image.layers.len() {
        let why = format!("names {} layers where its manifest has {}", diff_ids.len(), image.layers.len());
        return Err(Error::damaged(what(), why));
    }
    let document = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(what(), e))?;
    let layers = image.layers.into_iter().zip(diff_ids);
    Ok(BaseImage {
        layers: layers.map(|(descriptor, diff_id)| Layer { descriptor, diff_id }).collect(),
        document,
        base: Base::from_entry(entry).ok(),
        _protection: protection,
    })
}
