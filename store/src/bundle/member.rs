//! The members of a bundle's tar, as they follow from its manifest.

use super::manifest::{Blob, Manifest, Way};
use crate::archive::blob_path;
use crate::digest::Digest;

/// A member with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in the tar.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// What they are.
    pub sha256: Digest,
    /// What they are for.
    pub content: Content,
}

/// What a member's content is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A document of the image layout.
    Document,
    /// The blob at this place of the manifest's list.
    Whole(usize),
    /// Some bytes of it, from this offset on.
    Piece {
        /// The blob's place in the list.
        blob: usize,
        /// The piece's number.
        number: usize,
        /// Where it begins, bytes from the blob's start.
        offset: u64,
    },
    /// How it differs from what the target has.
    Delta(usize),
}

impl Manifest {
    /// All members with content, in their order.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        let document = |document: &super::manifest::Piece| Member {
            path: document.path.clone(),
            size: document.size,
            sha256: document.sha256,
            content: Content::Document,
        };
        let blobs = self.blobs.iter().enumerate().flat_map(|(at, blob)| of_blob(at, blob));
        let before = self.documents.iter().take(1).map(document);
        before.chain(blobs).chain(self.documents.iter().skip(1).map(document))
    }

    /// All members with content, each with the number of its part.
    pub fn members_with_parts(&self) -> impl Iterator<Item = (usize, Member)> + '_ {
        let parts = self.parts.iter().enumerate();
        parts.flat_map(|(part, count)| std::iter::repeat_n(part, *count)).zip(self.members())
    }

    /// The members of a part; the first part has the number 0.
    pub fn members_of(&self, part: usize) -> impl Iterator<Item = Member> + '_ {
        let before = self.parts.iter().take(part).sum();
        self.members().skip(before).take(self.parts.get(part).copied().unwrap_or(0))
    }

    /// What stands in the member that says which part it is.
    pub fn part_text(&self, part: usize) -> Vec<u8> {
        format!("{} of {}\n", part + 1, self.parts.len()).into_bytes()
    }
}

fn of_blob(at: usize, blob: &Blob) -> Vec<Member> {
    let Blob { digest, size, .. } = *blob;
    match (blob.way, &blob.delta) {
        (Way::Whole, _) => {
            vec![Member { path: blob_path(&digest), size, sha256: digest, content: Content::Whole(at) }]
        }
        (Way::Pieces, _) => {
            let mut offset = 0;
            let piece = |(number, piece): (usize, &super::manifest::Cut)| {
                let member = Member {
                    path: format!("dev.larder.bundle/piece/{}-{}", digest.hex(), number + 1),
                    size: piece.size,
                    sha256: piece.sha256,
                    content: Content::Piece { blob: at, number, offset },
                };
                offset += piece.size;
                member
            };
            blob.pieces.iter().enumerate().map(piece).collect()
        }
        (Way::Delta, Some(delta)) => vec![Member {
            path: format!("dev.larder.bundle/delta/{}", digest.hex()),
            size: delta.size,
            sha256: delta.sha256,
            content: Content::Delta(at),
        }],
        (Way::Delta | Way::Encoded, _) => Vec::new(),
    }
}

/// The bytes that a member takes in a tar.
pub fn tar_size(size: u64) -> u64 {
    size.checked_next_multiple_of(512).unwrap_or(u64::MAX).saturating_add(512)
}
