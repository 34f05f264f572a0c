//! Whether Dockerfiles can be read: all of them, before the first one is built.

use std::path::Path;

use crate::build::engine;
use crate::def::Tag;
use crate::def::generate::directory;

/// What is wrong with the Dockerfiles of these tags, a line each.
pub(super) fn wrong<'a>(tags: impl Iterator<Item = &'a Tag>, output: &Path) -> Vec<String> {
    let of_tag = |tag: &Tag| {
        let file = output.join(directory(tag)).join("Dockerfile");
        engine::check(&file.display().to_string(), &tag.dockerfile).err().map(|error| error.to_string())
    };
    tags.filter_map(of_tag).collect()
}
