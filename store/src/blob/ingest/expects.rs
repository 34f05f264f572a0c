//! How much is still to come into an ingest, so that others leave the room.
//!
//! It is the name of an empty file in it. With its owner dead it says nothing.

use std::fs::File;
use std::sync::PoisonError;

use super::{Ingest, Inner};
use crate::error::{Error, Result};
use crate::fs::Dir;

/// Begins the name of the file that says how many bytes the ingest is to have.
pub(super) const EXPECTS: &str = "expects.";

impl Ingest {
    /// Says that so many bytes are still to be written, beside those that were.
    pub fn expect(&self, more: u64) -> Result<()> {
        let all = self.written()?.saturating_add(more);
        self.inner.say(|_| Some(all))
    }

    /// Says that something that was expected with so many bytes has left the ingest.
    pub fn came(&self, bytes: u64) -> Result<()> {
        self.inner.say(|all| all.map(|all| all.saturating_sub(bytes)))
    }

    /// Says that nothing more is to be written.
    pub fn expect_no_more(&self) -> Result<()> {
        self.inner.say(|all| all.map(|_| 0))
    }

    /// Bytes that are in it.
    pub fn written(&self) -> Result<u64> {
        Ok(sizes(&self.inner.dir)?.0)
    }

    /// Bytes that all other live ingests still expect. The caller holds the store lock, so that none is just being made.
    pub fn expected_by_others(&self) -> Result<u64> {
        let mut expected = 0u64;
        for name in self.inner.parent.names()?.into_iter().filter(|name| *name != self.inner.name) {
            let Ok(dir) = self.inner.parent.sub(&name) else { continue };
            let lock = File::from(dir.fd().try_clone().map_err(Error::io("open", dir.path()))?);
            if lock.try_lock_shared().is_err() {
                let (written, all) = sizes(&dir)?;
                expected = expected.saturating_add(all.saturating_sub(written));
            }
        }
        Ok(expected)
    }
}

/// Bytes of the blobs in an ingest, and those that it is to have.
fn sizes(dir: &Dir) -> Result<(u64, u64)> {
    let (mut written, mut all) = (0u64, 0u64);
    for name in dir.names()? {
        match name.strip_prefix(EXPECTS).and_then(|bytes| bytes.parse().ok()) {
            Some(bytes) => all = bytes,
            None => written = written.saturating_add(dir.stat(&name)?.map_or(0, |stat| stat.size)),
        }
    }
    Ok((written, all))
}

impl Inner {
    fn say(&self, change: impl FnOnce(Option<u64>) -> Option<u64>) -> Result<()> {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let new = change(*expected);
        match (*expected, new) {
            (old, new) if old == new => {}
            (Some(old), Some(new)) => {
                self.dir.rename(&format!("{EXPECTS}{old}"), &self.dir, &format!("{EXPECTS}{new}"))?;
            }
            (None, Some(new)) => drop(self.dir.create_new(&format!("{EXPECTS}{new}"))?),
            (_, None) => {}
        }
        *expected = new;
        Ok(())
    }
}
