//! What our own decompression has learned of layers: which blob holds a diff ID, and how large it is unpacked.
//!
//! Lives in `.larder/cache/` and can be lost at any time. It decides which blob a manifest points at, so only
//! what this host and user (or root) wrote counts: a cache that came with a copied store is thrown away.

use std::io;

use rustix::process::geteuid;

use crate::briefs;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::ids::{DiffId, ImageId};
use crate::media_type::Compression;

/// Bytes of what is kept of one layer's listing, or of one image.
const MAX_FACTS: u64 = 128 << 20;
/// Bytes of what is kept of a layer to compare it.
const MAX_SKETCH: u64 = 1 << 20;
/// Bytes of a seal.
const SEAL: usize = 8;

/// A layer blob, decoded once in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerFacts {
    /// The stored blob.
    pub blob: Digest,
    /// Its size, bytes.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// What it unpacks to.
    pub diff_id: DiffId,
    /// Bytes of the plain tar stream.
    pub plain_size: u64,
    /// Whether every frame's bounds in its seek table were checked, or written, by us.
    pub seekable: bool,
}

impl LayerFacts {
    /// A descriptor of the stored blob.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.compression.oci_layer(), self.blob, self.size)
    }

    /// A line for the facts, with its end.
    pub(crate) fn to_line(self) -> String {
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        let LayerFacts { blob, size, diff_id, plain_size, seekable, .. } = self;
        format!("{blob} {size} {compression} {diff_id} {plain_size} {}\n", u8::from(seekable))
    }

    /// Reads a line; `None` where it is none, or not whole.
    pub(crate) fn from_line(line: &str) -> Option<LayerFacts> {
        let words: Vec<_> = line.strip_suffix('\n')?.split(' ').collect();
        let [blob, size, compression, diff_id, plain_size, seekable] = *words else { return None };
        Some(LayerFacts {
            blob: blob.parse().ok()?,
            size: size.parse().ok()?,
            compression: match compression {
                "none" => Compression::None,
                "gzip" => Compression::Gzip,
                "zstd" => Compression::Zstd,
                _ => return None,
            },
            diff_id: DiffId(diff_id.parse().ok()?),
            plain_size: plain_size.parse().ok()?,
            seekable: seekable == "1",
        })
    }
}

/// The cache of layer facts. Where it cannot be written (a read-only or full disk, another user's store, a directory in place of a
/// file) it knows what is there and learns nothing.
#[derive(Debug, Clone, Default)]
pub struct LayerCache {
    diffs: Option<Dir>,
    blobs: Option<Dir>,
    listings: Option<Dir>,
    images: Option<Dir>,
    briefs: Option<Dir>,
    inventories: Option<Dir>,
    proofs: Option<Dir>,
    sketches: Option<Dir>,
}

impl LayerCache {
    /// Opens the cache below `.larder/cache/`, emptied where it belongs to another host.
    pub fn open(cache: &Dir) -> Result<LayerCache> {
        match LayerCache::open_own(cache) {
            Err(error) if fs::is_read_only(&error) || fs::is_full(&error) => Ok(LayerCache::default()),
            opened => opened,
        }
    }

    fn open_own(cache: &Dir) -> Result<LayerCache> {
        let home = home(cache)?;
        let is_home = cache.read("home", 4096)?.is_some_and(|bytes| bytes == home.as_bytes());
        let (diffs, blobs) = (cache.ensure_dir("diffs")?, cache.ensure_dir("blobs")?);
        // A store of an older larder that can only be read has the others all the same.
        let younger = |name| if_possible(cache.ensure_dir(name).map(Some));
        let [listings, images, briefs] = [younger("listings")?, younger("facts")?, younger("briefs")?];
        let [proofs, sketches] = [younger("proofs")?, younger("sketches")?];
        let inventories = younger("inventories")?;
        if !is_home {
            let others = [&listings, &images, &briefs, &inventories, &proofs, &sketches];
            for dir in [&diffs, &blobs].into_iter().chain(others.into_iter().flatten()) {
                for name in dir.names()? {
                    dir.unlink(&name)?;
                }
            }
            cache.replace_lossy("home", home.as_bytes())?;
        }
        let (diffs, blobs) = (Some(diffs), Some(blobs));
        Ok(LayerCache { diffs, blobs, listings, images, briefs, inventories, proofs, sketches })
    }

    /// The blob that was seen to hold a diff ID. Whether it is still there is another question.
    pub fn by_diff_id(&self, diff_id: &DiffId) -> Option<LayerFacts> {
        read(self.diffs.as_ref()?, &diff_id.0).filter(|facts| facts.diff_id == *diff_id)
    }

    /// What is known of a blob.
    pub fn by_blob(&self, blob: &Digest) -> Option<LayerFacts> {
        read(self.blobs.as_ref()?, blob).filter(|facts| facts.blob == *blob)
    }

