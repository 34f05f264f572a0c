//! The middle of an import: what is in the store is leased and used, what is not is read, checked and published.

mod eaten;
mod fetched;
pub(super) mod layers;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use super::consume::Consume;
use super::contents::Contents;
use super::entry::{Ready, kept_entry, made_entry};
use super::options::{Existing, Options};
use super::plan::{KeptBlob, MadeImage, MadeLayer, Planned, PlannedImage};
use super::room::Room;
use crate::blob::Staged;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::layers::{LayerCache, LayerFacts};
use crate::manifest::{ImageManifest, RawManifest};
use crate::media_type;
use crate::progress::Event;
use crate::transaction::Transaction;

pub(super) struct Bring<'s, 'o> {
    tx: Transaction<'s>,
    options: &'o Options<'o>,
    /// Whether blobs that are there are believed to be whole.
    existing: Existing,
    /// Where the archive's space is to be freed.
    consume: Option<&'o mut Consume>,
    layers: LayerCache,
    /// Leased and there: these need not be read.
    present: HashSet<Digest>,
    /// There, and found to be not what their digests say.
    damaged: HashSet<Digest>,
    /// The blob to use for each diff ID of a made image.
    made: HashMap<DiffId, LayerFacts>,
    /// Written by this import, and not yet counted for an image.
    written: HashMap<Digest, u64>,
    /// Whether reads are reported here; a stream has reported them while it passed.
    watch_reads: bool,
    /// Entries whose space was freed.
    freed: HashSet<String>,
    shown: PathBuf,
}

impl<'s, 'o> Bring<'s, 'o> {
    pub(super) fn new(
        tx: Transaction<'s>,
        layers: LayerCache,
        options: &'o Options<'o>,
        existing: Existing,
        consume: Option<&'o mut Consume>,
        watch_reads: bool,
    ) -> Bring<'s, 'o> {
        let shown = tx.store().path().to_path_buf();
        Bring {
            tx,
            options,
            existing,
            consume,
            layers,
            present: HashSet::new(),
            damaged: HashSet::new(),
            made: HashMap::new(),
            written: HashMap::new(),
            watch_reads,
            freed: HashSet::new(),
            shown,
        }
    }

