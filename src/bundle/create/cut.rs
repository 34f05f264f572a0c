//! Fitting a bundle into parts of a size. What is larger than a part is cut.

use std::collections::HashSet;
use std::io::Read;

use larder_store::blob::from_io;
use larder_store::bundle::manifest::{Cut, Manifest, Way};
use larder_store::bundle::member::tar_size;
use larder_store::cancel::Cancel;
use larder_store::digest::{Digest, Hasher};
use larder_store::error::{Error, Result};
use larder_store::store::Store;

/// What each part has beside manifest and members: two directories, room for a signature, its number, the end.
const FRAME: u64 = 2 * 512 + (512 + 1024) + (512 + 512) + 2 * 512;
/// Less of a blob than this does not begin at the end of a part, bytes.
const LEAST: u64 = 64 << 10;
/// What a manifest may be larger than it was thought to be, bytes.
const SLACK: u64 = 4 << 10;
/// More rounds than this are not needed: each makes more room.
const ROUNDS: usize = 40;

/// Says which member is in which part, and cuts what is larger than one. `split` is what a part may have, bytes; without it
/// all is one part.
pub(super) fn into_parts(
    store: &Store,
    manifest: &mut Manifest,
    split: Option<u64>,
    cancel: &Cancel,
) -> Result<()> {
    manifest.parts = vec![manifest.members().count()];
    let Some(split) = split else { return Ok(()) };
    let mut expected = (manifest.to_bytes().len() as u64).next_multiple_of(SLACK);
    let whole = manifest.members().map(|member| tar_size(member.size)).fold(0, u64::saturating_add);
    if whole.saturating_add(FRAME).saturating_add(tar_size(expected)) <= split {
        return Ok(());
    }
    let plain = manifest.clone();
    for _ in 0..ROUNDS {
        let room = split.saturating_sub(FRAME).saturating_sub(tar_size(expected));
        if room < LEAST.max(split / 4) {
            let why = format!(
                "parts of {split} bytes are too small: the list of what is in the bundle has {expected}, and is in each"
            );
            return Err(Error::invalid("the bundle", why));
        }
        *manifest = plain.clone();
        lay_out(manifest, room);
        let actual = manifest.to_bytes().len() as u64;
        if actual <= expected {
            return hash_pieces(store, manifest, cancel);
        }
        expected = actual.saturating_add(SLACK).next_multiple_of(SLACK);
    }
    Err(Error::invalid("the bundle", format!("does not fit into parts of {split} bytes")))
}

/// Puts one member behind the other into parts with so much room. What the pieces are is not known yet.
fn lay_out(manifest: &mut Manifest, room: u64) {
    let (mut parts, mut left, mut count) = (Vec::new(), room, 0);
    let mut put = |size: u64, left: &mut u64| {
        if size > *left && count > 0 {
            parts.push(std::mem::take(&mut count));
            *left = room;
        }
        *left = left.saturating_sub(size);
        count += 1;
    };
    put(tar_size(manifest.documents.first().map_or(0, |document| document.size)), &mut left);
    for blob in &mut manifest.blobs {
        let member = match (blob.way, &blob.delta) {
            (Way::Encoded, _) => continue,
            (Way::Delta, Some(delta)) => delta.size,
            _ => blob.size,
        };
        if tar_size(member) <= room {
            put(tar_size(member), &mut left);
            continue;
        }
        // A difference is not cut.
        (blob.made, blob.delta) = (None, None);
        blob.way = Way::Pieces;
        let mut rest = blob.size;
        while rest > 0 {
            let fits = if left >= LEAST + 512 { left } else { room } - 512;
            let size = rest.min(fits / 512 * 512);
            put(tar_size(size), &mut left);
            blob.pieces.push(Cut { size, sha256: blob.digest });
            rest -= size;
        }
    }
    let made_of: HashSet<_> =
        manifest.blobs.iter().filter_map(|blob| Some(blob.made.as_ref()?.from)).collect();
    manifest.presumes.retain(|blob| !blob.base || made_of.contains(&blob.digest));
    for document in manifest.documents.iter().skip(1) {
        put(tar_size(document.size), &mut left);
    }
    parts.push(count);
    manifest.parts = parts;
}

/// Reads what was cut, for the digests of the pieces.
fn hash_pieces(store: &Store, manifest: &mut Manifest, cancel: &Cancel) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    for blob in manifest.blobs.iter_mut().filter(|blob| blob.way == Way::Pieces) {
        let digest = blob.digest;
        let missing = || Error::damaged(format!("blob {digest}"), "is missing");
        let mut source = store.blobs().open(&digest)?.ok_or_else(missing)?.verified();
        let failed = |e| from_io(e, Error::io("read", format!("blob {digest}")));
        for piece in &mut blob.pieces {
            let (mut hasher, mut left) = (Hasher::new(), piece.size);
            while left > 0 {
                cancel.check()?;
                let wanted = left.min(buffer.len() as u64) as usize;
                source.read_exact(&mut buffer[..wanted]).map_err(failed)?;
                hasher.update(&buffer[..wanted]);
                left -= wanted as u64;
            }
            piece.sha256 = hasher.finish();
        }
        // Only the end says that all of it was what its digest says.
        if source.read(&mut buffer).map_err(failed)? > 0 {
            return Err(Error::damaged(format!("blob {digest}"), "is longer than it was"));
        }
        debug_assert!(blob.pieces.iter().all(|piece| piece.sha256 != Digest::of(b"")));
    }
    Ok(())
}
