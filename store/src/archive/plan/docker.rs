//! `manifest.json`: Docker's own list of images, which names files and no digests.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::documents::{Documents, check_size, entry, missing};
use super::{MadeImage, MadeLayer, Name, Planned, PlannedImage, check_count, distinct};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::ImageId;
use crate::json::{FREE, Keys};
use crate::manifest::{Document, ImageManifest, RawManifest};
use crate::media_type::Compression;
use crate::reference::Reference;

const PATH: &str = "manifest.json";
static KEYS: Keys = Keys(&[("Config", &FREE), ("RepoTags", &FREE), ("Layers", &FREE)]);

/// An image of `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

/// Reads `manifest.json`, if there is one.
pub(super) fn items(documents: &Documents<'_>) -> Result<Option<Vec<Item>>> {
    let items: Option<Vec<Item>> = documents.parse(PATH, &KEYS)?;
    check_count(items.as_ref().map_or(0, Vec::len))?;
    Ok(items)
}

impl Item {
    pub(super) fn config_path(&self) -> Result<String> {
        plain_path(&self.config)
    }

    /// Its names, repeated ones too.
    pub(super) fn names(&self, documents: &mut Documents<'_>) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        for tag in self.tags.iter().flatten() {
            documents.count_name()?;
            let name: Reference = tag.parse().map_err(|e| entry(PATH, e))?;
            if name.tag().is_none() {
                return Err(entry(PATH, format!("{tag:?} is no tag")));
            }
            names.push(Name { name: Some(name), place: PATH });
        }
        Ok(names)
    }
}

/// The images that nothing but `manifest.json` has: those whose IDs are not known yet.
pub(super) fn made_of(
    documents: &mut Documents<'_>,
    items: &[Item],
    known: &mut HashSet<ImageId>,
) -> Result<Vec<PlannedImage>> {
    let mut places: HashMap<ImageId, usize> = HashMap::new();
    let mut images: Vec<(Vec<Name>, MadeImage)> = Vec::new();
    for item in items {
        documents.cancel.check()?;
        let image_id = documents.config(&item.config_path()?)?.image_id;
        if known.contains(&image_id) {
            continue;
        }
        let made = made(documents, item, None)?;
        let names = item.names(documents)?;
        names.iter().try_for_each(Name::refuse_digest)?;
        match places.get(&image_id) {
            Some(at) => images[*at].0.extend(names),
            None => {
                places.insert(image_id, images.len());
                images.push((names, made));
            }
        }
    }
    let planned = |(names, made)| PlannedImage { names: distinct(names), content: Planned::Made(made) };
    Ok(images.into_iter().map(planned).collect())
}

/// Whether this is what Docker saves since version 25: an image manifest with plain layers, which `manifest.json`
/// has too.
pub(super) fn saved_by_docker<'a>(
    raw: &'a RawManifest,
    by_config: &'a HashMap<String, Vec<&'a Item>>,
) -> Option<(&'a ImageManifest, &'a [&'a Item])> {
    let Document::Image(manifest) = &raw.document else { return None };
    let plain = manifest
        .layers
        .iter()
        .all(|layer| Compression::of_layer(&layer.media_type) == Some(Compression::None));
    let ours = plain && manifest.is_container() && manifest.subject.is_none();
    let items = by_config.get(&Documents::blob_path(&manifest.config.digest))?;
    ours.then_some((manifest, items))
}

/// An image whose manifest will be made; `manifest` is the one that the source had, if any.
pub(super) fn made(
    documents: &mut Documents<'_>,
    item: &Item,
    manifest: Option<(&ImageManifest, Digest)>,
) -> Result<MadeImage> {
    let config_path = item.config_path()?;
    let config = documents.config(&config_path)?;
    let paths = item.layers.as_deref().unwrap_or_default();
    let diff_ids = config.parsed.diff_ids();
    if paths.len() != diff_ids.len() {
        let why =
            format!("lists {} diff IDs where manifest.json lists {} layers", diff_ids.len(), paths.len());
        return Err(Error::damaged(format!("entry {config_path:?}"), why));
    }
    if let Some((manifest, _)) = manifest {
        let listed = manifest.layers.iter().map(|layer| layer.digest);
        if !listed.eq(diff_ids.iter().map(|diff_id| diff_id.0)) {
            return Err(Error::damaged(
                format!("entry {config_path:?}"),
                "its diff IDs are not the manifest's plain layers",
            ));
        }
    }
    let mut layers = Vec::new();
    for (at, (named, diff_id)) in paths.iter().zip(diff_ids).enumerate() {
        let path = documents.contents.follow(&plain_path(named)?)?.ok_or_else(|| missing(named))?;
        documents.hold(path.len())?;
        let size = documents.contents.file(&path)?.ok_or_else(|| missing(named))?;
        if let Some(layer) = manifest.and_then(|(manifest, _)| manifest.layers.get(at)) {
            check_size(&path, size, layer.size)?;
        }
        layers.push(MadeLayer { diff_id: *diff_id, path, size });
    }
    Ok(MadeImage { config, layers, source: manifest.map(|(_, digest)| digest) })
}

/// A path that manifest.json names: plain and relative, like those of the members.
fn plain_path(path: &str) -> Result<String> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.starts_with('/')
        || parts.is_empty()
        || parts.iter().any(|part| *part == ".." || part.contains('\\'))
    {
        return Err(entry(PATH, format!("{path:?} is no path inside the archive")));
    }
    Ok(parts.join("/"))
}
