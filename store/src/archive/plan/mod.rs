//! What an archive holds and what an import of it needs, before anything is written.
//!
//! A docker-archive (and what Docker 25 and newer save: `manifest.json` beside an OCI manifest with plain layers)
//! carries no digest worth keeping: the manifest will be *made* from config and layers. All else came with
//! digests and is *kept* byte for byte.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use super::contents::Contents;
use crate::descriptor::{Annotations, Descriptor};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::{DiffId, ImageId};
use crate::index::{self, Index};
use crate::json;
use crate::manifest::{Document, ImageConfig, ImageManifest, RawManifest};
use crate::media_type::{self, Compression};
use crate::reference::Reference;
use crate::walk::{self, Role};

/// Bytes of manifests and configs that an archive may have: they are held in memory.
const MAX_HELD: u64 = 48 << 20;

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
    /// The config's bytes, which stay as they are.
    pub config: Vec<u8>,
    /// What they say.
    pub parsed: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<MadeLayer>,
    /// The digest of the manifest that the source had, if any.
    pub source: Option<Digest>,
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

    /// The image ID, where it is one container image.
    pub fn image_id(&self) -> Option<ImageId> {
        match &self.content {
            Planned::Made(made) => Some(made.image_id()),
            Planned::Kept(kept) => kept.image_id,
        }
    }
}

impl MadeImage {
    /// The image ID: the digest of the config.
    pub fn image_id(&self) -> ImageId {
        ImageId(Digest::of(&self.config))
    }
}

