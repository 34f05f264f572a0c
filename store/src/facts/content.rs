//! Reading single files out of a layer: of ours only the frames that hold them, of others as far as the last one.

use std::io::{self, Read};

use super::listing::Place;
use crate::blob::Blob;
use crate::codec::{FrameReader, Limits, decoder};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layers::LayerFacts;
use crate::media_type::Compression;
use crate::members::Pieces;

/// Bytes of one file that is read.
pub(super) const MAX_CONTENT: u64 = 64 << 20;

/// A layer that is open to be read.
pub(super) struct Layer {
    pub(super) blob: Blob,
    /// How it is compressed, so far as its descriptor says.
    pub(super) compression: Compression,
    /// What is known of it.
    pub(super) facts: Option<LayerFacts>,
}

impl Layer {
    /// Gives the content of files to `each`, with their numbers, in the order in which they stand in the layer. They
    /// must be what they were when they were listed: the blob as a whole is not checked here.
    pub(super) fn read(&self, files: &[Place], each: &mut dyn FnMut(usize, &[u8])) -> Result<()> {
        let mut order: Vec<_> = files.iter().enumerate().collect();
        order.sort_by_key(|(_, place)| place.offset);
        let mut source = self.source().map_err(|e| self.failed(e))?;
        let mut content = Vec::new();
        for (number, place) in order {
            content.clear();
            source.read(place.offset, place.size, &mut content).map_err(|e| self.failed(e))?;
            if place.digest != Some(Digest::of(&content)) {
                let what = format!("blob {}", self.blob.digest());
                return Err(Error::damaged(what, "does not hold what was read of it before"));
            }
            each(number, &content);
        }
        Ok(())
    }

    fn source(&self) -> io::Result<Pieces<'_>> {
        if let Some(facts) = &self.facts
            && let Some(frames) = FrameReader::open(&self.blob, facts)?
        {
            return Ok(Pieces::Frames(frames));
        }
        Ok(Pieces::Stream { plain: self.stream()?, position: 0 })
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        let compression = self.facts.map_or(self.compression, |facts| facts.compression);
        decoder(compression, self.blob.reader(), self.blob.size(), Limits::default())
    }

    pub(super) fn failed(&self, error: io::Error) -> Error {
        let blob = format!("blob {}", self.blob.digest());
        match error.raw_os_error() {
            Some(_) => Error::io("read", blob)(error),
            None => Error::damaged(blob, format!("does not unpack: {error}")),
        }
    }
}
