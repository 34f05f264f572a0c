//! Fetching blobs, several at once: a thread with a connection of its own for each.
//!
//! The first failure ends all: what is complete by then is published, and what has begun stays for the next try.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use larder_store::archive::fetched::Incoming;
use larder_store::archive::options::Options;
use larder_store::blob::{Ingest, Staged};
use larder_store::descriptor::Descriptor;
use larder_store::error::{Error as StoreError, Kind as StoreKind};
use larder_store::progress::{Event, Watch};

use super::super::client::{Line, Repository};
use super::super::error::{Error, Kind, Result};

/// Less of a blob is fetched again sooner than it is found again, bytes.
const WORTH_KEEPING: u64 = 64 << 10;

/// What the threads of a transfer share.
struct Shared<'a> {
    queue: Mutex<VecDeque<&'a Descriptor>>,
    ingest: &'a Ingest,
    is_over: AtomicBool,
    watch: Watch<'a>,
}

/// Fetches blobs, at most so many at a time; `line` is the connection that asked for the documents.
pub(super) fn fetch(
    repository: &Arc<Repository>,
    line: Line,
    incoming: Incoming<'_>,
    jobs: usize,
    options: &Options<'_>,
) -> Result<()> {
    let Incoming { blobs, ingest, done } = incoming;
    // The largest first: it decides when all is done.
    let mut queue: Vec<_> = blobs.iter().collect();
    queue.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let shared = Shared {
        queue: Mutex::new(queue.into()),
        ingest,
        is_over: AtomicBool::new(false),
        watch: options.watch,
    };
    let jobs = jobs.clamp(1, blobs.len().max(1));
    if jobs == 1 {
        return in_turn(&line, &shared, done);
    }
    let mut lines = vec![line];
    while lines.len() < jobs {
        lines.push(repository.line()?);
    }
    let mut first = None;
    std::thread::scope(|scope| {
        let (sender, results) = channel();
        for line in lines {
            let (sender, shared) = (sender.clone(), &shared);
            let started = std::thread::Builder::new()
                .name("fetch".into())
                .spawn_scoped(scope, move || work(&line, shared, &sender));
            if let Err(error) = started {
                shared.is_over.store(true, Ordering::Relaxed);
                first.get_or_insert(Error::Store(StoreError::io("start a thread for", "a transfer")(error)));
            }
        }
        drop(sender);
        for result in results {
            let result = result.and_then(|staged| Ok(done(staged)?));
            if let Err(error) = result {
                shared.is_over.store(true, Ordering::Relaxed);
                // Others stop because of the first one.
                first.get_or_insert(error);
            }
        }
    });
    options.cancel.check()?;
    first.map_or(Ok(()), Err)
}

/// One after the other, without another thread.
fn in_turn(
    line: &Line,
    shared: &Shared<'_>,
    done: &mut dyn FnMut(Staged) -> Result<(), StoreError>,
) -> Result<()> {
    while let Some(blob) = shared.next() {
        done(one(line, blob, shared.ingest, &|count| shared.came(count))?)?;
    }
    Ok(())
}

impl<'a> Shared<'a> {
    fn next(&self) -> Option<&'a Descriptor> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Tells of bytes that came, and says whether to go on.
    fn came(&self, count: u64) -> bool {
        (self.watch)(Event::Done(count));
        !self.is_over.load(Ordering::Relaxed)
    }
}

fn work(line: &Line, shared: &Shared<'_>, results: &Sender<Result<Staged>>) {
    while !shared.is_over.load(Ordering::Relaxed) {
        let Some(blob) = shared.next() else { return };
        let fetched = one(line, blob, shared.ingest, &|count| shared.came(count));
        if fetched.is_err() {
            shared.is_over.store(true, Ordering::Relaxed);
        }
        if results.send(fetched).is_err() {
            return;
        }
    }
}

/// Fetches one blob. What was there of it from before may be anything: where it does not fit, the blob is fetched anew.
pub(in crate::registry) fn one(
    line: &Line,
    blob: &Descriptor,
    ingest: &Ingest,
    watch: &dyn Fn(u64) -> bool,
) -> Result<Staged> {
    let mut may_begin_anew = true;
    loop {
        let mut writer = ingest.writer_of(&blob.digest, blob.size)?;
        let had = writer.size();
        if let Err(error) = line.blob(blob, &mut writer, watch) {
            if error.kind() != Some(Kind::Damaged) && writer.size() >= WORTH_KEEPING {
                writer.suspend();
            }
            return Err(error);
        }
        match writer.finish_as(blob.digest, blob.size) {
            Err(error) if error.kind() == StoreKind::Damaged && had > 0 && may_begin_anew => {
                may_begin_anew = false;
            }
            Err(error) if error.kind() == StoreKind::Damaged => return Err(line.wrong(blob, &error)),
            done => return Ok(done?),
        }
    }
}
