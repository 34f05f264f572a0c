//! Which files come of definitions: `<name>/<tag>/Dockerfile`, `test.yml` and `rootfs/`, and for each alias a file `<name>/<alias>` that has
//! the tag. Pure.

use std::collections::{BTreeMap, HashSet};

use super::rootfs::Item;
use super::{Definitions, Tag};

/// A file's text, or what lies in the folder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Made<'a> {
    Text(&'a str),
    Item(&'a Item),
}

impl Made<'_> {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self, Made::Item(item) if item.kind.is_directory())
    }
}

/// Where the files of a tag are, below the output.
pub(crate) fn directory(tag: &Tag) -> String {
    format!("{}/{}", tag.name, tag.tag)
}

/// All files by their paths below the output, each directory of a `rootfs/` before what it has; else two that are in each other's way.
pub(super) fn files(definitions: &Definitions) -> Result<BTreeMap<String, Made<'_>>, String> {
    let mut files = BTreeMap::new();
    let mut twice = None;
    let mut add = |path: String, made| {
        if files.insert(path.clone(), made).is_some() {
            twice.get_or_insert(path);
        }
    };
    for tag in &definitions.tags {
        let directory = directory(tag);
        add(format!("{directory}/Dockerfile"), Made::Text(&tag.dockerfile));
        if let Some(test) = &tag.test {
            add(format!("{directory}/test.yml"), Made::Text(test));
        }
        for (path, item) in tag.rootfs.iter().flat_map(|rootfs| rootfs.iter()) {
            let path = if path.is_empty() {
                format!("{directory}/rootfs")
            } else {
                format!("{directory}/rootfs/{path}")
            };
            add(path, Made::Item(item));
        }
        for alias in &tag.aliases {
            add(format!("{}/{alias}", tag.name), Made::Text(&tag.tag));
        }
    }
    if let Some(path) = twice {
        return Err(format!("{path} would come of two images: give one of them another name"));
    }
    // An image a/1 with a tag rootfs, beside an image a with a tag 1: what is below would be in the other image.
    let has_rootfs = |tag: &&Tag| tag.rootfs.is_some();
    let overlays: HashSet<String> =
        definitions.tags.iter().filter(has_rootfs).map(|tag| format!("{}/rootfs", directory(tag))).collect();
    for tag in &definitions.tags {
        let own = directory(tag);
        let ends = own.match_indices('/').map(|(at, _)| at).chain([own.len()]);
        if let Some(other) = ends.map(|end| &own[..end]).find(|above| overlays.contains(*above)) {
            return Err(format!("{other} has the files of two images: give {} another name", tag.shown()));
        }
    }
    // An image a/1 beside an image a with a tag or an alias 1.
    for path in files.keys() {
        let mut above = path.as_str();
        while let Some((next, _)) = above.rsplit_once('/') {
            above = next;
            if files.get(above).is_some_and(|made| !made.is_directory()) {
                return Err(format!(
                    "{above} and {path} cannot both be files: give one of these images another name"
                ));
            }
        }
    }
    Ok(files)
}
