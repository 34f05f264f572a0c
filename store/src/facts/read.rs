//! Reading the facts of one image: list its layers, lay them upon each other, read the files that matter.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::content::{Layer, MAX_CONTENT};
use super::databases::{Database, MAX_PACKAGES, apk, dpkg, pacman};
use super::lister::Lister;
use super::listing::{
    APK_INSTALLED, DPKG_STATUS, DPKG_STATUS_DIR, Interest, Listing, OS_RELEASE, PACMAN_LOCAL, Place,
};
use super::view::{Node, View};
use super::{Facts, compilers, os_release, programs};
use crate::cancel::Cancel;
use crate::codec::{Limits, decoder, layer_decoder};
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::layers::LayerCache;
use crate::manifest::ImageManifest;
use crate::media_type::{Compression, is_foreign_layer};
use crate::store::Store;

/// Bytes of all files together that are read.
const MAX_ALL_CONTENT: u64 = 256 << 20;
/// What is said of damage, in lines.
const MAX_PROBLEMS: usize = 100;
/// Threads that unpack where a whole layer must be.
const JOBS: usize = 2;

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    OsRelease,
    Dpkg,
    Apk,
    Pacman,
}

struct Reader<'a> {
    store: &'a Store,
    cache: &'a LayerCache,
    cancel: &'a Cancel,
    /// The image's layers, lowest first; none that is absent for a reason.
    layers: Vec<Option<(Layer, DiffId)>>,
    problems: Vec<String>,
}

pub(super) fn read(
    store: &Store,
    cache: &LayerCache,
    image: &ImageManifest,
    cancel: &Cancel,
) -> Result<Facts> {
    let (bytes, config) = store.config(image)?;
    let mut reader = Reader { store, cache, cancel, layers: Vec::new(), problems: Vec::new() };
    reader.open(image, config.diff_ids())?;
    let path = programs::path(&bytes);
    let view = reader.view(&path)?;
    let files = reader.files(&view);
    let (os, mut packages) = reader.contents(&files)?;
    packages.sort();
    packages.dedup();
    let programs = programs::programs(&view, &path);
    let compilers = compilers::compilers(&view, &programs, &packages);
    let problems = reader.problems;
    Ok(Facts { architecture: config.architecture, os, compilers, packages, programs, problems })
}

