//! A layer that can be read plain as often as it takes, from the store or from an archive.

use std::io::{self, Read};

use crate::blob::Blob;
use crate::codec::{FrameReader, Limits, decoder, layer_decoder};
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::layers::LayerFacts;
use crate::manifest::{ImageConfig, ImageManifest};
use crate::media_type::Compression;
use crate::store::Store;

/// Threads that unpack where a whole layer must be.
const JOBS: usize = 2;

/// Opens a member of an archive, from its beginning and compressed as it is.
pub(super) type Open = Box<dyn Fn() -> io::Result<Box<dyn Read + Send>>>;

/// A layer of an image.
pub struct Layer {
    pub(super) diff_id: DiffId,
    /// For messages.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// Where its bytes are.
pub(super) enum Bytes {
    Stored { blob: Blob, compression: Compression, facts: Option<LayerFacts> },
    Archived { open: Open, size: u64 },
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The layers of an image of the store, lowest first. The caller protects it.
pub fn of_image(store: &Store, image: &ImageManifest, config: &ImageConfig) -> Result<Vec<Layer>> {
    let diff_ids = config.diff_ids();
    if image.layers.len() != diff_ids.len() {
        let why = format!("has {} diff IDs for {} layers", diff_ids.len(), image.layers.len());
        return Err(Error::damaged(format!("config {}", image.config.digest), why));
    }
    let known = store.layers()?;
    let layers = image.layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| {
        let name = format!("blob {}", descriptor.digest);
        let blob = store.blobs().open(&descriptor.digest)?;
        let blob = blob.ok_or_else(|| Error::damaged(&name, "is missing"))?;
        let facts = known.by_blob(&descriptor.digest).filter(|facts| facts.diff_id == *diff_id);
        let compression = Compression::of_layer(&descriptor.media_type);
        let compression = compression.or(facts.map(|facts| facts.compression)).ok_or_else(|| {
            Error::invalid(&name, format!("is of type {:?}, which is no layer's", descriptor.media_type))
        })?;
        Ok(Layer { diff_id: *diff_id, name, bytes: Bytes::Stored { blob, compression, facts } })
    });
    layers.collect()
}

impl Layer {
    /// All of it, plain.
    pub(super) fn plain(&self) -> Result<Box<dyn Read + Send + '_>> {
        let opened = match &self.bytes {
            Bytes::Stored { blob, facts: Some(facts), .. } => layer_decoder(blob, facts, JOBS),
            Bytes::Stored { blob, compression, .. } => {
                decoder(*compression, blob.reader(), blob.size(), Limits::default())
            }
            Bytes::Archived { open, size } => {
                open().and_then(|source| crate::archive::plain(source, *size).map_err(io::Error::other))
            }
        };
        opened.map_err(|error| self.failed(error))
    }

    /// Pieces of it, in the order in which they stand there.
    pub(super) fn pieces(&self) -> Result<Pieces<'_>> {
        if let Bytes::Stored { blob, facts: Some(facts), .. } = &self.bytes
            && let Some(frames) = FrameReader::open(blob, facts).map_err(|error| self.failed(error))?
        {
            return Ok(Pieces::Frames(frames));
        }
        Ok(Pieces::Stream { plain: self.plain()?, position: 0 })
    }

    pub(super) fn failed(&self, error: io::Error) -> Error {
        match error.raw_os_error() {
            Some(_) => Error::io("read", self.name.clone())(error),
            None => Error::damaged(&self.name, format!("does not unpack: {error}")),
        }
    }
}

/// Pieces of a layer: of ours only the frames that hold them are unpacked, of others all as far as the last one.
pub(crate) enum Pieces<'a> {
    /// One of ours.
    Frames(FrameReader),
    /// Another one, and how much of it has passed.
    Stream {
        /// What is left of it.
        plain: Box<dyn Read + Send + 'a>,
        /// Bytes that have passed.
        position: u64,
    },
}

impl Pieces<'_> {
    /// Appends so many plain bytes from an offset on; none lies before the end of the last piece.
    pub(crate) fn read(&mut self, offset: u64, size: u64, content: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Pieces::Frames(frames) => frames.read(offset, size, content),
            Pieces::Stream { plain, position } => {
                let ahead = offset.saturating_sub(*position);
                let skipped = io::copy(&mut plain.take(ahead), &mut io::sink())?;
                let read = plain.take(size).read_to_end(content)?;
                *position += skipped + read as u64;
                Ok(())
            }
        }
    }
}
