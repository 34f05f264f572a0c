//! Connections to one repository: several threads ask it at a time, and what was opened for one question serves for the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_store::digest::Digest;

use super::super::client::{Line, Repository, Which};
use super::super::error::{Error, Result};

/// Lines to one repository beside the caller's own.
pub(in crate::registry) struct Lines {
    repository: Arc<Repository>,
    idle: Mutex<Vec<Line>>,
}

impl Lines {
    /// None are open yet.
    pub(in crate::registry) fn to(repository: &Arc<Repository>) -> Lines {
        Lines { repository: Arc::clone(repository), idle: Mutex::default() }
    }

    fn take(&self) -> Result<Line> {
        match self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(line) => Ok(line),
            None => self.repository.line(),
        }
    }

    fn give(&self, line: Line) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Has so many threads do something, this one among them with its own line; fewer where there are not that many to be had.
    /// The first failure ends all at once.
    pub(in crate::registry) fn at_once(
        &self,
        own: &Line,
        jobs: usize,
        work: &(dyn Fn(&Line) -> Result<()> + Sync),
    ) -> Result<()> {
        let lines = (1..jobs).map(|_| self.take()).collect::<Result<Vec<_>>>()?;
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

    /// Which of these manifests the repository lacks; at most so many are asked for at a time.
    pub(super) fn lacking(&self, own: &Line, wanted: &[Digest], jobs: usize) -> Result<Vec<Digest>> {
        let (left, lacking) = (Mutex::new(wanted.iter()), Mutex::new(Vec::new()));
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let ask = |line: &Line| {
            while let Some(digest) = next() {
                if line.manifest_there(&Which::Digest(*digest))?.is_none() {
                    lacking.lock().unwrap_or_else(PoisonError::into_inner).push(*digest);
                }
            }
            Ok(())
        };
        self.at_once(own, jobs.min(wanted.len()), &ask)?;
        Ok(lacking.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