impl Reader<'_> {
    fn problem(&mut self, what: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what);
        }
    }

    fn open(&mut self, image: &ImageManifest, diff_ids: &[DiffId]) -> Result<()> {
        if image.layers.len() != diff_ids.len() {
            let why = format!("has {} diff IDs for {} layers", diff_ids.len(), image.layers.len());
            return Err(Error::damaged(format!("config {}", image.config.digest), why));
        }
        for (descriptor, diff_id) in image.layers.iter().zip(diff_ids) {
            let digest = descriptor.digest;
            let Some(blob) = self.store.blobs().open(&digest)? else {
                if !is_foreign_layer(&descriptor.media_type) {
                    return Err(Error::damaged(format!("blob {digest}"), "is missing"));
                }
                self.problem(format!("layer {digest} is not in the store: its owner forbids to pass it on"));
                self.layers.push(None);
                continue;
            };
            let facts = self.cache.by_blob(&digest).filter(|facts| facts.diff_id == *diff_id);
            let compression = Compression::of_layer(&descriptor.media_type);
            let compression = compression.or(facts.map(|facts| facts.compression)).ok_or_else(|| {
                let why = format!("is of type {:?}, which is no layer's", descriptor.media_type);
                Error::invalid(format!("blob {digest}"), why)
            })?;
            self.layers.push(Some((Layer { blob, compression, facts }, *diff_id)));
        }
        Ok(())
    }

    /// The layers upon each other. Where the PATH leads to directories that listings do not cover, the layers are listed again.
    fn view(&mut self, path: &[String]) -> Result<View> {
        let mut interest = Interest::default();
        loop {
            let view = self.merge(&interest)?;
            let directories = path.iter().flat_map(|directory| {
                let resolved = view.resolve(directory).map(|(directory, _)| directory);
                [Some(directory.clone()), resolved].into_iter().flatten()
            });
            let new: BTreeSet<_> = directories.filter(|directory| !interest.covers(directory)).collect();
            if new.is_empty() {
                return Ok(view);
            }
            // Each time there are more of them; links that lead ever on are followed a few times only.
            if interest.directories.len() + new.len() > 2 * path.len() {
                self.problem("the PATH leads over more links than are followed".into());
                return Ok(view);
            }
            interest.directories.extend(new);
        }
    }

    fn merge(&mut self, interest: &Interest) -> Result<View> {
        let (mut view, mut broken) = (View::default(), Vec::new());
        for (number, layer) in self.layers.iter().enumerate() {
            self.cancel.check()?;
            let Some((layer, diff_id)) = layer else {
                view.is_partial = true;
                continue;
            };
            let listing = self.listing(layer, diff_id, interest)?;
            view.apply(number, &listing);
            if let Some(why) = &listing.broken {
                view.is_partial = true;
                broken.push(format!("layer {diff_id} is not wholly understood: {why}"));
            }
        }
        // It may be done again, and says the same then.
        for problem in broken {
            if !self.problems.contains(&problem) {
                self.problem(problem);
            }
        }
        Ok(view)
    }

    fn listing(&self, layer: &Layer, diff_id: &DiffId, interest: &Interest) -> Result<Listing> {
        let is_usual = interest.directories.is_empty();
        if is_usual
            && let Some(known) = self.cache.listing(diff_id).and_then(|bytes| Listing::from_bytes(&bytes))
        {
            return Ok(known);
        }
        let mut plain = match &layer.facts {
            Some(facts) => layer_decoder(&layer.blob, facts, JOBS),
            None => {
                let blob = &layer.blob;
                decoder(layer.compression, blob.reader(), blob.size(), Limits::default())
            }
        }
        .map_err(|e| layer.failed(e))?;
        let (mut lister, mut hasher) = (Lister::with(interest.clone()), Hasher::new());
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.cancel.check()?;
            match plain.read(&mut buffer).map_err(|e| layer.failed(e))? {
                0 => break,
                count => {
                    hasher.update(&buffer[..count]);
                    lister.feed(&buffer[..count]);
                }
            }
        }
        let found = DiffId(hasher.finish());
        if found != *diff_id {
            let why = format!("diff ID mismatch: it unpacks to {found}");
            return Err(Error::damaged(format!("layer {diff_id}"), why));
        }
        let (listing, _) = lister.finish();
        if is_usual {
            self.cache.learn_listing(diff_id, &listing.to_bytes());
        }
        Ok(listing)
    }

    /// The files that are there to be read, and what for.
    fn files(&mut self, view: &View) -> Vec<(usize, Place, Purpose, String)> {
        let mut wanted = Vec::new();
        let is_file = |path: &&&str| matches!(view.resolve(path), Some((_, Some(Node::File(..)))));
        // The first one counts (os-release(5)).
        wanted.extend(OS_RELEASE.iter().find(is_file).map(|path| ((*path).to_owned(), Purpose::OsRelease)));
        wanted.push((DPKG_STATUS.to_owned(), Purpose::Dpkg));
        wanted.extend(APK_INSTALLED.map(|path| (path.to_owned(), Purpose::Apk)));
        let below =
            |directory: &str| view.resolve(directory).map_or(String::new(), |(directory, _)| directory);
        let stanzas = below(DPKG_STATUS_DIR);
        let of_dpkg = view.children(&stanzas).filter(|(name, _)| !name.ends_with(".md5sums"));
        wanted.extend(of_dpkg.map(|(name, _)| (format!("{stanzas}/{name}"), Purpose::Dpkg)));
        let local = below(PACMAN_LOCAL);
        let of_pacman = view.children(&local).filter(|(_, node)| **node == Node::Directory);
        wanted.extend(of_pacman.map(|(name, _)| (format!("{local}/{name}/desc"), Purpose::Pacman)));
        let (mut files, mut seen, mut left) = (Vec::new(), BTreeSet::new(), MAX_ALL_CONTENT);
        for (path, purpose) in wanted {
            let (layer, place) = match view.resolve(&path) {
                Some((_, Some(Node::File(layer, place)))) => (*layer, *place),
                Some((_, None | Some(Node::Directory))) => continue,
                _ => {
                    self.problem(format!("{path} leads to no file that could be read"));
                    continue;
                }
            };
            if place.size > MAX_CONTENT.min(left) || place.digest.is_none() && place.size > 0 {
                let size = place.size;
                self.problem(format!("{path} is not read: {size} bytes, or a link to an unusual place"));
            } else if seen.insert((layer, place.offset)) {
                left -= place.size;
                files.push((layer, place, purpose, path));
            }
        }
        files
    }

    fn contents(
        &mut self,
        files: &[(usize, Place, Purpose, String)],
    ) -> Result<(Option<os_release::Os>, Vec<super::Package>)> {
        let mut by_layer: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (layer, place, purpose, path) in files {
            by_layer.entry(*layer).or_default().push((*place, *purpose, path));
        }
        let (mut os, mut packages, mut problems) = (None, Vec::new(), Vec::new());
        for (number, wanted) in by_layer {
            self.cancel.check()?;
            let Some(Some((layer, _))) = self.layers.get(number) else { continue };
            let places: Vec<_> = wanted.iter().map(|(place, ..)| *place).collect();
            layer.read(&places, &mut |file, bytes| {
                let (_, purpose, path) = &wanted[file];
                let Database { packages: found, skipped } = match purpose {
                    Purpose::OsRelease => {
                        os = Some(os_release::parse(bytes));
                        return;
                    }
                    Purpose::Dpkg => dpkg(bytes),
                    Purpose::Apk => apk(bytes),
                    Purpose::Pacman => pacman(bytes),
                };
                if skipped > 0 {
                    problems.push(format!("{path}: damaged: {skipped} of its packages cannot be understood"));
                }
                let room = MAX_PACKAGES.saturating_sub(packages.len());
                if found.len() > room {
                    problems.push(format!("{path}: there are more than {MAX_PACKAGES} packages"));
                }
                packages.extend(found.into_iter().take(room).map(|installed| installed.package));
            })?;
        }
        problems.into_iter().for_each(|problem| self.problem(problem));
        Ok((os, packages))
    }
}
