//! A container image as it will stand in an archive: its manifest, and where each layer's bytes come from.

use std::collections::HashMap;

use crate::blob::Blob;
use crate::cancel::Cancel;
use crate::codec::{self, Encoder, Encoding};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::layers::LayerFacts;
use crate::manifest::{Document, ImageConfig, ImageManifest, RawManifest};
use crate::media_type::{self, Compression};
use crate::store::Store;

/// How layers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerForm {
    /// As they are stored.
    Stored,
    /// Not compressed, for readers that know no zstd; the manifest is another one then.
    Plain,
    /// With gzip, which every reader knows; the manifest is another one then. What is not stored so is made anew,
    /// in files of the store that are gone when the archive is written.
    Gzip,
}

/// Where a member's content comes from.
#[derive(Debug, Clone)]
pub enum Content {
    /// It is here.
    Bytes(Vec<u8>),
    /// A stored blob as it is.
    Blob(Digest),
    /// A blob that is open and has no name.
    Open(Blob),
    /// A stored layer, decompressed.
    Plain(LayerFacts),
}

/// A container image with what an engine calls it by.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest as it is written into the archive.
    pub manifest: RawManifest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: ImageConfig,
    /// Its parts.
    pub parts: ImageManifest,
    /// Where each layer's content comes from, lowest first.
    pub(super) layers: Vec<Content>,
}

impl Image {
    /// An image whose layers are written as they are stored.
    pub fn stored(
        manifest: RawManifest,
        parts: ImageManifest,
        config_bytes: Vec<u8>,
        config: ImageConfig,
    ) -> Image {
        let layers = parts.layers.iter().map(|layer| Content::Blob(layer.digest)).collect();
        Image { manifest, config_bytes, config, parts, layers }
    }

    /// Where each layer's content comes from, lowest first.
    pub fn layers(&self) -> &[Content] {
        &self.layers
    }
}

/// Reads images, and makes other manifests for them where their layers take another form.
#[derive(Debug)]
pub struct Images<'a> {
    store: &'a Store,
    form: LayerForm,
    jobs: usize,
    cancel: &'a Cancel,
    /// Layers that were compressed anew: images share them.
    gzipped: HashMap<DiffId, (Descriptor, Blob)>,
}

impl<'a> Images<'a> {
    /// For layers in one form; `jobs` threads compress.
    pub fn new(store: &'a Store, form: LayerForm, jobs: usize, cancel: &'a Cancel) -> Images<'a> {
        Images { store, form, jobs, cancel, gzipped: HashMap::new() }
    }

    /// The form.
    pub fn form(&self) -> LayerForm {
        self.form
    }

    /// Reads a container image.
    pub fn read(&mut self, root: &Descriptor) -> Result<Image> {
        let raw = self.store.document(root)?;
        let raw = raw.ok_or_else(|| Error::damaged(format!("manifest {}", root.digest), "is missing"))?;
        let Document::Image(parts) = &raw.document else {
            let why = "is no image; a platform must be chosen from it";
            return Err(Error::invalid(format!("index {}", root.digest), why));
        };
        let parts = parts.clone();
        let (config_bytes, config) = self.store.config(&parts)?;
        if self.form == LayerForm::Stored {
            return Ok(Image::stored(raw, parts, config_bytes, config));
        }
        if config.diff_ids().len() != parts.layers.len() {
            let what = format!("config {}", parts.config.digest);
            return Err(Error::damaged(what, "has not one diff ID for each layer"));
        }
        let mut facts = Vec::new();
        for (layer, diff_id) in parts.layers.iter().zip(config.diff_ids()) {
            facts.push(facts_of(self.store, layer, *diff_id, self.cancel)?);
        }
        let (descriptors, layers) = match self.form {
            LayerForm::Gzip => self.gzip(&facts)?,
            _ => facts.iter().map(|facts| (plain(facts), Content::Plain(*facts))).unzip(),
        };
        let mut config_descriptor = parts.config;
        config_descriptor.media_type = media_type::OCI_CONFIG.into();
        let manifest = ImageManifest::write(&config_descriptor, &descriptors);
        let parts = ImageManifest {
            config: config_descriptor,
            layers: descriptors,
            subject: None,
            annotations: None,
        };
        Ok(Image { manifest, config_bytes, config, parts, layers })
    }

    /// Layers in gzip: as they are stored, where they are that, else compressed anew.
    fn gzip(&mut self, all: &[LayerFacts]) -> Result<(Vec<Descriptor>, Vec<Content>)> {
        let mut stored = HashMap::new();
        let mut missing: Vec<&LayerFacts> = Vec::new();
        for facts in all {
            let blob = open(self.store, facts)?;
            if shown_compression(&blob)? == Compression::Gzip {
                let media_type = Compression::Gzip.oci_layer();
                stored.insert(facts.diff_id, Descriptor::new(media_type, facts.blob, facts.size));
            } else if !self.gzipped.contains_key(&facts.diff_id)
                && missing.iter().all(|other| other.diff_id != facts.diff_id)
            {
                missing.push(facts);
            }
        }
        self.compress(&missing)?;
        let place = |facts: &LayerFacts| match (stored.get(&facts.diff_id), self.gzipped.get(&facts.diff_id))
        {
            (Some(descriptor), _) => Ok((descriptor.clone(), Content::Blob(descriptor.digest))),
            (_, Some((descriptor, blob))) => Ok((descriptor.clone(), Content::Open(blob.clone()))),
            _ => Err(Error::damaged(format!("layer {}", facts.diff_id), "was not compressed")),
        };
        all.iter().map(place).collect::<Result<Vec<_>>>().map(|placed| placed.into_iter().unzip())
    }

    fn compress(&mut self, layers: &[&LayerFacts]) -> Result<()> {
        if layers.is_empty() {
            return Ok(());
        }
        let encoding = Encoding { compression: Compression::Gzip, level: 6 };
        let shown = self.store.path().to_path_buf();
        let tx = self.store.begin("export")?;
        let mut encoder = Encoder::new(encoding, self.jobs, self.cancel.clone(), shown)?;
        for facts in layers {
            let blob = open(self.store, facts)?;
            // What it unpacks to is checked below. One thread unpacks faster than all others compress.
            let plain = codec::layer_decoder(&blob, facts, 1);
            let mut plain = plain.map_err(Error::io("unpack", self.store.path()))?;
            let done = encoder.layer(&mut plain, tx.writer()?, &|_| {});
            done.map_err(|e| e.within(format!("layer {}", facts.blob)))?;
        }
        for (facts, encoded) in layers.iter().zip(encoder.finish()?) {
            if encoded.plain.diff_id != facts.diff_id {
                let why = format!("diff ID mismatch: it unpacks to {}", encoded.plain.diff_id);
                return Err(Error::damaged(format!("layer {}", facts.blob), why));
            }
            // The file loses its name with the transaction; it stays as long as it is open.
            let blob = encoded.staged.open()?;
            let descriptor = Descriptor::new(Compression::Gzip.oci_layer(), blob.digest(), blob.size());
            self.gzipped.insert(facts.diff_id, (descriptor, blob));
        }
        Ok(())
    }
}

