//! The step cache: what a step of a build came to, by the digest of all that it depends on.
//!
//! A cache that can be lost at any time: `.larder/steps/<key>`, a line each, whose file's time is that of the last use. A record keeps the
//! blob of its layer from GC, within limits of its own (`policy`), and one whose blob is gone is none. What cannot be
//! read, or is of another format, is none either, and GC removes it.
//!
//! Whoever writes a record decides what a build of its user is made of: `steps/` is its maker's alone (0700), and no
//! other user's is used, by root neither.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::error::Result;
use crate::fs::{self, Dir};
use crate::layers::LayerFacts;
use crate::owned;
use crate::store::Store;

/// The directory below `.larder/`.
pub(crate) const PLACE: &str = "steps";
const FORMAT: &str = "1";
/// Of a step that came from elsewhere.
const FETCHED: &str = "2";
/// Bytes of a record.
const MAX_RECORD: u64 = 1024;

/// The step cache of a store.
#[derive(Debug)]
pub struct Steps<'s> {
    store: &'s Store,
    dir: Dir,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRecord {
    /// Its layer; `None` where it changed nothing.
    pub layer: Option<LayerFacts>,
    /// When it was done (seconds since 1970): within one build a later step has a later time, or the same.
    pub created: i64,
    /// The digest of the name of the repository that it was fetched from; `None` where it was done in this store.
    pub from: Option<Digest>,
}

impl StepRecord {
    fn to_line(self) -> String {
        let layer = self.layer.map_or("-\n".to_owned(), LayerFacts::to_line);
        match self.from {
            Some(from) => format!("{FETCHED} {from} {} {layer}", self.created),
            None => format!("{FORMAT} {} {layer}", self.created),
        }
    }

    /// A line without its end is a file that a crash cut off.
    fn from_line(line: &str) -> Option<StepRecord> {
        let (format, rest) = line.split_once(' ')?;
        let (from, rest) = match format {
            FORMAT => (None, rest),
            FETCHED => {
                rest.split_once(' ').and_then(|(from, rest)| Some((Some(from.parse().ok()?), rest)))?
            }
            _ => return None,
        };
        let (created, layer) = rest.split_once(' ')?;
        let layer = if layer == "-\n" { None } else { Some(LayerFacts::from_line(layer)?) };
        Some(StepRecord { layer, created: created.parse().ok()?, from })
    }
}

impl<'s> Steps<'s> {
    /// Opens the step cache of a store, or makes the directory for it.
    pub fn open(store: &'s Store) -> Result<Steps<'s>> {
        let dir = owned::open(store.layout().private(), PLACE, "records of steps")?;
        Ok(Steps { store, dir })
    }

    /// What is known of a step, used at `now`; `None` where that was before `not_before` (all in seconds since 1970), or where its layer is gone.
    ///
    /// Nothing keeps the layer yet: whoever uses it leases the blob and looks once more ([`crate::transaction::Transaction::reuse`]).
    pub fn get(&self, key: &Digest, now: i64, not_before: Option<i64>) -> Result<Option<StepRecord>> {
        let name = key.hex();
        let Some(record) = read(&self.dir, &name) else { return Ok(None) };
        if not_before.is_some_and(|least| record.created < least) {
            return Ok(None);
        }
        if !is_there(self.store, &record)? {
            return Ok(None);
        }
        match self.dir.touch(&name, now) {
            // Taken by a GC meanwhile: the blob, too, then.
            Err(error) if fs::is_not_found(&error) => Ok(None),
            Err(error) if fs::is_read_only(&error) => Ok(Some(record)),
            touched => touched.map(|()| Some(record)),
        }
    }

    /// Notes what a step came to, in the place of what was known; the caller has leased the layer's blob. A full disk loses the
    /// record and nothing else.
    pub fn put(&self, key: &Digest, record: &StepRecord, now: i64) -> Result<()> {
        let name = key.hex();
        let noted = self.dir.replace_lossy(&name, record.to_line().as_bytes());
        match noted.and_then(|()| self.dir.touch(&name, now)) {
            Err(error) if fs::is_full(&error) || fs::is_read_only(&error) => Ok(()),
            noted => noted,
        }
    }
}

/// What cannot be read is no record.
fn read(dir: &Dir, name: &str) -> Option<StepRecord> {
    let bytes = dir.read(name, MAX_RECORD).ok()??;
    StepRecord::from_line(std::str::from_utf8(&bytes).ok()?)
}

/// A record, as whoever frees space sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: Digest,
    /// Seconds since 1970.
    pub(crate) last_used: i64,
    pub(crate) record: StepRecord,
}

/// All records, sorted by their keys, and the names of those that are none: unreadable ones, and those whose layer is gone. Where this user may not
/// look, there are none.
pub(crate) fn look(store: &Store) -> Result<(Vec<Found>, Vec<String>)> {
    let (mut records, mut broken) = (Vec::new(), Vec::new());
    let Some(dir) = owned::look(store.layout().private(), PLACE)? else { return Ok((records, broken)) };
    for name in dir.names()? {
        // What has another name, or is no file, is none of ours.
        let Some(key) = Digest::from_hex(&name) else { continue };
        let Some(stat) = dir.stat(&name)?.filter(|stat| stat.is_file) else { continue };
        match read(&dir, &name) {
            Some(record) if is_there(store, &record)? => {
                records.push(Found { key, last_used: stat.modified, record });
            }
            _ => broken.push(name),
        }
    }
    Ok((records, broken))
}

fn is_there(store: &Store, record: &StepRecord) -> Result<bool> {
    match record.layer {
        Some(layer) => Ok(store.blobs().contains(&layer.blob)? == Some(layer.size)),
        None => Ok(true),
    }
}

/// How many records there are, and the bytes of the blobs that they alone keep: no image is said to need those.
pub fn usage(store: &Store, needed: impl Fn(&Digest) -> bool) -> Result<(usize, u64)> {
    let (records, _) = look(store)?;
    let blobs: HashMap<_, _> = records
        .iter()
        .filter_map(|found| found.record.layer)
        .map(|layer| (layer.blob, layer.size))
        .filter(|(blob, _)| !needed(blob))
        .collect();
    Ok((records.len(), blobs.values().fold(0, |sum: u64, size| sum.saturating_add(*size))))
}
