//! What an archive holds and what an import of it needs, before anything is written.
//!
//! A docker-archive (and what Docker 25 and newer save: `manifest.json` beside an OCI manifest with plain layers)
//! carries no digest worth keeping: the manifest will be *made* from config and layers. All else came with
//! digests and is *kept* byte for byte.

mod docker;
mod documents;
pub(super) mod kept;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::documents::{Documents, missing};
use super::contents::Contents;
use crate::cancel::Cancel;
use crate::descriptor::{Annotations, Descriptor};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::{DiffId, ImageId};
use crate::index::{self, Index};
use crate::manifest::{Document, ImageConfig, RawManifest};
use crate::media_type::Compression;
use crate::reference::Reference;

/// Images that an archive may have.
const MAX_IMAGES: usize = 10_000;

/// An image in an archive.
#[derive(Debug, Clone)]
pub struct PlannedImage {
    /// Its names; none where it is untagged.
    pub names: Vec<Reference>,
    /// What to do for it.
    pub content: Planned,
}

/// How an image comes in.
#[derive(Debug, Clone)]
pub enum Planned {
    /// The manifest will be made.
    Made(MadeImage),
    /// Everything is taken as it came.
    Kept(KeptImage),
}

/// An image whose manifest larder makes.
#[derive(Debug, Clone)]
pub struct MadeImage {
    /// The config, which stays as it is.
    pub config: Arc<Config>,
    /// The layers, lowest first.
    pub layers: Vec<MadeLayer>,
    /// The digest of the manifest that the source had, if any.
    pub source: Option<Digest>,
}

/// The config of a container image.
#[derive(Debug)]
pub struct Config {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub parsed: ImageConfig,
    /// Their digest.
    pub image_id: ImageId,
}

/// A layer of a made image.
#[derive(Debug, Clone)]
pub struct MadeLayer {
    /// What its plain content must be.
    pub diff_id: DiffId,
    /// The member that holds it.
    pub path: String,
    /// That member's size, bytes.
    pub size: u64,
}

/// An image that is kept as it came.
#[derive(Debug, Clone)]
pub struct KeptImage {
    /// The manifest or index.
    pub root: Descriptor,
    /// The entry's own annotations, without names and without anything of ours.
    pub annotations: Annotations,
    /// All documents, the root first.
    pub documents: Vec<RawManifest>,
    /// Configs and layers.
    pub blobs: Vec<KeptBlob>,
    /// The config's digest, where it is one container image.
    pub image_id: Option<ImageId>,
    /// Where it comes from: `oci-archive`, or its full name in a registry.
    pub origin: String,
}

/// A blob that is kept as it came.
#[derive(Debug, Clone)]
pub struct KeptBlob {
    /// Digest, size and type.
    pub descriptor: Descriptor,
    /// The member that holds it.
    pub path: String,
    /// For a layer whose compression is known: that, and what it must unpack to.
    pub layer: Option<(Compression, DiffId)>,
}

impl PlannedImage {
    /// What people call it in messages: its first name, else its digest.
    pub fn label(&self) -> String {
        self.names.first().map_or_else(
            || self.image_id().map_or("an image".into(), |id| id.to_string()),
            Reference::familiar,
        )
    }

    /// The digest of the manifest or index that it came with, if any.
    pub fn root(&self) -> Option<Digest> {
        match &self.content {
            Planned::Kept(kept) => Some(kept.root.digest),
            Planned::Made(made) => made.source,
        }
    }

    /// The digest that it keeps in the store, where it came with one.
    pub(super) fn kept_root(&self) -> Option<Digest> {
        match &self.content {
            Planned::Kept(kept) => Some(kept.root.digest),
            Planned::Made(_) => None,
        }
    }

    /// The image ID, where it is one container image.
    pub fn image_id(&self) -> Option<ImageId> {
        match &self.content {
            Planned::Made(made) => Some(made.image_id()),
            Planned::Kept(kept) => kept.image_id,
        }
    }

    /// The layers of each container image, lowest first; those whose content nobody can tell end it.
    pub fn stacks(&self) -> Vec<Vec<DiffId>> {
        let kept = match &self.content {
            Planned::Made(made) => return vec![made.config.parsed.diff_ids().to_vec()],
            Planned::Kept(kept) => kept,
        };
        let layers = kept.blobs.iter().filter_map(|blob| Some((blob.descriptor.digest, blob.layer?.1)));
        let diff_ids: HashMap<_, _> = layers.collect();
        let images = kept.documents.iter().filter_map(|raw| match &raw.document {
            Document::Image(image) if image.is_container() => Some(image),
            _ => None,
        });
        let stack = |layers: &[Descriptor]| {
            layers.iter().map_while(|layer| diff_ids.get(&layer.digest).copied()).collect()
        };
        images.map(|image| stack(&image.layers)).collect()
    }
}

impl MadeImage {
    /// The image ID: the digest of the config.
    pub fn image_id(&self) -> ImageId {
        self.config.image_id
    }
}

