//! The encoder: one thread reads and hashes, all cores compress, one writes in order, one makes durable.
//!
//! Memory is bounded by the number of chunks in flight ([`CHUNK`] plain and about as much compressed for each,
//! `jobs` + 2 of them, with gzip one less). The reader of the next layer does not wait for the last one's end, nor for its fsync.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Encoding;
use super::frames::{CHUNK, FrameEncoder, FrameWriter};
use super::plain::{Passing, Plain};
use crate::blob::{BlobWriter, Staged, from_io};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::media_type::Compression;

/// A layer that was compressed.
#[derive(Debug, Clone)]
pub struct EncodedLayer {
    /// The blob, durable and not yet visible.
    pub staged: Staged,
    /// What was read.
    pub plain: Plain,
    /// How it was compressed.
    pub encoding: Encoding,
}

/// Compresses layers, one after the other. With one job it all happens on the caller's thread.
pub struct Encoder {
    encoding: Encoding,
    cancel: Cancel,
    /// For messages: where the blobs are written.
    shown: PathBuf,
    engine: Engine,
}

enum Engine {
    Inline { encoder: FrameEncoder, chunk: Box<Chunk>, done: Vec<EncodedLayer> },
    Threads(Threads),
}

struct Threads {
    // Closed first, so that the threads end.
    work: Option<SyncSender<Box<Chunk>>>,
    order: Option<Sender<(u64, Step)>>,
    free: Receiver<Box<Chunk>>,
    next: u64,
    workers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    committer: Option<JoinHandle<Result<()>>>,
    done: Receiver<EncodedLayer>,
}

/// Blobs that wait for their fsync, each with an open file.
const COMMITS: usize = 8;

/// A piece of a layer on its way; its buffers go round.
#[derive(Default)]
struct Chunk {
    number: u64,
    plain: Vec<u8>,
    coded: Vec<u8>,
}

/// What the writing thread does, in the order of the numbers.
enum Step {
    Begin(BlobWriter),
    Frame(Box<Chunk>),
    End(Plain),
    Failed(Error),
}

/// What the committing thread does.
enum Commit {
    Finish(BlobWriter, Plain),
    Failed(Error),
}

impl Encoder {
    /// Starts the threads: `jobs` compress.
    pub fn new(encoding: Encoding, jobs: usize, cancel: Cancel, shown: PathBuf) -> Result<Encoder> {
        Encoder::reading_ahead(0, encoding, jobs, cancel, shown)
    }

    /// The same with so many chunks more in flight, for a source that gives now much and now nothing.
    pub fn reading_ahead(
        ahead: usize,
        encoding: Encoding,
        jobs: usize,
        cancel: Cancel,
        shown: PathBuf,
    ) -> Result<Encoder> {
        let engine = if jobs <= 1 {
            let encoder = FrameEncoder::new(encoding).map_err(Error::io("compress for", &shown))?;
            Engine::Inline { encoder, chunk: Box::default(), done: Vec::new() }
        } else {
            Engine::Threads(
                Threads::start(encoding, jobs, ahead, &shown)
                    .map_err(Error::io("start a thread for", &shown))?,
            )
        };
        Ok(Encoder { encoding, cancel, shown, engine })
    }

    /// Compresses one layer into `writer`. `read` is told of every piece, in bytes. A failure to read is
    /// reported here, one to write here or by [`Encoder::finish`].
    pub fn layer(&mut self, source: &mut dyn Read, writer: BlobWriter, read: &dyn Fn(u64)) -> Result<()> {
        match &mut self.engine {
            Engine::Inline { encoder, chunk, done } => {
                let failed = |e| from_io(e, Error::io("write", &self.shown));
                let mut frames = FrameWriter::new(writer, self.encoding.compression);
                let mut passing = Passing::new();
                let mut first = true;
                loop {
                    self.cancel.check()?;
                    fill(source, &mut chunk.plain, &mut passing)?;
                    if chunk.plain.is_empty() && !first {
                        break;
                    }
                    first = false;
                    encoder.encode(&chunk.plain, &mut chunk.coded).map_err(failed)?;
                    frames.frame(&chunk.plain, &chunk.coded).map_err(failed)?;
                    read(chunk.plain.len() as u64);
                }
                let plain = passing.finish();
                let staged = frames.finish().map_err(failed)?.finish()?;
                done.push(EncodedLayer { staged, plain, encoding: self.encoding });
                Ok(())
            }
            Engine::Threads(threads) => threads.layer(source, writer, read, &self.cancel),
        }
    }

