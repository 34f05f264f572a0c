//! What a bundle presumes, against what is there.

use std::collections::{BTreeMap, HashSet};

use larder_store::bundle::manifest::{Manifest, Presumed};
use larder_store::digest::Digest;

use super::options::Failure;

/// Blobs that are named of one image.
const MOST: usize = 3;

/// Refuses a bundle that presumes what is not there, image by image.
pub(super) fn check(manifest: &Manifest, there: &HashSet<Digest>) -> Result<(), Failure> {
    let mut lacking: BTreeMap<u32, Vec<(Digest, u64)>> = BTreeMap::new();
    let mut blobs = 0;
    // What is there need not be made.
    let made = manifest.blobs.iter().filter(|blob| !there.contains(&blob.digest));
    let made_of: HashSet<_> = made.filter_map(|blob| Some(blob.made.as_ref()?.from)).collect();
    let is_needed =
        |blob: &&Presumed| !there.contains(&blob.digest) && (!blob.base || made_of.contains(&blob.digest));
    for blob in manifest.presumes.iter().filter(is_needed) {
        blobs += 1;
        for image in &blob.images {
            lacking.entry(*image).or_default().push((blob.digest, blob.size));
        }
    }
    if blobs == 0 {
        return Ok(());
    }
    let line = |(image, lacking): (u32, Vec<(Digest, u64)>)| {
        let mut shown: Vec<_> =
            lacking.iter().take(MOST).map(|(digest, size)| format!("{digest} ({size} bytes)")).collect();
        if lacking.len() > MOST {
            shown.push(format!("and {} more", lacking.len() - MOST));
        }
        format!("{}: presumes {}", manifest.label(image), shown.join(", "))
    };
    let lines = lacking.into_iter().map(line).collect();
    Err(Failure::Presumed { lines, blobs, targets: manifest.targets.clone() })
}
