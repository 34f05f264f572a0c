//! Fetching blobs, several at once: a thread with a connection of its own for each.
//!
//! The first failure ends all: what is complete by then is published, and what has begun stays for the next try.
//!
//! A blob that another process fetches already is put at the end, and used where that one has brought it by then. Nobody
//! waits while there is something to do, and no thread waits that has begun a blob; so two that want each other's blobs both
//! get on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use larder_store::Store;
use larder_store::archive::fetched::{Came, Done, Incoming};
use larder_store::archive::options::Options;
use larder_store::blob::{BlobWriter, Claim, Ingest, Staged};
use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::error::Error as StoreError;
use larder_store::progress::{Event, Watch};

use super::super::client::{Line, Repository, Taking};
use super::super::error::{Error, Result};
use super::Notice;
use super::rivals::{Rivals, Turn};

/// What the threads of a transfer share.
struct Shared<'a> {
    store: &'a Store,
    ingest: &'a Ingest,
    queue: Mutex<VecDeque<&'a Descriptor>>,
    rivals: Rivals<'a>,
    is_over: Arc<AtomicBool>,
    watch: Watch<'a>,
    cancel: &'a Cancel,
}

/// What a thread has to say.
enum Told<'a> {
    Fetched(Staged),
    /// Whether a blob that another process has brought will do.
    There(&'a Descriptor),
    Note(Notice),
}

/// Hears what a thread has to say; whether a blob is there.
type Tell<'t, 'a> = &'t dyn Fn(Told<'a>) -> Result<bool>;

/// How a transfer is made.
pub(super) struct Fetching<'a> {
    pub(super) store: &'a Store,
    pub(super) repository: &'a Arc<Repository>,
    /// Blobs at a time.
    pub(super) jobs: usize,
    pub(super) notice: &'a dyn Fn(Notice),
    pub(super) options: &'a Options<'a>,
}

/// Fetches blobs; `line` is the connection that asked for the documents.
pub(super) fn fetch(how: &Fetching<'_>, line: Line, incoming: Incoming<'_>) -> Result<()> {
    let Incoming { blobs, ingest, done } = incoming;
    // The largest first: it decides when all is done.
    let mut queue: Vec<_> = blobs.iter().collect();
    queue.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let shared = Shared {
        store: how.store,
        ingest,
        queue: Mutex::new(queue.into()),
        rivals: Rivals::new(how.repository.patience().rival),
        is_over: Arc::new(AtomicBool::new(false)),
        watch: how.options.watch,
        cancel: &how.options.cancel,
    };
    let jobs = how.jobs.clamp(1, blobs.len().max(1));
    if jobs == 1 {
        // Without another thread.
        let done = Mutex::new(done);
        let tell = |told| hear(told, *done.lock().unwrap_or_else(PoisonError::into_inner), how.notice);
        return work(&line, &shared, &tell);
    }
    let mut lines = vec![line];
    while lines.len() < jobs {
        lines.push(how.repository.line()?);
    }
    let first = at_once(lines, &shared, done, how.notice);
    how.options.cancel.check()?;
    first.map_or(Ok(()), Err)
}

/// What is said, and where the answer is waited for.
type Said<'a> = (Result<Told<'a>>, Option<Sender<bool>>);

