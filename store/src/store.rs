//! The store: a layout with its locks, leases and what was learned.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use crate::blob::{BlobStore, from_io};
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;
use crate::index::{self, Index, NotOne};
use crate::json;
use crate::layers::LayerCache;
use crate::layout::Layout;
use crate::lease::{About, Lease};
use crate::lock::{Locks, SharedGuard};
use crate::manifest::{Document, ImageConfig, ImageManifest, RawManifest};
use crate::transaction::Transaction;
use crate::usage::{self, Usage};
use crate::walk;

/// An open store.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    locks: Locks,
}

/// Keeps content from GC while it is read: a lease, or the shared store lock where no lease can be written.
#[must_use = "the protection ends when this is dropped"]
#[derive(Debug)]
pub struct Protection {
    _lease: Option<Lease>,
    _guard: Option<SharedGuard>,
}

impl Store {
    /// Opens the store at a path, or makes one there. Waits for locks end after `lock_timeout`.
    pub fn open(path: &Path, lock_timeout: Duration) -> Result<Store> {
        Ok(Store::on(Layout::open(path)?, lock_timeout))
    }

    /// A store on an open layout.
    pub fn on(layout: Layout, lock_timeout: Duration) -> Store {
        let locks = Locks::new(layout.private().clone(), lock_timeout);
        Store { layout, locks }
    }

    /// The same store, whose waits for locks end when `cancel` is raised.
    pub fn with_cancel(mut self, cancel: &Cancel) -> Store {
        self.locks = self.locks.with_cancel(cancel);
        self
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.layout.path()
    }

    /// The layout below.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The blobs.
    pub fn blobs(&self) -> &dyn BlobStore {
        self.layout.blobs()
    }

    /// The locks.
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// What is known of layers.
    pub fn layers(&self) -> Result<LayerCache> {
        LayerCache::open(&self.layout.private().ensure_dir("cache")?)
    }

    /// The index as it stands.
    pub fn index(&self) -> Result<Index> {
        self.layout.read_index()
    }

    /// Finds the entry that a text names.
    pub fn resolve(&self, index: &Index, query: &str) -> Result<Descriptor> {
        match index.resolve(query) {
            Ok(entry) => Ok(entry.clone()),
            Err(NotOne::None) => {
                // Entries of other tools do not say their image ID; their manifests do.
                if let Some(entry) = self.by_image_id(index, query) {
                    return Ok(entry);
                }
                Err(Error::NoSuchImage { reference: query.to_owned(), store: self.path().to_path_buf() })
            }
            Err(NotOne::Many(candidates)) => {
                Err(Error::Ambiguous { reference: query.to_owned(), candidates })
            }
        }
    }

    fn by_image_id(&self, index: &Index, query: &str) -> Option<Descriptor> {
        let hex = index::hex_query(query)?;
        let foreign = |entry: &&Descriptor| entry.annotation(index::IMAGE_ID).is_none();
        let has_it = |entry: &&Descriptor| match self.document(entry) {
            Ok(Some(RawManifest { document: Document::Image(image), .. })) => {
                image.is_container() && image.image_id().0.hex().starts_with(hex)
            }
            _ => false,
        };
        let found: Vec<_> = index.entries().iter().filter(foreign).filter(has_it).collect();
        match &found[..] {
            [first, others @ ..] if others.iter().all(|other| other.digest == first.digest) => {
                Some((*first).clone())
            }
            _ => None,
        }
    }