    pub(super) fn into_transaction(self) -> Transaction<'s> {
        self.tx
    }

    /// Brings in all images; they are complete and durable then, and lack nothing but their names.
    pub(super) fn all(&mut self, contents: &mut dyn Contents, images: &[PlannedImage]) -> Result<Vec<Ready>> {
        self.find_present(images)?;
        self.find_consumed(images)?;
        let layers = self.layers_to_make(images);
        let blobs = self.blobs_to_copy(images);
        let sizes =
            || layers.iter().map(|layer| layer.size).chain(blobs.iter().map(|blob| blob.descriptor.size));
        let needed = sizes().fold(0, u64::saturating_add);
        let all = images.iter().map(size_in_archive).fold(0, u64::saturating_add);
        if self.watch_reads {
            // What is consumed makes room for what comes next.
            let at_once = match &self.consume {
                Some(consume) if consume.makes_room() => sizes().max().unwrap_or(0),
                _ => needed,
            };
            Room::of(&self.tx, self.options).make(at_once)?;
            (self.options.watch)(Event::Total(needed));
        }
        (self.options.watch)(Event::Spared(all.saturating_sub(needed)));
        self.free_present(contents, images)?;
        if self.consume.is_some() {
            // One by one: the space of each is freed before the next one needs some.
            for layer in &layers {
                self.make_layers(contents, std::slice::from_ref(layer))?;
                self.free_present(contents, images)?;
            }
        } else {
            self.make_layers(contents, &layers)?;
        }
        for blob in &blobs {
            self.copy_blob(contents, blob).map_err(|e| e.within(format!("entry {:?}", blob.path)))?;
            self.free_present(contents, images)?;
        }
        let mut ready = Vec::new();
        for image in images {
            ready.push(match &image.content {
                Planned::Made(made) => self.make_image(image, made)?,
                Planned::Kept(_) => self.keep_image(image)?,
            });
        }
        Ok(ready)
    }

    /// Leases what the store has of all this, and remembers what was really there.
    fn find_present(&mut self, images: &[PlannedImage]) -> Result<()> {
        let mut wanted = Vec::new();
        let mut candidates = Vec::new();
        for image in images {
            match &image.content {
                Planned::Made(made) => {
                    wanted.push((made.image_id().0, made.config.bytes.len() as u64));
                    for layer in &made.layers {
                        candidates.extend(self.layers.by_diff_id(&layer.diff_id));
                    }
                }
                Planned::Kept(kept) => {
                    wanted.extend(kept.documents.iter().map(|raw| (raw.digest, raw.bytes.len() as u64)));
                    wanted
                        .extend(kept.blobs.iter().map(|blob| (blob.descriptor.digest, blob.descriptor.size)));
                }
            }
        }
        wanted.extend(candidates.iter().map(|facts| (facts.blob, facts.size)));
        self.present = self.reuse(&wanted)?;
        let usable = candidates.into_iter().filter(|facts| self.present.contains(&facts.blob));
        self.made = usable.map(|facts| (facts.diff_id, facts)).collect();
        Ok(())
    }

    /// Leases content, and says which of it is there to be used.
    fn reuse(&mut self, wanted: &[(Digest, u64)]) -> Result<HashSet<Digest>> {
        let mut there = self.tx.reuse(wanted)?;
        if self.existing == Existing::Verified {
            for digest in there.clone() {
                self.options.cancel.check()?;
                if self.damaged.contains(&digest) || !self.tx.store().is_whole(&digest)? {
                    there.remove(&digest);
                    self.damaged.insert(digest);
                }
            }
        }
        Ok(there)
    }

    fn layers_to_make(&self, images: &[PlannedImage]) -> Vec<MadeLayer> {
        let mut seen = HashSet::new();
        let made = images.iter().filter_map(|image| match &image.content {
            Planned::Made(made) => Some(made),
            Planned::Kept(_) => None,
        });
        let layers = made.flat_map(|made| &made.layers);
        layers
            .filter(|layer| !self.made.contains_key(&layer.diff_id) && seen.insert(layer.diff_id))
            .cloned()
            .collect()
    }

    fn blobs_to_copy(&self, images: &[PlannedImage]) -> Vec<KeptBlob> {
        let mut seen = HashSet::new();
        let kept = images.iter().filter_map(|image| match &image.content {
            Planned::Kept(kept) => Some(kept),
            Planned::Made(_) => None,
        });
        let blobs = kept.flat_map(|kept| &kept.blobs);
        let is_new = |blob: &&KeptBlob| {
            !self.present.contains(&blob.descriptor.digest) && seen.insert(blob.descriptor.digest)
        };
        blobs.filter(is_new).cloned().collect()
    }

    /// Publishes a blob for which room was made for so many bytes.
    fn publish(&mut self, staged: Staged, expected: u64) -> Result<()> {
        let (digest, size) = (staged.digest(), staged.size());
        // Made again, it may turn out to be what is there.
        let there = !self.damaged.contains(&digest) && self.reuse(&[(digest, size)])?.contains(&digest);
        if self.damaged.remove(&digest) {
            self.tx.heal(staged)?;
        } else {
            self.tx.publish(staged)?;
        }
        if self.consume.is_none() {
            self.tx.ingest().came(expected)?;
        }
        if !there {
            self.written.insert(digest, size);
        }
        self.present.insert(digest);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let digest = Digest::of(bytes);
        let size = bytes.len() as u64;
        if self.present.contains(&digest) || self.reuse(&[(digest, size)])?.contains(&digest) {
            // A document is small, and much hangs on it: its size alone does not say that it is whole.
            if self.tx.store().is_whole(&digest)? {
                self.present.insert(digest);
                return Ok(());
            }
            self.damaged.insert(digest);
        }
        let mut writer = self.tx.writer()?;
        writer.write_all(bytes).map_err(Error::io("write", &self.shown))?;
        self.publish(writer.finish()?, 0)
    }

    fn make_image(&mut self, image: &PlannedImage, made: &MadeImage) -> Result<Ready> {
        let mut layers = Vec::new();
        for layer in &made.layers {
            let facts = self
                .made
                .get(&layer.diff_id)
                .ok_or_else(|| Error::damaged(format!("layer {}", layer.diff_id), "is missing"))?;
            layers.push(facts.descriptor());
        }
        let (config, manifest) = manifest_of(made, &layers);
        self.put(&made.config.bytes)?;
        self.put(&manifest.bytes)?;
        let parts: Vec<_> = layers
            .iter()
            .chain([&config, &manifest.descriptor()])
            .map(|part| (part.digest, part.size))
            .collect();
        let entry = made_entry(made, &manifest, total(&parts), (self.options.now)());
        Ok(self.ready(image, entry, &parts))
    }

    fn keep_image(&mut self, image: &PlannedImage) -> Result<Ready> {
        let Planned::Kept(kept) = &image.content else {
            return Err(Error::invalid(image.label(), "is to be made"));
        };
        // Children first: at no time does a stored document name one that is not there.
        for raw in kept.documents.iter().rev() {
            self.put(&raw.bytes)?;
        }
        let documents = kept.documents.iter().map(|raw| (raw.digest, raw.bytes.len() as u64));
        let parts: Vec<_> = documents
            .chain(kept.blobs.iter().map(|blob| (blob.descriptor.digest, blob.descriptor.size)))
            .collect();
        let entry = kept_entry(kept, total(&parts), (self.options.now)());
        Ok(self.ready(image, entry, &parts))
    }

    /// Counts what was written for this image; a blob that two images share is new for the first one.
    fn ready(&mut self, image: &PlannedImage, entry: Descriptor, parts: &[(Digest, u64)]) -> Ready {
        let mut ready = Ready::new(image.names.clone(), entry, image.image_id());
        let mut seen = HashSet::new();
        for (digest, size) in parts.iter().filter(|(digest, _)| seen.insert(*digest)) {
            match self.written.remove(digest) {
                Some(_) => ready.new_bytes = ready.new_bytes.saturating_add(*size),
                None => ready.reused_bytes = ready.reused_bytes.saturating_add(*size),
            }
        }
        ready
    }

    fn report(&self, count: u64) {
        if self.watch_reads {
            (self.options.watch)(Event::Done(count));
        }
    }
}

/// The manifest of an image of which we have the layers in this form, and its descriptor of the config.
pub(super) fn manifest_of(made: &MadeImage, layers: &[Descriptor]) -> (Descriptor, RawManifest) {
    let config = Descriptor::new(media_type::OCI_CONFIG, made.image_id().0, made.config.bytes.len() as u64);
    let manifest = ImageManifest::write(&config, layers);
    (config, manifest)
}

fn total(parts: &[(Digest, u64)]) -> u64 {
    let mut seen = HashSet::new();
    parts
        .iter()
        .filter(|(digest, _)| seen.insert(*digest))
        .map(|(_, size)| *size)
        .fold(0, u64::saturating_add)
}

fn size_in_archive(image: &PlannedImage) -> u64 {
    match &image.content {
        Planned::Made(made) => made.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add),
        Planned::Kept(kept) => {
            kept.blobs.iter().map(|blob| blob.descriptor.size).fold(0, u64::saturating_add)
        }
    }
}
