//! Blobs that pass through the store on their way elsewhere: leased while they are needed, never named, and let go when they have
//! passed. Where their way ends before that, they stay for the next try until gc takes them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::options::Options;
use super::room::Room;
use crate::blob::{Blob, Claim, Ingest, Staged};
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gc::{self, GRACE, Mode, gc};
use crate::store::Store;
use crate::transaction::Transaction;

/// Blobs on their way through a store, from any thread.
#[derive(Debug)]
pub struct Passage<'s> {
    store: &'s Store,
    ingest: Ingest,
    tx: Mutex<Transaction<'s>>,
    /// What came, and was not there before.
    came: Mutex<Vec<Digest>>,
    /// What was there, and was read and found good.
    whole: Mutex<HashSet<Digest>>,
    /// What was there, and was read and found damaged: what comes takes its place.
    damaged: Mutex<HashSet<Digest>>,
    cancel: Cancel,
}

impl<'s> Passage<'s> {
    /// Leases what the store has of these blobs (digest and size), takes over what a transfer that was cut off left of the others, and
    /// makes room for so many bytes that are to come: where they do not fit, what was let go before is swept. Of the options, those that are about archives have no meaning here.
    pub fn begin(
        store: &'s Store,
        wanted: &[(Digest, u64)],
        coming: u64,
        options: &Options<'_>,
    ) -> Result<Passage<'s>> {
        let mut tx = Transaction::begin(store, "sync")?;
        let there = tx.reuse(wanted)?;
        let lacking: Vec<_> =
            wanted.iter().map(|(digest, _)| *digest).filter(|digest| !there.contains(digest)).collect();
        let mut begun = 0;
        if !lacking.is_empty() {
            let _guard = store.locks().shared()?;
            begun = tx.ingest().adopt(&lacking)?.values().copied().fold(0, u64::saturating_add);
        }
        let (room, needed) = (Room::of(&tx, options), coming.saturating_sub(begun));
        match room.make(needed) {
            // What passed before this may still lie here.
            Err(Error::NoSpace { .. }) => {
                let (now, cancel) = ((options.now)(), &options.cancel);
                gc(store, &gc::Options { grace: GRACE, now, mode: Mode::Sweep, cancel })?;
                room.make(needed)?;
            }
            made => made?,
        }
        let ingest = tx.ingest().clone();
        let (came, whole, damaged) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Passage {
            store,
            ingest,
            tx: Mutex::new(tx),
            came,
            whole,
            damaged,
            cancel: options.cancel.clone(),
        })
    }

    fn lock<'l, T>(&self, what: &'l Mutex<T>) -> MutexGuard<'l, T> {
        what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where blobs that come are written ([`Ingest::writer_of`]).
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// A blob that is there, and is what its digest says: it is read once to see that. `None` where it has to come, also in the place of
    /// a damaged one.
    pub fn open(&self, blob: &Descriptor) -> Result<Option<Blob>> {
        let Some(found) = self.store.blobs().open(&blob.digest)?.filter(|found| found.size() == blob.size)
        else {
            return Ok(None);
        };
        if self.lock(&self.damaged).contains(&blob.digest) {
            return Ok(None);
        }
        self.cancel.check()?;
        let is_known = self.lock(&self.whole).contains(&blob.digest);
        if is_known || self.store.is_whole(&blob.digest)? {
            self.lock(&self.whole).insert(blob.digest);
            return Ok(Some(found));
        }
        self.lock(&self.damaged).insert(blob.digest);
        Ok(None)
    }

    /// Starts a blob, unless another ingest is at it ([`Ingest::claim`]). What one that `left` began is taken over.
    pub fn claim(&self, blob: &Descriptor, left: bool) -> Result<Claim> {
        if left {
            // Nobody sweeps it meanwhile.
            let _guard = self.store.locks().shared()?;
            self.ingest.adopt(&[blob.digest])?;
        }
        self.ingest.claim(&blob.digest, blob.size)
    }

    /// Takes a blob that came.
    pub fn take(&self, staged: Staged) -> Result<Blob> {
        let (digest, size) = (staged.digest(), staged.size());
        let is_damaged = self.lock(&self.damaged).remove(&digest);
        let mut tx = self.lock(&self.tx);
        // Somebody else may have brought it meanwhile: then it is theirs.
        let is_there = tx.reuse(&[(digest, size)])?.contains(&digest);
        match is_damaged {
            true => tx.heal(staged)?,
            false => drop(tx.publish(staged)?),
        }
        tx.ingest().came(size)?;
        drop(tx);
        if !is_there {
            self.lock(&self.came).push(digest);
        }
        self.lock(&self.whole).insert(digest);
        let found = self.store.blobs().open(&digest)?;
        found.ok_or_else(|| Error::damaged(format!("blob {digest}"), "is missing"))
    }

    /// Lets go of what came: the next gc takes it, unless an image needs it or somebody has leased it.
    pub fn let_go(self) -> Result<()> {
        let came: HashSet<_> =
            self.came.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
        if came.is_empty() {
            return Ok(());
        }
        self.store.release(&came.into_iter().collect::<Vec<_>>())
    }
}
