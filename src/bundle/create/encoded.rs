//! A layer that the target has in another blob: where its encoder makes our blob of it, bit for bit, nothing need be sent.
//!
//! That is proven here, by making it, unless it is known from when it was made: the same encoder gives the same bytes for the same content.
//! The copy that this takes is in the store's ingest, and gone when it was looked at.

use larder_store::blob::from_io;
use larder_store::bundle::manifest::Made;
use larder_store::codec::{Encoder, Encoding, Limits, decoder, remembered};
use larder_store::error::{Error, Result};
use larder_store::media_type::Compression;
use larder_store::store::Store;

use super::gather::Found;
use super::plan::Wanted;

/// What every target makes a blob of, where they all have the same other blob of its content, and the encoder that we have.
pub(super) fn made(store: &Store, found: &Found, wanted: &Wanted<'_>, encoder: &str) -> Result<Option<Made>> {
    let Some((compression, diff_id)) = found.layer else { return Ok(None) };
    let mut from = None;
    for known in wanted.known {
        match known.layers.get(&diff_id) {
            Some(blob) if known.encoder == encoder && from.is_none_or(|(other, _)| other == *blob) => {
                let Some(size) = known.blobs.get(blob) else { return Ok(None) };
                from = Some((*blob, *size));
            }
            _ => return Ok(None),
        }
    }
    // Without compression it is what its content is: that could only be another name for the same blob.
    let Some((from, _)) = from.filter(|(from, _)| *from != found.digest && compression != Compression::None)
    else {
        return Ok(None);
    };
    let made = |encoding: Encoding, plain_size: u64| {
        let encoding = encoding.to_string();
        Made { from, from_diff_id: diff_id, diff_id, encoding, plain_size }
    };
    let layers = store.layers()?;
    let facts = layers.by_blob(&found.digest).filter(|facts| facts.diff_id == diff_id);
    if let (Some(facts), Some(encoding)) = (facts, remembered(&layers, &found.digest)) {
        return Ok(Some(made(encoding, facts.plain_size)));
    }
    let encoding = Encoding::of(compression);
    let missing = || Error::damaged(format!("blob {}", found.digest), "is missing");
    let blob = store.blobs().open(&found.digest)?.ok_or_else(missing)?;
    let failed = |e| from_io(e, Error::io("unpack", format!("blob {}", found.digest)));
    let mut plain = decoder(compression, blob.verified(), blob.size(), Limits::default()).map_err(failed)?;
    let tx = store.begin("bundle create")?;
    let shown = store.path().to_path_buf();
    let mut encoder = Encoder::new(encoding, wanted.jobs, wanted.cancel.clone(), shown)?;
    encoder.layer(&mut plain, tx.writer()?, &|_| {})?;
    let Some(encoded) = encoder.finish()?.pop() else { return Ok(None) };
    let is_same = encoded.staged.digest() == found.digest && encoded.plain.diff_id == diff_id;
    Ok(is_same.then(|| made(encoding, encoded.plain.size)))
}