#[derive(Debug, Clone, Deserialize)]
struct DockerItem {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

/// Reads an archive's documents and says what is in it.
pub fn plan(contents: &dyn Contents) -> Result<Vec<PlannedImage>> {
    let items: Option<Vec<DockerItem>> = parse(contents, "manifest.json")?;
    let index = match contents.document("index.json")? {
        Some(bytes) => {
            json::parse::<serde::de::IgnoredAny>(&bytes).map_err(|why| entry("index.json", why))?;
            Some(Index::parse(&bytes).map_err(|why| entry("index.json", why))?)
        }
        None => None,
    };
    let mut room = MAX_HELD;
    let images = match (index, items) {
        (Some(index), items) => from_index(contents, &index, items.unwrap_or_default(), &mut room)?,
        (None, Some(items)) => from_items(contents, &items, &mut room)?,
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

fn from_items(contents: &dyn Contents, items: &[DockerItem], room: &mut u64) -> Result<Vec<PlannedImage>> {
    let mut images: Vec<PlannedImage> = Vec::new();
    for item in items {
        let made = made(contents, item, None)?;
        hold(room, made.config.len())?;
        let names = names(item)?;
        match images.iter_mut().find(|image| image.image_id() == Some(made.image_id())) {
            Some(image) => image.names.extend(names),
            None => images.push(PlannedImage { names, content: Planned::Made(made) }),
        }
    }
    Ok(images)
}

fn from_index(
    contents: &dyn Contents,
    index: &Index,
    items: Vec<DockerItem>,
    room: &mut u64,
) -> Result<Vec<PlannedImage>> {
    // Entries of one digest are one image with several names.
    let mut order = Vec::new();
    let mut by_digest: BTreeMap<Digest, (Descriptor, Vec<Reference>)> = BTreeMap::new();
    for entry in index.entries() {
        let (_, names) = by_digest.entry(entry.digest).or_insert_with(|| {
            order.push(entry.digest);
            (entry.clone(), Vec::new())
        });
        names.extend(index::reference(entry).filter(|name| !names.contains(name)));
    }
    let mut images = Vec::new();
    for digest in order {
        let Some((root, mut names)) = by_digest.remove(&digest) else { continue };
        let path = blob_path(&digest);
        let raw = read_document(contents, &root)?
            .ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))?;
        let content = match saved_by_docker(&raw, &items) {
            Some((manifest, item)) => {
                for name in self::names(item)? {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                let made = made(contents, item, Some((manifest, digest)))?;
                hold(room, made.config.len())?;
                Planned::Made(made)
            }
            None => Planned::Kept(kept(contents, &root, room)?),
        };
        images.push(PlannedImage { names, content });
    }
    Ok(images)
}

/// Whether this is what Docker saves since version 25: an image manifest with plain layers, which `manifest.json` has too.
fn saved_by_docker<'a>(
    raw: &'a RawManifest,
    items: &'a [DockerItem],
) -> Option<(&'a ImageManifest, &'a DockerItem)> {
    let Document::Image(manifest) = &raw.document else { return None };
    let plain = manifest
        .layers
        .iter()
        .all(|layer| Compression::of_layer(&layer.media_type) == Some(Compression::None));
    let ours = plain && manifest.is_container() && manifest.subject.is_none();
    let config = blob_path(&manifest.config.digest);
    let item = items.iter().find(|item| item.config.trim_start_matches("./") == config)?;
    ours.then_some((manifest, item))
}

fn names(item: &DockerItem) -> Result<Vec<Reference>> {
    let tags = item.tags.iter().flatten();
    let mut names = Vec::new();
    for tag in tags {
        let name: Reference = tag.parse().map_err(|e| entry("manifest.json", e))?;
        if name.tag().is_none() {
            return Err(entry("manifest.json", format!("{tag:?} is no tag")));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn made(
    contents: &dyn Contents,
    item: &DockerItem,
    manifest: Option<(&ImageManifest, Digest)>,
) -> Result<MadeImage> {
    let config_path = plain_path(&item.config)?;
    let config = contents.document(&config_path)?.ok_or_else(|| missing(&config_path))?;
    check_name(&config_path, Digest::of(&config))?;
    let parsed = ImageConfig::parse(&config).map_err(|why| entry(&config_path, why))?;
    let paths = item.layers.as_deref().unwrap_or_default();
    let diff_ids = parsed.diff_ids();
    if paths.len() != diff_ids.len() {
        let why =
            format!("lists {} diff IDs where manifest.json lists {} layers", diff_ids.len(), paths.len());
        return Err(Error::damaged(format!("entry {config_path:?}"), why));
    }
    if let Some((manifest, _)) = manifest {
        let listed: Vec<_> = manifest.layers.iter().map(|layer| layer.digest).collect();
        let wanted: Vec<_> = diff_ids.iter().map(|diff_id| diff_id.0).collect();
        if listed != wanted {
            return Err(Error::damaged(
                format!("entry {config_path:?}"),
                "its diff IDs are not the manifest's plain layers",
            ));
        }
    }
    let mut layers = Vec::new();
    for (at, (named, diff_id)) in paths.iter().zip(diff_ids).enumerate() {
        let path = contents.follow(&plain_path(named)?).ok_or_else(|| missing(named))?;
        let size = contents.file(&path).ok_or_else(|| missing(named))?;
        if let Some(layer) = manifest.and_then(|(manifest, _)| manifest.layers.get(at)) {
            check_size(&path, size, layer.size)?;
        }
        layers.push(MadeLayer { diff_id: *diff_id, path, size });
    }
    Ok(MadeImage { config, parsed, layers, source: manifest.map(|(_, digest)| digest) })
}

fn kept(contents: &dyn Contents, root: &Descriptor, room: &mut u64) -> Result<KeptImage> {
    let mut documents = Vec::new();
    let mut layer_types: HashMap<Digest, (Compression, DiffId)> = HashMap::new();
    let mut parts: Vec<(Descriptor, Role)> = Vec::new();
    let mut read = |descriptor: &Descriptor| {
        let raw = read_document(contents, descriptor)?;
        let is_child = descriptor.digest != root.digest;
        Ok(raw.filter(|raw| !is_child || !is_hollow(contents, raw)))
    };
    walk::walk(root, &mut read, &mut |node| {
        match node.document {
            Some(raw) => {
                if let Document::Image(image) = &raw.document {
                    layers_of(contents, image, &mut layer_types)?;
                }
                hold(room, raw.bytes.len())?;
                documents.push(raw.clone());
            }
            None => parts.push((node.descriptor.clone(), node.role)),
        }
        Ok(())
    })?;
    let is_empty = documents.len() == 1 && parts.is_empty();
    if is_empty && matches!(documents[0].document, Document::Index(_)) {
        return Err(Error::damaged(format!("index {}", root.digest), "none of its images is in the archive"));
    }
    let mut blobs = Vec::new();
    let mut seen = HashSet::new();
    for (descriptor, role) in parts {
        let path = blob_path(&descriptor.digest);
        let Some(size) = contents.file(&path) else {
            if role == Role::Layer && media_type::is_foreign_layer(&descriptor.media_type) {
                continue;
            }
            return Err(missing(&path));
        };
        check_size(&path, size, descriptor.size)?;
        if seen.insert(descriptor.digest) {
            let layer = layer_types.get(&descriptor.digest).copied();
            blobs.push(KeptBlob { descriptor, path, layer });
        }
    }
    let image = match documents.first().map(|raw| &raw.document) {
        Some(Document::Image(image)) if image.is_container() => Some(image),
        _ => None,
    };
    let image_id = image.map(ImageManifest::image_id);
    let mut annotations = root.annotations.clone();
    annotations
        .retain(|key, _| key != index::REF_NAME && key != index::FULL_NAME && !key.starts_with(index::OURS));
    let mut root = root.clone();
    if let (None, Some(image)) = (&root.platform, image) {
        let platform = config(contents, image)?.platform();
        root.platform =
            Some(platform).filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
    }
    root.annotations.clear();
    root.extra.retain(|key, _| key == "artifactType");
    if let Some(raw) = documents.first() {
        root.media_type.clone_from(&raw.media_type);
    }
    Ok(KeptImage { root, annotations, documents, blobs, image_id })
}

/// Counts documents that stay in memory until the import is done.
fn hold(room: &mut u64, bytes: usize) -> Result<()> {
    *room = room.checked_sub(bytes as u64).ok_or_else(|| {
        Error::invalid(
            "the archive",
            format!("its manifests and configs have more than {MAX_HELD} bytes together"),
        )
    })?;
    Ok(())
}

/// Whether a manifest came without anything that it names: `docker save` writes the manifests of platforms
/// that it never pulled. Such a child is absent; one that is there in part is damage.
fn is_hollow(contents: &dyn Contents, raw: &RawManifest) -> bool {
    let Document::Image(image) = &raw.document else { return false };
    let mut parts = std::iter::once(&image.config).chain(&image.layers);
    parts.all(|part| contents.file(&blob_path(&part.digest)).is_none())
}

/// Pairs the layers of a container image with the diff IDs of its config.
fn layers_of(
    contents: &dyn Contents,
    image: &ImageManifest,
    layers: &mut HashMap<Digest, (Compression, DiffId)>,
) -> Result<()> {
    let known: Option<Vec<_>> =
        image.layers.iter().map(|layer| Compression::of_layer(&layer.media_type)).collect();
    let Some(compressions) = known.filter(|_| image.is_container()) else { return Ok(()) };
    let path = blob_path(&image.config.digest);
    let config = config(contents, image)?;
    if config.diff_ids().len() != image.layers.len() {
        let why = format!(
            "lists {} diff IDs where its manifest lists {} layers",
            config.diff_ids().len(),
            image.layers.len()
        );
        return Err(Error::damaged(format!("entry {path:?}"), why));
    }
    for ((layer, compression), diff_id) in image.layers.iter().zip(compressions).zip(config.diff_ids()) {
        if layers.insert(layer.digest, (compression, *diff_id)).is_some_and(|other| other.1 != *diff_id) {
            return Err(Error::damaged(
                format!("layer {}", layer.digest),
                "two configs give it different diff IDs",
            ));
        }
    }
    Ok(())
}

/// The config of a container image, checked against its descriptor.
fn config(contents: &dyn Contents, image: &ImageManifest) -> Result<ImageConfig> {
    let path = blob_path(&image.config.digest);
    let bytes = contents.document(&path)?.ok_or_else(|| missing(&path))?;
    check_size(&path, bytes.len() as u64, image.config.size)?;
    check_name(&path, Digest::of(&bytes))?;
    ImageConfig::parse(&bytes).map_err(|why| entry(&path, why))
}

fn read_document(contents: &dyn Contents, descriptor: &Descriptor) -> Result<Option<RawManifest>> {
    let path = blob_path(&descriptor.digest);
    let Some(bytes) = contents.document(&path)? else { return Ok(None) };
    check_size(&path, bytes.len() as u64, descriptor.size)?;
    check_name(&path, Digest::of(&bytes))?;
    RawManifest::parse(bytes, &descriptor.media_type).map(Some).map_err(|why| entry(&path, why))
}

fn parse<T: serde::de::DeserializeOwned>(contents: &dyn Contents, path: &str) -> Result<Option<T>> {
    let Some(bytes) = contents.document(path)? else { return Ok(None) };
    json::parse(&bytes).map(Some).map_err(|why| entry(path, why))
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A path that manifest.json names: plain and relative, like those of the members.
fn plain_path(path: &str) -> Result<String> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.starts_with('/')
        || parts.is_empty()
        || parts.iter().any(|part| *part == ".." || part.contains('\\'))
    {
        return Err(entry("manifest.json", format!("{path:?} is no path inside the archive")));
    }
    Ok(parts.join("/"))
}

/// Where a member's name is a digest, its content must be what it says.
fn check_name(path: &str, got: Digest) -> Result<()> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match Digest::from_hex(name.strip_suffix(".json").unwrap_or(name)) {
        Some(expected) if expected != got => {
            Err(Error::damaged(format!("entry {path:?}"), format!("digest mismatch: got {got}")))
        }
        _ => Ok(()),
    }
}

fn check_size(path: &str, got: u64, announced: u64) -> Result<()> {
    if got == announced {
        return Ok(());
    }
    Err(Error::damaged(
        format!("entry {path:?}"),
        format!("has {got} bytes where {announced} were announced"),
    ))
}

fn missing(path: &str) -> Error {
    Error::damaged(format!("entry {path:?}"), "is missing")
}

fn entry(path: &str, why: impl ToString) -> Error {
    Error::invalid(format!("entry {path:?}"), why)
}
