//! The images of an archive or a layout that is no store, to be searched where they lie.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::layer::{Bytes, Layer, Open};
use crate::archive::contents::{Contents, Part};
use crate::archive::plan::{KeptImage, MadeImage, Planned, PlannedImage, plan};
use crate::cancel::Cancel;
use crate::descriptor::Platform;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::manifest::{Document, ImageConfig, ImageManifest};

/// A container image of an archive.
#[derive(Debug)]
pub struct ArchivedImage {
    /// What it is called there; none where it is untagged.
    pub names: Vec<String>,
    /// What people call it in messages.
    pub label: String,
    /// Its config's bytes.
    pub config: Vec<u8>,
    /// Lowest first.
    pub layers: Vec<Layer>,
}

type Shared = Rc<RefCell<Box<dyn Contents>>>;

/// The images of a plain archive in a file, or of a layout in a directory; of a multi-platform one that for `platform`. What is compressed as a whole is refused:
/// a search goes through it more than once.
pub fn in_archive(path: &Path, platform: &Platform, cancel: &Cancel) -> Result<Vec<ArchivedImage>> {
    let within = |error: Error| error.within(format!("archive {}", path.display()));
    let contents = crate::archive::open(path, cancel).map_err(within)?;
    let planned = plan(&*contents, cancel).map_err(within)?;
    let contents: Shared = Rc::new(RefCell::new(contents));
    let image = |planned: &PlannedImage| image(&contents, planned, platform).transpose();
    planned.iter().filter_map(image).collect::<Result<_>>().map_err(within)
}

/// `None` for what is no container image.
fn image(contents: &Shared, planned: &PlannedImage, platform: &Platform) -> Result<Option<ArchivedImage>> {
    let (config, layers) = match &planned.content {
        Planned::Made(made) => (made.config.bytes.clone(), made_layers(contents, made)),
        Planned::Kept(kept) => match chosen(contents, kept, platform)? {
            Some((config, image)) => (config.0, kept_layers(contents, kept, &image, &config.1)?),
            None => return Ok(None),
        },
    };
    let names = planned.names.iter().map(|name| name.familiar()).collect();
    Ok(Some(ArchivedImage { names, label: planned.label(), config, layers }))
}

fn made_layers(contents: &Shared, made: &MadeImage) -> Vec<Layer> {
    made.layers.iter().map(|layer| archived(contents, layer.diff_id, &layer.path, layer.size)).collect()
}

fn kept_layers(
    contents: &Shared,
    kept: &KeptImage,
    image: &ImageManifest,
    config: &ImageConfig,
) -> Result<Vec<Layer>> {
    let diff_ids = config.diff_ids();
    if diff_ids.len() != image.layers.len() {
        let why = format!("has {} diff IDs for {} layers", diff_ids.len(), image.layers.len());
        return Err(Error::damaged(format!("config {}", image.config.digest), why));
    }
    let layers = image.layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| {
        let blob = kept.blobs.iter().find(|blob| blob.descriptor.digest == descriptor.digest);
        let blob = blob
            .ok_or_else(|| Error::damaged(format!("blob {}", descriptor.digest), "is not in the archive"))?;
        Ok(archived(contents, *diff_id, &blob.path, descriptor.size))
    });
    layers.collect()
}

fn archived(contents: &Shared, diff_id: DiffId, path: &str, size: u64) -> Layer {
    let (contents, name) = (Rc::clone(contents), path.to_owned());
    let open: Open = Box::new(move || match contents.borrow_mut().take(&name).map_err(io::Error::other)? {
        Part::Source(source) => Ok(source),
        _ => Err(io::Error::other("the archive cannot be read twice")),
    });
    Layer { diff_id, name: format!("entry {path:?}"), bytes: Bytes::Archived { open, size } }
}

/// The container image that serves a platform, or the only one there is, with its config.
type Chosen = ((Vec<u8>, ImageConfig), ImageManifest);

fn chosen(contents: &Shared, kept: &KeptImage, platform: &Platform) -> Result<Option<Chosen>> {
    let mut found = Vec::new();
    for raw in &kept.documents {
        if let Document::Image(image) = &raw.document
            && image.is_container()
            && image.subject.is_none()
        {
            let path = crate::archive::blob_path(&image.config.digest);
            let bytes = contents.borrow().document(&path)?;
            let bytes = bytes.ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))?;
            let parsed = ImageConfig::parse(&bytes)
                .map_err(|why| Error::damaged(format!("config {}", image.config.digest), why))?;
            found.push(((bytes, parsed), image.clone()));
        }
    }
    if found.len() == 1 {
        return Ok(found.pop());
    }
    let is_none = found.is_empty();
    match found.into_iter().find(|((_, config), _)| config.platform().serves(platform)) {
        None if !is_none => {
            let why = format!("has no image for {platform}");
            Err(Error::invalid(format!("index {}", kept.root.digest), why))
        }
        found => Ok(found),
    }
}
