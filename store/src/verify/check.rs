//! The walk and the look: what entries need, and what of it is not as it should be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Checked, Depth, Finding, Options, Part, Problem, Report};
use crate::blob::from_io;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::{DiffId, ImageId};
use crate::index;
use crate::manifest::{Document, ImageManifest, RawManifest};
use crate::media_type;
use crate::progress::Event;
use crate::quarantine::Held;
use crate::store::Store;
use crate::walk::{self, Role};

/// A blob that is needed.
struct Needed {
    part: Part,
    may_lack: bool,
    images: Vec<usize>,
}

pub(super) struct Check<'s> {
    store: &'s Store,
    known: &'s HashSet<Digest>,
    labels: Vec<String>,
    needed: BTreeMap<Digest, Needed>,
    /// Documents that could not be read.
    broken: BTreeMap<Digest, Part>,
    whole: HashSet<Digest>,
    findings: Vec<Finding>,
}

/// What is wrong with a blob.
type Wrong = (Problem, String);

impl<'s> Check<'s> {
    pub(super) fn new(store: &'s Store, known: &'s HashSet<Digest>) -> Check<'s> {
        let (needed, broken) = (BTreeMap::new(), BTreeMap::new());
        let (labels, findings) = (Vec::new(), Vec::new());
        Check { store, known, labels, needed, broken, whole: HashSet::new(), findings }
    }

    pub(super) fn digests(&self) -> Vec<Digest> {
        self.needed.keys().chain(self.broken.keys()).copied().collect()
    }

    pub(super) fn done(mut self, images: usize, quarantine: Held) -> Checked {
        self.findings.sort();
        let sizes = self.needed.values().map(|needed| needed.part.descriptor.size);
        let (blobs, bytes) = (self.needed.len(), sizes.fold(0, u64::saturating_add));
        let report = Report { images, blobs, bytes, findings: self.findings, quarantine };
        let needed = self.needed.into_iter().map(|(digest, needed)| (digest, needed.part));
        Checked { report, parts: self.broken.into_iter().chain(needed).collect(), whole: self.whole }
    }

    /// Collects what an entry needs; documents are checked on the way.
    pub(super) fn entry(&mut self, entry: &Descriptor) {
        let image = self.labels.len();
        let name = index::reference(entry);
        self.labels.push(name.map_or_else(|| entry.digest.to_string(), |name| name.to_string()));
        let stored = index::stored_children(entry);
        let is_expected = |digest: &Digest| *digest == entry.digest || stored.contains(digest);
        let origin = entry.annotation(index::ORIGIN);
        let noted = entry.annotation(index::IMAGE_ID).and_then(|id| id.parse().ok()).map(ImageId);
        let mut diff_ids = HashMap::new();
        let (mut bad, mut configs, mut needed) = (Vec::new(), Vec::new(), Vec::new());
        let walked = {
            let mut read = |document: &Descriptor| match self.store.document(document) {
                Ok(None) if is_expected(&document.digest) => {
                    bad.push((document.clone(), Problem::Missing, "is not there".to_owned()));
                    Ok(None)
                }
                Ok(found) => Ok(found),
                Err(error) => {
                    bad.push((document.clone(), problem_of(&error), reason(&error)));
                    Ok(None)
                }
            };
            walk::walk(entry, &mut read, &mut |node| {
                if let Some(RawManifest { document: Document::Image(image), .. }) = node.document {
                    match self.diff_ids(image) {
                        Ok(found) => diff_ids.extend(found),
                        Err((problem, why)) => configs.push((image.config.digest, problem, why)),
                    }
                }
                needed.push((node.descriptor.clone(), node.role));
                Ok(())
            })
        };
        if let Err(error) = walked
            && bad.is_empty()
        {
            bad.push((entry.clone(), problem_of(&error), reason(&error)));
        }
        let part = |descriptor: Descriptor, role, diff_id| {
            let image_id = noted.filter(|_| descriptor.digest == entry.digest);
            Part { descriptor, role, diff_id, image_id, origins: Default::default() }
        };
        for (descriptor, problem, why) in bad {
            self.find(problem, Role::Document, descriptor.digest, why, &[image]);
            let known = self.broken.entry(descriptor.digest);
            let known = known.or_insert_with(|| part(descriptor, Role::Document, None));
            known.origins.extend(origin.map(str::to_owned));
        }
        for (digest, problem, why) in configs {
            self.find(problem, Role::Config, digest, why, &[image]);
        }
        for (descriptor, role) in needed {
            let may_lack = media_type::is_foreign_layer(&descriptor.media_type);
            let known = self.needed.entry(descriptor.digest).or_insert_with(|| Needed {
                part: part(descriptor.clone(), role, diff_ids.get(&descriptor.digest).copied()),
                may_lack,
                images: Vec::new(),
            });
            if known.images.last() != Some(&image) {
                known.images.push(image);
                known.part.origins.extend(origin.map(str::to_owned));
            }
            // Another image's config may be whole where the first one's was not.
            known.part.diff_id = known.part.diff_id.or(diff_ids.get(&descriptor.digest).copied());
            let size = known.part.descriptor.size;
            if size != descriptor.size {
                let why = format!("is announced with {size} bytes and with {}", descriptor.size);
                self.find(Problem::WrongSize, role, descriptor.digest, why, &[image]);
            }
        }
    }

    /// The diff IDs of a container image's layers, if its config is there, or what is wrong with that: without one
    /// for each layer no engine loads it.
    fn diff_ids(&self, image: &ImageManifest) -> std::result::Result<Vec<(Digest, DiffId)>, Wrong> {
        let is_known = |layer: &Descriptor| media_type::Compression::of_layer(&layer.media_type).is_some();
        let is_there = matches!(self.store.blobs().contains(&image.config.digest), Ok(Some(size)) if size == image.config.size);
        if !image.is_container() || !is_there {
            return Ok(Vec::new());
        }
        let (_, config) = self.store.config(image).map_err(|error| (problem_of(&error), reason(&error)))?;
        let (has, wants) = (config.diff_ids().len(), image.layers.len());
        if !image.layers.iter().all(is_known) {
            return Ok(Vec::new());
        }
        if has != wants {
            return Err((Problem::Damaged, format!("lists {has} diff IDs for {wants} layers")));
        }
        Ok(image.layers.iter().map(|layer| layer.digest).zip(config.diff_ids().iter().copied()).collect())
    }

    /// Looks at every blob, on several threads.
    pub(super) fn blobs(&mut self, options: &Options<'_>) -> Result<()> {
        // Documents were read while they were walked, and what was found there need not be found again.
        let known: HashSet<_> = self.findings.iter().filter_map(|finding| finding.digest).collect();
        let is_open =
            |digest: &Digest, needed: &Needed| needed.part.role != Role::Document && !known.contains(digest);
        let blobs: Vec<_> = self.needed.iter().filter(|(digest, needed)| is_open(digest, needed)).collect();
        let depth = |digest: &Digest| if self.known.contains(digest) { Depth::Quick } else { options.depth };
        let to_read = blobs.iter().filter(|(digest, _)| depth(digest) == Depth::Full);
        let sizes = to_read.map(|(_, needed)| needed.part.descriptor.size);
        (options.watch)(Event::Total(sizes.fold(0, u64::saturating_add)));
        let next = AtomicUsize::new(0);
        let looked = Mutex::new(Vec::new());
        let store = self.store;
        let work = || -> Result<()> {
            let mut buffer = vec![0; 256 << 10];
            while let Some((digest, needed)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                options.cancel.check()?;
                let depth = depth(digest);
                let wrong = look(store, digest, needed, depth, &mut buffer, options)?;
                looked.lock().unwrap_or_else(PoisonError::into_inner).push((**digest, depth, wrong));
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            // With fewer threads than were wanted it takes longer, and that is all.
            let thread = || std::thread::Builder::new().name("check".into());
            let others: Vec<_> = (1..options.jobs.min(blobs.len()))
                .map_while(|_| thread().spawn_scoped(scope, work).ok())
                .collect();
            let own = work();
            let joined = others
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::invalid("a check", "panicked"))));
            joined.fold(own, Result::and)
        })?;
        for (digest, depth, wrong) in looked.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match (wrong, self.needed.get(&digest)) {
                (Some((problem, why)), Some(needed)) => {
                    let (role, images) = (needed.part.role, needed.images.clone());
                    self.find(problem, role, digest, why, &images);
                }
                (None, _) if depth == Depth::Full => drop(self.whole.insert(digest)),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn strangers(&mut self) -> Result<()> {
        for name in self.store.blobs().strangers()? {
            let why = "is no blob; larder leaves it alone".to_owned();
            let what = format!("blobs/sha256/{name}");
            self.findings.push(Finding {
                problem: Problem::Stranger,
                what,
                digest: None,
                why,
                images: Vec::new(),
            });
        }
        Ok(())
    }

    fn find(&mut self, problem: Problem, role: Role, digest: Digest, why: String, images: &[usize]) {
        let kind = match role {
            Role::Document => "manifest",
            Role::Config => "config",
            Role::Layer => "layer",
        };
        let images = images.iter().map(|at| self.labels[*at].clone()).collect();
        let finding =
            Finding { problem, what: format!("{kind} {digest}"), digest: Some(digest), why, images };
        // Two images of one broken document: one finding, both images.
        let same = |known: &&mut Finding| {
            (known.problem, &known.what, &known.why) == (finding.problem, &finding.what, &finding.why)
        };
        match self.findings.iter_mut().find(same) {
            Some(known) => known.images.extend(finding.images),
            None => self.findings.push(finding),
        }
    }
}