/// With a thread for each line; the first failure.
fn at_once<'a>(
    lines: Vec<Line>,
    shared: &Shared<'a>,
    done: Done<'_>,
    notice: &dyn Fn(Notice),
) -> Option<Error> {
    let mut first = None;
    std::thread::scope(|scope| {
        let (sender, results) = channel::<Said<'a>>();
        for line in lines {
            let sender = sender.clone();
            let started = std::thread::Builder::new().name("fetch".into()).spawn_scoped(scope, move || {
                line.until(Some(&shared.is_over));
                let gone = |()| Error::Store(StoreError::Interrupted);
                let tell = |told: Told<'a>| match told {
                    // Only this waits for an answer: else the next blob is begun while one is published.
                    Told::There(_) => {
                        let (answer, answered) = channel();
                        sender.send((Ok(told), Some(answer))).map_err(|_| gone(()))?;
                        answered.recv().map_err(|_| gone(()))
                    }
                    told => sender.send((Ok(told), None)).map(|()| true).map_err(|_| gone(())),
                };
                if let Err(error) = work(&line, shared, &tell) {
                    // Others stop because of the first one, so that is told before.
                    let _ = sender.send((Err(error), None));
                    shared.is_over.store(true, Ordering::Relaxed);
                }
            });
            if let Err(error) = started {
                shared.is_over.store(true, Ordering::Relaxed);
                first.get_or_insert(Error::Store(StoreError::io("start a thread for", "a transfer")(error)));
            }
        }
        drop(sender);
        for (told, answer) in results {
            match told.and_then(|told| hear(told, done, notice)) {
                Ok(is_there) => drop(answer.map(|answer| answer.send(is_there))),
                Err(error) => {
                    first.get_or_insert(error);
                    shared.is_over.store(true, Ordering::Relaxed);
                }
            }
        }
    });
    first
}

fn hear(told: Told<'_>, done: Done<'_>, notice: &dyn Fn(Notice)) -> Result<bool> {
    Ok(match told {
        Told::Fetched(staged) => done(Came::New(staged))?,
        Told::There(blob) => done(Came::There(blob))?,
        Told::Note(text) => {
            notice(text);
            true
        }
    })
}

impl<'a> Shared<'a> {
    /// What is to be done next; nothing where all is done, or begun by other threads.
    fn next(&self) -> Result<Option<(&'a Descriptor, Turn)>> {
        if self.is_over.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next {
            Some(blob) => Ok(Some((blob, Turn::First))),
            None => self.rivals.wait(&|| {
                self.cancel.check()?;
                Ok(!self.is_over.load(Ordering::Relaxed))
            }),
        }
    }

    /// Begins a blob; `None` where that is not to be done now, or not at all.
    fn begin(&self, blob: &'a Descriptor, turn: Turn, tell: Tell<'_, 'a>) -> Result<Option<BlobWriter>> {
        if turn == Turn::Left {
            // Nobody sweeps it meanwhile.
            let _guard = self.store.locks().shared()?;
            self.ingest.adopt(&[blob.digest])?;
        }
        if turn == Turn::Stalled {
            return Ok(Some(self.ingest.writer_of(&blob.digest, blob.size)?));
        }
        let writer = match self.ingest.claim(&blob.digest, blob.size)? {
            Claim::Ours(writer) => writer,
            Claim::Theirs(rival) => {
                if self.rivals.add(blob, rival) {
                    tell(Told::Note(Notice::Waits { blob: blob.digest }))?;
                }
                return Ok(None);
            }
        };
        // Looked for after the claim: from then on nobody else brings it.
        let is_there = self.store.blobs().contains(&blob.digest)? == Some(blob.size);
        if is_there && tell(Told::There(blob))? { Ok(None) } else { Ok(Some(writer)) }
    }
}

fn work<'a>(line: &Line, shared: &Shared<'a>, tell: Tell<'_, 'a>) -> Result<()> {
    while let Some((blob, turn)) = shared.next()? {
        if let Some(writer) = shared.begin(blob, turn, tell)? {
            let staged = one(line, blob, writer, shared, tell)?;
            tell(Told::Fetched(staged))?;
        }
    }
    Ok(())
}

/// Fetches one blob. What was there of it from before may be anything: where it does not fit, the blob is fetched anew.
fn one<'a>(
    line: &Line,
    blob: &Descriptor,
    begun: BlobWriter,
    shared: &Shared<'a>,
    tell: Tell<'_, 'a>,
) -> Result<Staged> {
    let taking = Taking {
        anew: &|| shared.ingest.writer_of(&blob.digest, blob.size),
        watch: &|count| (shared.watch)(Event::Done(count)),
        passed_over: &|error, next| {
            let note = Notice::PassedOver { why: error.to_string(), next: next.to_owned() };
            // Who hears nobody any more has ended already.
            let _ = tell(Told::Note(note));
        },
    };
    line.blob(blob, begun, &taking)
}
