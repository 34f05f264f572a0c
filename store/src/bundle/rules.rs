//! What a manifest of a bundle may say, beyond its form.

use std::collections::{HashMap, HashSet};

use super::MAX_MEMBERS;
use super::manifest::{Blob, Manifest, Way};
use crate::codec::Encoding;
use crate::digest::Digest;
use crate::media_type::document_kind;
use crate::reference::Reference;

/// Bytes of all that is carried or presumed.
const MAX_BYTES: u64 = 1 << 60;
/// More parts than anybody carries.
const MAX_PARTS: usize = 10_000;
/// Less of a blob in a piece that is not its last one makes a list without an end of it, bytes: a block of a tar.
const LEAST_PIECE: u64 = 512;
/// Characters of what is only told to people.
const MAX_WORD: usize = 200;

/// Refuses what contradicts itself.
pub(super) fn check(manifest: &Manifest) -> Result<(), String> {
    let plain = |word: &str| word.len() <= MAX_WORD && !word.chars().any(char::is_control);
    if !plain(&manifest.encoder) || !manifest.targets.iter().all(|target| plain(target)) {
        return Err("has a text that is too long, or not plain".to_owned());
    }
    if !manifest.targets.is_sorted_by(|one, next| one < next) {
        return Err("lists its targets out of order".to_owned());
    }
    let mut sizes = HashMap::with_capacity(manifest.blobs.len() + manifest.presumes.len());
    let carried = manifest.blobs.iter().map(|blob| (blob.digest, blob.size, &blob.images));
    let presumed = manifest.presumes.iter().map(|blob| (blob.digest, blob.size, &blob.images));
    let mut total = 0u64;
    for (digest, size, images) in carried.chain(presumed) {
        if sizes.insert(digest, size).is_some() {
            return Err(format!("lists blob {digest} twice"));
        }
        let is_known = images.last().is_some_and(|last| (*last as usize) < manifest.images.len());
        if !is_known || !images.is_sorted_by(|one, next| one < next) {
            return Err(format!("does not say which images need blob {digest}"));
        }
        total =
            total.checked_add(size).filter(|total| *total <= MAX_BYTES).ok_or("has an impossible size")?;
    }
    images(manifest, &sizes)?;
    let made_of: HashSet<_> =
        manifest.blobs.iter().filter_map(|blob| Some(blob.made.as_ref()?.from)).collect();
    if let Some(base) = manifest.presumes.iter().find(|blob| blob.base && !made_of.contains(&blob.digest)) {
        return Err(format!("presumes blob {} to make others of, and makes none of it", base.digest));
    }
    let mut members = 0usize;
    for blob in &manifest.blobs {
        members = members
            .saturating_add(of_blob(blob, &sizes).map_err(|why| format!("blob {}: {why}", blob.digest))?);
    }
    members = members.saturating_add(documents(manifest)?);
    if members > MAX_MEMBERS {
        return Err(format!("has more than {MAX_MEMBERS} members"));
    }
    let in_parts = manifest.parts.iter().try_fold(0usize, |sum, part| match part {
        0 => None,
        part => sum.checked_add(*part),
    });
    if manifest.parts.len() > MAX_PARTS {
        return Err(format!("has more than {MAX_PARTS} parts"));
    }
    if manifest.parts.is_empty() || in_parts != Some(members) {
        return Err("does not say which member is in which part".to_owned());
    }
    Ok(())
}

fn images(manifest: &Manifest, sizes: &HashMap<Digest, u64>) -> Result<(), String> {
    let mut names = HashSet::new();
    for image in &manifest.images {
        if let Some(name) = &image.name {
            let reference = name.parse::<Reference>().map_err(|why| format!("image {name:?}: {why}"))?;
            if reference.full() != *name || reference.digest().is_some() {
                return Err(format!("image {name:?}: is not a full name with a tag"));
            }
            if !names.insert(name.as_str()) {
                return Err(format!("names {name} twice"));
            }
        }
        if document_kind(&image.media_type).is_none() {
            return Err(format!(
                "image {}: is of type {:?}, which is none of images",
                image.digest, image.media_type
            ));
        }
        if sizes.get(&image.digest) != Some(&image.size) {
            return Err(format!("image {}: neither carries nor presumes its manifest", image.digest));
        }
    }
    if manifest.images.is_empty() || u32::try_from(manifest.images.len()).is_err() {
        return Err("has no image".to_owned());
    }
    Ok(())
}

/// The number of members that a blob has.
fn of_blob(blob: &Blob, sizes: &HashMap<Digest, u64>) -> Result<usize, String> {
    let fits = match blob.way {
        Way::Whole => blob.pieces.is_empty() && blob.made.is_none() && blob.delta.is_none(),
        Way::Pieces => !blob.pieces.is_empty() && blob.made.is_none() && blob.delta.is_none(),
        Way::Encoded => blob.pieces.is_empty() && blob.made.is_some() && blob.delta.is_none(),
        Way::Delta => blob.pieces.is_empty() && blob.made.is_some() && blob.delta.is_some(),
    };
    if !fits {
        return Err("says two ways in which it comes".to_owned());
    }
    if blob.way == Way::Pieces {
        let sum = blob.pieces.iter().try_fold(0u64, |sum, piece| match piece.size {
            0 => None,
            size => sum.checked_add(size),
        });
        let (_, but_the_last) = blob.pieces.split_last().ok_or("has no pieces")?;
        if but_the_last.iter().any(|piece| piece.size < LEAST_PIECE) {
            return Err(format!("it is cut into pieces of less than {LEAST_PIECE} bytes"));
        }
        if sum != Some(blob.size) {
            return Err("its pieces are not as long as it is".to_owned());
        }
    }
    if let Some(made) = &blob.made {
        if !sizes.contains_key(&made.from) || made.from == blob.digest {
            return Err("what it is made from is neither carried nor presumed".to_owned());
        }
        let encoding = made.encoding.parse::<Encoding>()?;
        if encoding.to_string() != made.encoding {
            return Err(format!("{:?} is no encoding", made.encoding));
        }
        if blob.way == Way::Encoded && made.diff_id != made.from_diff_id {
            return Err("what it is made from has other content".to_owned());
        }
        if made.plain_size > MAX_BYTES || blob.delta.is_some_and(|delta| delta.size > MAX_BYTES) {
            return Err("has an impossible size".to_owned());
        }
    }
    Ok(match blob.way {
        Way::Whole | Way::Delta => 1,
        Way::Pieces => blob.pieces.len(),
        Way::Encoded => 0,
    })
}

/// The number of documents.
fn documents(manifest: &Manifest) -> Result<usize, String> {
    let paths: Vec<_> = manifest.documents.iter().map(|document| document.path.as_str()).collect();
    match paths[..] {
        ["oci-layout", "index.json"] | ["oci-layout", "index.json", "manifest.json"] => {}
        _ => return Err("does not have the documents of an image layout".to_owned()),
    }
    if manifest.documents.iter().any(|document| document.size > super::MAX_TEXT * 4) {
        return Err("has an impossible size".to_owned());
    }
    Ok(paths.len())
}
