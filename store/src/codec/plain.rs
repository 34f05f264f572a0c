//! What is learned of a layer while its plain bytes pass: its diff ID, its size, which of its members matter to facts, and what it is
//! compared to others by.

use std::sync::Arc;

use crate::digest::Hasher;
use crate::facts::Lister;
use crate::ids::DiffId;
use crate::layers::LayerCache;

/// Of smaller layers no sketch is kept before somebody asks for it, bytes: to make one takes no time then.
const LARGE: u64 = 16 << 20;

/// What a layer is when it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// The digest of its bytes.
    pub diff_id: DiffId,
    /// How many they are.
    pub size: u64,
    /// Its listing, as it is kept.
    listing: Arc<[u8]>,
    /// Its sketch, as it is kept.
    sketch: Option<Arc<[u8]>>,
}

impl Plain {
    /// Keeps what its members say.
    pub(crate) fn keep(&self, cache: &LayerCache) {
        cache.learn_listing(&self.diff_id, &self.listing);
        if let Some(sketch) = &self.sketch {
            cache.learn_sketch(&self.diff_id, sketch);
        }
    }
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
        let (listing, sketch) = self.lister.finish();
        let sketch = (size >= LARGE).then(|| sketch.to_bytes().into());
        Plain { diff_id, size, listing: listing.to_bytes().into(), sketch }
    }
}
