//! A layer that comes as a difference: it is rebuilt from one that is there, to the exact blob.

use std::io::{BufReader, Seek, SeekFrom, Write};

use larder_store::archive::tar::Source;
use larder_store::bundle::frame::{Frames, verify};
use larder_store::bundle::manifest::Made;
use larder_store::bundle::member::Member;
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
        file.seek(SeekFrom::Start(0)).map_err(shown())?;

        let made = made(blob.made.as_ref(), member)?;
        let layer = layer(self.store, made, self)?;
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
        let rebuilt = rebuild(&mut base, &mut BufReader::new(file), &wanted, self.tx.writer()?, cancel)?;
        watch(Event::Done(blob.size));
        let learned = rebuilt.learned();
        self.came(at, rebuilt.staged)?;
        // Next month it is the base, and need not be unpacked to be known.
        learned.keep(&self.store.layers()?)
    }

    /// Bytes that a difference takes on the disk while it is made into a blob, beside that: itself, and its base where that has to be unpacked.
    pub(super) fn aside(&self, at: usize, member: &Member) -> Result<u64> {
        let made = made(self.manifest.blobs[at].made.as_ref(), member)?;
        let base = layer(self.store, made, self)?;
        let is_unpacked = !base.facts().seekable && base.facts().compression != Compression::None;
        Ok(member.size.saturating_add(if is_unpacked { base.facts().plain_size } else { 0 }))
    }
}

fn made<'m>(made: Option<&'m Made>, member: &Member) -> Result<&'m Made> {
    made.ok_or_else(|| Error::invalid(format!("member {:?}", member.path), "is a difference to nothing"))
}

/// The layer that it is the difference to.
fn layer(store: &Store, made: &Made, work: &Work<'_, '_>) -> Result<Layer> {
    let (from, compression) = origin(store, made)?;
    let descriptor = Descriptor::new(compression.oci_layer(), made.from, from.size());
    Layer::open(store, &descriptor, made.from_diff_id, work.options.cancel)
}