    /// Reads a manifest or an index, checked against its descriptor; `None` where it is absent.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>> {
        let Some(bytes) = self.small_blob(descriptor)? else { return Ok(None) };
        let parsed = RawManifest::parse(bytes, &descriptor.media_type);
        parsed.map(Some).map_err(|why| Error::damaged(format!("manifest {}", descriptor.digest), why))
    }

    /// Reads the config of a container image; a missing one is damage.
    pub fn config(&self, image: &ImageManifest) -> Result<(Vec<u8>, ImageConfig)> {
        let what = || format!("config {}", image.config.digest);
        let bytes = self.small_blob(&image.config)?.ok_or_else(|| Error::damaged(what(), "is missing"))?;
        let config = ImageConfig::parse(&bytes).map_err(|why| Error::damaged(what(), why))?;
        Ok((bytes, config))
    }

    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>> {
        self.blob_within(descriptor, json::MAX_DOCUMENT)
    }

    /// The content of a blob that has no more bytes than `cap`; `None` where it is absent. One that has more, another size than
    /// its descriptor says, or another digest, is damage.
    pub fn blob_within(&self, descriptor: &Descriptor, cap: u64) -> Result<Option<Vec<u8>>> {
        if descriptor.size > cap {
            let why = format!("{} bytes, more than the {cap} that are read", descriptor.size);
            return Err(Error::damaged(format!("blob {}", descriptor.digest), why));
        }
        let Some(blob) = self.blobs().open(&descriptor.digest)? else { return Ok(None) };
        if blob.size() != descriptor.size {
            let why = format!("has {} bytes where {} were announced", blob.size(), descriptor.size);
            return Err(Error::damaged(format!("blob {}", descriptor.digest), why));
        }
        let mut bytes = Vec::with_capacity(descriptor.size as usize);
        let shown = self.path().join("blobs");
        blob.verified().read_to_end(&mut bytes).map_err(|e| from_io(e, Error::io("read", shown)))?;
        Ok(Some(bytes))
    }

    /// Reads a blob to its end: whether it is there and is what its digest says. A disk error is an error, not a no.
    pub fn is_whole(&self, digest: &Digest) -> Result<bool> {
        let Some(blob) = self.blobs().open(digest)? else { return Ok(false) };
        let read = std::io::copy(&mut blob.verified(), &mut std::io::sink());
        match read.map_err(|e| from_io(e, Error::io("read", self.path().join("blobs")))) {
            Ok(_) => Ok(true),
            Err(Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Resolves names and protects everything below them, in one shared hold of the store lock, so that GC
    /// cannot come in between. Digests that are absent are protected too; reading says what is missing.
    pub fn protect(&self, queries: &[String], purpose: &str) -> Result<(Protection, Vec<Descriptor>)> {
        let guard = self.locks.shared()?;
        let (found, digests) = self.all_below(queries)?;
        let about = About { images: queries.to_vec(), ..About::from(purpose) };
        let protection = self.protect_digests(&digests, about, guard)?;
        Ok((protection, found))
    }

    /// Like [`Store::protect`], for the entries that are chosen of the index, all named ones perhaps. What cannot be read of one keeps nobody
    /// from reading the others; reading that one says so.
    pub fn protect_chosen(
        &self,
        purpose: &str,
        choose: impl FnOnce(&Index) -> Result<Vec<Descriptor>>,
    ) -> Result<(Protection, Index)> {
        let guard = self.locks.shared()?;
        let index = self.index()?;
        let mut digests = Vec::new();
        for entry in choose(&index)? {
            let _ = walk::walk_entry(&entry, &mut |document| self.document(document), &mut |node| {
                digests.push(node.descriptor.digest);
                Ok(())
            });
        }
        Ok((self.protect_digests(&digests, purpose, guard)?, index))
    }

    /// Like [`Store::protect`], for whoever runs a command meanwhile: the lease names the images and can be handed
    /// down, and where none can be written this fails.
    pub fn hold(&self, queries: &[String], about: About) -> Result<(Lease, Vec<Descriptor>)> {
        let guard = self.locks.shared()?;
        let (found, digests) = self.all_below(queries)?;
        Ok((self.lease_on(&digests, about, &guard)?, found))
    }

    /// The entries that the queries mean, and the digests of all that is below them.
    fn all_below(&self, queries: &[String]) -> Result<(Vec<Descriptor>, Vec<Digest>)> {
        let index = self.index()?;
        let mut found = Vec::new();
        let mut digests = Vec::new();
        for query in queries {
            let entry = self.resolve(&index, query)?;
            walk::walk_entry(&entry, &mut |document| self.document(document), &mut |node| {
                digests.push(node.descriptor.digest);
                Ok(())
            })
            .map_err(|e| e.within(query))?;
            found.push(entry);
        }
        Ok((found, digests))
    }

    /// Makes an empty lease, for who finds out later what it is to protect. A full disk gives up its reserve for it.
    pub fn lease(&self, about: impl Into<About>) -> Result<Lease> {
        let (guard, about) = (self.locks.shared()?, about.into());
        self.with_reserve(|| {
            Lease::create(&self.layout.private().ensure_dir("leases")?, about.clone(), &guard)
        })
    }

    // Without the reserve: that is for who frees space.
    fn lease_on(&self, digests: &[Digest], about: impl Into<About>, guard: &SharedGuard) -> Result<Lease> {
        let mut lease = Lease::create(&self.layout.private().ensure_dir("leases")?, about, guard)?;
        lease.add(digests, guard)?;
        Ok(lease)
    }

    /// Protects digests, present or not, from now on. The guard was held since their names were read.
    pub(crate) fn protect_digests(
        &self,
        digests: &[Digest],
        about: impl Into<About>,
        guard: SharedGuard,
    ) -> Result<Protection> {
        match self.lease_on(digests, about, &guard) {
            Ok(lease) => Ok(Protection { _lease: Some(lease), _guard: None }),
            // Where no lease can be written, the lock itself protects, for as long as the reading lasts.
            Err(error) if fs::is_full(&error) || fs::is_read_only(&error) => {
                Ok(Protection { _lease: None, _guard: Some(guard) })
            }
            Err(error) => Err(error),
        }
    }

    /// Starts adding content.
    pub fn begin(&self, purpose: &str) -> Result<Transaction<'_>> {
        Transaction::begin(self, purpose)
    }

    /// Changes the index: re-read under its lock, recorded uses folded in, replaced in one step. Where `edit`
    /// fails or changes nothing, the index is not written.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let _lock = self.locks.index()?;
        let mut index = self.layout.read_index()?;
        let before = index.clone();
        let done = edit(&mut index)?;
        if index != before {
            let written = self.index_written()?;
            // A second's slack: times are coarse, and what is read twice does no harm.
            usage::fold(&self.layout.private().ensure_dir("usage")?, &mut index, written - 1)?;
            self.layout.write_index(&index)?;
        } else {
            self.settle_index()?;
        }
        Ok(done)
    }

    /// Makes the index durable as it stands. Who reports, or builds on, what the index says already needs that: a
    /// process that was killed between its rename and its fsync leaves an index that a power cut takes back.
    pub(crate) fn settle_index(&self) -> Result<()> {
        self.layout.root().sync()
    }

    /// Notes digests that were let go on purpose, durably: the next GC takes them without any grace.
    pub fn release(&self, digests: &[Digest]) -> Result<()> {
        use std::io::Write;
        let private = self.layout.private();
        let lines: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        self.with_reserve(|| {
            let mut file = private.open_append("released")?;
            let before = file.metadata().map_err(Error::io("stat", private.at("released")))?.len();
            if let Err(error) = file.write_all(lines.as_bytes()) {
                // Half a line would spoil the next one.
                let _ = file.set_len(before);
                return Err(Error::io("write", private.at("released"))(error));
            }
            fs::sync_file(&file, &private.at("released"))
        })
    }

    /// Records a use of an image at `now` (seconds since 1970). A store that cannot be written loses the record and
    /// nothing else.
    pub fn record_use(&self, manifest: &Digest, now: i64) -> Result<()> {
        self.record(manifest, now, 1)
    }

    /// Records that a use which was recorded has lasted until `now` (seconds since 1970).
    pub fn prolong_use(&self, manifest: &Digest, now: i64) -> Result<()> {
        self.record(manifest, now, 0)
    }

    /// Records what another catalogue knows of an image's uses; the later time and the larger number count.
    pub fn learn_use(&self, manifest: &Digest, known: Usage) -> Result<()> {
        self.in_usage(|dir, lock| usage::learn(dir, manifest, known, lock))
    }

    fn record(&self, manifest: &Digest, now: i64, times: u64) -> Result<()> {
        self.in_usage(|dir, lock| usage::record(dir, manifest, now, times, lock))
    }

    fn in_usage(
        &self,
        write: impl FnOnce(&fs::Dir, &dyn Fn(&File) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let lock = |file: &File| self.locks.wait_exclusive(file, "lock of a use record");
        match self.layout.private().ensure_dir("usage").and_then(|dir| write(&dir, &lock)) {
            Err(error) if fs::is_full(&error) || fs::is_read_only(&error) => Ok(()),
            recorded => recorded,
        }
    }

    /// The recorded uses of all images.
    pub fn usage(&self) -> Result<HashMap<Digest, Usage>> {
        usage::read_all(&self.layout.private().ensure_dir("usage")?)
    }

    /// The uses of the images of this index, which was read after it was `written` (seconds since 1970).
    pub fn uses(&self, index: &Index, written: i64) -> Result<HashMap<Digest, Usage>> {
        let dir = self.layout.private().sub_if_there("usage")?;
        // A second's slack: times are coarse, and what is read twice does no harm.
        usage::uses(dir.as_ref(), index, written - 1)
    }

    /// When the index was last written, seconds since 1970.
    pub fn index_written(&self) -> Result<i64> {
        Ok(self.layout.root().stat("index.json")?.map_or(0, |stat| stat.modified))
    }

    /// Bytes that can still be written on the store's disk.
    pub fn free_space(&self) -> Result<u64> {
        Ok(self.disk_space()?.0)
    }

    /// Bytes that can still be written on the store's disk, and bytes of the disk.
    pub fn disk_space(&self) -> Result<(u64, u64)> {
        fs::disk_space(self.layout.root())
    }

    /// Tries; on a full disk gives up the reserve and tries once more.
    pub(crate) fn with_reserve<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        match attempt() {
            Err(error) if fs::is_full(&error) && self.layout.release_reserve()? => attempt(),
            done => done,
        }
    }
}