    /// Remembers a layer. The blob that was known for the diff ID before stays the one to use while it is kept.
    pub fn learn(&self, facts: &LayerFacts, preferred: bool) -> Result<()> {
        let (Some(diffs), Some(blobs)) = (&self.diffs, &self.blobs) else { return Ok(()) };
        let known = self.by_blob(&facts.blob);
        // Frames that were checked once stay so: the digest is the same.
        let seekable = facts.seekable || known.is_some_and(|known| known.seekable);
        let line = LayerFacts { seekable, ..*facts }.to_line();
        let learned = blobs.replace_lossy(&facts.blob.hex(), line.as_bytes()).and_then(|()| {
            match preferred || self.by_diff_id(&facts.diff_id).is_none_or(|known| known.blob == facts.blob) {
                true => diffs.replace_lossy(&facts.diff_id.0.hex(), line.as_bytes()),
                false => Ok(()),
            }
        });
        match learned {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::IsADirectory => Ok(()),
            learned => if_possible(learned),
        }
    }

    /// The listing of a layer (`facts`), as it was written.
    pub(crate) fn listing(&self, diff_id: &DiffId) -> Option<Vec<u8>> {
        own_bytes(self.listings.as_ref()?, &diff_id.0, MAX_FACTS)
    }

    /// Keeps the listing of a layer.
    pub(crate) fn learn_listing(&self, diff_id: &DiffId, bytes: &[u8]) {
        let write = |dir: &Dir| dir.replace_lossy(&diff_id.0.hex(), bytes);
        let _ = self.listings.as_ref().map(write);
    }

    /// Which encoder makes a blob, as `codec` wrote it.
    pub(crate) fn proof(&self, blob: &Digest) -> Option<Vec<u8>> {
        own_bytes(self.proofs.as_ref()?, blob, 512)
    }

    /// Keeps which encoder makes a blob.
    pub(crate) fn learn_proof(&self, blob: &Digest, bytes: &[u8]) {
        let _ = self.proofs.as_ref().map(|dir| dir.replace_lossy(&blob.hex(), bytes));
    }

    /// What a layer is compared to others by, as `delta` wrote it.
    pub(crate) fn sketch(&self, diff_id: &DiffId) -> Option<Vec<u8>> {
        own_bytes(self.sketches.as_ref()?, &diff_id.0, MAX_SKETCH)
    }

    /// Keeps what a layer is compared to others by.
    pub(crate) fn learn_sketch(&self, diff_id: &DiffId, bytes: &[u8]) {
        let _ = self.sketches.as_ref().map(|dir| dir.replace_lossy(&diff_id.0.hex(), bytes));
    }

    /// What was read from an image (`facts`), as it was written.
    pub(crate) fn image(&self, id: &ImageId) -> Option<Vec<u8>> {
        own_bytes(self.images.as_ref()?, &id.0, MAX_FACTS)
    }

    /// Keeps what was read from an image.
    pub(crate) fn learn_image(&self, id: &ImageId, bytes: &[u8]) {
        let write = |dir: &Dir| dir.replace_lossy(&id.0.hex(), bytes);
        let _ = self.images.as_ref().map(write);
    }

    /// The inventory of an image, by its ID, or of a document that describes one, as it was written.
    pub fn inventory(&self, of: &Digest) -> Option<Vec<u8>> {
        unsealed(own_bytes(self.inventories.as_ref()?, of, MAX_FACTS)?)
    }

    /// Keeps the inventory of an image or of a document.
    pub fn learn_inventory(&self, of: &Digest, bytes: &[u8]) {
        let write = |dir: &Dir| dir.replace_lossy(&of.hex(), &[bytes, &seal(bytes)].concat());
        let _ = self.inventories.as_ref().map(write);
    }

    /// Shows what was kept of all images in short, the later word on one after the earlier.
    pub(crate) fn briefs(&self, see: &mut dyn FnMut(ImageId, &[u8])) {
        if let Some(briefs) = &self.briefs {
            briefs::each(briefs, see);
        }
    }

    /// Keeps what was read from an image in short.
    pub(crate) fn learn_brief(&self, id: &ImageId, said: &[u8]) {
        let _ = self.briefs.as_ref().map(|briefs| briefs::append(briefs, id, said));
    }

    /// Drops what is kept in short of images that are gone, once that is most of it.
    pub(crate) fn tidy_briefs(&self, is_there: impl Fn(&ImageId) -> bool) -> Result<()> {
        if_possible(self.briefs.as_ref().map_or(Ok(()), |briefs| briefs::tidy(briefs, is_there)))
    }

    /// Drops inventories of what is gone, which somebody read while it went, and what a killed writer left.
    pub(crate) fn tidy_inventories(&self, is_there: impl Fn(&Digest) -> bool) -> Result<()> {
        let Some(dir) = &self.inventories else { return Ok(()) };
        for name in dir.names()? {
            let is_kept = format!("sha256:{name}").parse().is_ok_and(|digest| is_there(&digest));
            if !is_kept {
                // Nobody needs it away.
                let _ = dir.unlink(&name);
            }
        }
        Ok(())
    }

