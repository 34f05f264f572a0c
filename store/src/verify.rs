//! Checking the store: every document and blob that an image needs is there and is what its digest says.
//!
//! Nothing is changed here, and nothing that is wrong ends the check: it is a finding. What is checked is leased
//! first, so that no GC makes a hole while we look.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::blob::from_io;
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index;
use crate::manifest::{Document, ImageManifest, RawManifest};
use crate::media_type;
use crate::progress::{Event, Watch};
use crate::store::Store;
use crate::walk::{self, Role};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Documents are read; blobs must be there with the right size.
    Quick,
    /// Every byte is read and hashed.
    Full,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It is there with another size than was announced.
    WrongSize,
    /// Its content is not what its digest says, or a document says what it must not.
    Damaged,
    /// It could not be read: a disk or permission error.
    Unreadable,
    /// A file or directory among the blobs that is no blob. It harms nobody, and is left alone.
    Stranger,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// `manifest sha256:…`, `config …`, `layer …`, or a file name.
    pub what: String,
    /// The digest, where it has one.
    pub digest: Option<Digest>,
    /// More about it.
    pub why: String,
    /// The images that need it, by name, nameless ones by digest.
    pub images: Vec<String>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries of the index that were checked.
    pub images: usize,
    /// Different blobs that were looked at, documents included.
    pub blobs: usize,
    /// Their bytes, as announced.
    pub bytes: u64,
    /// What was found, sorted.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether an image is affected: strangers alone are no damage.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.problem == Problem::Stranger)
    }
}

/// A blob that is needed.
struct Needed {
    size: u64,
    role: Role,
    may_lack: bool,
    images: Vec<usize>,
}

/// Checks entries of the index; where they are all of it, strangers among the blobs are reported too.
pub fn verify(
    store: &Store,
    queries: &[String],
    depth: Depth,
    jobs: usize,
    cancel: &Cancel,
    watch: Watch<'_>,
) -> Result<Report> {
    let mut check = Check { store, labels: Vec::new(), needed: BTreeMap::new(), findings: Vec::new() };
    let guard = store.locks().shared()?;
    let index = store.index()?;
    let entries: Vec<Descriptor> = match queries {
        [] => index.entries().to_vec(),
        some => some.iter().map(|query| store.resolve(&index, query)).collect::<Result<_>>()?,
    };
    for entry in &entries {
        cancel.check()?;
        check.entry(entry);
    }
    let digests: Vec<_> = check.needed.keys().copied().collect();
    let _protection = store.protect_digests(&digests, "verify", guard)?;
    check.blobs(depth, jobs, cancel, watch)?;
    if queries.is_empty() {
        check.strangers()?;
    }
    let bytes = check.needed.values().map(|needed| needed.size).fold(0, u64::saturating_add);
    check.findings.sort();
    Ok(Report { images: entries.len(), blobs: check.needed.len(), bytes, findings: check.findings })
}

