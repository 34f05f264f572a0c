//! An inventory as it is kept in the store's cache: a line for all of it, and one for each package, sorted by name, so that whether
//! an image has a package is found without reading the others. What a question is about stands in columns; the rest of a line, which
//! nobody asks for by name, is JSON.
//!
//! The cache says whether the bytes are those that were written; each word is looked at all the same where it is used.

use std::str::FromStr as _;

use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::ids::{DiffId, ImageId};
use larder_store::layers::LayerCache;
use larder_store::manifest::ImageManifest;
use larder_store::store::Store;
use serde::{Deserialize, Serialize};

use super::gather;
use super::inventory::{Found, Inventory};
use super::kind::Kind;
use super::package::{Package, is_word};

/// The version of what is written; another one is read anew.
const FORMAT: u32 = 2;

/// What an inventory was read from. Both are kept by a digest, and one text may be a config and a document at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    Layers,
    Document,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    origin: Origin,
    os: Option<(String, Option<String>)>,
    layers: Vec<DiffId>,
    problems: Vec<String>,
}

/// What is kept of a package that has no column.
#[derive(Serialize, Deserialize)]
struct Rest {
    architecture: Option<String>,
    licences: Vec<String>,
    path: String,
    layer: usize,
}

/// An inventory as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    head: Head,
    text: String,
    /// Where the first line of a package begins.
    body: usize,
}

/// A package as it is kept, as far as it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) kind: Kind,
    /// The name that it goes by in questions.
    pub(crate) key: &'a str,
    /// The name that it has.
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// The source that it was built from, with its version where that is another one.
    pub(crate) source: Option<(&'a str, Option<&'a str>)>,
    /// Bytes that it takes when it is installed.
    pub(crate) size: Option<u64>,
    rest: &'a str,
}

/// The inventory of the image with this ID, where it is kept.
pub(crate) fn known(cache: &LayerCache, image: &ImageId) -> Option<Kept> {
    Kept::parse(cache.inventory(&image.0)?).filter(|kept| kept.head.origin == Origin::Layers)
}

/// What a document says, where it was read before.
pub(super) fn known_document(cache: &LayerCache, document: &Digest) -> Option<Kept> {
    Kept::parse(cache.inventory(document)?).filter(|kept| kept.head.origin == Origin::Document)
}

/// Keeps what a document says.
pub(super) fn learn_document(cache: &LayerCache, document: &Digest, inventory: &Inventory) -> Kept {
    learn(cache, document, Origin::Document, inventory)
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
        (head.format == FORMAT && text.ends_with('\n')).then_some(Kept { head, text, body })
    }

    /// All of it; `None` where a line is none.
    fn inventory(self) -> Option<Inventory> {
        let mut found = self.lines().map(|line| found(&line?)).collect::<Option<Vec<_>>>()?;
        found.sort();
        let Head { os, layers, problems, .. } = self.head;
        Some(Inventory { os, layers, found, problems })
    }

    /// What of it could not be read.
    pub(crate) fn problems(&self) -> &[String] {
        &self.head.problems
    }

    /// All packages.
    pub(crate) fn all(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines().flatten()
    }

    /// The packages that go by this name.
    pub(crate) fn named<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Line<'a>> {
        let lines = &self.text[self.body..];
        let lines = &lines[first(lines, &format!("{key}\t"))..];
        let is_named = move |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with('\t'));
        lines.split_terminator('\n').take_while(is_named).filter_map(Line::parse)
    }

    fn lines(&self) -> impl Iterator<Item = Option<Line<'_>>> {
        self.text[self.body..].split_terminator('\n').map(Line::parse)
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Line<'a>> {
        let mut columns = line.splitn(8, '\t');
        let mut next = || columns.next();
        let (key, kind, name, version) = (next()?, next()?, next()?, next()?);
        let (source, source_version, size, rest) = (next()?, next()?, next()?, next()?);
        let some = |word: &'a str| Some(word).filter(|word| !word.is_empty());
        let name = some(name).unwrap_or(key);
        let is_good = [key, name, version].into_iter().all(is_word)
            && [source, source_version].into_iter().filter_map(some).all(is_word);
        is_good.then_some(Line {
            kind: Kind::from_str(kind).ok()?,
            key,
            name,
            version,
            source: some(source).map(|name| (name, some(source_version))),
            size: some(size).and_then(|size| size.parse().ok()),
            rest,
        })
    }
}

