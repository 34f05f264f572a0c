//! What is learned of a layer while its plain bytes pass: its diff ID, its size, and which of its members matter to facts.

use std::sync::Arc;

use crate::digest::Hasher;
use crate::facts::Lister;
use crate::ids::DiffId;

/// What a layer is when it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// The digest of its bytes.
    pub diff_id: DiffId,
    /// How many they are.
    pub size: u64,
    /// Its listing, as it is kept.
    pub(crate) listing: Arc<[u8]>,
}

/// Learns it.
pub(super) struct Passing {
    hasher: Hasher,
    lister: Lister,
}

impl Passing {
    pub(super) fn new() -> Passing {
        Passing { hasher: Hasher::new(), lister: Lister::default() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.lister.feed(bytes);
    }

    pub(super) fn finish(self) -> Plain {
        let (size, diff_id) = (self.hasher.size(), DiffId(self.hasher.finish()));
        Plain { diff_id, size, listing: self.lister.finish().to_bytes().into() }
    }
}
