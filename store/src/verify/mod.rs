//! Checking the store: every document and blob that an image needs is there and is what its digest says.
//!
//! Nothing is changed here, and nothing that is wrong ends the check: it is a finding. What is checked is leased
//! first, so that no GC makes a hole while we look.

mod check;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use self::check::Check;
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::{DiffId, ImageId};
use crate::progress::Watch;
use crate::quarantine::{self, Held};
use crate::store::Store;
use crate::walk::Role;

/// What to check, and how.
pub struct Options<'a> {
    /// The images; none means all of the store, and then strangers among the blobs are reported too.
    pub queries: &'a [String],
    /// How closely to look.
    pub depth: Depth,
    /// Threads.
    pub jobs: usize,
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// Told of progress.
    pub watch: Watch<'a>,
}

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
    /// What repairs have put aside.
    pub quarantine: Held,
}

impl Report {
    /// Whether an image is affected: strangers alone are no damage.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.problem == Problem::Stranger)
    }
}

/// A part of an image, as the documents above it describe it.
#[derive(Debug, Clone)]
pub struct Part {
    /// Digest, size and type.
    pub descriptor: Descriptor,
    /// What it is to the document that holds it.
    pub role: Role,
    /// Of a layer: what it must unpack to, where the config could be asked.
    pub diff_id: Option<DiffId>,
    /// Of an entry's own document: the image ID that the entry notes.
    pub image_id: Option<ImageId>,
    /// Where the images that need it came from, as their entries note it.
    pub origins: BTreeSet<String>,
}

/// A report, and what a repair needs beside it.
pub(crate) struct Checked {
    pub(crate) report: Report,
    /// Everything that was looked at or looked for.
    pub(crate) parts: BTreeMap<Digest, Part>,
    /// Blobs that were read to their ends and are what their digests say.
    pub(crate) whole: HashSet<Digest>,
}

/// Checks entries of the index.
pub fn verify(store: &Store, options: &Options<'_>) -> Result<Report> {
    Ok(check(store, options, &HashSet::new())?.report)
}

/// Checks entries of the index; `known` blobs were read before, and are not read again.
pub(crate) fn check(store: &Store, options: &Options<'_>, known: &HashSet<Digest>) -> Result<Checked> {
    let mut check = Check::new(store, known);
    let guard = store.locks().shared()?;
    let index = store.index()?;
    let entries: Vec<Descriptor> = match options.queries {
        [] => index.entries().to_vec(),
        some => some.iter().map(|query| store.resolve(&index, query)).collect::<Result<_>>()?,
    };
    for entry in &entries {
        options.cancel.check()?;
        check.entry(entry);
    }
    let _protection = store.protect_digests(&check.digests(), "verify", guard)?;
    let quarantine = quarantine::held(store)?;
    check.blobs(options)?;
    if options.queries.is_empty() {
        check.strangers()?;
    }
    Ok(check.done(entries.len(), quarantine))
}
