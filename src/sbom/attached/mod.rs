//! What other tools say is in an image: documents that are attached to it in the store, as referrers (`oras attach`, `cosign`, what
//! a pull brought along) or as BuildKit's attestations beside it in its index.
//!
//! Sizes are capped, and what a document says is kept like an inventory, by its digest. A document is what somebody said: whoever
//! asks is told whose word it is.

mod document;
mod purl;

use std::collections::HashMap;

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::index::{self, Index};
use larder_store::layers::LayerCache;
use larder_store::manifest::{Document, ImageManifest};
use larder_store::media_type::document_kind;
use larder_store::store::Store;

use super::attach;
use super::inventory::{Found, Inventory};
use super::kept::{self, Kept};
use super::package::Package;

/// Documents of one manifest that are asked.
const MAX_DOCUMENTS: usize = 64;
/// What BuildKit says of a child of an index.
const REFERENCE_KIND: &str = "vnd.docker.reference.type";
const REFERENCE: &str = "vnd.docker.reference.digest";
const ATTESTATION: &str = "attestation-manifest";

/// Documents that may be inventories, by the manifest that they are about.
#[derive(Debug, Default)]
pub(crate) struct Attached(HashMap<Digest, Vec<Descriptor>>);

/// What BuildKit's attestations are about, where this child of an index is one.
pub(crate) fn attests(child: &Descriptor) -> Option<Digest> {
    let is_one = child.annotation(REFERENCE_KIND) == Some(ATTESTATION);
    child.annotation(REFERENCE).filter(|_| is_one)?.parse().ok()
}

impl Attached {
    /// What refers to something, of all nameless entries. What cannot be read is no referrer of anything, and what larder attached says
    /// no more than the layers.
    pub(crate) fn of_index(store: &Store, index: &Index) -> Attached {
        let mut attached = Attached::default();
        let is_old = |entry: &Descriptor| entry.annotation(index::WAS).is_some() || attach::is_own(entry);
        for entry in index.entries() {
            if entry.annotation(index::REF_NAME).is_some()
                || is_old(entry)
                || document_kind(&entry.media_type).is_none()
            {
                continue;
            }
            if let Ok(Some(raw)) = store.document(entry)
                && let Document::Image(image) = &raw.document
                && let Some(subject) = &image.subject
            {
                attached.add(subject.digest, image);
            }
        }
        attached
    }

    /// Adds the documents of an artifact about a manifest.
    pub(crate) fn add(&mut self, subject: Digest, artifact: &ImageManifest) {
        let documents = self.0.entry(subject).or_default();
        let room = MAX_DOCUMENTS.saturating_sub(documents.len());
        documents.extend(artifact.layers.iter().filter(|blob| is_json(blob)).take(room).cloned());
    }

    /// The documents about a manifest.
    pub(crate) fn about(&self, subject: &Digest) -> &[Descriptor] {
        self.0.get(subject).map_or(&[], Vec::as_slice)
    }
}

fn is_json(blob: &Descriptor) -> bool {
    blob.media_type.ends_with("json")
}

/// Whether its media type says that it is an inventory.
fn is_called_one(blob: &Descriptor) -> bool {
    blob.media_type.contains("spdx") || blob.media_type.contains("cyclonedx")
}

/// What a document says. One that cannot be understood has a problem, where it is called an inventory; else it is somebody's JSON,
/// and says nothing.
pub(crate) fn said(store: &Store, cache: &LayerCache, blob: &Descriptor) -> Result<Kept> {
    if let Some(known) = kept::known_document(cache, &blob.digest) {
        return Ok(known);
    }
    let mut inventory = Inventory { os: None, layers: Vec::new(), found: Vec::new(), problems: Vec::new() };
    match packages(store, blob)? {
        Ok(packages) => {
            let found = packages.into_iter().map(|package| Found { package, path: String::new(), layer: 0 });
            inventory.found = found.collect();
        }
        Err(why) if is_called_one(blob) => inventory.problems.push(why),
        Err(_) => {}
    }
    Ok(kept::learn_document(cache, &blob.digest, &inventory))
}

/// What it lists, or why it cannot be understood.
fn packages(store: &Store, blob: &Descriptor) -> Result<Result<Vec<Package>, String>> {
    if blob.size > document::MAX_DOCUMENT {
        return Ok(Err(format!(
            "has {} bytes, more than the {} that are read",
            blob.size,
            document::MAX_DOCUMENT
        )));
    }
    let missing = || Error::damaged(format!("document {}", blob.digest), "is missing");
    let bytes = store.blob_within(blob, document::MAX_DOCUMENT)?.ok_or_else(missing)?;
    Ok(document::packages(&bytes).map(Option::unwrap_or_default))
}
