//! Walking from an index entry to everything it needs.
//!
//! Pure but for the reader that is handed in. Repeated children are visited once; depth and number are capped,
//! so that a hostile index ends as an error.

use std::collections::HashSet;

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index;
use crate::manifest::{Document, RawManifest};
use crate::media_type;

const MAX_DEPTH: usize = 8;
const MAX_NODES: usize = 200_000;

/// What a descriptor is to the document that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A manifest or an index, parsed.
    Document,
    /// The config of an image or artifact.
    Config,
    /// A layer, or an artifact's blob.
    Layer,
}

/// Something that was reached.
#[derive(Debug)]
pub struct Node<'a> {
    /// How it was described.
    pub descriptor: &'a Descriptor,
    /// What it is.
    pub role: Role,
    /// The document, where it is one.
    pub document: Option<&'a RawManifest>,
}

/// Visits everything below `root`, documents before what they hold, each digest once (twice where an index calls a
/// document something else before it calls it one).
///
/// `read` gives a document, or `None` where it is absent: below an index that is normal (sparse indexes) and
/// it is passed over; a root that is absent is damage.
pub fn walk(
    root: &Descriptor,
    read: &mut dyn FnMut(&Descriptor) -> Result<Option<RawManifest>>,
    visit: &mut dyn FnMut(Node<'_>) -> Result<()>,
) -> Result<()> {
    descend(root, 0, &mut Seen::default(), read, visit)
}

/// Like [`walk`] from an entry of our own index, which says which children were stored with it: one of those that is
/// absent is damage.
pub fn walk_entry(
    entry: &Descriptor,
    read: &mut dyn FnMut(&Descriptor) -> Result<Option<RawManifest>>,
    visit: &mut dyn FnMut(Node<'_>) -> Result<()>,
) -> Result<()> {
    let stored: HashSet<_> = index::stored_children(entry).into_iter().collect();
    let mut expect = |descriptor: &Descriptor| match read(descriptor)? {
        None if stored.contains(&descriptor.digest) => {
            Err(Error::damaged(format!("manifest {}", descriptor.digest), "is missing, and was stored"))
        }
        found => Ok(found),
    };
    walk(entry, &mut expect, visit)
}

/// What was visited. A leaf may turn out to be a document where it is listed again, so they are told apart.
#[derive(Default)]
struct Seen {
    documents: HashSet<Digest>,
    leaves: HashSet<Digest>,
}

impl Seen {
    fn is_new_leaf(&mut self, digest: Digest) -> bool {
        !self.documents.contains(&digest) && self.leaves.insert(digest)
    }
}

fn descend(
    descriptor: &Descriptor,
    depth: usize,
    seen: &mut Seen,
    read: &mut dyn FnMut(&Descriptor) -> Result<Option<RawManifest>>,
    visit: &mut dyn FnMut(Node<'_>) -> Result<()>,
) -> Result<()> {
    if depth > MAX_DEPTH || seen.documents.len() + seen.leaves.len() > MAX_NODES {
        return Err(Error::invalid(
            format!("index {}", descriptor.digest),
            format!("is nested deeper than {MAX_DEPTH} or has more than {MAX_NODES} parts"),
        ));
    }
    if !seen.documents.insert(descriptor.digest) {
        return Ok(());
    }
    let Some(raw) = read(descriptor)? else {
        return if depth == 0 {
            Err(Error::damaged(format!("manifest {}", descriptor.digest), "is missing"))
        } else {
            Ok(())
        };
    };
    visit(Node { descriptor, role: Role::Document, document: Some(&raw) })?;
    match &raw.document {
        Document::Index(index) => {
            // An index may hold anything; what is no document is a leaf.
            for child in &index.manifests {
                match media_type::document_kind(&child.media_type) {
                    Some(_) => descend(child, depth + 1, seen, read, visit)?,
                    None if seen.is_new_leaf(child.digest) => {
                        visit(Node { descriptor: child, role: Role::Layer, document: None })?
                    }
                    None => {}
                }
            }
        }
        Document::Image(image) => {
            let config = std::iter::once((&image.config, Role::Config));
            for (part, role) in config.chain(image.layers.iter().map(|layer| (layer, Role::Layer))) {
                if seen.is_new_leaf(part.digest) {
                    visit(Node { descriptor: part, role, document: None })?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};

    /// An index whose children are `(media type, digest)` of one image, and that image.
    fn documents(types: &[&str]) -> (Descriptor, RawManifest, RawManifest) {
        let part = |kind: &str, text: &str| Descriptor::new(kind, Digest::of(text.as_bytes()), 1);
        let image = crate::manifest::ImageManifest::write(&part(OCI_CONFIG, "c"), &[part(OCI_LAYER, "l")]);
        let child = |kind: &&str| Descriptor { media_type: (*kind).to_owned(), ..image.descriptor() };
        let children: Vec<_> = types.iter().map(child).collect();
        let text = serde_json::json!({"schemaVersion": 2, "manifests": children}).to_string();
        let index = RawManifest::parse(text.into_bytes(), OCI_INDEX).expect("an index");
        (index.descriptor(), index, image)
    }

    #[test]
    fn a_document_is_found_whatever_it_was_called_before() {
        for types in [
            &[OCI_MANIFEST][..],
            &["a/b", OCI_MANIFEST],
            &[OCI_MANIFEST, "a/b"],
            &["a/b", OCI_MANIFEST, "a/b"],
        ] {
            let (root, index, image) = documents(types);
            let mut visited = Vec::new();
            let mut read = |descriptor: &Descriptor| {
                Ok(Some(if descriptor.digest == root.digest { index.clone() } else { image.clone() }))
            };
            walk(&root, &mut read, &mut |node| {
                visited.push((node.descriptor.digest, node.document.is_some()));
                Ok(())
            })
            .expect("walked");
            let layer = Digest::of(b"l");
            assert!(visited.contains(&(image.digest, true)), "{types:?}: the manifest is hidden");
            assert_eq!(visited.iter().filter(|(digest, _)| *digest == layer).count(), 1, "{types:?}");
        }
    }

    #[test]
    fn a_child_that_was_stored_may_not_be_absent() {
        let (mut root, index, image) = documents(&[OCI_MANIFEST]);
        let digest = root.digest;
        let mut read = |descriptor: &Descriptor| Ok((descriptor.digest == digest).then(|| index.clone()));
        assert!(walk_entry(&root, &mut read, &mut |_| Ok(())).is_ok(), "a sparse index");
        root.annotations.insert(index::CHILDREN.into(), image.digest.to_string());
        assert!(walk(&root, &mut read, &mut |_| Ok(())).is_ok(), "somebody else's annotation");
        let missing = walk_entry(&root, &mut read, &mut |_| Ok(()));
        assert!(matches!(missing, Err(Error::Damaged { .. })), "{missing:?}");
    }
}
