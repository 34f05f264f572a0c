//! What a bundle needs of a delta, between layers of a store: whether there is one that is worth it, proven, in a file.
//!
//! In this order, so that what fails fails early: the delta is made, up to the size at which it is not worth it; then it
//! is proven that who applies it gets the exact blob. A blob that is not of larder's encoding is told by its first frame,
//! before anything else.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::base::{Base, nameless};
use super::format::Header;
use super::make::{Target, make};
use super::similar::Sketch;
use super::{Made, Settings};
use crate::archive::image::facts_of;
use crate::blob::Blob;
use crate::cancel::Cancel;
use crate::codec::{Encoding, Proof, layer_decoder, measure_frames, remember, remembered, table_says};
use crate::descriptor::Descriptor;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::fs::Dir;
use crate::ids::DiffId;
use crate::layers::{LayerCache, LayerFacts};
use crate::media_type::Compression;
use crate::store::Store;

/// A layer of a store. Whoever has it keeps it in the store meanwhile (a lease).
#[derive(Debug, Clone)]
pub struct Layer {
    blob: Blob,
    facts: LayerFacts,
    cache: LayerCache,
}

impl Layer {
    /// Opens a layer by its descriptor and the diff ID that its image's config says. One that was never unpacked here is, once, to
    /// see that it has this diff ID.
    pub fn open(store: &Store, layer: &Descriptor, diff_id: DiffId, cancel: &Cancel) -> Result<Layer> {
        let mut facts = facts_of(store, layer, diff_id, cancel)?;
        let blob = store.blobs().open(&layer.digest)?;
        let blob = blob.ok_or_else(|| Error::damaged(format!("layer {}", layer.digest), "is missing"))?;
        let cache = store.layers()?;
        // Another larder encoded it, and when it came only its content was looked at: once its frames are checked it is never unpacked
        // as a whole again.
        if !facts.seekable
            && facts.compression == Compression::Zstd
            && measure_frames(&blob, cancel)?.is_some_and(|plain| plain.diff_id == diff_id)
        {
            facts.seekable = true;
            cache.learn(&facts, false)?;
        }
        Ok(Layer { blob, facts, cache })
    }

    /// A layer whose frames were never checked here, as its seek table shows it. Nobody has seen whether that is true, nor whether the
    /// layer has this diff ID. It will do as the base of what is itself checked once it is made ([`super::rebuild()`]); where that
    /// fails [`Layer::open`] knows more. `None` where there is no such table, or where `open` need not unpack anything.
    pub fn presume(store: &Store, layer: &Descriptor, diff_id: DiffId) -> Result<Option<Layer>> {
        let cache = store.layers()?;
        if cache.by_blob(&layer.digest).is_some_and(|facts| facts.diff_id == diff_id && facts.seekable) {
            return Ok(None);
        }
        let Some(blob) = store.blobs().open(&layer.digest)? else { return Ok(None) };
        let failed = Error::io("read", format!("blob {}", layer.digest));
        let Some(plain_size) = table_says(&blob).map_err(failed)? else { return Ok(None) };
        let (compression, size) = (Compression::Zstd, layer.size);
        let facts = LayerFacts { blob: layer.digest, size, compression, diff_id, plain_size, seekable: true };
        Ok(Some(Layer { blob, facts, cache }))
    }

    /// What is known of it.
    pub fn facts(&self) -> &LayerFacts {
        &self.facts
    }

    /// Whether larder's encoder seems to have made it: of all others no delta gives the exact blob.
    pub fn is_encoded_here(&self, cancel: &Cancel) -> Result<bool> {
        Ok(self.proven().is_some() || Proof::begin(&self.blob, cancel)?.is_some())
    }

    /// The encoding that is known to make it.
    fn proven(&self) -> Option<Encoding> {
        remembered(&self.cache, &self.facts.blob)
    }

    /// What it is compared to others by ([`super::similar()`]). All of it is unpacked for that, once: the store's cache keeps it.
    pub fn sketch(&self, cancel: &Cancel) -> Result<Sketch> {
        let diff_id = &self.facts.diff_id;
        if let Some(known) = self.cache.sketch(diff_id).and_then(|bytes| Sketch::from_bytes(&bytes)) {
            return Ok(known);
        }
        let sketch = Sketch::read(&mut self.plain()?, cancel)?;
        self.cache.learn_sketch(diff_id, &sketch.to_bytes());
        Ok(sketch)
    }

    /// As what a delta is made, and applied, to. A layer that is not of larder's encoding is unpacked into a file without a name in
    /// `scratch`.
    pub fn base(&self, scratch: &Dir, cancel: &Cancel) -> Result<Base> {
        Base::open(&self.blob, &self.facts, scratch, cancel)
    }

    fn plain(&self) -> Result<impl std::io::Read + use<>> {
        let failed = Error::io("unpack", format!("blob {}", self.blob.digest()));
        layer_decoder(&self.blob, &self.facts, 1).map_err(failed)
    }
}

/// A delta that is worth it, and gives the exact blob.
#[derive(Debug)]
pub struct Prepared {
    /// Its bytes, from the file's start; the file has no name, so that nothing is left of it.
    pub file: File,
    /// How many they are, and what they are made of.
    pub made: Made,
    /// Their digest.
    pub digest: Digest,
    /// What it is between.
    pub header: Header,
    /// How the blob is encoded that comes out.
    pub encoding: Encoding,
}

/// Makes a delta that gives the stored blob of `target`, bit for bit, where `base` is. `None` where there is none that has at most
/// `most` bytes, or where this larder's encoder does not make that blob.
///
/// Takes [`Settings::memory`], or [`super::LEAST_MEMORY`] where that is more, and afterwards 16 MiB for each of
/// [`Settings::jobs`]. Writes to `scratch` what it makes, at most `most` bytes, and see [`Layer::base`]. `cancel` ends it with
/// `Interrupted`; a stored layer that is not what it was is `Damaged`.
pub fn prepare(
    base: &Layer,
    target: &Layer,
    settings: &Settings,
    most: u64,
    scratch: &Dir,
    cancel: &Cancel,
) -> Result<Option<Prepared>> {
    let proven = target.proven();
    let proof = match proven {
        Some(_) => None,
        None => match Proof::begin(&target.blob, cancel)? {
            None => return Ok(None),
            begun => begun,
        },
    };
    let mut base = base.base(scratch, cancel)?;
    let LayerFacts { diff_id, plain_size: size, .. } = target.facts;
    let header = Header { base: base.diff_id(), base_size: base.size(), target: diff_id, target_size: size };
    let mut out = Out { file: BufWriter::new(nameless(scratch)?), hasher: Hasher::new() };
    let wanted = Target { plain: &mut target.plain()?, diff_id, size };
    let Some(made) = make(&mut base, wanted, settings, Some(most), &mut out, cancel)? else {
        return Ok(None);
    };
    let found = proof.map_or(Ok(proven), |proof| proof.finish(settings.jobs, cancel))?;
    let Some(encoding) = found else { return Ok(None) };
    remember(&target.cache, &target.facts.blob, encoding);
    let written = out.file.into_inner().map_err(|error| error.into_error());
    let mut file = written.map_err(Error::io("write in", scratch.path()))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io("seek in a file in", scratch.path()))?;
    Ok(Some(Prepared { file, made, digest: out.hasher.finish(), header, encoding }))
}

/// Hashes what is written.
struct Out {
    file: BufWriter<File>,
    hasher: Hasher,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
