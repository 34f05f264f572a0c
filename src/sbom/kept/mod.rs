//! An inventory as it is kept in the store's cache: a line for all of it, and one for each package, sorted by name, so that whether
//! an image has a package is found without reading the others.
//!
//! The cache says whether the bytes are those that were written; each line is looked at all the same, and all is refused with one that is none.

mod line;
#[cfg(test)]
mod tests;

use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::ids::{DiffId, ImageId};
use larder_store::layers::LayerCache;
use larder_store::manifest::ImageManifest;
use larder_store::store::Store;
use serde::{Deserialize, Serialize};

pub(crate) use self::line::Line;
use self::line::{found, line};

use super::gather;
use super::inventory::Inventory;

/// The version of what is written; another one is read anew.
const FORMAT: u32 = 3;

/// What an inventory was read from. Both are kept by a digest, and one text may be a config and a document at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    Layers,
    Document(Says),
}

/// What a document says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Says {
    /// Whether it says that it is an inventory.
    pub(super) is_inventory: bool,
    /// What it is about; none where it does not say.
    pub(super) about: Option<Vec<Digest>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    origin: Origin,
    os: Option<(String, Option<String>)>,
    layers: Vec<DiffId>,
    problems: Vec<String>,
}

/// An inventory as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    head: Head,
    text: String,
    /// Where the first line of a package begins.
    body: usize,
}

/// The inventory of the image with this ID, where it is kept.
pub(crate) fn known(cache: &LayerCache, image: &ImageId) -> Option<Kept> {
    Kept::parse(cache.inventory(&image.0)?).filter(|kept| kept.head.origin == Origin::Layers)
}

/// What a document says, where it was read before.
pub(super) fn known_document(cache: &LayerCache, document: &Digest) -> Option<Kept> {
    Kept::parse(cache.inventory(document)?).filter(|kept| kept.says().is_some())
}

/// Keeps what a document says.
pub(super) fn learn_document(
    cache: &LayerCache,
    document: &Digest,
    says: Says,
    inventory: &Inventory,
) -> Kept {
    learn(cache, document, Origin::Document(says), inventory)
}

/// The inventory of an image as it is kept; of one that was not looked into, it is read now.
pub(crate) fn kept(
    store: &Store,
    cache: &LayerCache,
    image: &ImageManifest,
    cancel: &Cancel,
) -> Result<Kept> {
    let id = image.image_id();
    match known(cache, &id) {
        Some(kept) => Ok(kept),
        None => Ok(learn(cache, &id.0, Origin::Layers, &gather::inventory(store, image, cancel)?)),
    }
}

/// The inventory of an image.
pub(crate) fn inventory(store: &Store, image: &ImageManifest, cancel: &Cancel) -> Result<Inventory> {
    let cache = store.layers()?;
    if let Some(known) = known(&cache, &image.image_id()).and_then(|kept| kept.inventory()) {
        return Ok(known);
    }
    let inventory = gather::inventory(store, image, cancel)?;
    learn(&cache, &image.image_id().0, Origin::Layers, &inventory);
    Ok(inventory)
}

fn learn(cache: &LayerCache, digest: &Digest, origin: Origin, inventory: &Inventory) -> Kept {
    let kept = Kept::of(origin, inventory);
    cache.learn_inventory(digest, kept.text.as_bytes());
    kept
}

impl Kept {
    fn of(origin: Origin, inventory: &Inventory) -> Kept {
        let Inventory { os, layers, found, problems } = inventory;
        let (os, layers, problems) = (os.clone(), layers.clone(), problems.clone());
        let head = Head { format: FORMAT, origin, os, layers, problems };
        let mut lines: Vec<_> = found.iter().map(line).collect();
        lines.sort();
        let mut text = json(&head) + "\n";
        let body = text.len();
        text.extend(lines);
        Kept { head, text, body }
    }

    fn parse(bytes: Vec<u8>) -> Option<Kept> {
        let text = String::from_utf8(bytes).ok()?;
        let (first, _) = text.split_once('\n')?;
        let (head, body): (Head, _) = (serde_json::from_str(first).ok()?, first.len() + 1);
        let is_whole = head.format == FORMAT && text.ends_with('\n');
        // A line that is none, or stands where it is not looked for, would hide others.
        let lines = || text[body..].split_inclusive('\n');
        (is_whole && lines().is_sorted() && lines().all(Line::is_good)).then_some(Kept { head, text, body })
    }

    /// All of it; `None` where a line is none.
    fn inventory(self) -> Option<Inventory> {
        let mut found = self.all().map(|line| found(&line)).collect::<Option<Vec<_>>>()?;
        found.sort();
        let Head { os, layers, problems, .. } = self.head;
        Some(Inventory { os, layers, found, problems })
    }

    /// What of it could not be read.
    pub(crate) fn problems(&self) -> &[String] {
        &self.head.problems
    }

    /// What a document says of itself, where this is of one.
    pub(super) fn says(&self) -> Option<&Says> {
        match &self.head.origin {
            Origin::Layers => None,
            Origin::Document(says) => Some(says),
        }
    }

    /// All packages.
    pub(crate) fn all(&self) -> impl Iterator<Item = Line<'_>> {
        self.all_such(|_| true)
    }

    /// The packages that are such.
    pub(crate) fn all_such<'a>(
        &'a self,
        is_such: impl Fn(&Line<'a>) -> bool,
    ) -> impl Iterator<Item = Line<'a>> {
        let lines = self.text[self.body..].split_terminator('\n').filter_map(Line::parse);
        lines.filter(move |line| is_such(line))
    }

    /// The packages that go by this name.
    pub(crate) fn named<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Line<'a>> {
        let lines = &self.text[self.body..];
        let lines = &lines[first(lines, &format!("{key}\t"))..];
        let is_named = move |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with('\t'));
        lines.split_terminator('\n').take_while(is_named).filter_map(Line::parse)
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers serialise")
}

/// Where the first line begins that is not smaller than a key.
fn first(lines: &str, key: &str) -> usize {
    let (lines, key) = (lines.as_bytes(), key.as_bytes());
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = lines[..middle].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1).max(low);
        let end =
            lines[start..].iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| start + at + 1);
        if &lines[start..end] < key { low = end } else { high = start }
    }
    low
}
