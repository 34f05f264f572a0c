//! A picture of a directory, to see that nothing in it has changed.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use larder_store::Digest;

/// Everything below a directory by its path there: kind, mode, group and content.
pub type Tree = BTreeMap<String, String>;

/// Takes a picture of all below `root` and of `root` itself.
pub fn of(root: &Path) -> Tree {
    let mut tree = Tree::new();
    add(root, root, &mut tree);
    tree
}

fn add(root: &Path, path: &Path, tree: &mut Tree) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let (mode, gid) = (meta.permissions().mode() & 0o7777, meta.gid());
    let what = if meta.is_dir() {
        format!("directory {mode:o} {gid}")
    } else if meta.is_symlink() {
        format!("link to {}", std::fs::read_link(path).unwrap().display())
    } else {
        format!("file {mode:o} {gid} {} {}", meta.len(), Digest::of(&std::fs::read(path).unwrap()))
    };
    tree.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
    if meta.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            add(root, &entry.unwrap().path(), tree);
        }
    }
}
