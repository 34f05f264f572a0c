//! Rebuilding a stored layer out of another one and a delta, to the exact blob.

use std::io::Read;
use std::path::Path;

use super::apply::{Patched, expect};
use super::base::Base;
use super::format::{Header, wrong};
use crate::blob::BlobWriter;
use crate::cancel::Cancel;
use crate::codec::{EncodedLayer, Encoder, Encoding};
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Chunks that are read ahead: a segment's, while the base is unpacked for the next one.
const AHEAD: usize = 3;

/// A blob that is to come out. All of it is known from elsewhere (a manifest that was checked), not from the delta.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its digest.
    pub digest: Digest,
    /// Its size, bytes.
    pub size: u64,
    /// What the delta must be between.
    pub header: Header,
    /// How it was encoded ([`crate::codec::prove`]).
    pub encoding: Encoding,
    /// Threads that compress.
    pub jobs: usize,
    /// For messages: where it is written.
    pub shown: &'a Path,
}

/// Writes the blob: the delta's target, encoded. It is staged only if it is the wanted one, to the last bit; nothing is
/// written of a delta that is between other layers than it should be, and never more than the blob's size.
///
/// Errors: of kind `Damaged` where the delta, or the base, is not what it should be (the message says which), or where another
/// version of larder encoded the blob; `Invalid` where the delta is to another base, or of a newer version; `Interrupted`.
pub fn rebuild(
    base: &mut Base,
    delta: &mut dyn Read,
    wanted: &Wanted<'_>,
    writer: BlobWriter,
    cancel: &Cancel,
) -> Result<EncodedLayer> {
    let rebuilt =
        Patched::new(base, delta, cancel).and_then(|patched| encode(patched, wanted, writer, cancel));
    rebuilt.map_err(|error| base.blame(error, cancel))
}

/// All cores encode what the delta gives as soon as it does.
fn encode(
    mut patched: Patched<'_>,
    wanted: &Wanted<'_>,
    writer: BlobWriter,
    cancel: &Cancel,
) -> Result<EncodedLayer> {
    let header = patched.header();
    if header != wanted.header {
        let Header { target, target_size, .. } = wanted.header;
        return Err(wrong(format!(
            "gives the layer {} of {} bytes, where {target} of {target_size} was announced",
            header.target, header.target_size
        )));
    }
    let shown = wanted.shown.to_path_buf();
    let mut encoder = Encoder::reading_ahead(AHEAD, wanted.encoding, wanted.jobs, cancel.clone(), shown)?;
    encoder.layer(&mut patched, writer.at_most(wanted.size), &|_| {})?;
    let layer = encoder.finish()?.pop();
    let layer = layer.ok_or_else(|| Error::invalid("the encoder", "gave no layer"))?;
    expect(header, layer.plain.diff_id)?;
    if (layer.staged.digest(), layer.staged.size()) != (wanted.digest, wanted.size) {
        let why = format!(
            "its content was rebuilt and encoded as {} to {} of {} bytes, and {} bytes were wanted: another version of larder encoded it",
            wanted.encoding,
            layer.staged.digest(),
            layer.staged.size(),
            wanted.size
        );
        return Err(Error::damaged(format!("blob {}", wanted.digest), why));
    }
    Ok(layer)
}
