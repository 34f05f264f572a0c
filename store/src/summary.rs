//! What a list of images says of each entry, without opening more than it must.

use std::collections::{BTreeMap, HashMap};

use crate::base::Base;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::Result;
use crate::index;
use crate::manifest::Document;
use crate::media_type::{self, DocumentKind};
use crate::store::Store;
use crate::usage::Usage;
use crate::walk;

/// An entry of the index, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name as people type it; none where it is nameless.
    pub reference: Option<String>,
    /// The name that a displaced image had.
    pub was: Option<String>,
    /// The manifest's or index's digest.
    pub digest: Digest,
    /// The config's digest, where it is one container image.
    pub image_id: Option<String>,
    /// `os/arch[/variant]`; of an index, those of its children that are stored.
    pub platforms: Vec<String>,
    /// Bytes of all its blobs as they are stored.
    pub size: u64,
    /// When it came in (RFC 3339), where we know.
    pub imported: Option<String>,
    /// Its uses.
    pub usage: Option<Usage>,
    /// Whether its name is pinned.
    pub pinned: bool,
    /// What it was made on, as its entry says.
    pub base: Option<Base>,
    /// What was declared of it, by the words of [`index::DECLARED`].
    pub declared: BTreeMap<&'static str, String>,
}

/// Describes an entry. `used` is what `usage/` says of all images. Where a document of it cannot be read, that is said
/// beside what is known without it.
pub fn summarise(store: &Store, entry: &Descriptor, used: &HashMap<Digest, Usage>) -> (Summary, Result<()>) {
    let mut looked = Ok(());
    let text = |key| entry.annotation(key).map(str::to_owned);
    let number = |key| entry.annotation(key).and_then(|text| text.parse::<u64>().ok());
    let is_index = media_type::document_kind(&entry.media_type) == Some(DocumentKind::Index);
    let mut platforms: Vec<_> = entry.platform.iter().map(ToString::to_string).collect();
    let (mut image_id, mut size) = (text(index::IMAGE_ID), number(index::SIZE));
    // Entries that we wrote say it all; those of other tools are looked up.
    if size.is_none()
        || (platforms.is_empty() && is_index)
        || (!is_index && image_id.is_none() && entry.annotation(index::IMPORTED).is_none())
    {
        let mut sum = 0u64;
        looked = walk::walk(entry, &mut |document| store.document(document), &mut |node| {
            let size = store.blobs().contains(&node.descriptor.digest)?.unwrap_or(0);
            sum = size.saturating_add(sum);
            let Some(Document::Image(image)) = node.document.map(|raw| &raw.document) else { return Ok(()) };
            if node.descriptor.digest == entry.digest && image.is_container() {
                image_id = Some(image.image_id().to_string());
                if platforms.is_empty() {
                    platforms.push(store.config(image)?.1.platform().to_string());
                }
            } else if let Some(platform) =
                node.descriptor.platform.as_ref().filter(|platform| platform.os != "unknown")
            {
                platforms.push(platform.to_string());
            }
            Ok(())
        });
        size = Some(sum);
    }
    let folded = number(index::LAST_USED)
        .map(|last| Usage { last: last as i64, count: number(index::USE_COUNT).unwrap_or(0) });
    let usage = match (folded, used.get(&entry.digest).copied()) {
        (Some(a), Some(b)) => Some(Usage { last: a.last.max(b.last), count: a.count.max(b.count) }),
        (a, b) => a.or(b),
    };
    let summary = Summary {
        reference: index::shown_name(entry),
        was: text(index::WAS),
        digest: entry.digest,
        image_id,
        platforms,
        size: size.unwrap_or(0),
        imported: text(index::IMPORTED),
        usage,
        pinned: entry.annotations.contains_key(index::PINNED),
        base: Base::of(&entry.annotations),
        declared: declared(entry),
    };
    (summary, looked)
}

fn declared(entry: &Descriptor) -> BTreeMap<&'static str, String> {
    let said = |word| entry.annotation(&format!("{}{word}", index::OURS)).map(str::to_owned);
    index::DECLARED.into_iter().filter_map(|word| Some((word, said(word)?))).collect()
}
