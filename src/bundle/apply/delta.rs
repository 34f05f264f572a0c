//! A layer that comes as a difference: it is rebuilt from one that is there, to the exact blob.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom, Write};

use larder_store::archive::tar::Source;
use larder_store::bundle::frame::{Frames, verify};
use larder_store::bundle::manifest::Made;
use larder_store::bundle::member::Member;
use larder_store::cancel::Cancel;
use larder_store::codec::EncodedLayer;
use larder_store::delta::{Header, Layer, Wanted, nameless, rebuild};
use larder_store::descriptor::Descriptor;
use larder_store::digest::Hasher;
use larder_store::error::{Error, Result};
use larder_store::media_type::Compression;
use larder_store::progress::Event;
use larder_store::store::Store;

use super::members::{PIECE, origin};
use super::work::Work;

impl Work<'_, '_> {
    /// Takes a difference in whole, and checks its digest before anything is made of it; then makes that.
    pub(super) fn take_delta<S: Source>(
        &mut self,
        at: usize,
        member: &Member,
        frames: &mut Frames<S>,
    ) -> Result<()> {
        let blob = &self.manifest.blobs[at];
        let (cancel, watch) = (self.options.cancel, self.options.watch);
        let scratch = self.tx.ingest().scratch();
        let shown = || Error::io("write in", scratch.path());
        let mut file = nameless(scratch)?;
        let (mut hasher, mut buffer) = (Hasher::new(), vec![0; PIECE]);
        frames.content(member.size, &mut buffer, &mut |bytes| {
            cancel.check()?;
            hasher.update(bytes);
            file.write_all(bytes).map_err(shown())
        })?;
        drop(buffer);
        verify(member, hasher)?;
        self.read_bytes += member.size;

        let made = made(blob.made.as_ref(), member)?;
        file.seek(SeekFrom::Start(0)).map_err(shown())?;
        let said = Header::read(&mut file)?;
        let base = presumed(self.store, made)?.filter(|base| base.facts().plain_size == said.base_size);
        // What comes out is checked to the last bit: the base, which takes as long again, only where that is not right.
        let rebuilt = match base.map(|base| self.rebuilt(at, made, &base, &mut file)) {
            Some(rebuilt) if !rebuilt.as_ref().is_err_and(Self::is_damage) => rebuilt,
            _ => self.rebuilt(at, made, &base_layer(self.store, made, cancel)?, &mut file),
        }?;
        watch(Event::Done(blob.size));
        let learned = rebuilt.learned();
        self.came(at, rebuilt.staged)?;
        // Next month it is the base, and need not be unpacked to be known.
        learned.keep(&self.store.layers()?)
    }

    /// The blob that a difference to this layer gives.
    fn rebuilt(&self, at: usize, made: &Made, layer: &Layer, delta: &mut File) -> Result<EncodedLayer> {
        let (blob, cancel, scratch) =
            (&self.manifest.blobs[at], self.options.cancel, self.tx.ingest().scratch());
        delta.seek(SeekFrom::Start(0)).map_err(Error::io("seek in a file in", scratch.path()))?;
        let mut base = layer.base(scratch, cancel)?;
        let header = Header {
            base: made.from_diff_id,
            base_size: layer.facts().plain_size,
            target: made.diff_id,
            target_size: made.plain_size,
        };
        let encoding = made.encoding.parse().map_err(|why: String| Error::invalid(&made.encoding, why))?;
        let place = self.store.path().join("blobs");
        let wanted = Wanted {
            digest: blob.digest,
            size: blob.size,
            header,
            encoding,
            jobs: self.options.jobs,
            shown: &place,
        };
        rebuild(&mut base, &mut BufReader::new(delta), &wanted, self.tx.writer()?, cancel)
    }

    /// Bytes that a difference takes on the disk while it is made into a blob, beside that: itself, and its base where that has to be unpacked.
    pub(super) fn aside(&self, at: usize, member: &Member) -> Result<u64> {
        let made = made(self.manifest.blobs[at].made.as_ref(), member)?;
        if presumed(self.store, made)?.is_some() {
            return Ok(member.size);
        }
        let base = base_layer(self.store, made, self.options.cancel)?;
        let is_unpacked = !base.facts().seekable && base.facts().compression != Compression::None;
        Ok(member.size.saturating_add(if is_unpacked { base.facts().plain_size } else { 0 }))
    }
}

fn made<'m>(made: Option<&'m Made>, member: &Member) -> Result<&'m Made> {
    made.ok_or_else(|| Error::invalid(format!("member {:?}", member.path), "is a difference to nothing"))
}

/// The layer that it is the difference to, as it shows itself ([`Layer::presume`]).
fn presumed(store: &Store, made: &Made) -> Result<Option<Layer>> {
    Layer::presume(store, &descriptor(store, made)?, made.from_diff_id)
}

/// The same, checked.
fn base_layer(store: &Store, made: &Made, cancel: &Cancel) -> Result<Layer> {
    Layer::open(store, &descriptor(store, made)?, made.from_diff_id, cancel)
}

fn descriptor(store: &Store, made: &Made) -> Result<Descriptor> {
    let (from, compression) = origin(store, made)?;
    Ok(Descriptor::new(compression.oci_layer(), made.from, from.size()))
}
