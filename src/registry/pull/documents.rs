//! The documents of an image: from the store where it has them, else from the registry.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use larder_store::Store;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::json::MAX_DOCUMENT;
use larder_store::manifest::{Document, RawManifest};
use larder_store::walk;

use super::super::client::{Line, Which};
use super::super::error::{Error, Failed, Kind, Result};
use super::platforms::Platforms;

/// Bytes of documents that are held in memory for one image.
const MAX_HELD: u64 = 16 << 20;
/// Referrers of one image that are taken.
pub(in crate::registry) const MAX_REFERRERS: usize = 1000;

/// Gets documents, each once.
pub(in crate::registry) struct Documents<'a> {
    store: &'a Store,
    line: &'a Line,
    room: u64,
    known: HashMap<Digest, RawManifest>,
    /// Bytes of those that were not in the store.
    fetched: u64,
}

impl<'a> Documents<'a> {
    pub(in crate::registry) fn new(store: &'a Store, line: &'a Line) -> Documents<'a> {
        Documents { store, line, room: MAX_HELD, known: HashMap::new(), fetched: 0 }
    }

    /// A document of which only the digest is known.
    pub(in crate::registry) fn by_digest(&mut self, digest: &Digest) -> Result<RawManifest> {
        if let Some(raw) = self.known.get(digest) {
            return Ok(raw.clone());
        }
        let raw = match self.stored(digest) {
            Some(raw) => raw,
            None => {
                let raw = self.line.manifest(&Which::Digest(*digest))?;
                self.fetched = self.fetched.saturating_add(raw.bytes.len() as u64);
                raw
            }
        };
        self.room = self.room.checked_sub(raw.bytes.len() as u64).ok_or_else(|| {
            StoreError::invalid(
                format!("manifest {digest}"),
                format!("an image with more than {MAX_HELD} bytes of manifests is not pulled"),
            )
        })?;
        self.known.insert(*digest, raw.clone());
        Ok(raw)
    }

    /// Bytes of documents that the store did not have.
    pub(in crate::registry) fn fetched(&self) -> u64 {
        self.fetched
    }

    /// A document of the store. What is damaged there is not there: it is healed by what comes.
    fn stored(&self, digest: &Digest) -> Option<RawManifest> {
        let blob = self.store.blobs().open(digest).ok()?.filter(|blob| blob.size() <= MAX_DOCUMENT)?;
        let mut bytes = Vec::new();
        blob.verified().read_to_end(&mut bytes).ok()?;
        RawManifest::parse(bytes, "").ok()
    }

    /// A document and all that are below it, of an index those that are wanted; the root first.
    pub(in crate::registry) fn below(
        &mut self,
        root: RawManifest,
        platforms: &Platforms,
    ) -> Result<Vec<RawManifest>> {
        let (start, mut wanted) = (root.descriptor(), HashSet::from([root.digest]));
        self.known.insert(root.digest, root);
        let (mut all, mut failed) = (Vec::new(), None);
        let mut read = |descriptor: &Descriptor| {
            if !wanted.contains(&descriptor.digest) {
                return Ok(None);
            }
            let raw = self.described(descriptor).and_then(|raw| {
                if let Document::Index(index) = &raw.document {
                    let children = platforms.children(index).map_err(|why| self.unfit(&raw, why))?;
                    wanted.extend(children.iter().map(|child| child.digest));
                }
                Ok(raw)
            });
            match raw {
                Ok(raw) => Ok(Some(raw)),
                Err(error) => {
                    failed = Some(error);
                    Err(StoreError::Interrupted)
                }
            }
        };
        let walked = walk::walk(&start, &mut read, &mut |node| {
            all.extend(node.document.cloned());
            Ok(())
        });
        match (failed, walked) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Ok(all),
        }
    }

    /// A document, which must be what its descriptor says.
    pub(in crate::registry) fn described(&mut self, descriptor: &Descriptor) -> Result<RawManifest> {
        let raw = self.by_digest(&descriptor.digest)?;
        let what = || format!("manifest {}", descriptor.digest);
        if raw.bytes.len() as u64 != descriptor.size {
            let why = format!("has {} bytes where {} were announced", raw.bytes.len(), descriptor.size);
            return Err(StoreError::damaged(what(), why).into());
        }
        if !descriptor.media_type.is_empty() && raw.media_type != descriptor.media_type {
            // One that says nothing itself is what its descriptor says.
            let raw = RawManifest::parse(raw.bytes, &descriptor.media_type);
            return Ok(raw.map_err(|why| StoreError::damaged(what(), why))?);
        }
        Ok(raw)
    }

    pub(in crate::registry) fn unfit(&self, raw: &RawManifest, why: String) -> Error {
        Error::from(Failed {
            side: self.line.host().to_owned(),
            request: format!("index {}", raw.digest),
            why,
            hint: "--platform chooses one, --all-platforms takes all".to_owned(),
            kind: Kind::Failed,
        })
    }

    /// What refers to these documents, and what refers to that; each with all of its documents.
    pub(super) fn referrers(&mut self, subjects: &[Digest]) -> Result<Vec<(Digest, Vec<RawManifest>)>> {
        let (mut found, mut left) = (Vec::new(), subjects.to_vec());
        let mut seen: HashSet<_> = subjects.iter().copied().collect();
        while let Some(subject) = left.pop() {
            for referrer in self.line.referrers(&subject)? {
                if found.len() >= MAX_REFERRERS || !seen.insert(referrer.digest) {
                    continue;
                }
                let raw = match self.described(&referrer) {
                    // Listed, and not there: whoever may write the list may write anything into it.
                    Err(error) if error.kind() == Some(Kind::Absent) => continue,
                    raw => raw?,
                };
                // The list may be of anybody's making; what counts is what the referrer says itself.
                if raw.subject().is_none_or(|said| said.digest != subject) {
                    continue;
                }
                left.push(raw.digest);
                found.push((raw.digest, self.below(raw, &Platforms::All)?));
            }
        }
        Ok(found)
    }
}
