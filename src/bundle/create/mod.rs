//! Making a bundle: everything about it is known before its first byte is written.
//!
//! [`gather`] reads what belongs to the images, [`plan`] decides what travels and how, [`cut`] fits it into parts, and
//! [`Planned::package`] is what is written then: blobs are read once more, and verified while they are copied.

mod cut;
mod encoded;
mod gather;
mod plan;

use larder_store::archive::image::Content;
use larder_store::archive::package::{Member, Package};
use larder_store::bundle::manifest::Manifest;
use larder_store::bundle::{MANIFEST, PART, SIGNATURE, member};
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::store::Store;

pub(crate) use gather::Asked;
pub(super) use gather::travelling;
pub(crate) use plan::{Wanted, plan};

/// A bundle that was planned.
pub(crate) struct Planned {
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// The bytes of that.
    bytes: Vec<u8>,
    /// The content of the layout's documents, in the manifest's order.
    documents: Vec<Vec<u8>>,
}

impl Planned {
    /// The digest of the manifest: what a bundle is known by.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// What is signed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The members of a part; the first one has the number 0.
    pub(crate) fn package(&self, store: &Store, part: usize, signature: Option<&[u8]>) -> Result<Package> {
        let small = |path: &str, bytes: &[u8]| Member {
            path: path.to_owned(),
            size: bytes.len() as u64,
            content: Content::Bytes(bytes.to_vec()),
        };
        let mut members = vec![small(MANIFEST, &self.bytes)];
        members.extend(signature.map(|signature| small(SIGNATURE, signature)));
        if self.manifest.parts.len() > 1 {
            members.push(small(PART, &self.manifest.part_text(part)));
        }
        for member in self.manifest.members_of(part) {
            let blob = |at: usize| {
                let digest = self.manifest.blobs[at].digest;
                let missing = || Error::damaged(format!("blob {digest}"), "is missing");
                store.blobs().open(&digest)?.ok_or_else(missing)
            };
            let content = match member.content {
                member::Content::Document => {
                    let at = self.manifest.documents.iter().position(|document| document.path == member.path);
                    Content::Bytes(at.and_then(|at| self.documents.get(at)).cloned().unwrap_or_default())
                }
                member::Content::Whole(at) => Content::Blob(self.manifest.blobs[at].digest),
                member::Content::Piece { blob: at, offset, .. } => {
                    Content::Open(blob(at)?.part(offset, member.size, member.sha256))
                }
                member::Content::Delta(_) => return Err(Error::invalid(&member.path, "cannot be written")),
            };
            members.push(Member { path: member.path, size: member.size, content });
        }
        Ok(Package { members })
    }
}
