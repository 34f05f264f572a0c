//! A layer as the difference to one that the targets have, where that saves enough and gives the exact blob.
//!
//! The base is the most similar layer, by paths and sizes: of earlier versions under the same name, where they have enough of it; else of
//! the same repository; else of all. The difference is made, and proven, before anything is written or signed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek};

use larder_store::blob::Blob;
use larder_store::bundle::manifest::{Cut, Image, Made};
use larder_store::codec::encoder;
use larder_store::delta::{Layer, Settings, Sketch, nameless, prepare, similar};
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::ids::DiffId;
use larder_store::reference::Reference;
use larder_store::store::Store;
use larder_store::transaction::Transaction;

use super::bases::{Base, bases};
use super::gather::Found;
use super::plan::Wanted;

/// A smaller blob is sent whole, bytes.
const LEAST: u64 = 16 << 10;
/// What a difference may have of the blob's bytes, in percent: it costs the target time.
const MOST: u64 = 80;
/// Layers of each group that are unpacked to compare them with one: those that are nearest in size.
const COMPARED: [usize; 3] = [200, 60, 24];
/// Layers of which is remembered what is compared, some 100 KiB each.
const REMEMBERED: usize = 300;

/// How differences are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Differences {
    /// Memory for it, bytes.
    pub(crate) memory: u64,
}

/// Makes differences.
pub(super) struct Differ<'a> {
    store: &'a Store,
    wanted: &'a Wanted<'a>,
    settings: Settings,
    /// What is made is in its ingest, without a name.
    tx: Transaction<'a>,
    bases: Vec<Base>,
    sketches: HashMap<DiffId, Sketch>,
    /// All that was made, one behind the other in a file without a name.
    made: File,
    /// Where each is in it: from where on, bytes, and what they are, by the blobs that come out of them.
    places: HashMap<Digest, (u64, Cut)>,
}