    /// The layers that are durable by now and were not given yet, in their order; also after a failure.
    pub fn done(&mut self) -> Vec<EncodedLayer> {
        match &mut self.engine {
            Engine::Inline { done, .. } => std::mem::take(done),
            Engine::Threads(threads) => threads.done.try_iter().collect(),
        }
    }

    /// Waits until everything is written and durable. The layers that are, also where another one failed, are
    /// what [`Encoder::done`] says then.
    pub fn wait(&mut self) -> Result<()> {
        match &mut self.engine {
            Engine::Inline { .. } => Ok(()),
            Engine::Threads(threads) => threads.join(),
        }
    }

    /// Waits until everything is written and durable; the layers that were not given yet, in their order.
    pub fn finish(mut self) -> Result<Vec<EncodedLayer>> {
        self.wait()?;
        Ok(self.done())
    }
}

impl Threads {
    fn start(
        encoding: Encoding,
        jobs: usize,
        ahead: usize,
        shown: &std::path::Path,
    ) -> std::io::Result<Threads> {
        let (work, jobs_to_do) = sync_channel::<Box<Chunk>>(jobs + ahead);
        let (order, steps) = channel();
        let (recycle, free) = channel();
        let (commit, commits) = sync_channel(COMMITS);
        let (finished, done) = channel();
        // What takes the processors most of the time need not wait for the disk: one buffer less is as fast.
        // Six threads, the most that larder takes by itself, have 100 MiB between them and leave room for one buffer less.
        let spare = if encoding.compression == Compression::Gzip { 1 } else { 2 } - usize::from(jobs > 5);
        for _ in 0..jobs + spare + ahead {
            let _ = recycle.send(Box::default());
        }
        let jobs_to_do = Arc::new(Mutex::new(jobs_to_do));
        let path = shown.to_path_buf();
        // Where a thread cannot be had, those that were started end with this value.
        let mut threads = Threads {
            work: Some(work),
            order: Some(order.clone()),
            free,
            next: 0,
            workers: Vec::new(),
            writer: None,
            committer: None,
            done,
        };
        let thread = || std::thread::Builder::new().name("encoder".into());
        for _ in 0..jobs {
            let (jobs_to_do, order) = (Arc::clone(&jobs_to_do), order.clone());
            threads.workers.push(thread().spawn(move || compress(encoding, &jobs_to_do, &order))?);
        }
        drop(order);
        let write = move || write_in_order(encoding, &steps, &recycle, &commit, &path);
        threads.writer = Some(thread().spawn(write)?);
        threads.committer = Some(thread().spawn(move || make_durable(encoding, &commits, &finished))?);
        Ok(threads)
    }

    fn layer(
        &mut self,
        source: &mut dyn Read,
        writer: BlobWriter,
        read: &dyn Fn(u64),
        cancel: &Cancel,
    ) -> Result<()> {
        let mut passing = Passing::new();
        self.step(Step::Begin(writer))?;
        let mut first = true;
        loop {
            cancel.check()?;
            let Ok(mut chunk) = self.free.recv() else { return self.failure() };
            let filled = fill(source, &mut chunk.plain, &mut passing);
            if filled.is_err() || chunk.plain.is_empty() && !first {
                // The chunk that found the end goes back to the pool by the same way as all others.
                (chunk.plain, chunk.coded) = Default::default();
                self.step(Step::Frame(chunk))?;
                filled?;
                break;
            }
            first = false;
            chunk.number = self.next;
            self.next += 1;
            read(chunk.plain.len() as u64);
            let sent = self.work.as_ref().is_some_and(|work| work.send(chunk).is_ok());
            if !sent {
                return self.failure();
            }
        }
        self.step(Step::End(passing.finish()))
    }

    fn step(&mut self, step: Step) -> Result<()> {
        let number = self.next;
        self.next += 1;
        match &self.order {
            Some(order) if order.send((number, step)).is_ok() => Ok(()),
            _ => self.failure(),
        }
    }