/// A package's line, with its end. No word has a tab or a control character in it.
fn line(Found { package, path, layer }: &Found) -> String {
    let Package { kind, name, version, architecture, source, licences, size } = package;
    let key = kind.key(name);
    let own_name = if key == *name { "" } else { name };
    let (source, source_version) = match source {
        Some((name, version)) => (name.as_str(), version.as_deref().unwrap_or("")),
        None => ("", ""),
    };
    let size = size.map_or(String::new(), |size| size.to_string());
    let (architecture, licences) = (architecture.clone(), licences.clone());
    let rest = json(&Rest { architecture, licences, path: path.clone(), layer: *layer });
    let kind = kind.word();
    format!("{key}\t{kind}\t{own_name}\t{version}\t{source}\t{source_version}\t{size}\t{rest}\n")
}

fn found(line: &Line<'_>) -> Option<Found> {
    let Rest { architecture, licences, path, layer } = serde_json::from_str(line.rest).ok()?;
    let mut package = Package::new(line.kind, line.name, line.version)?;
    package.architecture = architecture.filter(|word| is_word(word));
    package.source = line.source.map(|(name, version)| (name.to_owned(), version.map(str::to_owned)));
    package.add_licences(licences.iter().map(String::as_str));
    package.size = line.size;
    Some(Found { package, path, layer })
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

#[cfg(test)]
mod tests {
    use larder_store::digest::Digest;
    use proptest::prelude::*;

    use super::*;
    use crate::sbom::kind::Kind;
    use crate::sbom::package::Package;

    fn inventory(names: &[String]) -> Inventory {
        let mut found: Vec<_> = names
            .iter()
            .enumerate()
            .filter_map(|(layer, name)| {
                let kind = if layer % 3 == 0 { Kind::Pypi } else { Kind::Deb };
                let mut package = Package::new(kind, name, "1.0-1")?;
                package.add_licences(["MIT"]);
                package.source =
                    (layer % 2 == 0).then(|| ("source".to_owned(), (layer % 4 == 0).then(|| "2".to_owned())));
                package.size = (layer % 5 == 0).then_some(7);
                Some(Found { package, path: "var/lib/dpkg/status".into(), layer })
            })
            .collect();
        found.sort();
        let layers = vec![DiffId(Digest::of(b"layer"))];
        Inventory { os: Some(("debian".into(), None)), layers, found, problems: vec!["a\nb".into()] }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_found(names in proptest::collection::vec("[a-cC_+.-]{1,4}", 0..40), asked in "[a-c+.-]{1,3}") {
            let inventory = inventory(&names);
            let kept = Kept::of(Origin::Layers, &inventory);
            let again = Kept::parse(kept.text.clone().into_bytes()).unwrap();
            let is_asked = |found: &&Found| found.package.kind.key(&found.package.name) == asked;
            let mut named: Vec<_> = inventory.found.iter().filter(is_asked).cloned().collect();
            named.sort();
            let mut lines: Vec<_> = again.named(&asked).map(|line| found(&line).unwrap()).collect();
            lines.sort();
            prop_assert_eq!(lines, named);
            prop_assert_eq!(again.all().count(), inventory.found.len());
            prop_assert_eq!(again.inventory(), Some(inventory));
        }

        /// Whatever stands there, also by the hand of who has this account: no panic, and no word that is none.
        #[test]
        fn nothing_that_is_kept_is_taken_on_trust(
            names in proptest::collection::vec("[a-c]{1,4}", 1..9), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut bytes = Kept::of(Origin::Layers, &inventory(&names)).text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [bytes[..at].to_vec(), bytes] {
                let Some(kept) = Kept::parse(bytes) else { continue };
                let mut lines: Vec<_> = kept.all().collect();
                lines.extend(kept.named("a"));
                let words = lines.iter().flat_map(|line| [line.key, line.name, line.version]);
                prop_assert!(words.into_iter().all(is_word));
                let _ = kept.inventory();
            }
        }
    }

    #[test]
    fn another_version_is_nothing() {
        let whole = Kept::of(Origin::Layers, &inventory(&["bash".to_owned()])).text;
        let other = whole.replacen("\"format\":2", "\"format\":3", 1);
        assert!(other != whole && Kept::parse(other.into_bytes()).is_none());
        assert!(Kept::parse(whole.into_bytes()).is_some());
    }

    /// PEP 503.
    #[test]
    fn a_python_name_is_found_however_it_is_written() {
        let package = Package::new(Kind::Pypi, "Ruamel.YAML", "1").unwrap();
        let found = vec![Found { package, path: String::new(), layer: 0 }];
        let inventory = Inventory { os: None, layers: Vec::new(), found, problems: Vec::new() };
        let kept = Kept::of(Origin::Layers, &inventory);
        assert_eq!(kept.named("ruamel-yaml").map(|line| line.name).collect::<Vec<_>>(), ["Ruamel.YAML"]);
        assert_eq!(kept.inventory(), Some(inventory));
    }
}
