//! How many bytes an image has, and how many it has for itself.
//!
//! Pure: the parts of each image are handed in.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::digest::Digest;

/// Content (by manifest digest) with the blobs that it needs, each with its size in bytes.
pub type Parts = BTreeMap<Digest, HashMap<Digest, u64>>;

/// The bytes of one image as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// All its blobs.
    pub total: u64,
    /// Blobs that no other image has.
    pub unique: u64,
    /// Blobs that another image has as well.
    pub shared: u64,
}

/// The bytes of all images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// By manifest digest.
    pub images: BTreeMap<Digest, Sizes>,
    /// What all of them take together.
    pub stored: u64,
    /// What they would take if each kept its blobs for itself, less `stored`.
    pub saved: u64,
}

/// Counts.
pub fn usage(parts: &Parts) -> Usage {
    let mut owners: HashMap<Digest, usize> = HashMap::new();
    for blobs in parts.values() {
        for digest in blobs.keys() {
            *owners.entry(*digest).or_default() += 1;
        }
    }
    let mut usage = Usage::default();
    let mut counted = HashSet::new();
    for (image, blobs) in parts {
        let mut sizes = Sizes::default();
        for (digest, size) in blobs {
            sizes.total = sizes.total.saturating_add(*size);
            match owners.get(digest) {
                Some(1) => sizes.unique = sizes.unique.saturating_add(*size),
                _ => sizes.shared = sizes.shared.saturating_add(*size),
            }
            if counted.insert(*digest) {
                usage.stored = usage.stored.saturating_add(*size);
            } else {
                usage.saved = usage.saved.saturating_add(*size);
            }
        }
        usage.images.insert(*image, sizes);
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(text: impl std::fmt::Display) -> Digest {
        Digest::of(text.to_string().as_bytes())
    }

    #[test]
    fn tells_shared_from_unique() {
        let parts = Parts::from([
            (digest("a"), HashMap::from([(digest("base"), 100), (digest("x"), 5)])),
            (digest("b"), HashMap::from([(digest("base"), 100), (digest("y"), 7)])),
        ]);
        let usage = usage(&parts);
        assert_eq!(usage.images[&digest("a")], Sizes { total: 105, unique: 5, shared: 100 });
        assert_eq!(usage.images[&digest("b")], Sizes { total: 107, unique: 7, shared: 100 });
        assert_eq!((usage.stored, usage.saved), (112, 100));
    }

    proptest! {
        /// What an image is said to have for itself is what goes when it goes.
        #[test]
        fn unique_is_what_removal_frees(images in proptest::collection::vec(proptest::collection::hash_set(0u64..12, 0..6), 1..6)) {
            let build = |skip: Option<usize>| -> Parts {
                images.iter().enumerate().filter(|(at, _)| Some(*at) != skip)
                    .map(|(at, blobs)| (digest(format!("image {at}")), blobs.iter().map(|b| (digest(b), b + 1)).collect()))
                    .collect()
            };
            let all = usage(&build(None));
            for at in 0..images.len() {
                let sizes = all.images[&digest(format!("image {at}"))];
                prop_assert_eq!(all.stored - usage(&build(Some(at))).stored, sizes.unique);
                prop_assert_eq!(sizes.total, sizes.unique + sizes.shared);
            }
        }
    }
}
