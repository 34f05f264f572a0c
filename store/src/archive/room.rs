//! Room for what an import writes: what is known to come is made room for before, what only says that it comes is not.

use super::options::Options;
use crate::error::{Error, Result};
use crate::gc::Mode;
use crate::prune::{Incoming, make_room};
use crate::transaction::Transaction;

/// A stream makes room after each so many bytes, sooner where little is free.
const STEP: u64 = 64 << 20;

/// Makes room for one import.
pub struct Room<'a> {
    tx: Incoming<'a>,
    options: &'a Options<'a>,
}

impl<'a> Room<'a> {
    pub(super) fn of(tx: &Transaction<'a>, options: &'a Options<'a>) -> Room<'a> {
        Room { tx: Incoming { store: tx.store(), ingest: tx.ingest().clone() }, options }
    }

    /// Makes room for so many bytes, or refuses. What is there of the archive is leased by now, so that it stays.
    pub(super) fn make(&self, bytes: u64) -> Result<()> {
        let gone = make_room(&self.tx, bytes, (self.options.now)(), Mode::Sweep, &self.options.cancel)?;
        if !gone.is_empty() {
            (self.options.made_room)(&gone);
        }
        Ok(())
    }

    /// Refuses what cannot fit, whatever went. Nothing goes: whoever announces so many bytes may not have them.
    pub(super) fn check(&self, bytes: u64) -> Result<()> {
        make_room(&self.tx, bytes, (self.options.now)(), Mode::DryRun, &self.options.cancel).map(drop)
    }

    /// Makes room for what was written by now; returns how many bytes may come before this is asked again.
    pub(super) fn keep_up(&self) -> Result<u64> {
        match self.make(0) {
            // It was refused when it was announced if it could not fit. What others took since then is not its fault.
            Err(Error::NoRoom { .. }) => {}
            made => made?,
        }
        Ok(STEP.min(self.tx.store.free_space()? / 4))
    }

    /// Bytes that were written and are not published yet.
    pub(super) fn written(&self) -> Result<u64> {
        self.tx.ingest.written()
    }

    /// Nothing more is to come.
    pub(super) fn end(&self) -> Result<()> {
        self.tx.ingest.expect_no_more()
    }
}
