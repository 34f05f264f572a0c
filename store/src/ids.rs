//! The digests that are not names of blobs: they look alike and must never be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// The digest of a layer's plain (uncompressed) tar stream.
    DiffId
}
id! {
    /// Names a stack of layers: what a layer looks like on top of those below it (OCI image spec, config.md).
    ChainId
}
id! {
    /// The digest of an image's config blob; what Docker's graph driver calls the image.
    ImageId
}

impl ChainId {
    /// The chain IDs of a stack, lowest layer first: one for each layer, naming it and all below.
    pub fn stack(diff_ids: &[DiffId]) -> Vec<ChainId> {
        let mut chain = Vec::with_capacity(diff_ids.len());
        for diff in diff_ids {
            let next = match chain.last() {
                None => ChainId(diff.0),
                Some(parent) => {
                    let mut hasher = Hasher::new();
                    hasher.update(format!("{parent} {diff}").as_bytes());
                    ChainId(hasher.finish())
                }
            };
            chain.push(next);
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_follow_the_specification() {
        let (a, b) = (DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b")));
        let chain = ChainId::stack(&[a, b]);
        assert_eq!(chain[0].0, a.0);
        assert_eq!(chain[1].0, Digest::of(format!("{} {}", a.0, b.0).as_bytes()));
        assert!(ChainId::stack(&[]).is_empty());
    }
}
