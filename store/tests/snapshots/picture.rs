//! A picture of a file system tree: all that an image is compared by.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use larder_store::Digest;

/// Each path with type, mode, owner, device, size, content, attributes, other names and time (whole seconds).
pub type Picture = BTreeMap<Vec<u8>, String>;

/// Takes a picture of all below `root`, and of `root` itself.
pub fn of(root: &Path) -> Picture {
    taken(root, &|meta| meta.mtime().to_string())
}

/// The same, with times to the nanosecond.
pub fn exact(root: &Path) -> Picture {
    taken(root, &|meta| format!("{}.{:09}", meta.mtime(), meta.mtime_nsec()))
}

type Time<'a> = &'a dyn Fn(&Metadata) -> String;

fn taken(root: &Path, time: Time<'_>) -> Picture {
    let (mut picture, mut links) = (Picture::new(), HashMap::new());
    add(root, root, time, &mut picture, &mut links);
    // By the names that are there: overlayfs counts those that are hidden, too.
    for names in links.into_values().filter(|names| names.len() > 1) {
        let first = String::from_utf8_lossy(&names[0]).into_owned();
        for name in &names {
            if let Some(what) = picture.get_mut(name) {
                *what += &format!(" {} names, first {first:?}", names.len());
            }
        }
    }
    picture
}

/// The first lines in which two pictures differ.
pub fn difference(left: &Picture, right: &Picture) -> String {
    let paths: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let differ = paths.into_iter().filter(|path| left.get(*path) != right.get(*path));
    let line = |path: &Vec<u8>| {
        let of = |picture: &Picture| picture.get(path).cloned().unwrap_or("(nothing)".into());
        format!("{:?}\n  left:  {}\n  right: {}\n", String::from_utf8_lossy(path), of(left), of(right))
    };
    differ.take(12).map(line).collect()
}

fn add(
    root: &Path,
    path: &Path,
    time: Time<'_>,
    picture: &mut Picture,
    links: &mut HashMap<(u64, u64), Vec<Vec<u8>>>,
) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
    let what = match meta.mode() & 0o170_000 {
        0o040_000 => "directory".to_owned(),
        0o100_000 => format!("file {} {}", meta.len(), Digest::of(&std::fs::read(path).unwrap()).short()),
        0o120_000 => format!("link to {:?}", std::fs::read_link(path).unwrap()),
        other => format!("node {other:o} {:x}", meta.rdev()),
    };
    let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
    if !meta.is_dir() && meta.nlink() > 1 {
        links.entry((meta.dev(), meta.ino())).or_default().push(name.clone());
    }
    let xattrs = xattrs(path);
    let (uid, gid, at) = (meta.uid(), meta.gid(), time(&meta));
    picture.insert(name, format!("{what} {mode:o} {uid}:{gid} @{at}{xattrs}"));
    if meta.is_dir() {
        let mut entries: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| add(root, entry, time, picture, links));
    }
}

fn xattrs(path: &Path) -> String {
    let mut buffer = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut buffer[..]).unwrap_or(0);
    let mut names: Vec<_> =
        buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut shown = String::new();
    for name in names.into_iter().filter(|name| !name.starts_with(b"trusted.overlay.")) {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap_or(0);
        shown +=
            &format!(" {}={:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(&value[..length]));
    }
    shown
}
