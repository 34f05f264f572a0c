//! Sending blobs, several at once: a thread with a connection of its own for each.
//!
//! Each is asked for first, then mounted from where it may be, and sent where neither helps. The first failure ends all; what is
//! there by then stays.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use larder_store::Store;
use larder_store::blob::Blob;
use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::progress::{Event, Watch};

use super::super::client::{Line, Mounted};
use super::super::error::{Error, Result};
use super::super::lines::Lines;

/// How a blob came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) enum Came {
    There,
    Mounted,
    Sent,
}

impl Came {
    pub(in crate::registry) fn was_sent(self) -> bool {
        self == Came::Sent
    }
}

/// Brings blobs from elsewhere, when a registry turns out to lack them.
pub(in crate::registry) trait Supply: Sync {
    /// A blob, from any thread. `watch` is told of the bytes that come; when the line that waits for it is over, so is this.
    fn blob(&self, blob: &Descriptor, waits: &Line, watch: &dyn Fn(u64)) -> Result<Blob>;
}

/// Where blobs come from.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Stock<'a> {
    pub(in crate::registry) store: &'a Store,
    /// Who has what is not here; the store is not looked into then.
    pub(in crate::registry) supply: Option<&'a dyn Supply>,
    /// Layers that were made for this push.
    pub(in crate::registry) made: &'a HashMap<Digest, Blob>,
    /// In which repository of the same registry a blob may be.
    pub(in crate::registry) elsewhere: &'a HashMap<Digest, String>,
    pub(in crate::registry) watch: Watch<'a>,
    pub(in crate::registry) cancel: &'a Cancel,
}

struct Shared<'a> {
    queue: Mutex<VecDeque<&'a Descriptor>>,
    done: Mutex<Vec<(Descriptor, Came)>>,
    stock: Stock<'a>,
}

/// Brings blobs there, at most so many at a time. What is there is told in any case, with the failure where one ended it.
pub(in crate::registry) fn send(
    lines: &Lines,
    line: &Line,
    blobs: &[&Descriptor],
    jobs: usize,
    stock: Stock<'_>,
) -> (Vec<(Descriptor, Came)>, Result<()>) {
    // The largest first: it decides when all is done.
    let mut queue = blobs.to_vec();
    queue.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let shared = Shared { queue: Mutex::new(queue.into()), done: Mutex::default(), stock };
    let sent = lines.at_once(line, jobs.min(blobs.len()), &|line| work(line, &shared));
    let done = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    (done, stock.cancel.check().map_err(Error::from).and(sent))
}

fn work(line: &Line, shared: &Shared<'_>) -> Result<()> {
    let next = || shared.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    while let Some(blob) = next() {
        let came = one(line, blob, shared)?;
        shared.done.lock().unwrap_or_else(PoisonError::into_inner).push((blob.clone(), came));
    }
    Ok(())
}

fn one(line: &Line, blob: &Descriptor, shared: &Shared<'_>) -> Result<Came> {
    let Stock { elsewhere, watch, .. } = shared.stock;
    let spared = |came| {
        watch(Event::Done(blob.size));
        watch(Event::Spared(blob.size));
        Ok(came)
    };
    // Before anything is asked: what is not whole here need not be asked for.
    let stored = match shared.stock.supply {
        Some(_) => None,
        None => Some(open(blob, &shared.stock)?),
    };
    if line.has_blob(&blob.digest, blob.size)? {
        return spared(Came::There);
    }
    let mut begun = None;
    if let Some(from) = elsewhere.get(&blob.digest) {
        match line.mount(&blob.digest, from)? {
            Mounted::Yes => return spared(Came::Mounted),
            Mounted::No(session) => begun = session,
        }
    }
    let tell = |count: u64| watch(Event::Done(count));
    let content = match (stored, shared.stock.supply) {
        (Some(stored), _) => stored,
        (None, Some(supply)) => supply.blob(blob, line, &tell)?,
        (None, None) => open(blob, &shared.stock)?,
    };
    line.upload(&content, begun, &tell)?;
    Ok(Came::Sent)
}

fn open(blob: &Descriptor, stock: &Stock<'_>) -> Result<Blob> {
    let what = || format!("blob {}", blob.digest);
    let found = match stock.made.get(&blob.digest) {
        Some(made) => Some(made.clone()),
        None => stock.store.blobs().open(&blob.digest)?,
    };
    let found = found.ok_or_else(|| StoreError::damaged(what(), "is missing"))?;
    if found.size() != blob.size {
        let why = format!("has {} bytes where {} were announced", found.size(), blob.size);
        return Err(StoreError::damaged(what(), why).into());
    }
    Ok(found)
}