    /// A thread ended early: why, the others know.
    fn failure(&mut self) -> Result<()> {
        self.join()?;
        Err(Error::invalid("the encoder", "stopped"))
    }

    fn join(&mut self) -> Result<()> {
        (self.work, self.order) = (None, None);
        let mut panicked = false;
        for worker in self.workers.drain(..) {
            panicked |= worker.join().is_err();
        }
        panicked |= self.writer.take().is_some_and(|writer| writer.join().is_err());
        let committed = match self.committer.take().map(JoinHandle::join) {
            Some(Ok(committed)) => committed,
            _ => Err(Error::invalid("the encoder", "stopped")),
        };
        if panicked {
            committed.and(Err(Error::invalid("the encoder", "a thread of it panicked")))
        } else {
            committed
        }
    }
}

impl Drop for Threads {
    /// An encoder that is not finished leaves nothing: its threads end and drop their writers.
    fn drop(&mut self) {
        let _ = self.join();
    }
}

fn compress(encoding: Encoding, jobs: &Mutex<Receiver<Box<Chunk>>>, order: &Sender<(u64, Step)>) {
    let mut encoder = FrameEncoder::new(encoding);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut chunk) = job else { return };
        let number = chunk.number;
        let coded = match &mut encoder {
            Ok(encoder) => encoder.encode(&chunk.plain, &mut chunk.coded),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        };
        let step = match coded {
            Ok(()) => Step::Frame(chunk),
            Err(error) => Step::Failed(Error::io("compress", "the layer")(error)),
        };
        if order.send((number, step)).is_err() {
            return;
        }
    }
}

fn write_in_order(
    encoding: Encoding,
    steps: &Receiver<(u64, Step)>,
    recycle: &Sender<Box<Chunk>>,
    commit: &SyncSender<Commit>,
    shown: &std::path::Path,
) {
    let mut early = BTreeMap::new();
    let mut next = 0;
    let mut frames: Option<FrameWriter<BlobWriter>> = None;
    // After a failure the loop ends; the closed channels tell everybody else.
    let fail = |error| drop(commit.send(Commit::Failed(error)));
    while let Ok((number, step)) = steps.recv() {
        early.insert(number, step);
        while let Some(step) = early.remove(&next) {
            next += 1;
            match step {
                Step::Begin(writer) => frames = Some(FrameWriter::new(writer, encoding.compression)),
                Step::Frame(chunk) => {
                    let is_end = chunk.plain.is_empty() && chunk.coded.is_empty();
                    if let Some(frames) = frames.as_mut().filter(|_| !is_end)
                        && let Err(error) = frames.frame(&chunk.plain, &chunk.coded)
                    {
                        return fail(from_io(error, Error::io("write", shown)));
                    }
                    let _ = recycle.send(chunk);
                }
                Step::End(plain) => {
                    let Some(frames) = frames.take() else { continue };
                    let writer = match frames.finish() {
                        Ok(writer) => writer,
                        Err(error) => return fail(from_io(error, Error::io("write", shown))),
                    };
                    // What cannot be made durable need not be written: who compresses and reads hears of it too.
                    if commit.send(Commit::Finish(writer, plain)).is_err() {
                        return;
                    }
                }
                Step::Failed(error) => return fail(error),
            }
        }
    }
}

fn make_durable(encoding: Encoding, commits: &Receiver<Commit>, done: &Sender<EncodedLayer>) -> Result<()> {
    while let Ok(commit) = commits.recv() {
        match commit {
            Commit::Finish(writer, plain) => {
                // Nobody listens where the work was given up.
                let _ = done.send(EncodedLayer { staged: writer.finish()?, plain, encoding });
            }
            Commit::Failed(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills the buffer with the next chunk, which is shorter only at the end; learns from it.
fn fill(source: &mut dyn Read, buffer: &mut Vec<u8>, passing: &mut Passing) -> Result<()> {
    buffer.resize(CHUNK, 0);
    let mut filled = 0;
    while filled < CHUNK {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => {
                passing.update(&buffer[filled..filled + count]);
                filled += count;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(from_io(error, Error::io("read", "the layer"))),
        }
    }
    buffer.truncate(filled);
    Ok(())
}