fn look(
    store: &Store,
    digest: &Digest,
    needed: &Needed,
    depth: Depth,
    buffer: &mut [u8],
    options: &Options<'_>,
) -> Result<Option<Wrong>> {
    let size = match store.blobs().contains(digest) {
        Ok(size) => size,
        Err(error) => return Ok(Some((Problem::Unreadable, reason(&error)))),
    };
    let Some(size) = size else {
        return Ok((!needed.may_lack).then(|| (Problem::Missing, "is not there".to_owned())));
    };
    let announced = needed.part.descriptor.size;
    if size != announced {
        let why = format!("has {size} bytes where {announced} were announced");
        return Ok(Some((Problem::WrongSize, why)));
    }
    if depth == Depth::Quick {
        return Ok(None);
    }
    let blob = match store.blobs().open(digest) {
        Ok(Some(blob)) => blob,
        Ok(None) => return Ok(Some((Problem::Missing, "is not there".to_owned()))),
        Err(error) => return Ok(Some((Problem::Unreadable, reason(&error)))),
    };
    let mut content = blob.verified();
    loop {
        options.cancel.check()?;
        match content.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => (options.watch)(Event::Done(count as u64)),
            Err(error) => {
                let error = from_io(error, Error::io("read", format!("blob {digest}")));
                return Ok(Some((problem_of(&error), reason(&error))));
            }
        }
    }
}

fn problem_of(error: &Error) -> Problem {
    match error {
        Error::Io { .. } => Problem::Unreadable,
        Error::Within { source, .. } => problem_of(source),
        _ => Problem::Damaged,
    }
}

/// The error without the name of the thing, which stands beside it; with its cause.
fn reason(error: &Error) -> String {
    match error {
        Error::Damaged { why, .. } | Error::Invalid { why, .. } => why.clone(),
        Error::Within { source, .. } => reason(source),
        Error::Io { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}