/// Reads an archive's documents and says what is in it.
pub fn plan(contents: &dyn Contents, cancel: &Cancel) -> Result<Vec<PlannedImage>> {
    let mut documents = Documents::new(contents, cancel);
    let items = docker::items(&documents)?;
    let index = documents.index()?;
    let images = match (index, items) {
        (Some(index), items) => from_index(&mut documents, &index, items.unwrap_or_default())?,
        (None, Some(items)) => docker::made_of(&mut documents, &items, &mut HashSet::new())?,
        (None, None) => {
            let why = "has neither manifest.json nor index.json: it is no image archive (a plain file system is none)";
            return Err(Error::invalid("the archive", why));
        }
    };
    let mut seen = HashMap::new();
    for (at, image) in images.iter().enumerate() {
        for name in &image.names {
            if seen.insert(name, at).is_some_and(|other| other != at) {
                return Err(Error::invalid("the archive", format!("gives the name {name} to two images")));
            }
        }
    }
    if images.is_empty() { Err(Error::invalid("the archive", "holds no image")) } else { Ok(images) }
}

/// The images of `index.json`, each made or kept, and those that only `manifest.json` has.
fn from_index(
    documents: &mut Documents<'_>,
    index: &Index,
    items: Vec<docker::Item>,
) -> Result<Vec<PlannedImage>> {
    let mut by_config: HashMap<String, Vec<&docker::Item>> = HashMap::new();
    for item in &items {
        by_config.entry(item.config_path()?).or_default().push(item);
    }
    // Configs of images that the index leads to: what manifest.json says of those is said.
    let mut known = HashSet::new();
    let mut images = Vec::new();
    for (root, mut names) in entries(documents, index)? {
        documents.cancel.check()?;
        let path = Documents::blob_path(&root.digest);
        let raw = documents.manifest(&root)?.ok_or_else(|| missing(&path))?;
        let content = match docker::saved_by_docker(&raw, &by_config) {
            Some((manifest, items)) => {
                for item in items {
                    names.extend(item.names(documents)?);
                }
                let names = names.iter().try_for_each(Name::refuse_digest);
                names?;
                let item = items.first().ok_or_else(|| missing("manifest.json"))?;
                Planned::Made(docker::made(documents, item, Some((manifest, root.digest)))?)
            }
            None => {
                names.iter_mut().try_for_each(|name| name.settle(&root.digest))?;
                Planned::Kept(kept::kept(documents, &root, raw)?)
            }
        };
        match &content {
            Planned::Made(made) => drop(known.insert(made.image_id())),
            Planned::Kept(kept) => known.extend(kept.documents.iter().filter_map(config_of)),
        }
        images.push(PlannedImage { names: distinct(names), content });
    }
    images.extend(docker::made_of(documents, &items, &mut known)?);
    Ok(images)
}

fn config_of(raw: &RawManifest) -> Option<ImageId> {
    match &raw.document {
        Document::Image(image) => Some(image.image_id()),
        Document::Index(_) => None,
    }
}

/// The entries of an index: those of one digest are one image with several names.
fn entries(documents: &mut Documents<'_>, index: &Index) -> Result<Vec<(Descriptor, Vec<Name>)>> {
    let mut places: HashMap<Digest, usize> = HashMap::new();
    let mut all: Vec<(Descriptor, Vec<Name>)> = Vec::new();
    for entry in index.entries() {
        let at = *places.entry(entry.digest).or_insert_with(|| {
            all.push((entry.clone(), Vec::new()));
            all.len() - 1
        });
        // A full name that is not taken must not be another image's either.
        let full = entry.annotation(index::FULL_NAME).and_then(|text| text.parse().ok());
        Name { name: full, place: "index.json" }.settle(&entry.digest)?;
        if let Some(name) = index::reference(entry) {
            documents.count_name()?;
            all[at].1.push(Name { name: Some(name), place: "index.json" });
        }
    }
    check_count(all.len())?;
    Ok(all)
}

fn check_count(images: usize) -> Result<()> {
    if images > MAX_IMAGES {
        return Err(Error::invalid("the archive", format!("has {images} images, more than {MAX_IMAGES}")));
    }
    Ok(())
}

/// A name as a document gives it.
struct Name {
    name: Option<Reference>,
    place: &'static str,
}

impl Name {
    /// Nobody can promise a digest for a manifest that will be made.
    fn refuse_digest(&self) -> Result<()> {
        match &self.name {
            Some(name) if name.digest().is_some() => {
                let why = format!(
                    "the name {name} has a digest, which an image without a manifest of its own cannot have"
                );
                Err(documents::entry(self.place, why))
            }
            _ => Ok(()),
        }
    }

    /// A digest in a name must be the image's. It says nothing more then, and a name of nothing else is none.
    fn settle(&mut self, root: &Digest) -> Result<()> {
        let Some(digest) = self.name.as_ref().and_then(Reference::digest) else { return Ok(()) };
        if digest != *root {
            let name = self.name.as_ref().map_or_else(String::new, Reference::familiar);
            let why = format!("the name {name} is given to another image, {root}");
            return Err(documents::entry(self.place, why));
        }
        self.name = self.name.take().and_then(Reference::without_digest);
        Ok(())
    }
}

fn distinct(names: Vec<Name>) -> Vec<Reference> {
    let mut seen = HashSet::new();
    names.into_iter().filter_map(|name| name.name).filter(|name| seen.insert(name.clone())).collect()
}
