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
use larder_store::manifest::{Document as Manifest, ImageManifest};
use larder_store::media_type::document_kind;
use larder_store::store::Store;
use serde::Deserialize;

use self::document::{CYCLONEDX_PREDICATE, SPDX_PREDICATE, Unclear};
use super::attach;
use super::inventory::{Found, Inventory};
use super::kept::{self, Kept, Says};

/// Documents of one manifest that are asked.
pub(crate) const MAX_DOCUMENTS: usize = 64;
/// What BuildKit says of a child of an index.
const REFERENCE_KIND: &str = "vnd.docker.reference.type";
const REFERENCE: &str = "vnd.docker.reference.digest";
const ATTESTATION: &str = "attestation-manifest";

/// What the artifact's manifest says of its kind.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "artifactType")]
    artifact: Option<String>,
}

/// A document that may be an inventory.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) blob: Descriptor,
    form: Form,
    /// Whether somebody calls it an inventory.
    is_called_one: bool,
}

/// What a document is by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    /// A layer, which is what `oras attach FILE` calls any file.
    Layer,
}

/// The documents about one manifest.
#[derive(Debug, Default)]
struct About {
    documents: Vec<Document>,
    /// How many more there are.
    left: usize,
}

/// Documents that may be inventories, by the manifest that they are about.
#[derive(Debug, Default)]
pub(crate) struct Attached(HashMap<Digest, About>);

/// What a document says of an image.
pub(crate) enum Said {
    Packages(Kept),
    /// It is called an inventory and says nothing that can be used: why, without its name.
    Unclear(String),
    Nothing,
}

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
                && let Manifest::Image(image) = &raw.document
                && let Some(subject) = &image.subject
            {
                attached.add(subject.digest, image, &raw.bytes);
            }
        }
        attached
    }

    /// Adds the documents of an artifact about a manifest; the bytes are the artifact's manifest.
    pub(crate) fn add(&mut self, subject: Digest, artifact: &ImageManifest, bytes: &[u8]) {
        let kind = serde_json::from_slice(bytes).ok().and_then(|Kind { artifact }| artifact);
        let kind = kind.unwrap_or_else(|| artifact.config.media_type.clone());
        let about = self.0.entry(subject).or_default();
        for document in artifact.layers.iter().filter_map(|blob| Document::of(blob, &kind)) {
            match about.documents.len() < MAX_DOCUMENTS {
                true => about.documents.push(document),
                false => about.left += usize::from(document.form == Form::Json || document.is_called_one),
            }
        }
    }

    /// The documents about a manifest.
    pub(crate) fn about(&self, subject: &Digest) -> &[Document] {
        self.0.get(subject).map_or(&[], |about| &about.documents)
    }

    /// How many documents about a manifest are more than are asked.
    pub(crate) fn left(&self, subject: &Digest) -> usize {
        self.0.get(subject).map_or(0, |about| about.left)
    }
}

impl Document {
    /// What a blob of an artifact of this kind may be; `None` where it cannot be an inventory.
    fn of(blob: &Descriptor, artifact: &str) -> Option<Document> {
        let essence = blob.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let form = match () {
            () if essence.ends_with("json") => Form::Json,
            () if essence.ends_with(".tar") => Form::Layer,
            () => return None,
        };
        let is_one = |word: &str| word.contains("spdx") || word.contains("cyclonedx");
        let is_predicate =
            |word: &String| word.starts_with(SPDX_PREDICATE) || word.starts_with(CYCLONEDX_PREDICATE);
        let is_called_one = is_one(&essence)
            || is_one(&artifact.to_ascii_lowercase())
            || blob.annotations.values().any(is_predicate);
        Some(Document { blob: blob.clone(), form, is_called_one })
    }

    /// What it says of an image with these digests, one of several in a family. What cannot be understood and is called an inventory by
    /// nobody is somebody's file, and says nothing.
    pub(crate) fn said(
        &self,
        store: &Store,
        cache: &LayerCache,
        image: &[Digest],
        family: &[Digest],
    ) -> Result<Said> {
        if self.blob.size > document::MAX_DOCUMENT {
            let size = self.blob.size;
            let why = format!("has {size} bytes, more than the {} that are read", document::MAX_DOCUMENT);
            // There is no telling what is in it, and a layer is seldom a document.
            let may_be_one = self.is_called_one || self.form == Form::Json;
            return Ok(if may_be_one { Said::Unclear(why) } else { Said::Nothing });
        }
        let kept = match kept::known_document(cache, &self.blob.digest) {
            Some(known) => known,
            None => read(store, cache, &self.blob)?,
        };
        let Some(Says { is_inventory, about }) = kept.says() else { return Ok(Said::Nothing) };
        if let Some(why) = kept.problems().first() {
            let is_one = self.is_called_one || *is_inventory;
            return Ok(if is_one { Said::Unclear(why.clone()) } else { Said::Nothing });
        }
        if !is_inventory {
            let why = || Said::Unclear("is called an inventory, and is none that is read".to_owned());
            return Ok(if self.is_called_one { why() } else { Said::Nothing });
        }
        let is_of =
            |digests: &[Digest]| about.as_ref().is_none_or(|all| all.iter().any(|one| digests.contains(one)));
        Ok(match () {
            () if is_of(image) => Said::Packages(kept),
            () if is_of(family) => Said::Nothing,
            () => Said::Unclear("says that it is about something else".to_owned()),
        })
    }
}

/// Reads a document, and keeps what it says whoever calls it what.
fn read(store: &Store, cache: &LayerCache, blob: &Descriptor) -> Result<Kept> {
    let missing = || Error::damaged(format!("document {}", blob.digest), "is missing");
    let bytes = store.blob_within(blob, document::MAX_DOCUMENT)?.ok_or_else(missing)?;
    let mut inventory = Inventory { os: None, layers: Vec::new(), found: Vec::new(), problems: Vec::new() };
    let mut says = Says { is_inventory: true, about: None };
    match document::said(&bytes) {
        Ok(Some(said)) => {
            let found = |package| Found { package, path: String::new(), layer: 0 };
            inventory.found = said.packages.into_iter().map(found).collect();
            says.about = said.about;
        }
        Ok(None) => says.is_inventory = false,
        Err(Unclear::Inventory(why)) => inventory.problems.push(why),
        Err(Unclear::Text(why)) => {
            says.is_inventory = false;
            inventory.problems.push(why);
        }
    }
    Ok(kept::learn_document(cache, &blob.digest, says, &inventory))
}
