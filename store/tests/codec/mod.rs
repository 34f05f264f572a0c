//! Compressed layers: the same bytes on any number of cores, readable by every decoder, and nothing left of what fails.

mod copy;
mod encode;
mod fail;
mod seek;

use std::io::Read;

use larder_store::blob::Ingest;
use larder_store::cancel::Cancel;
use larder_store::codec::{EncodedLayer, Encoder, Encoding};
use larder_store::fs::Dir;
use larder_store::media_type::Compression;
use larder_store::{Digest, Result};
use tempfile::TempDir;

use crate::support::quick_directory;

/// Numbers of threads that compress.
const JOBS: [usize; 3] = [1, 2, 5];

/// A place for blobs that are being written.
struct Bench {
    ingests: Dir,
    ingest: Option<Ingest>,
    dir: TempDir,
}

impl Bench {
    fn new() -> Bench {
        let dir = quick_directory();
        let ingests = Dir::open(dir.path()).unwrap();
        Bench { ingest: Some(Ingest::create(&ingests).unwrap()), ingests, dir }
    }

    fn ingest(&self) -> &Ingest {
        self.ingest.as_ref().unwrap()
    }

    fn encoder(&self, encoding: &str, jobs: usize, cancel: &Cancel) -> Encoder {
        Encoder::new(encoding.parse().unwrap(), jobs, cancel.clone(), self.dir.path().to_path_buf()).unwrap()
    }

    /// Compresses one layer.
    fn encode(&self, encoding: &str, jobs: usize, mut source: impl Read) -> Result<EncodedLayer> {
        let mut encoder = self.encoder(encoding, jobs, &Cancel::new());
        encoder.layer(&mut source, self.ingest().writer()?, &|_| {})?;
        Ok(encoder.finish()?.remove(0))
    }

    /// Files that are being written, or were left.
    fn files(&self) -> usize {
        let dirs = self.ingests.names().unwrap();
        dirs.iter().map(|dir| self.ingests.sub(dir).unwrap().names().unwrap().len()).sum()
    }

    /// Sees that nothing is left when the last writer is gone.
    fn assert_empty(mut self, why: &str) {
        assert_eq!(self.files(), 0, "{why}: a file is left in the ingest");
        self.ingest = None;
        assert!(self.ingests.names().unwrap().is_empty(), "{why}: the ingest is left");
    }
}

/// The bytes of a staged blob, checked.
fn content(layer: &EncodedLayer) -> Vec<u8> {
    let mut bytes = Vec::new();
    layer.staged.open().unwrap().verified().read_to_end(&mut bytes).unwrap();
    assert_eq!((layer.staged.digest(), layer.staged.size()), (Digest::of(&bytes), bytes.len() as u64));
    bytes
}

/// What a decoder that knows nothing of us makes of a blob.
fn decode(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match compression {
        Compression::None => plain.extend(bytes),
        Compression::Gzip => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        Compression::Zstd => zstd::stream::copy_decode(bytes, &mut plain).unwrap(),
    }
    plain
}

fn compression(encoding: &str) -> Compression {
    encoding.parse::<Encoding>().unwrap().compression
}
