//! Which files come of definitions: `<name>/<tag>/Dockerfile`, `test.yml` and `rootfs/`, and for each alias a file `<name>/<alias>` that has
//! the tag. Pure.

use std::collections::BTreeMap;

use super::rootfs::Item;
use super::{Definitions, Tag};

/// A file's text, or what lies in the folder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Made<'a> {
    Text(&'a str),
    Item(&'a Item),
}

/// Where the files of a tag are, below the output.
pub(crate) fn directory(tag: &Tag) -> String {
    format!("{}/{}", tag.name, tag.tag)
}

/// All files by their paths below the output, each directory of a `rootfs/` before what it has; else two that are in each other's way.
pub(super) fn files(definitions: &Definitions) -> Result<BTreeMap<String, Made<'_>>, String> {
    let mut files = BTreeMap::new();
    for tag in &definitions.tags {
        let directory = directory(tag);
        files.insert(format!("{directory}/Dockerfile"), Made::Text(&tag.dockerfile));
        if let Some(test) = &tag.test {
            files.insert(format!("{directory}/test.yml"), Made::Text(test));
        }
        for (path, item) in tag.rootfs.iter().flat_map(|rootfs| rootfs.iter()) {
            let path = if path.is_empty() {
                format!("{directory}/rootfs")
            } else {
                format!("{directory}/rootfs/{path}")
            };
            files.insert(path, Made::Item(item));
        }
        for alias in &tag.aliases {
            files.insert(format!("{}/{alias}", tag.name), Made::Text(&tag.tag));
        }
    }
    // An image a/1 beside an image a with a tag or an alias 1.
    let is_directory =
        |made: &Made<'_>| matches!(made, Made::Item(item) if item.kind == super::folder::Kind::Directory);
    for path in files.keys() {
        let mut above = path.as_str();
        while let Some((next, _)) = above.rsplit_once('/') {
            above = next;
            if files.get(above).is_some_and(|made| !is_directory(made)) {
                return Err(format!(
                    "{above} and {path} cannot both be files: give one of these images another name"
                ));
            }
        }
    }
    Ok(files)
}
