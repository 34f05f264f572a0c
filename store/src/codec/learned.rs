//! What a store remembers of its own encoding: what a layer is, and which encoding makes its blob, so that this need not be
//! proven again ([`super::prove`]).
//!
//! It is kept in the store's cache and can be lost at any time. Only what this encoder made or proved is kept, with its version.

use super::{EncodedLayer, Encoding, Plain, encoder};
use crate::digest::Digest;
use crate::error::Result;
use crate::layers::{LayerCache, LayerFacts};
use crate::media_type::Compression;

/// What was learned of a layer by encoding it.
#[derive(Debug, Clone)]
pub struct Learned {
    /// What it is.
    pub facts: LayerFacts,
    encoding: Encoding,
    plain: Plain,
}

impl EncodedLayer {
    /// What was learned; it is to be kept once the blob is in the store.
    pub fn learned(&self) -> Learned {
        let compression = self.encoding.compression;
        let facts = LayerFacts {
            blob: self.staged.digest(),
            size: self.staged.size(),
            compression,
            diff_id: self.plain.diff_id,
            plain_size: self.plain.size,
            seekable: compression == Compression::Zstd,
        };
        Learned { facts, encoding: self.encoding, plain: self.plain.clone() }
    }
}

impl Learned {
    /// Keeps it. The blob is the one to use for its diff ID from now on.
    pub fn keep(&self, cache: &LayerCache) -> Result<()> {
        cache.learn(&self.facts, true)?;
        self.plain.keep(cache);
        remember(cache, &self.facts.blob, self.encoding);
        Ok(())
    }
}

/// The encoding that is known to make a blob of what it unpacks to. Whether the stored blob is still what its digest says is
/// another question.
pub fn remembered(cache: &LayerCache, blob: &Digest) -> Option<Encoding> {
    let text = cache.proof(blob)?;
    let text = std::str::from_utf8(&text).ok()?;
    // What a crash cut off has no end; another version makes other blobs.
    text.strip_prefix(&encoder())?.strip_prefix('\n')?.strip_suffix('\n')?.parse().ok()
}

/// Remembers that this encoder makes a blob.
pub(crate) fn remember(cache: &LayerCache, blob: &Digest, encoding: Encoding) {
    cache.learn_proof(blob, format!("{}\n{encoding}\n", encoder()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dir;

    #[test]
    fn a_proof_counts_for_this_encoder_and_whole() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        let cache = LayerCache::open(&dir).expect("opened");
        let blob = Digest::of(b"b");
        assert_eq!(remembered(&cache, &blob), None);
        for encoding in ["zstd:3", "zstd:19", "gzip:6", "none"] {
            remember(&cache, &blob, encoding.parse().expect("an encoding"));
            assert_eq!(remembered(&cache, &blob).map(|found| found.to_string()), Some(encoding.to_owned()));
        }
        assert_eq!(remembered(&cache, &Digest::of(b"c")), None);
        remember(&cache, &blob, "zstd:19".parse().expect("an encoding"));
        let path = temporary.path().join("proofs").join(blob.hex());
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert_eq!(remembered(&cache, &blob), None, "cut at {cut}");
        }
        for other in ["larder 0, zstd 1.5.7\nzstd:3\n", "zstd:3\n", "", "\n\n", "\u{1b}[2J"] {
            std::fs::write(&path, other).expect("written");
            assert_eq!(remembered(&cache, &blob), None, "{other:?}");
        }
    }
}
