//! Connections to one repository, as a pool: threads take one and give it back, and what was opened for one question serves for the
//! next. Each that is open costs a few files and sockets: who does not need them for a while closes them ([`Lines::rest`]).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;

use super::client::{Line, Repository, Which};
use super::error::{Error, Result};

/// Things that are asked for at a time.
pub(super) const AT_ONCE: usize = 8;
/// With fewer than this for each connection another one does not help.
const EACH: usize = 2;

/// Lines to one repository.
pub(super) struct Lines {
    repository: Arc<Repository>,
    idle: Mutex<Vec<Line>>,
}

impl Lines {
    /// None are open yet.
    pub(super) fn to(repository: &Arc<Repository>) -> Lines {
        Lines { repository: Arc::clone(repository), idle: Mutex::default() }
    }

    pub(super) fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    /// One that is open and not used, for good.
    pub(super) fn spare(&self) -> Option<Line> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn take(&self) -> Result<Line> {
        match self.spare() {
            Some(line) => Ok(line),
            None => self.repository.line(),
        }
    }

    fn give(&self, line: Line) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Closes those that nobody uses just now. What was learned of who is asking is kept.
    pub(super) fn rest(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }

    /// Does something with one of them.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Line) -> Result<T>) -> Result<T> {
        let line = self.take()?;
        let done = work(&line);
        self.give(line);
        done
    }

    /// Has so many threads do something, this one among them with its own line; fewer where there are not that many to be had.
    /// The first failure ends all at once.
    pub(super) fn at_once(
        &self,
        own: &Line,
        jobs: usize,
        work: &(dyn Fn(&Line) -> Result<()> + Sync),
    ) -> Result<()> {
        let lines: Vec<_> = (1..jobs).map_while(|_| self.take().ok()).collect();
        let (is_over, first) = (Arc::new(AtomicBool::new(false)), Mutex::new(None::<Error>));
        let guarded = |line: &Line| {
            line.until(Some(&is_over));
            if let Err(error) = work(line) {
                // Others stop because of the first one, so that is noted before.
                first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                is_over.store(true, Ordering::Relaxed);
            }
            line.until(None);
        };
        std::thread::scope(|scope| {
            for line in lines {
                let guarded = &guarded;
                let started = std::thread::Builder::new().name("ask".into()).spawn_scoped(scope, move || {
                    guarded(&line);
                    self.give(line);
                });
                if started.is_err() {
                    break;
                }
            }
            guarded(own);
        });
        first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Asks about each of these things, so many at a time; those of which it is true.
    fn which<'t, T: Sync>(
        &self,
        own: &Line,
        things: &'t [T],
        jobs: usize,
        is_it: &(dyn Fn(&Line, &T) -> Result<bool> + Sync),
    ) -> Result<Vec<&'t T>> {
        let (left, found) = (Mutex::new(things.iter()), Mutex::new(Vec::new()));
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let ask = |line: &Line| {
            while let Some(thing) = next() {
                if is_it(line, thing)? {
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(thing);
                }
            }
            Ok(())
        };
        self.at_once(own, jobs.min(things.len()), &ask)?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which of these manifests the repository lacks; at most so many are asked for at a time.
    pub(super) fn lacking(&self, own: &Line, wanted: &[Digest], jobs: usize) -> Result<Vec<Digest>> {
        let is_lacking =
            |line: &Line, digest: &Digest| Ok(line.manifest_there(&Which::Digest(*digest))?.is_none());
        Ok(self.which(own, wanted, jobs, &is_lacking)?.into_iter().copied().collect())
    }

    /// Which of these blobs the repository has. One with another size than it is said to have is refused.
    pub(super) fn which_are_there(&self, blobs: &[&Descriptor]) -> Result<HashSet<Digest>> {
        if blobs.is_empty() {
            return Ok(HashSet::new());
        }
        let jobs = blobs.len().div_ceil(EACH).min(AT_ONCE);
        let is_there = |line: &Line, blob: &&Descriptor| line.has_blob(&blob.digest, blob.size);
        let there = self.with(|own| self.which(own, blobs, jobs, &is_there))?;
        Ok(there.into_iter().map(|blob| blob.digest).collect())
    }
}