fn plain(facts: &LayerFacts) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, facts.diff_id.0, facts.plain_size)
}

fn open(store: &Store, facts: &LayerFacts) -> Result<Blob> {
    let blob = store.blobs().open(&facts.blob)?;
    blob.ok_or_else(|| Error::damaged(format!("layer {}", facts.blob), "is missing"))
}

/// How a layer is compressed by its first bytes: media types have been seen to lie.
pub fn shown_compression(blob: &Blob) -> Result<Compression> {
    let mut head = [0; 4];
    let count = blob.read_at(&mut head, 0).map_err(Error::io("read", format!("blob {}", blob.digest())))?;
    Ok(Compression::sniff(&head[..count]))
}

/// How a layer is compressed whose media type says `claimed`: where that is compressed at all, its first bytes know better.
pub(super) fn found_compression(blob: &Blob, claimed: Compression) -> Result<Compression> {
    let shown = if claimed == Compression::None { Compression::None } else { shown_compression(blob)? };
    Ok(if shown == Compression::None { claimed } else { shown })
}

/// What a layer unpacks to; a layer that was never unpacked here is, once.
pub(crate) fn facts_of(
    store: &Store,
    layer: &Descriptor,
    diff_id: DiffId,
    cancel: &Cancel,
) -> Result<LayerFacts> {
    let cache = store.layers()?;
    if let Some(facts) =
        cache.by_blob(&layer.digest).filter(|facts| facts.diff_id == diff_id && facts.size == layer.size)
    {
        return Ok(facts);
    }
    let what = || format!("layer {}", layer.digest);
    let compression = Compression::of_layer(&layer.media_type).ok_or_else(|| {
        Error::invalid(what(), format!("is of type {:?}, which cannot be unpacked", layer.media_type))
    })?;
    let blob = store.blobs().open(&layer.digest)?.ok_or_else(|| {
        if media_type::is_foreign_layer(&layer.media_type) {
            let why = "is a foreign one and is not in the store, so it cannot be unpacked; --archive oci with \
                       stored layers leaves it out";
            return Error::invalid(what(), why);
        }
        Error::damaged(what(), "is missing")
    })?;
    let by_frames = match compression {
        Compression::None => None,
        _ => codec::measure_frames(&blob, cancel)?.filter(|plain| plain.diff_id == diff_id),
    };
    let seekable = by_frames.is_some();
    let plain = by_frames.map_or_else(|| codec::measure(&blob, compression, cancel), Ok)?;
    let (found, plain_size) = (plain.diff_id, plain.size);
    if found != diff_id {
        return Err(Error::damaged(
            what(),
            format!("diff ID mismatch: it unpacks to {found}, its config says {diff_id}"),
        ));
    }
    let compression = found_compression(&blob, compression)?;
    let facts =
        LayerFacts { blob: layer.digest, size: layer.size, compression, diff_id, plain_size, seekable };
    cache.learn(&facts, false)?;
    Ok(facts)
}
