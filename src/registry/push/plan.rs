//! What of an image goes to a registry, and in which order. Pure but for the reader that is handed in.

use std::collections::{HashMap, HashSet};

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::manifest::{Document, RawManifest};
use larder_store::media_type::{document_kind, is_foreign_layer};
use larder_store::walk;

/// The documents of an image.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Documents {
    /// What a document holds stands before it; the root is the last one.
    pub(in crate::registry) all: Vec<RawManifest>,
    /// What indexes list and the store does not have.
    pub(in crate::registry) absent: Vec<Descriptor>,
}

impl Documents {
    /// Reads them.
    pub(super) fn read(
        root: &Descriptor,
        read: &mut dyn FnMut(&Descriptor) -> Result<Option<RawManifest>>,
    ) -> Result<Documents> {
        let mut known = HashMap::new();
        walk::walk_entry(root, read, &mut |node| {
            if let Some(raw) = node.document {
                known.insert(raw.digest, raw.clone());
            }
            Ok(())
        })?;
        Ok(Documents::of(&root.digest, &known))
    }

    /// Puts documents into the order in which a registry takes them.
    pub(in crate::registry) fn of(root: &Digest, known: &HashMap<Digest, RawManifest>) -> Documents {
        let mut documents = Documents { all: Vec::new(), absent: Vec::new() };
        if let Some(root) = known.get(root) {
            documents.add(root, known, &mut HashSet::new());
        }
        documents
    }

    fn add(&mut self, raw: &RawManifest, known: &HashMap<Digest, RawManifest>, seen: &mut HashSet<Digest>) {
        if !seen.insert(raw.digest) {
            return;
        }
        for child in children(raw) {
            match known.get(&child.digest) {
                Some(child) => self.add(child, known, seen),
                None if seen.insert(child.digest) => self.absent.push(child.clone()),
                None => {}
            }
        }
        self.all.push(raw.clone());
    }

    /// The image itself.
    pub(in crate::registry) fn root(&self) -> Option<&RawManifest> {
        self.all.last()
    }

    /// Layers that registries may not pass on.
    pub(in crate::registry) fn foreign(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        let parts = self.all.iter().flat_map(parts);
        parts.filter(move |part| is_foreign_layer(&part.media_type) && seen.insert(part.digest))
    }
}

/// The documents that an index lists.
pub(in crate::registry) fn children(raw: &RawManifest) -> impl Iterator<Item = &Descriptor> {
    let listed = match &raw.document {
        Document::Index(index) => &index.manifests[..],
        Document::Image(_) => &[],
    };
    listed.iter().filter(|child| document_kind(&child.media_type).is_some())
}

/// All that a document holds beside documents.
fn parts(raw: &RawManifest) -> Vec<&Descriptor> {
    match &raw.document {
        Document::Image(image) => std::iter::once(&image.config).chain(&image.layers).collect(),
        Document::Index(index) => {
            index.manifests.iter().filter(|child| document_kind(&child.media_type).is_none()).collect()
        }
    }
}

/// The blobs that a registry must have before it takes these documents, each once.
pub(in crate::registry) fn blobs<'d>(
    documents: impl Iterator<Item = &'d RawManifest>,
) -> Vec<&'d Descriptor> {
    let mut seen = HashSet::new();
    let parts = documents.flat_map(parts);
    parts.filter(|part| !is_foreign_layer(&part.media_type) && seen.insert(part.digest)).collect()
}

#[cfg(test)]
mod tests {
    use larder_store::manifest::ImageManifest;
    use larder_store::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER};

    use super::*;

    fn image(text: &str) -> RawManifest {
        let part = |kind: &str, text: &str| Descriptor::new(kind, Digest::of(text.as_bytes()), 1);
        let foreign = part("application/vnd.oci.image.layer.nondistributable.v1.tar", "f");
        ImageManifest::write(&part(OCI_CONFIG, text), &[part(OCI_LAYER, "same"), foreign])
    }

    fn index(children: &[&RawManifest]) -> RawManifest {
        let list: Vec<_> = children.iter().map(|child| child.descriptor()).collect();
        let text =
            serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list}).to_string();
        RawManifest::parse(text.into_bytes(), OCI_INDEX).expect("an index")
    }

    #[test]
    fn children_come_before_what_lists_them() {
        let (one, two, absent) = (image("one"), image("two"), image("absent"));
        let inner = index(&[&one, &two]);
        // The inner index lists what the outer one listed before it.
        let outer = index(&[&one, &absent, &inner, &two]);
        let known = [&one, &two, &inner, &outer].map(|raw| (raw.digest, raw.clone())).into();
        let documents = Documents::of(&outer.digest, &known);
        let order: Vec<_> = documents.all.iter().map(|raw| raw.digest).collect();
        assert_eq!(order, [one.digest, two.digest, inner.digest, outer.digest]);
        assert_eq!(documents.root().map(|raw| raw.digest), Some(outer.digest));
        let listed: Vec<_> = documents.absent.iter().map(|child| child.digest).collect();
        assert_eq!(listed, [absent.digest]);
        assert_eq!(documents.foreign().count(), 1);
        let blobs = blobs(documents.all.iter());
        assert_eq!(blobs.len(), 3, "two configs, one layer, and nothing foreign");
    }
}
