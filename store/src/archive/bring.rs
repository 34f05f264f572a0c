//! The middle of an import: what is in the store is leased and used, what is not is read, checked and published.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::consume::Consume;
use super::contents::{Contents, Part};
use super::entry::{Ready, kept_entry, made_entry};
use super::image::{found_compression, shown_compression};
use super::options::{Existing, Options};
use super::plan::{KeptBlob, KeptImage, MadeImage, MadeLayer, Planned, PlannedImage};
use super::stream::staged_or_stored;
use crate::blob::{Blob, Staged, from_io};
use crate::codec::{CopiedLayer, Copy, EncodedLayer, Encoder, Limits, copy_layer, decoder, measure};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::layers::{LayerCache, LayerFacts};
use crate::manifest::ImageManifest;
use crate::media_type::{self, Compression};
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
        options: &'o Options<'o>,
        existing: Existing,
        consume: Option<&'o mut Consume>,
        watch_reads: bool,
    ) -> Result<Bring<'s, 'o>> {
        let layers = tx.store().layers()?;
        let shown = tx.store().path().to_path_buf();
        Ok(Bring {
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
        })
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
            let at_once = if self.consume.is_some() { sizes().max().unwrap_or(0) } else { needed };
            self.check_space(at_once)?;
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
                Planned::Kept(kept) => self.keep_image(image, kept)?,
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

    /// What an earlier import has consumed is in the store, whatever has become of the cache that knows it.
    fn find_consumed(&mut self, images: &[PlannedImage]) -> Result<()> {
        let Some(consume) = self.consume.as_deref() else { return Ok(()) };
        let mut consumed = Vec::new();
        for image in images {
            let Planned::Made(made) = &image.content else { continue };
            let missing = made.layers.iter().filter(|layer| !self.made.contains_key(&layer.diff_id));
            consumed.extend(missing.filter_map(|layer| Some((layer.clone(), consume.blob_of(&layer.path)?))));
        }
        for (layer, digest) in consumed {
            let gone = || {
                Error::damaged(
                    format!("entry {:?}", layer.path),
                    format!("was consumed by an earlier import, and its blob {digest} is not in the store"),
                )
            };
            let blob = self.tx.store().blobs().open(&digest)?.ok_or_else(gone)?;
            if !self.reuse(&[(digest, blob.size())])?.contains(&digest) {
                return Err(gone());
            }
            let compression = shown_compression(&blob)?;
            let (diff_id, plain_size) = measure(&blob, compression, &self.options.cancel)?;
            if diff_id != layer.diff_id {
                return Err(wrong_diff_id(layer.diff_id, diff_id));
            }
            let facts = LayerFacts {
                blob: digest,
                size: blob.size(),
                compression,
                diff_id,
                plain_size,
                seekable: false,
            };
            self.layers.learn(&facts, true)?;
            self.made.insert(diff_id, facts);
        }
        Ok(())
    }

    /// Frees the space of all entries whose blobs are in the store.
    fn free_present(&mut self, contents: &dyn Contents, images: &[PlannedImage]) -> Result<()> {
        let Some(consume) = self.consume.as_deref_mut() else { return Ok(()) };
        let mut free = |path: &str, blob: Digest| match contents.place(path) {
            Some(place) if Consume::takes(place.1) && self.freed.insert(path.to_owned()) => {
                consume.free(self.tx.store(), path, place, blob)
            }
            _ => Ok(()),
        };
        for image in images {
            match &image.content {
                Planned::Made(made) => {
                    for layer in &made.layers {
                        if let Some(facts) = self.made.get(&layer.diff_id) {
                            free(&layer.path, facts.blob)?;
                        }
                    }
                }
                Planned::Kept(kept) => {
                    for blob in
                        kept.blobs.iter().filter(|blob| self.present.contains(&blob.descriptor.digest))
                    {
                        free(&blob.path, blob.descriptor.digest)?;
                    }
                }
            }
        }
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

    /// What an archive claims must fit before anything is written (and compressed layers will be smaller still).
    fn check_space(&self, needed: u64) -> Result<()> {
        let free = self.tx.store().free_space()?;
        if needed > free {
            return Err(Error::NoSpace { path: self.shown.clone(), needed, free });
        }
        Ok(())
    }

    /// Compresses layers and publishes each as soon as it is done: whatever fails later, they stay.
    fn make_layers(&mut self, contents: &mut dyn Contents, layers: &[MadeLayer]) -> Result<()> {
        let mut encoder = None;
        let mut pending = VecDeque::new();
        let mut made = self.encode(contents, layers, &mut encoder, &mut pending);
        if let Some(encoder) = &mut encoder {
            made = made.and_then(|()| encoder.wait());
            let rest = self.accept_done(encoder, &mut pending);
            made = made.and(rest);
        }
        made
    }

    /// Publishes what is done by now.
    fn accept_done(&mut self, encoder: &mut Encoder, pending: &mut VecDeque<&MadeLayer>) -> Result<()> {
        for encoded in encoder.done() {
            let Some(layer) = pending.pop_front() else { break };
            self.accept(layer, encoded).map_err(|e| e.within(format!("entry {:?}", layer.path)))?;
        }
        Ok(())
    }

    fn encode<'l>(
        &mut self,
        contents: &mut dyn Contents,
        layers: &'l [MadeLayer],
        encoder: &mut Option<Encoder>,
        pending: &mut VecDeque<&'l MadeLayer>,
    ) -> Result<()> {
        let options = self.options;
        for layer in layers {
            let done = |error: Error| error.within(format!("entry {:?}", layer.path));
            let encoded = match contents.take(&layer.path)? {
                Part::Known(facts) if facts.diff_id == layer.diff_id => {
                    self.refuse_damaged(&facts.blob).map_err(done)?;
                    self.made.insert(facts.diff_id, facts);
                    continue;
                }
                Part::Known(facts) => return Err(done(wrong_diff_id(layer.diff_id, facts.diff_id))),
                Part::Encoded(encoded) => {
                    self.accept(layer, encoded).map_err(done)?;
                    continue;
                }
                Part::Source(source) => plain(source, layer.size),
                Part::Copied(staged) => staged_or_stored(self.tx.store(), &staged)
                    .and_then(|blob| plain(blob.verified(), blob.size())),
                Part::Present => {
                    self.stored(&layer.path).and_then(|blob| plain(blob.verified(), blob.size()))
                }
            };
            let mut source = encoded.map_err(done)?;
            let encoder = match &mut *encoder {
                Some(encoder) => encoder,
                none => none.insert(Encoder::new(
                    options.encoding,
                    options.jobs,
                    options.cancel.clone(),
                    self.shown.clone(),
                )?),
            };
            let watch = |count| self.report(count);
            encoder.layer(&mut source, self.tx.writer()?, &watch).map_err(done)?;
            pending.push_back(layer);
            self.accept_done(encoder, pending)?;
        }
        Ok(())
    }

    /// A stream passed over what the store has; where that turned out to be damaged, it is too late to read it.
    fn refuse_damaged(&self, blob: &Digest) -> Result<()> {
        if self.damaged.contains(blob) {
            let why =
                "is damaged in the store, and was passed over in the stream; import it again with --verify";
            return Err(Error::damaged(format!("blob {blob}"), why));
        }
        Ok(())
    }

    fn accept(&mut self, layer: &MadeLayer, encoded: EncodedLayer) -> Result<()> {
        if encoded.diff_id != layer.diff_id {
            return Err(wrong_diff_id(layer.diff_id, encoded.diff_id));
        }
        let compression = self.options.encoding.compression;
        let facts = LayerFacts {
            blob: encoded.staged.digest(),
            size: encoded.staged.size(),
            compression,
            diff_id: encoded.diff_id,
            plain_size: encoded.plain_size,
            seekable: compression == Compression::Zstd,
        };
        self.publish(encoded.staged)?;
        // The blob known before was not there: this one is to be used from now on.
        self.layers.learn(&facts, true)?;
        self.made.insert(facts.diff_id, facts);
        Ok(())
    }

    fn copy_blob(&mut self, contents: &mut dyn Contents, blob: &KeptBlob) -> Result<()> {
        let unpack = blob
            .layer
            .map(|(compression, _)| compression)
            .filter(|compression| *compression != Compression::None);
        let (digest, size) = (blob.descriptor.digest, blob.descriptor.size);
        let what = Copy { digest, size, unpack, shown: &self.shown };
        let mut source: Box<dyn Read + Send> = match contents.take(&blob.path)? {
            Part::Source(source) => source,
            Part::Copied(staged) => {
                if (staged.digest(), staged.size()) != (digest, size) {
                    let got = staged.digest();
                    return Err(Error::damaged(
                        format!("blob {digest}"),
                        format!("digest mismatch: got {got}"),
                    ));
                }
                let measured = unpack.map(|compression| {
                    let copy = staged_or_stored(self.tx.store(), &staged)?;
                    measure(&copy, compression, &self.options.cancel)
                });
                let plain = measured.transpose()?;
                return self.accept_copy(blob, CopiedLayer { staged, plain });
            }
            // It was compressed on the way, on a guess that was wrong: its plain form is the blob.
            Part::Encoded(encoded) => {
                let stored = staged_or_stored(self.tx.store(), &encoded.staged)?;
                let compression = self.options.encoding.compression;
                decoder(compression, stored.verified(), stored.size(), Limits::default())
                    .map_err(|e| from_io(e, Error::io("unpack", &self.shown)))?
            }
            Part::Known(facts) => {
                self.refuse_damaged(&facts.blob)?;
                let stored = self.tx.store().blobs().open(&facts.blob)?;
                let stored =
                    stored.ok_or_else(|| Error::damaged(format!("blob {}", facts.blob), "is missing"))?;
                plain(stored.verified(), stored.size())?
            }
            Part::Present => {
                self.refuse_damaged(&digest)?;
                return Err(Error::damaged(format!("blob {digest}"), "is missing"));
            }
        };
        let watch = |count| self.report(count);
        let copied = copy_layer(
            &mut source,
            self.tx.writer()?,
            &what,
            self.options.jobs,
            &self.options.cancel,
            &watch,
        )?;
        self.accept_copy(blob, copied)
    }

    fn accept_copy(&mut self, blob: &KeptBlob, copied: CopiedLayer) -> Result<()> {
        let (digest, size) = (blob.descriptor.digest, blob.descriptor.size);
        let mut facts = None;
        if let Some((compression, expected)) = blob.layer {
            let (diff_id, plain_size) = match compression {
                Compression::None => (DiffId(digest), size),
                _ => copied
                    .plain
                    .ok_or_else(|| Error::damaged(format!("blob {digest}"), "was not unpacked"))?,
            };
            if diff_id != expected {
                return Err(wrong_diff_id(expected, diff_id));
            }
            let compression = found_compression(&copied.staged.open()?, compression)?;
            facts =
                Some(LayerFacts { blob: digest, size, compression, diff_id, plain_size, seekable: false });
        }
        self.publish(copied.staged)?;
        facts.map_or(Ok(()), |facts| self.layers.learn(&facts, false))
    }

    fn publish(&mut self, staged: Staged) -> Result<()> {
        let (digest, size) = (staged.digest(), staged.size());
        // Made again, it may turn out to be what is there.
        let there = !self.damaged.contains(&digest) && self.reuse(&[(digest, size)])?.contains(&digest);
        if self.damaged.remove(&digest) {
            self.tx.heal(staged)?;
        } else {
            self.tx.publish(staged)?;
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
            self.present.insert(digest);
            return Ok(());
        }
        let mut writer = self.tx.writer()?;
        writer.write_all(bytes).map_err(Error::io("write", &self.shown))?;
        self.publish(writer.finish()?)
    }

    fn make_image(&mut self, image: &PlannedImage, made: &MadeImage) -> Result<Ready> {
        let config =
            Descriptor::new(media_type::OCI_CONFIG, made.image_id().0, made.config.bytes.len() as u64);
        let mut layers = Vec::new();
        for layer in &made.layers {
            let facts = self
                .made
                .get(&layer.diff_id)
                .ok_or_else(|| Error::damaged(format!("layer {}", layer.diff_id), "is missing"))?;
            layers.push(facts.descriptor());
        }
        let manifest = ImageManifest::write(&config, &layers);
        self.put(&made.config.bytes)?;
        self.put(&manifest.bytes)?;
        let parts: Vec<_> = layers
            .iter()
            .chain([&config, &manifest.descriptor()])
            .map(|part| (part.digest, part.size))
            .collect();
        let entry = made_entry(made, &manifest, total(&parts), &self.options.now);
        Ok(self.ready(image, entry, &parts))
    }

    fn keep_image(&mut self, image: &PlannedImage, kept: &KeptImage) -> Result<Ready> {
        // Children first: at no time does a stored document name one that is not there.
        for raw in kept.documents.iter().rev() {
            self.put(&raw.bytes)?;
        }
        let documents = kept.documents.iter().map(|raw| (raw.digest, raw.bytes.len() as u64));
        let parts: Vec<_> = documents
            .chain(kept.blobs.iter().map(|blob| (blob.descriptor.digest, blob.descriptor.size)))
            .collect();
        let entry = kept_entry(kept, total(&parts), &self.options.now);
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

    /// The stored blob that a member's name stands for.
    fn stored(&self, path: &str) -> Result<Blob> {
        let digest = path.rsplit('/').next().and_then(Digest::from_hex);
        let blob = digest.map(|digest| self.tx.store().blobs().open(&digest)).transpose()?.flatten();
        blob.ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))
    }

    fn report(&self, count: u64) {
        if self.watch_reads {
            (self.options.watch)(Event::Done(count));
        }
    }
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

/// The plain bytes of a layer that may be compressed; some tools put gzip'd layers into docker-archives.
fn plain<'r>(mut source: impl Read + Send + 'r, size: u64) -> Result<Box<dyn Read + Send + 'r>> {
    let failed = |e| from_io(e, Error::io("read", "the archive"));
    let mut head = Vec::new();
    source.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
    let compression = Compression::sniff(&head);
    decoder(compression, io::Cursor::new(head).chain(source), size, Limits::default()).map_err(failed)
}

fn wrong_diff_id(expected: DiffId, got: DiffId) -> Error {
    Error::damaged(format!("layer {expected}"), format!("diff ID mismatch: it unpacks to {got}"))
}