struct Check<'s> {
    store: &'s Store,
    labels: Vec<String>,
    needed: BTreeMap<Digest, Needed>,
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Collects what an entry needs; documents are checked on the way.
    fn entry(&mut self, entry: &Descriptor) {
        let image = self.labels.len();
        let name = index::reference(entry);
        self.labels.push(name.map_or_else(|| entry.digest.to_string(), |name| name.to_string()));
        let stored = index::stored_children(entry);
        let is_expected = |digest: &Digest| *digest == entry.digest || stored.contains(digest);
        let (mut bad, mut configs, mut needed) = (Vec::new(), Vec::new(), Vec::new());
        let walked = {
            let mut read = |document: &Descriptor| match self.store.document(document) {
                Ok(None) if is_expected(&document.digest) => {
                    bad.push((document.digest, Role::Document, Problem::Missing, "is not there".to_owned()));
                    Ok(None)
                }
                Ok(found) => Ok(found),
                Err(error) => {
                    bad.push((document.digest, Role::Document, problem_of(&error), reason(&error)));
                    Ok(None)
                }
            };
            walk::walk(entry, &mut read, &mut |node| {
                if let Some(RawManifest { document: Document::Image(image), .. }) = node.document {
                    configs.extend(self.config(image));
                }
                needed.push((node.descriptor.clone(), node.role));
                Ok(())
            })
        };
        if let Err(error) = walked
            && bad.is_empty()
        {
            bad.push((entry.digest, Role::Document, problem_of(&error), reason(&error)));
        }
        for (digest, role, problem, why) in bad.into_iter().chain(configs) {
            self.find(problem, role, digest, why, &[image]);
        }
        for (descriptor, role) in needed {
            let may_lack = media_type::is_foreign_layer(&descriptor.media_type);
            let known = self.needed.entry(descriptor.digest).or_insert_with(|| Needed {
                size: descriptor.size,
                role,
                may_lack,
                images: Vec::new(),
            });
            if known.images.last() != Some(&image) {
                known.images.push(image);
            }
            if known.size != descriptor.size {
                let why = format!("is announced with {} bytes and with {}", known.size, descriptor.size);
                self.find(Problem::WrongSize, role, descriptor.digest, why, &[image]);
            }
        }
    }

    /// What is wrong with the config of a container image, if it is there: without one diff ID for each layer no
    /// engine loads it.
    fn config(&self, image: &ImageManifest) -> Option<(Digest, Role, Problem, String)> {
        let is_known = |layer: &Descriptor| media_type::Compression::of_layer(&layer.media_type).is_some();
        let is_there = self.store.blobs().contains(&image.config.digest).ok()? == Some(image.config.size);
        if !image.is_container() || !is_there {
            return None;
        }
        let (problem, why) = match self.store.config(image) {
            Err(error) => (problem_of(&error), reason(&error)),
            Ok((_, config)) => {
                let (has, wants) = (config.diff_ids().len(), image.layers.len());
                if has == wants || !image.layers.iter().all(is_known) {
                    return None;
                }
                (Problem::Damaged, format!("lists {has} diff IDs for {wants} layers"))
            }
        };
        Some((image.config.digest, Role::Config, problem, why))
    }

    /// Looks at every blob, on several threads.
    fn blobs(&mut self, depth: Depth, jobs: usize, cancel: &Cancel, watch: Watch<'_>) -> Result<()> {
        // Documents were read while they were walked, and what was found there need not be found again.
        let known: HashSet<_> = self.findings.iter().filter_map(|finding| finding.digest).collect();
        let is_open =
            |digest: &Digest, needed: &Needed| needed.role != Role::Document && !known.contains(digest);
        let blobs: Vec<_> = self.needed.iter().filter(|(digest, needed)| is_open(digest, needed)).collect();
        if depth == Depth::Full {
            watch(Event::Total(blobs.iter().map(|(_, needed)| needed.size).fold(0, u64::saturating_add)));
        }
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let store = self.store;
        let work = || -> Result<()> {
            let mut buffer = vec![0; 256 << 10];
            while let Some((digest, needed)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                cancel.check()?;
                if let Some((problem, why)) = look(store, digest, needed, depth, &mut buffer, cancel, watch)?
                {
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    found.push((problem, **digest, why));
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            // With fewer threads than were wanted it takes longer, and that is all.
            let thread = || std::thread::Builder::new().name("check".into());
            let others: Vec<_> =
                (1..jobs.min(blobs.len())).map_while(|_| thread().spawn_scoped(scope, work).ok()).collect();
            let own = work();
            let joined = others
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::invalid("a check", "panicked"))));
            joined.fold(own, Result::and)
        })?;
        for (problem, digest, why) in found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            let Some(needed) = self.needed.get(&digest) else { continue };
            let (role, images) = (needed.role, needed.images.clone());
            self.find(problem, role, digest, why, &images);
        }
        Ok(())
    }

    fn strangers(&mut self) -> Result<()> {
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
    cancel: &Cancel,
    watch: Watch<'_>,
) -> Result<Option<(Problem, String)>> {
    let size = match store.blobs().contains(digest) {
        Ok(size) => size,
        Err(error) => return Ok(Some((Problem::Unreadable, reason(&error)))),
    };
    let Some(size) = size else {
        return Ok((!needed.may_lack).then(|| (Problem::Missing, "is not there".to_owned())));
    };
    if size != needed.size {
        let why = format!("has {size} bytes where {} were announced", needed.size);
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
        cancel.check()?;
        match content.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => watch(Event::Done(count as u64)),
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
