//! The index entry that an imported image gets.

use super::plan::{KeptImage, MadeImage};
use crate::base::Base;
use crate::descriptor::{Annotations, Descriptor};
use crate::ids::ImageId;
use crate::index;
use crate::manifest::{Document, RawManifest};
use crate::reference::Reference;

/// An image with everything in place but its name.
pub(super) struct Ready {
    pub(super) names: Vec<Reference>,
    pub(super) entry: Descriptor,
    pub(super) image_id: Option<ImageId>,
    pub(super) new_bytes: u64,
    pub(super) reused_bytes: u64,
}

impl Ready {
    pub(super) fn new(names: Vec<Reference>, entry: Descriptor, image_id: Option<ImageId>) -> Ready {
        Ready { names, entry, image_id, new_bytes: 0, reused_bytes: 0 }
    }
}

/// The entry of an image whose manifest we made.
pub(super) fn made_entry(made: &MadeImage, manifest: &RawManifest, size: u64, now: i64) -> Descriptor {
    let mut entry = manifest.descriptor();
    let platform = made.config.parsed.platform();
    entry.platform =
        Some(platform).filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty());
    entry.annotations = ours(now, "docker-archive", size, Some(made.image_id()));
    if let Some(base) = Base::of_labels(&made.config.bytes) {
        base.write(&mut entry.annotations);
    }
    if let Some(source) = made.source {
        entry.annotations.insert(index::SOURCE_DIGEST.into(), source.to_string());
    }
    entry
}

/// The entry of an image that was kept as it came.
pub(super) fn kept_entry(kept: &KeptImage, size: u64, now: i64) -> Descriptor {
    let mut entry = kept.root.clone();
    entry.annotations = kept.annotations.clone();
    entry.annotations.extend(ours(now, &kept.origin, size, kept.image_id));
    let is_index = matches!(kept.documents.first().map(|raw| &raw.document), Some(Document::Index(_)));
    if is_index {
        let children: Vec<_> = kept.documents.iter().skip(1).map(|raw| raw.digest.to_string()).collect();
        entry.annotations.insert(index::CHILDREN.into(), children.join(","));
    }
    entry
}

fn ours(now: i64, origin: &str, size: u64, image_id: Option<ImageId>) -> Annotations {
    let mut annotations = Annotations::from([
        (index::IMPORTED.to_owned(), index::timestamp(now)),
        (index::ORIGIN.to_owned(), origin.to_owned()),
        (index::SIZE.to_owned(), size.to_string()),
    ]);
    if let Some(id) = image_id {
        annotations.insert(index::IMAGE_ID.into(), id.to_string());
    }
    annotations
}