impl<'a> Differ<'a> {
    /// Begins, where differences are wanted and the targets have anything.
    pub(super) fn begin(store: &'a Store, wanted: &'a Wanted<'a>) -> Result<Option<Differ<'a>>> {
        let Some(differences) = &wanted.differences else { return Ok(None) };
        // Another encoder makes other blobs of the same content.
        if wanted.known.iter().any(|known| known.encoder != encoder()) {
            return Ok(None);
        }
        let settings = Settings { memory: differences.memory, jobs: wanted.jobs, ..Settings::default() };
        let (tx, bases) = (store.begin("bundle create")?, bases(store, wanted.known)?);
        let (sketches, places) = (HashMap::new(), HashMap::new());
        let made = nameless(tx.ingest().scratch())?;
        Ok(Some(Differ { store, wanted, settings, tx, bases, sketches, made, places }))
    }

    /// The difference that a blob goes as, and what it is made from; `None` where it is better sent whole.
    pub(super) fn of(&mut self, found: &Found, images: &[Image]) -> Result<Option<(Made, Cut)>> {
        let Some((compression, diff_id)) = found.layer.filter(|_| found.size >= LEAST) else {
            return Ok(None);
        };
        if self.bases.is_empty() {
            return Ok(None);
        }
        let cancel = self.wanted.cancel;
        let descriptor = Descriptor::new(compression.oci_layer(), found.digest, found.size);
        let target = Layer::open(self.store, &descriptor, diff_id, cancel)?;
        if !target.is_encoded_here(cancel)? {
            return Ok(None);
        }
        let Some(base) = self.base(&target, found, images)? else { return Ok(None) };
        let Some(layer) = self.open(&base)? else { return Ok(None) };
        let most = found.size / 100 * MOST;
        let scratch = self.tx.ingest().scratch();
        let Some(mut prepared) = prepare(&layer, &target, &self.settings, most, scratch, cancel)? else {
            return Ok(None);
        };
        let cut = Cut { size: prepared.made.size, sha256: prepared.digest };
        let failed = || Error::io("write in", scratch.path());
        let from = self.made.stream_position().map_err(failed())?;
        io::copy(&mut prepared.file, &mut self.made).map_err(failed())?;
        self.places.insert(found.digest, (from, cut));
        let made = Made {
            from: base.from,
            from_diff_id: base.diff_id,
            diff_id,
            encoding: prepared.encoding.to_string(),
            plain_size: prepared.header.target_size,
        };
        Ok(Some((made, cut)))
    }

    /// What was made, by the blobs that come out of them.
    pub(super) fn into_blobs(self) -> HashMap<Digest, Blob> {
        let end = self.places.values().map(|(from, cut)| from.saturating_add(cut.size)).max().unwrap_or(0);
        let all = Blob::new(Digest::of(b""), self.made, 0, end);
        let of = |(blob, (from, cut)): (Digest, (u64, Cut))| (blob, all.part(from, cut.size, cut.sha256));
        self.places.into_iter().map(of).collect()
    }

    /// The most similar layer.
    fn base(&mut self, target: &Layer, found: &Found, images: &[Image]) -> Result<Option<Base>> {
        let wanted = target.sketch(self.wanted.cancel)?;
        let names: Vec<_> =
            found.images.iter().filter_map(|image| images[*image as usize].name.clone()).collect();
        let (mut tried, mut sketches) = (Vec::new(), Vec::new());
        for near in nearest(&self.bases, &names, found.size) {
            let first = tried.len();
            for base in near {
                // What is damaged here is no base.
                if let Some(sketch) = self.sketch(&base)? {
                    tried.push(base);
                    sketches.push(sketch);
                }
            }
            let best = similar(&wanted, &sketches[first..]).first().copied();
            if let Some((at, shared)) = best
                && shared >= target.facts().plain_size / 2
            {
                return Ok(Some(tried.swap_remove(first + at)));
            }
        }
        Ok(similar(&wanted, &sketches).first().map(|(at, _)| tried.swap_remove(*at)))
    }

    fn sketch(&mut self, base: &Base) -> Result<Option<Sketch>> {
        if !self.sketches.contains_key(&base.diff_id) {
            let Some(layer) = self.open(base)? else { return Ok(None) };
            match layer.sketch(self.wanted.cancel) {
                Err(error) if error.kind() == Kind::Damaged => return Ok(None),
                sketch if self.sketches.len() >= REMEMBERED => {
                    self.sketches.clear();
                    self.sketches.insert(base.diff_id, sketch?);
                }
                sketch => _ = self.sketches.insert(base.diff_id, sketch?),
            }
        }
        Ok(self.sketches.get(&base.diff_id).cloned())
    }

    fn open(&self, base: &Base) -> Result<Option<Layer>> {
        match Layer::open(self.store, &base.layer, base.diff_id, self.wanted.cancel) {
            Err(error) if error.kind() == Kind::Damaged => Ok(None),
            layer => layer.map(Some),
        }
    }
}

/// The bases in three groups: of images with one of these names, of their repositories, and all others; of each those that are nearest in size.
fn nearest(bases: &[Base], names: &[String], size: u64) -> [Vec<Base>; 3] {
    let repository = |name: &str| name.parse::<Reference>().ok().map(|name| name.familiar_name());
    let repositories: Vec<_> = names.iter().filter_map(|name| repository(name)).collect();
    let is_same = |base: &Base| base.names.iter().any(|name| names.contains(name));
    let is_near = |base: &Base| {
        base.names.iter().any(|name| repository(name).is_some_and(|near| repositories.contains(&near)))
    };
    let mut groups = [Vec::new(), Vec::new(), Vec::new()];
    for base in bases {
        let group = match base {
            base if is_same(base) => 0,
            base if is_near(base) => 1,
            _ => 2,
        };
        groups[group].push(base.clone());
    }
    for (group, most) in groups.iter_mut().zip(COMPARED) {
        group.sort_by_key(|base: &Base| base.layer.size.abs_diff(size));
        group.truncate(most);
    }
    groups
}
