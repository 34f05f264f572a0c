//! An archive or a layout as a source of good blobs: by their digests, and made again where an import made them.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::bring::layers::{plain, wrong_diff_id};
use super::bring::manifest_of;
use super::contents::{Contents, Part as Content};
use super::directory::DirectoryArchive;
use super::import::outer_of;
use super::plan::{MadeImage, MadeLayer, Planned, plan};
use super::seekable::SeekableArchive;
use crate::blob::Staged;
use crate::cancel::Cancel;
use crate::codec::{Encoder, Encoding, Outer};
use crate::descriptor::Descriptor;
use crate::error::{Error, Kind, Result};
use crate::ids::DiffId;
use crate::layers::LayerCache;
use crate::media_type::Compression;
use crate::progress::Event;
use crate::repair::{Bench, RepairSource};
use crate::store::Store;
use crate::verify::Part;
use crate::walk::Role;

/// In which form a layer may have been made: nobody notes the level, so the usual ones are tried.
const FORMS: [Compression; 3] = [Compression::Zstd, Compression::Gzip, Compression::None];

/// A plain archive in a file, or a layout in a directory.
pub struct ArchiveSource {
    label: String,
    contents: Box<dyn Contents>,
    /// Images whose manifests and layers an import of this archive makes.
    made: Vec<MadeImage>,
    /// What the layers of the store that is repaired were seen to be.
    layers: LayerCache,
    encoded: HashMap<(DiffId, Compression), Descriptor>,
    jobs: usize,
    cancel: Cancel,
    shown: PathBuf,
}

impl ArchiveSource {
    /// Opens an archive or a layout, to repair this store from it.
    ///
    /// One that is damaged itself is still good for what it has by digest.
    pub fn open(path: &Path, store: &Store, jobs: usize, cancel: &Cancel) -> Result<ArchiveSource> {
        let label = path.display().to_string();
        let contents = open(path, cancel).map_err(|error| error.within(format!("archive {label}")))?;
        let made =
            made_images(&*contents, cancel).map_err(|error| error.within(format!("archive {label}")))?;
        Ok(ArchiveSource {
            label,
            contents,
            made,
            layers: store.layers()?,
            encoded: HashMap::new(),
            jobs,
            cancel: cancel.clone(),
            shown: store.path().to_path_buf(),
        })
    }

