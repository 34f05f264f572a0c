//! What the store has already of an archive's images, name by name: what is there whole need not be brought in, and what
//! is there damaged must be.

use std::collections::HashMap;

use super::options::{Existing, Imported, Options, Outcome};
use super::plan::{Planned, PlannedImage};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Kind, Result};
use crate::ids::ImageId;
use crate::index::{self, Index};
use crate::manifest::{Document, RawManifest};
use crate::reference::Reference;
use crate::store::Store;
use crate::walk;

/// The entries of each name, so that many names need not be looked for one by one.
pub(super) fn by_name(index: &Index) -> HashMap<Reference, Vec<&Descriptor>> {
    let mut named: HashMap<_, Vec<_>> = HashMap::new();
    for entry in index.entries().iter().filter(|entry| entry.annotations.contains_key(index::REF_NAME)) {
        if let Some(name) = index::reference(entry) {
            named.entry(name).or_default().push(entry);
        }
    }
    named
}

/// Whether an entry is the same image: of the same image ID where we make the manifest, else the same manifest.
pub(super) fn is_same(store: &Store, entry: &Descriptor, image: &PlannedImage) -> Result<bool> {
    Ok(match &image.content {
        Planned::Kept(kept) => entry.digest == kept.root.digest,
        Planned::Made(made) => image_id(store, entry)? == Some(made.image_id()),
    })
}

/// The image ID behind an entry; where the manifest is damaged or gone, what we noted of it, so that importing the
/// image again heals it. One that cannot be read for another reason may be whole: that is an error.
fn image_id(store: &Store, entry: &Descriptor) -> Result<Option<ImageId>> {
    match store.document(entry) {
        Ok(Some(RawManifest { document: Document::Image(image), .. })) if image.is_container() => {
            Ok(Some(image.image_id()))
        }
        Ok(Some(_)) => Ok(None),
        Err(error) if error.kind() != Kind::Damaged => Err(error),
        Ok(None) | Err(_) => {
            Ok(entry.annotation(index::IMAGE_ID).and_then(|id| id.parse().ok()).map(ImageId))
        }
    }
}

/// What an import has to do, name by name.
pub(super) struct Todo {
    /// Images with the names that do not have them yet.
    pub(super) left: Vec<PlannedImage>,
    /// What to say of each name of each image; nothing yet of those that are left.
    said: Vec<Option<Imported>>,
    /// All that the images need that are left out: who says that they are there keeps them.
    pub(super) spared: Vec<Digest>,
    /// Whether what the store has is believed: not where a part of these images is known to be damaged.
    pub(super) existing: Existing,
}

/// What the store has of an image under one of its names.
pub(super) enum Standing {
    /// All of it: the entry, all that it needs, and so many bytes.
    Whole(Descriptor, Vec<Digest>, u64),
    /// Not the image, or not all of it.
    Other,
    /// The image, and something of it is damaged.
    Damaged,
}

impl Todo {
    /// Leaves out the names that have their image already, whole: for them nothing need be read or written.
    pub(super) fn of(
        index: &Index,
        store: &Store,
        images: Vec<PlannedImage>,
        options: &Options<'_>,
    ) -> Result<Todo> {
        let named = by_name(index);
        let mut todo =
            Todo { left: Vec::new(), said: Vec::new(), spared: Vec::new(), existing: options.existing() };
        for mut image in images {
            options.cancel.check()?;
            let names: Vec<_> = match &image.names[..] {
                [] => vec![None],
                names => names.iter().cloned().map(Some).collect(),
            };
            let mut left = Vec::new();
            for name in names {
                let entry = match &name {
                    Some(name) => named.get(name).and_then(|entries| entries.first().copied()),
                    None => index.entries().iter().find(|entry| Some(entry.digest) == image.root()),
                };
                let said = match standing(store, entry, &image)? {
                    _ if options.existing() == Existing::Verified => None,
                    Standing::Whole(entry, parts, size) => {
                        todo.spared.extend(parts);
                        Some(Imported {
                            reference: name.clone(),
                            digest: entry.digest,
                            image_id: image.image_id(),
                            new_bytes: 0,
                            reused_bytes: size,
                            outcome: Outcome::Unchanged,
                        })
                    }
                    Standing::Other => None,
                    Standing::Damaged => {
                        todo.existing = Existing::Verified;
                        None
                    }
                };
                if said.is_none() {
                    left.push(name);
                }
                todo.said.push(said);
            }
            if !left.is_empty() {
                image.names = left.into_iter().flatten().collect();
                todo.left.push(image);
            }
        }
        Ok(todo)
    }

    /// Bytes that need not be looked at.
    pub(super) fn spared_bytes(&self) -> u64 {
        self.said.iter().flatten().map(|image| image.reused_bytes).fold(0, u64::saturating_add)
    }

    /// All names in the archive's order; what was brought in is in the order of `left`.
    pub(super) fn merge(self, brought: Vec<Imported>) -> Vec<Imported> {
        let mut brought = brought.into_iter();
        self.said.into_iter().filter_map(|said| said.or_else(|| brought.next())).collect()
    }
}

pub(super) fn standing(store: &Store, entry: Option<&Descriptor>, image: &PlannedImage) -> Result<Standing> {
    let Some(entry) = entry else { return Ok(Standing::Other) };
    if !is_same(store, entry, image)? {
        return Ok(Standing::Other);
    }
    if let Planned::Kept(kept) = &image.content {
        // The archive may hold children that a sparse entry of the same index lacks.
        let documents = kept.documents.iter().map(|raw| raw.digest);
        for digest in documents.chain(kept.blobs.iter().map(|blob| blob.descriptor.digest)) {
            if store.blobs().contains(&digest)?.is_none() {
                return Ok(Standing::Other);
            }
        }
    }
    let (mut parts, mut size, mut complete) = (Vec::new(), 0u64, true);
    let walked = walk::walk_entry(entry, &mut |document| store.document(document), &mut |node| {
        let there = store.blobs().contains(&node.descriptor.digest)? == Some(node.descriptor.size);
        complete &= there || crate::media_type::is_foreign_layer(&node.descriptor.media_type);
        parts.push(node.descriptor.digest);
        size = size.saturating_add(node.descriptor.size);
        // A config is small, and an image without a good one is none.
        if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
            && image.is_container()
        {
            store.config(image)?;
        }
        Ok(())
    });
    match walked {
        Ok(()) if complete => Ok(Standing::Whole(entry.clone(), parts, size)),
        Ok(()) => Ok(Standing::Other),
        Err(error) if error.kind() == Kind::Damaged => Ok(Standing::Damaged),
        Err(error) => Err(error),
    }
}
