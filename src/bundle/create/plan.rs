//! What travels, and how: what all targets have is presumed, what they can make of what they have is made there, all else is sent.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use larder_store::archive::image::{Content, Images, LayerForm};
use larder_store::archive::package::{Form, package};
use larder_store::bundle::have::Known;
use larder_store::bundle::manifest::{Blob, Made, Manifest, Piece, Presumed, Way};
use larder_store::cancel::Cancel;
use larder_store::codec::encoder;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::store::Store;

use super::difference::{Differ, Differences};
use super::gather::{Asked, Found, Gathered, gather, in_order};
use super::{Planned, cut, encoded};

/// How a bundle is wanted.
pub(crate) struct Wanted<'a> {
    /// What the targets have; nothing is presumed without.
    pub(crate) known: &'a [Known],
    /// The bytes that a part may have.
    pub(crate) split: Option<u64>,
    /// Whether layers go as differences, and how those are made.
    pub(crate) differences: Option<Differences>,
    /// Threads.
    pub(crate) jobs: usize,
    /// Asks to stop.
    pub(crate) cancel: &'a Cancel,
}

/// Plans a bundle of images, which the caller has leased.
pub(crate) fn plan(store: &Store, mut asked: Vec<Asked>, wanted: &Wanted<'_>) -> Result<Planned> {
    in_order(&mut asked);
    let gathered = gather(store, &asked)?;
    let mut manifest = Manifest::new(encoder(), gathered.images.clone());
    manifest.targets = wanted.known.iter().filter_map(|known| known.store.clone()).collect();
    manifest.targets.sort_unstable();
    manifest.targets.dedup();
    let mut differ = Differ::begin(store, wanted)?;
    for found in &gathered.blobs {
        wanted.cancel.check()?;
        if is_presumed(found, wanted.known)? {
            let Found { digest, size, .. } = *found;
            let images = found.images.clone();
            manifest.presumes.push(Presumed { digest, size, images, base: false });
        } else {
            let blob = match encoded::made(store, found, wanted, &manifest.encoder)? {
                None => match differ.as_mut().map(|differ| differ.of(found, &gathered.images)).transpose()? {
                    Some(Some((made, delta))) => {
                        Blob { delta: Some(delta), ..carried(found, Way::Delta, Some(made)) }
                    }
                    _ => carried(found, Way::Whole, None),
                },
                made => carried(found, Way::Encoded, made),
            };
            manifest.blobs.push(blob);
        }
    }
    presume_bases(&mut manifest, wanted.known);
    let documents = documents(store, &asked, &gathered, &mut manifest, wanted)?;
    cut::into_parts(store, &mut manifest, wanted.split, wanted.cancel)?;
    let bytes = manifest.to_bytes();
    // What would not be read is not written.
    Manifest::parse(&bytes).map_err(|why| Error::invalid("the bundle", why))?;
    let deltas = differ.map(Differ::into_blobs).unwrap_or_default();
    Ok(Planned { manifest, bytes, documents, deltas })
}

/// What the target makes blobs of has to be there, whether an image needs it or not.
fn presume_bases(manifest: &mut Manifest, known: &[Known]) {
    let mut bases: BTreeMap<Digest, BTreeSet<u32>> = BTreeMap::new();
    for blob in &manifest.blobs {
        if let Some(made) = &blob.made {
            bases.entry(made.from).or_default().extend(&blob.images);
        }
    }
    for (digest, images) in bases {
        let size = known.first().and_then(|known| known.blobs.get(&digest)).copied().unwrap_or_default();
        match manifest.presumes.iter_mut().find(|blob| blob.digest == digest) {
            Some(presumed) => {
                let all: BTreeSet<u32> = presumed.images.iter().copied().chain(images).collect();
                presumed.images = all.into_iter().collect();
            }
            None => {
                let images = images.into_iter().collect();
                manifest.presumes.push(Presumed { digest, size, images, base: true });
            }
        }
    }
}

fn carried(found: &Found, way: Way, made: Option<Made>) -> Blob {
    let Found { digest, size, .. } = *found;
    Blob { digest, size, way, images: found.images.clone(), pieces: Vec::new(), made, delta: None }
}

/// Whether every target has it.
fn is_presumed(found: &Found, known: &[Known]) -> Result<bool> {
    for known in known {
        match known.blobs.get(&found.digest) {
            Some(size) if *size == found.size => {}
            Some(size) => {
                let why =
                    format!("has {} bytes here, and {size} by what the target says that it has", found.size);
                return Err(Error::invalid(format!("blob {}", found.digest), why));
            }
            None => return Ok(false),
        }
    }
    Ok(!known.is_empty())
}

/// The documents that make it an image layout; with Docker's own, where it holds all that an engine needs.
fn documents(
    store: &Store,
    asked: &[Asked],
    gathered: &Gathered,
    manifest: &mut Manifest,
    wanted: &Wanted<'_>,
) -> Result<Vec<Vec<u8>>> {
    let is_whole = manifest.presumes.is_empty() && manifest.blobs.iter().all(|blob| blob.way == Way::Whole);
    let form = if is_whole && !gathered.lacks_foreign { Form::Hybrid } else { Form::Oci };
    let items: Vec<_> = asked.iter().map(Asked::item).collect();
    let mut images = Images::new(store, LayerForm::Stored, wanted.jobs, wanted.cancel);
    let archive = package(store, &items, form, &mut images, &HashSet::new())?;
    let mut documents = Vec::new();
    for member in archive.members.into_iter().filter(|member| !member.path.starts_with("blobs/")) {
        let Content::Bytes(bytes) = member.content else { continue };
        manifest.documents.push(Piece { path: member.path, size: member.size, sha256: Digest::of(&bytes) });
        documents.push(bytes);
    }
    Ok(documents)
}
