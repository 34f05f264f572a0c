//! A transaction: blobs first, index last.
//!
//! Blobs are staged, published one by one under a lease, and named all at once by [`Transaction::commit`].
//! Dropping a transaction leaves the index as it was; blobs that were published stay for GC, because another
//! process may have leased them meanwhile.

use std::collections::HashSet;

use crate::blob::{BlobWriter, Ingest, Staged};
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::index::Index;
use crate::lease::Lease;
use crate::lock::SharedGuard;
use crate::store::Store;

/// Adds content to a store; nothing has a name before [`Transaction::commit`].
#[must_use = "a transaction that is not committed names nothing"]
#[derive(Debug)]
pub struct Transaction<'s> {
    store: &'s Store,
    // Dropped in this order: what was written goes before the lease that protects it.
    ingest: Ingest,
    lease: Lease,
}

impl<'s> Transaction<'s> {
    /// Starts one; `purpose` is what `holds` shows.
    pub(crate) fn begin(store: &'s Store, purpose: &str) -> Result<Transaction<'s>> {
        let guard = store.locks().shared()?;
        Transaction::begin_under(store, purpose, &guard)
    }

    /// Like [`Transaction::begin`], for who has looked at the store in the same hold of its lock.
    pub(crate) fn begin_under(
        store: &'s Store,
        purpose: &str,
        guard: &SharedGuard,
    ) -> Result<Transaction<'s>> {
        let (lease, ingest) = store.with_reserve(|| {
            let lease = Lease::create(&store.layout().private().ensure_dir("leases")?, purpose, guard)?;
            let ingest = Ingest::create(&store.layout().private().ensure_dir("ingest")?)?;
            Ok((lease, ingest))
        })?;
        Ok(Transaction { store, ingest, lease })
    }

    /// The store it adds to.
    pub fn store(&self) -> &'s Store {
        self.store
    }

    /// Starts a blob.
    pub fn writer(&self) -> Result<BlobWriter> {
        self.ingest.writer()
    }

    /// The ingest, for writers on other threads.
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Protects content that may be there already, and says which of it is, with the announced size. What is
    /// there stays there from now on.
    pub fn reuse(&mut self, wanted: &[(Digest, u64)]) -> Result<HashSet<Digest>> {
        let digests: Vec<_> = wanted.iter().map(|(digest, _)| *digest).collect();
        let present = {
            let guard = self.store.locks().shared()?;
            self.lease_digests(&digests, &guard)?;
            let blobs = self.store.blobs();
            let mut present = HashSet::new();
            for (digest, size) in wanted {
                if blobs.contains(digest)? == Some(*size) {
                    present.insert(*digest);
                }
            }
            present
        };
        for digest in &present {
            self.store.blobs().settle(digest)?;
        }
        Ok(present)
    }

    /// Makes a staged blob visible, under the lease.
    pub fn publish(&mut self, staged: Staged) -> Result<Digest> {
        let digest = staged.digest();
        let guard = self.store.locks().shared()?;
        self.lease_digests(&[digest], &guard)?;
        self.store.blobs().publish(staged)?;
        Ok(digest)
    }

    /// Like [`Transaction::publish`], but puts the staged blob in the place of one that was found damaged.
    pub fn heal(&mut self, staged: Staged) -> Result<()> {
        let guard = self.store.locks().shared()?;
        self.lease_digests(&[staged.digest()], &guard)?;
        self.store.blobs().heal(staged)
    }

    /// Writes and publishes a small blob that is in memory; nothing is written where it is there already.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Digest> {
        use std::io::Write;
        let digest = Digest::of(bytes);
        if self.reuse(&[(digest, bytes.len() as u64)])?.contains(&digest) {
            return Ok(digest);
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(crate::Error::io("write", self.store.path()))?;
        let staged = writer.finish()?;
        self.publish(staged)
    }

    /// Makes all that was published durable, and then changes the index in one step. Where `edit` fails, the
    /// index stays as it was.
    pub fn commit<T>(self, edit: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        self.store.blobs().sync()?;
        self.store.edit(edit)
    }

    /// Protects what was found in this hold of the store lock.
    pub(crate) fn keep(&mut self, digests: &[Digest], guard: &SharedGuard) -> Result<()> {
        self.lease_digests(digests, guard)
    }

    fn lease_digests(&mut self, digests: &[Digest], guard: &SharedGuard) -> Result<()> {
        match self.lease.add(digests, guard) {
            Err(error) if fs::is_full(&error) && self.store.layout().release_reserve()? => {
                self.lease.add(digests, guard)
            }
            added => added,
        }
    }
}
