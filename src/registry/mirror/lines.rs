//! Connections to one repository that threads take and give back.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_store::digest::Digest;

use super::super::client::{Line, Repository};
use super::super::error::{Error, Result};

/// Blobs that are asked for at a time.
const AT_ONCE: usize = 8;
/// With fewer than this for each connection another one does not help.
const EACH: usize = 2;

/// Connections that nobody uses just now.
pub(super) struct Lines {
    repository: Arc<Repository>,
    idle: Mutex<Vec<Line>>,
}

impl Lines {
    pub(super) fn of(repository: &Arc<Repository>) -> Lines {
        Lines { repository: Arc::clone(repository), idle: Mutex::default() }
    }

    /// Does something with a connection.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Line) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let line = match idle {
            Some(line) => line,
            None => self.repository.line()?,
        };
        let done = work(&line);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        done
    }

    /// Which of these blobs the repository has; several are asked for at once.
    pub(super) fn which_are_there(&self, blobs: &[Digest]) -> Result<HashSet<Digest>> {
        let (next, there) = (AtomicUsize::new(0), Mutex::new(HashSet::new()));
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let ask = || {
            let asked = self.with(|line| {
                while let Some(digest) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if line.has_blob(digest)? {
                        there.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest);
                    }
                }
                Ok(())
            });
            if let Err(error) = asked {
                // The others have nothing left to do.
                next.store(blobs.len(), Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..blobs.len().div_ceil(EACH).min(AT_ONCE) {
                // Fewer do it as well.
                if std::thread::Builder::new().name("ask".into()).spawn_scoped(scope, ask).is_err() {
                    break;
                }
            }
            ask();
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(there.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}
