//! Putting damaged blobs aside and good ones in their place.
//!
//! A check finds what is wrong, sources are asked in their order, and what they gave is compared with digest and size
//! before anybody can see it. A damaged blob is read once more before it is touched, and moved only while it is the
//! very file that was read: at no moment is a good blob lost. The index stays as it is.
//!
//! What is whole by its digest stays, whatever a document says of it, and so does what cannot be read: a disk or
//! permission error may pass. A document that no source has stays as well: a child that is missing from somebody's index is
//! normal, and a GC would take what it leads to. Any other damaged blob goes, so that nobody believes its size.

mod source;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

pub use self::source::{Bench, RepairSource};
use crate::blob::{Blob, Staged, from_io};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fs::Dir;
use crate::ids::DiffId;
use crate::progress::Event;
use crate::quarantine;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::verify::{Finding, Options, Part, Problem, Report, check};
use crate::walk::Role;

/// A repaired document shows what is below it, which is checked then; no image is nested so deep.
const ROUNDS: usize = 16;

/// A part that is whole again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// As in [`Finding::what`].
    pub what: String,
    /// Its digest.
    pub digest: Digest,
    /// The source that had it.
    pub from: String,
    /// The images that need it.
    pub images: Vec<String>,
}

/// A damaged blob that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// As in [`Finding::what`].
    pub what: String,
    /// The digest that it has not.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
    /// Its name in the quarantine.
    pub name: String,
}

/// What a source had that was no help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// As in [`Finding::what`].
    pub what: String,
    /// The digest that was asked for.
    pub digest: Digest,
    /// The source.
    pub from: String,
    /// Why not.
    pub why: String,
}

/// What was done, and what is left to be done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    /// The check after all repairs.
    #[serde(flatten)]
    pub report: Report,
    /// In the order in which it was done.
    pub repaired: Vec<Repaired>,
    /// In the order in which it was done.
    pub set_aside: Vec<SetAside>,
    /// Of what is still wrong: why sources that seemed to have it were no help.
    pub refused: Vec<Refused>,
}

/// Checks, and puts right what the sources have good copies of. What was done before an error is told beside it.
pub fn repair(
    store: &Store,
    options: &Options<'_>,
    sources: &mut [&mut dyn RepairSource],
) -> (Outcome, Result<()>) {
    let total = AtomicU64::new(0);
    // One bar for all rounds.
    let watch = |event| match event {
        Event::Total(more) => {
            (options.watch)(Event::Total(total.fetch_add(more, Ordering::Relaxed).saturating_add(more)))
        }
        event => (options.watch)(event),
    };
    let options = Options { watch: &watch, ..*options };
    let mut repair = Repair {
        store,
        options: &options,
        sources,
        asked: HashSet::new(),
        refused: BTreeMap::new(),
        outcome: Outcome::default(),
    };
    let done = repair.rounds();
    (repair.done(), done)
}

fn is_for_us(problem: Problem) -> bool {
    match problem {
        Problem::Missing | Problem::WrongSize | Problem::Damaged => true,
        Problem::Unreadable | Problem::Stranger => false,
    }
}

struct Repair<'r, 's> {
    store: &'r Store,
    options: &'r Options<'r>,
    sources: &'r mut [&'s mut dyn RepairSource],
    /// Parts that were dealt with, and what was known of them.
    asked: HashSet<(Digest, Option<DiffId>)>,
    refused: BTreeMap<Digest, Vec<Refused>>,
    outcome: Outcome,
}

/// What stands under a blob's name.
enum Found {
    Nothing,
    Damaged(Blob),
    /// What its digest says: somebody was faster, or a document lies about it.
    Whole,
    Unreadable,
}

impl Repair<'_, '_> {
    /// Checks and repairs until nothing changes any more.
    fn rounds(&mut self) -> Result<()> {
        let mut whole = HashSet::new();
        for _ in 0..ROUNDS {
            let checked = check(self.store, self.options, &whole)?;
            whole.extend(checked.whole);
            let mut wrong = Vec::new();
            for finding in &checked.report.findings {
                let part = finding.digest.and_then(|digest| checked.parts.get(&digest));
                // A layer is asked for again once it is known what it must unpack to.
                if let Some(part) = part.filter(|_| is_for_us(finding.problem))
                    && self.asked.insert((part.descriptor.digest, part.diff_id))
                {
                    wrong.push((finding, part));
                }
            }
            let is_changed = !wrong.is_empty() && self.all(&wrong)?;
            self.outcome.report = checked.report;
            if !is_changed {
                break;
            }
        }
        Ok(())
    }

