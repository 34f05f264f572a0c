//! An inventory as it is kept in the store's cache: a line for all of it, and one for each package, sorted by name, so that whether
//! an image has a package is found without reading the others.

use larder_store::cancel::Cancel;
use larder_store::error::Result;
use larder_store::ids::DiffId;
use larder_store::layers::LayerCache;
use larder_store::manifest::ImageManifest;
use larder_store::store::Store;
use serde::{Deserialize, Serialize};

use super::gather;
use super::inventory::{Found, Inventory};

/// The version of what is written; another one is read anew.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    os: Option<(String, Option<String>)>,
    layers: Vec<DiffId>,
    problems: Vec<String>,
}

/// The inventory of an image as it is kept; of one that was not looked into, it is read now.
pub(crate) fn kept(
    store: &Store,
    cache: &LayerCache,
    image: &ImageManifest,
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    let id = image.image_id();
    if let Some(bytes) = cache.inventory(&id).filter(|bytes| head(bytes).is_some()) {
        return Ok(bytes);
    }
    let bytes = to_bytes(&gather::inventory(store, image, cancel)?);
    cache.learn_inventory(&id, &bytes);
    Ok(bytes)
}

/// The inventory of an image.
pub(crate) fn inventory(store: &Store, image: &ImageManifest, cancel: &Cancel) -> Result<Inventory> {
    let cache = store.layers()?;
    if let Some(known) = cache.inventory(&image.image_id()).and_then(|bytes| from_bytes(&bytes)) {
        return Ok(known);
    }
    let inventory = gather::inventory(store, image, cancel)?;
    cache.learn_inventory(&image.image_id(), &to_bytes(&inventory));
    Ok(inventory)
}

fn to_bytes(inventory: &Inventory) -> Vec<u8> {
    let Inventory { os, layers, found, problems } = inventory;
    let head = Head { format: FORMAT, os: os.clone(), layers: layers.clone(), problems: problems.clone() };
    let json = |value: serde_json::Result<Vec<u8>>| value.expect("strings and numbers serialise");
    // A name has no tab and no control character in it.
    let line = |found: &Found| {
        [found.package.name.as_bytes(), b"\t", &json(serde_json::to_vec(found)), b"\n"].concat()
    };
    let mut lines: Vec<_> = found.iter().map(line).collect();
    lines.sort();
    lines.insert(0, [&json(serde_json::to_vec(&head)), b"\n".as_slice()].concat());
    lines.concat()
}

fn from_bytes(bytes: &[u8]) -> Option<Inventory> {
    let (Head { os, layers, problems, .. }, lines) = head(bytes)?;
    let found = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut found = found.map(|line| read(line).map(|(_, found)| found)).collect::<Option<Vec<_>>>()?;
    found.sort();
    Some(Inventory { os, layers, found, problems })
}

/// The first line, and the others; a last line that has no end was cut off.
fn head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    (head.format == FORMAT && bytes.ends_with(b"\n")).then_some((head, &bytes[end + 1..]))
}

fn read(line: &[u8]) -> Option<(&[u8], Found)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    Some((&line[..tab], serde_json::from_slice(&line[tab + 1..]).ok()?))
}

/// Whether something of a kept inventory's image could not be read.
pub(crate) fn is_incomplete(bytes: &[u8]) -> bool {
    head(bytes).is_none_or(|(head, _)| !head.problems.is_empty())
}

/// The packages of a kept inventory with this name, or all of them.
pub(crate) fn packages(bytes: &[u8], name: Option<&str>) -> Vec<Found> {
    let Some(start) = bytes.iter().position(|byte| *byte == b'\n') else { return Vec::new() };
    let lines = &bytes[start + 1..];
    let lines = match name {
        Some(name) => &lines[first(lines, &[name.as_bytes(), b"\t"].concat())..],
        None => lines,
    };
    let is_named = |line: &&[u8]| {
        name.is_none_or(|name| line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\t")))
    };
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.take_while(is_named).filter_map(|line| Some(read(line)?.1)).collect()
}

/// Where the first line begins that is not smaller than a key.
fn first(lines: &[u8], key: &[u8]) -> usize {
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
                let mut package = Package::new(Kind::Deb, name, "1.0-1")?;
                package.add_licences(["MIT"]);
                Some(Found { package, path: "var/lib/dpkg/status".into(), layer })
            })
            .collect();
        found.sort();
        let layers = vec![DiffId(Digest::of(b"layer"))];
        Inventory { os: Some(("debian".into(), None)), layers, found, problems: vec!["a\nb".into()] }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_found(names in proptest::collection::vec("[a-c+.-]{1,4}", 0..40), asked in "[a-c+.-]{1,3}") {
            let inventory = inventory(&names);
            let bytes = to_bytes(&inventory);
            prop_assert_eq!(from_bytes(&bytes), Some(inventory.clone()));
            let named: Vec<_> = inventory.found.iter().filter(|found| found.package.name == asked).cloned().collect();
            let mut found = packages(&bytes, Some(&asked));
            found.sort();
            prop_assert_eq!(found, named);
            prop_assert_eq!(packages(&bytes, None).len(), inventory.found.len());
        }
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_nothing() {
        let whole = to_bytes(&inventory(&["bash".to_owned(), "zlib".to_owned()]));
        for cut in 0..whole.len() {
            if let Some(part) = from_bytes(&whole[..cut]) {
                assert!(whole[..cut].ends_with(b"\n"), "cut at {cut}: {part:?}");
            }
            let _ = packages(&whole[..cut], Some("bash"));
        }
        let other = String::from_utf8(whole).unwrap().replacen("\"format\":1", "\"format\":2", 1);
        assert!(from_bytes(other.as_bytes()).is_none());
    }
}