    /// Forgets what was read from a layer, from the image whose config this is, or from this document, when the blob goes. What is known of the blob
    /// itself stays: it may come again.
    pub(crate) fn forget(&self, blob: &Digest) -> Result<()> {
        for of_image in [&self.images, &self.inventories].into_iter().flatten() {
            of_image.unlink(&blob.hex())?;
        }
        if let Some(facts) = self.by_blob(blob) {
            for dir in [&self.listings, &self.sketches].into_iter().flatten() {
                dir.unlink(&facts.diff_id.0.hex())?;
            }
        }
        Ok(())
    }
}

/// A cache that cannot be written learns nothing.
fn if_possible<T: Default>(learned: Result<T>) -> Result<T> {
    match learned {
        Err(error) if fs::is_read_only(&error) || fs::is_full(&error) => Ok(T::default()),
        learned => learned,
    }
}

/// A line without its end is a file that a crash cut off.
fn read(dir: &Dir, digest: &Digest) -> Option<LayerFacts> {
    LayerFacts::from_line(std::str::from_utf8(&own_bytes(dir, digest, 512)?).ok()?)
}

/// What is written without an fsync may be cut, or be zeros, after a crash: a sum over it stands at its end.
fn seal(bytes: &[u8]) -> [u8; SEAL] {
    briefs::checksum(bytes).to_le_bytes()
}

/// The bytes without their seal; `None` where it is another one's.
fn unsealed(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.len().checked_sub(SEAL)?;
    let is_whole = bytes[end..] == seal(&bytes[..end]);
    bytes.truncate(end);
    is_whole.then_some(bytes)
}

/// A file that this user, or root, wrote.
fn own_bytes(dir: &Dir, digest: &Digest, cap: u64) -> Option<Vec<u8>> {
    let name = digest.hex();
    let owner = dir.stat(&name).ok()??.uid;
    if owner != 0 && owner != geteuid().as_raw() {
        return None;
    }
    dir.read(&name, cap).ok()?
}

/// What a copy of the store has otherwise: the machine and the directory itself.
fn home(cache: &Dir) -> Result<String> {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    Ok(format!("{} {}\n", machine.trim(), cache.inode()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_came_with_a_copy() {
        let temporary = tempfile::tempdir().expect("a directory");
        let root = Dir::open(temporary.path()).expect("a directory");
        let cache_dir = root.create_dir("cache").expect("made");
        let cache = LayerCache::open(&cache_dir).expect("opened");
        let facts = LayerFacts {
            blob: Digest::of(b"b"),
            size: 5,
            compression: Compression::Zstd,
            diff_id: DiffId(Digest::of(b"d")),
            plain_size: 7,
            seekable: true,
        };
        cache.learn(&facts, false).expect("learned");
        assert_eq!(LayerCache::open(&cache_dir).expect("opened").by_diff_id(&facts.diff_id), Some(facts));
        assert_eq!(cache.by_blob(&facts.blob), Some(facts));
        let other = LayerFacts { blob: Digest::of(b"c"), ..facts };
        cache.learn(&other, false).expect("learned");
        assert_eq!(cache.by_diff_id(&facts.diff_id), Some(facts), "the first one stays");
        cache.learn(&other, true).expect("learned");
        assert_eq!(cache.by_diff_id(&facts.diff_id), Some(other));

        root.rename("cache", &root, "old").expect("moved");
        let copy = root.create_dir("cache").expect("made");
        for name in ["home", "diffs", "blobs"] {
            root.sub("old").expect("there").rename(name, &copy, name).expect("moved");
        }
        assert_eq!(LayerCache::open(&copy).expect("opened").by_diff_id(&facts.diff_id), None);

        let cache = LayerCache::open(&copy).expect("opened");
        cache.learn(&facts, false).expect("learned");
        let path = temporary.path().join("cache/diffs").join(facts.diff_id.0.hex());
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert_eq!(cache.by_diff_id(&facts.diff_id), None, "cut at {cut}");
        }
    }

    #[test]
    fn an_inventory_that_is_cut_or_changed_is_none() {
        let temporary = tempfile::tempdir().expect("a directory");
        let root = Dir::open(temporary.path()).expect("a directory");
        let cache = LayerCache::open(&root.create_dir("cache").expect("made")).expect("opened");
        let of = Digest::of(b"config");
        assert_eq!(cache.inventory(&of), None);
        cache.learn_inventory(&of, b"one\ntwo\nthree\n");
        assert_eq!(cache.inventory(&of).as_deref(), Some(&b"one\ntwo\nthree\n"[..]));
        let path = temporary.path().join("cache/inventories").join(of.hex());
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert_eq!(cache.inventory(&of), None, "cut at {cut}");
            let mut other = whole.clone();
            other[cut] ^= 0x20;
            std::fs::write(&path, &other).expect("written");
            assert_eq!(cache.inventory(&of), None, "another byte at {cut}");
        }
        std::fs::write(&path, vec![0; whole.len()]).expect("written");
        assert_eq!(cache.inventory(&of), None, "zeros");
        cache.learn_inventory(&of, b"again\n");
        cache.forget(&of).expect("forgotten");
        assert!(!path.exists());
    }
}