    /// Goes through what was found; whether anything is another than before.
    fn all(&mut self, wrong: &[(&Finding, &Part)]) -> Result<bool> {
        let mut tx = self.store.begin("verify --repair")?;
        let quarantine = quarantine::open(self.store)?;
        let mut is_changed = false;
        let done = wrong.iter().try_for_each(|(finding, part)| {
            self.options.cancel.check()?;
            is_changed |= self.one(&mut tx, &quarantine, finding, part)?;
            Ok(())
        });
        // What was done stays done, also where it ended early. The quarantine first: what left the blobs is to be found there after a power cut.
        quarantine.sync()?;
        self.store.layout().private().sync()?;
        self.store.blobs().sync()?;
        done.map(|()| is_changed)
    }

    fn one(&mut self, tx: &mut Transaction<'_>, aside: &Dir, finding: &Finding, part: &Part) -> Result<bool> {
        let (digest, what) = (part.descriptor.digest, finding.what.clone());
        let found = self.look_again(&digest)?;
        match found {
            Found::Whole => return Ok(true),
            Found::Unreadable => return Ok(false),
            Found::Nothing | Found::Damaged(_) => {}
        }
        let (good, from) = self.ask(tx, &what, part)?.unzip();
        let mended = good.is_some();
        match (found, good) {
            (Found::Nothing, Some(good)) => drop(tx.publish(good)?),
            (Found::Damaged(damaged), good) if mended || part.role != Role::Document => {
                let bytes = damaged.size();
                let _lock = self.store.locks().exclusive()?;
                let Some(name) = self.store.blobs().set_aside(&damaged, good, aside)? else {
                    // Somebody was faster, and may have had nothing to put in its place.
                    self.asked.remove(&(digest, part.diff_id));
                    return Ok(true);
                };
                self.outcome.set_aside.push(SetAside { what: what.clone(), digest, bytes, name });
            }
            _ => return Ok(false),
        }
        if let Some(from) = from {
            let images = finding.images.clone();
            self.outcome.repaired.push(Repaired { what, digest, from, images });
        }
        Ok(true)
    }

    /// Reads what the check has found damaged: it may be whole by now, or always have been where a document lies.
    fn look_again(&self, digest: &Digest) -> Result<Found> {
        let Ok(blob) = self.store.blobs().open(digest) else { return Ok(Found::Unreadable) };
        let Some(blob) = blob else { return Ok(Found::Nothing) };
        let mut content = blob.verified();
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.options.cancel.check()?;
            match std::io::Read::read(&mut content, &mut buffer) {
                Ok(0) => return Ok(Found::Whole),
                Ok(_) => {}
                Err(error) => {
                    let error = from_io(error, Error::io("read", format!("blob {digest}")));
                    return Ok(match error.kind() {
                        Kind::Damaged => Found::Damaged(blob),
                        _ => Found::Unreadable,
                    });
                }
            }
        }
    }

    /// Asks the sources for a part; the first good copy, and whose it is.
    fn ask(&mut self, tx: &Transaction<'_>, what: &str, part: &Part) -> Result<Option<(Staged, String)>> {
        let (digest, size) = (part.descriptor.digest, part.descriptor.size);
        let cancel = self.options.cancel;
        let bench = Bench { store: self.store, ingest: tx.ingest(), cancel, watch: self.options.watch };
        self.refused.remove(&digest);
        for source in self.sources.iter_mut() {
            let from = source.label().to_owned();
            let why = match source.find(part, &bench) {
                Ok(None) => continue,
                Ok(Some(staged)) if (staged.digest(), staged.size()) == (digest, size) => {
                    return Ok(Some((staged, from)));
                }
                Ok(Some(staged)) => {
                    format!(
                        "has {} with {} bytes where {size} were announced",
                        staged.digest(),
                        staged.size()
                    )
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => causes(&error),
            };
            let refused = Refused { what: what.to_owned(), digest, from, why };
            self.refused.entry(digest).or_default().push(refused);
        }
        Ok(None)
    }

    fn done(mut self) -> Outcome {
        let left: HashSet<_> =
            self.outcome.report.findings.iter().filter_map(|finding| finding.digest).collect();
        self.refused.retain(|digest, _| left.contains(digest));
        self.outcome.refused = self.refused.into_values().flatten().collect();
        self.outcome
    }
}

/// An error with its causes, on one line.
fn causes(error: &Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said += &format!(": {error}");
        cause = error.source();
    }
    said
}