    /// A blob that is in the archive as it is in the store.
    fn kept(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Option<Staged>> {
        let path = super::blob_path(&part.descriptor.digest);
        let Some(size) = self.contents.file(&path)? else { return Ok(None) };
        if size != part.descriptor.size {
            let why = format!("has {size} bytes where {} were announced", part.descriptor.size);
            return Err(Error::damaged(format!("entry {path:?}"), why));
        }
        (bench.watch)(Event::Total(size));
        match self.contents.take(&path)? {
            Content::Source(source) => bench.stage(part, source).map(Some),
            _ => Ok(None),
        }
    }

    fn made(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Option<Staged>> {
        match part.role {
            Role::Config => {
                let mut made = self.made.iter();
                let image = made.find(|image| image.image_id().0 == part.descriptor.digest);
                image.map(|image| bench.stage(part, &*image.config.bytes)).transpose()
            }
            Role::Layer => self.made_layer(part, bench),
            Role::Document => self.made_manifest(part, bench),
        }
    }

    fn made_layer(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Option<Staged>> {
        let seen = || self.layers.by_blob(&part.descriptor.digest).map(|facts| facts.diff_id);
        let Some(diff_id) = part.diff_id.or_else(seen) else { return Ok(None) };
        let Some(form) = Compression::of_layer(&part.descriptor.media_type) else { return Ok(None) };
        let layers = self.made.iter().flat_map(|image| &image.layers);
        let Some(layer) = layers.clone().find(|layer| layer.diff_id == diff_id).cloned() else {
            return Ok(None);
        };
        let staged = self.encode(&layer, form, bench)?;
        if staged.digest() != part.descriptor.digest {
            let why = format!(
                "compressed with {} it is {}: it was made with another --compression, or by another larder",
                Encoding::of(form),
                staged.digest()
            );
            return Err(Error::invalid(format!("entry {:?}", layer.path), why));
        }
        Ok(Some(staged))
    }

    /// A manifest is made again from its config and from what its layers are as blobs: what the store has seen, or
    /// else what they become in one form or the other.
    fn made_manifest(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Option<Staged>> {
        // The entry of an image that larder made notes its ID; without it all images would have to be compressed.
        let is_wanted = |image: &&MadeImage| part.image_id == Some(image.image_id());
        let Some(image) = self.made.iter().find(is_wanted).cloned() else { return Ok(None) };
        for (form, believes_cache) in FORMS.into_iter().flat_map(|form| [(form, true), (form, false)]) {
            let mut layers = Vec::new();
            for layer in &image.layers {
                let seen = self.layers.by_diff_id(&layer.diff_id).filter(|_| believes_cache);
                layers.push(match seen {
                    Some(facts) => facts.descriptor(),
                    None => self.encoded(layer, form, bench)?,
                });
            }
            let (_, manifest) = manifest_of(&image, &layers);
            if manifest.digest == part.descriptor.digest {
                return bench.stage(part, &*manifest.bytes).map(Some);
            }
        }
        let why = "its manifest comes out as another one: it was kept as it came, or made with another --compression \
                       or by another larder";
        Err(Error::invalid(format!("image {}", image.image_id()), why))
    }

    /// What a layer becomes in a form.
    fn encoded(&mut self, layer: &MadeLayer, form: Compression, bench: &Bench<'_>) -> Result<Descriptor> {
        if let Some(known) = self.encoded.get(&(layer.diff_id, form)) {
            return Ok(known.clone());
        }
        let staged = self.encode(layer, form, bench)?;
        let made = Descriptor::new(form.oci_layer(), staged.digest(), staged.size());
        self.encoded.insert((layer.diff_id, form), made.clone());
        Ok(made)
    }

    /// As an import does it.
    fn encode(&mut self, layer: &MadeLayer, form: Compression, bench: &Bench<'_>) -> Result<Staged> {
        let within = |error: Error| error.within(format!("entry {:?}", layer.path));
        let Content::Source(source) = self.contents.take(&layer.path)? else {
            return Err(Error::damaged(format!("entry {:?}", layer.path), "cannot be read"));
        };
        (bench.watch)(Event::Total(layer.size));
        let mut source = plain(source, layer.size).map_err(within)?;
        let mut encoder =
            Encoder::new(Encoding::of(form), self.jobs, self.cancel.clone(), self.shown.clone())?;
        encoder
            .layer(&mut source, bench.writer(layer.size)?, &|count| (bench.watch)(Event::Done(count)))
            .map_err(within)?;
        match encoder.finish().map_err(within)?.pop() {
            Some(encoded) if encoded.plain.diff_id == layer.diff_id => Ok(encoded.staged),
            Some(encoded) => Err(within(wrong_diff_id(layer.diff_id, encoded.plain.diff_id))),
            None => Err(Error::damaged(format!("entry {:?}", layer.path), "was not compressed")),
        }
    }
}

impl RepairSource for ArchiveSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Option<Staged>> {
        match self.kept(part, bench)? {
            None => self.made(part, bench),
            found => Ok(found),
        }
    }
}

pub(crate) fn open(path: &Path, cancel: &Cancel) -> Result<Box<dyn Contents>> {
    // A pipe is not waited for.
    let meta = std::fs::metadata(path).map_err(Error::io("stat", path))?;
    if meta.is_dir() {
        return Ok(Box::new(DirectoryArchive::open(path)?));
    }
    let refused = |why: &str| Err(Error::invalid("the archive", why));
    if !meta.is_file() {
        return refused(
            "is no file and no directory; a repair asks for one blob after the other: save it to a file",
        );
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    if outer_of(&file, path)? != Outer::Plain {
        return refused("is compressed; a repair asks for one blob after the other: unpack it first");
    }
    Ok(Box::new(SeekableArchive::open(file, path, cancel)?))
}

/// The images whose manifests an import would make; none where documents of the archive are damaged.
fn made_images(contents: &dyn Contents, cancel: &Cancel) -> Result<Vec<MadeImage>> {
    // A layout has only what came with digests, and may be larger than what is planned at once.
    if contents.file("manifest.json")?.is_none() && contents.file("index.json")?.is_some() {
        return Ok(Vec::new());
    }
    let planned = match plan(contents, cancel) {
        Err(error) if error.kind() == Kind::Damaged => Vec::new(),
        planned => planned?,
    };
    let made = planned.into_iter().filter_map(|image| match image.content {
        Planned::Made(made) => Some(made),
        Planned::Kept(_) => None,
    });
    Ok(made.collect())
}
