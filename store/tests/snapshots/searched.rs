//! Searching single files in layers against the same layers unpacked and mounted: what the kernel says is what the search says.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::{Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use larder_store::cancel::Cancel;
use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use larder_store::members::{ArchivedImage, Kind, Node, Search, Unreadable, in_archive};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tar::{Builder, EntryType, Header};

use super::layers::{Layers, Tarball};
use crate::support::{directory, here, skip};

/// A docker-archive of these layers, opened to be searched.
fn image(dir: &Path, layers: &[Vec<u8>]) -> ArchivedImage {
    let path = dir.join("image.tar");
    let mut archive = Builder::new(std::fs::File::create(&path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).unwrap();
    };
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(",")
    );
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        add(&format!("{number}.tar"), layer);
        names.push(format!("\"{number}.tar\""));
    }
    add("config.json", config.as_bytes());
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["x:1"],"Layers":[{}]}}]"#, names.join(","));
    add("manifest.json", manifest.as_bytes());
    let mut file = archive.into_inner().unwrap();
    file.flush().unwrap();
    file.rewind().unwrap();
    in_archive(&path, &Platform::host(), &Cancel::default()).unwrap().pop().unwrap()
}

#[derive(Debug, Clone)]
struct Thing(u8, u8, u8, u16);

/// Directories `a`, `b`, `c`, links `l`, `m` that mostly lead to directories, files `f`, `g`, so that layers are mostly valid.
fn put(tarball: Tarball, number: usize, thing: &Thing) -> Tarball {
    let Thing(what, at, to, mode) = thing;
    let way = ["", "a/", "b/", "a/b/", "l/", "m/", "a/l/", "b/m/", "l/c/", "c/"][usize::from(at % 10)];
    let leads = ["a", "b", "/c", "../a", "../../b", "m", "l", "a/b", "/", "."][usize::from(to % 10)];
    let pick = |names: [&str; 2]| format!("{way}{}", names[usize::from(at / 10 % 2)]);
    let described = |header: &mut Header| {
        header.set_mode(u32::from(mode & 0o7777));
        header.set_uid(u64::from(*to));
        header.set_gid(u64::from(*at));
    };
    let file = |tarball: Tarball, path: &str| {
        let content = format!("{number} {thing:?}");
        tarball.member(path, EntryType::Regular, "", content.as_bytes(), described)
    };
    match what % 12 {
        0..=2 => file(tarball, &pick(["f", "g"])),
        3 => tarball.member(&pick(["a", "b"]), EntryType::Directory, "", b"", described),
        4 => tarball.member(&pick(["l", "m"]), EntryType::Symlink, leads, b"", described),
        5 => tarball.member(&pick(["k", "f"]), EntryType::Symlink, &format!("{leads}/f"), b"", described),
        6 => {
            let target = pick(["f", "k"]);
            file(tarball, &target).hard_link(&format!("b/h{}", to % 3), &target)
        }
        7 => tarball.member(&pick(["p", "f"]), EntryType::Fifo, "", b"", described),
        8 => {
            file(tarball, &format!("{way}.wh.{}", ["a", "f", "l", "m", "b", "c", "h1"][usize::from(to % 7)]))
        }
        // Of the root's own mark overlayfs takes no notice, and no tool writes one behind a link.
        9 => file(tarball, &format!("{}.wh..wh..opq", ["a/", "b/", "a/b/", "c/"][usize::from(to % 4)])),
        10 => file(tarball, &pick(["l", "a"])),
        _ => tarball.hard_link(&pick(["h", "l"]), ["b/h0", "b/h1", "f", "a/l"][usize::from(to % 4)]),
    }
}

/// What is said of a path in both manners.
fn of_kernel(path: &Path) -> String {
    let shown = |meta: &Metadata| {
        let kind = meta.file_type();
        let what = match () {
            () if kind.is_symlink() => {
                format!("link {:?}", std::fs::read_link(path).unwrap().into_os_string().into_vec())
            }
            () if kind.is_dir() => "directory".into(),
            () if kind.is_fifo() => "fifo".into(),
            () => format!("file of {}", meta.len()),
        };
        format!("{what} {:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    std::fs::symlink_metadata(path).map_or("nothing".into(), |meta| shown(&meta))
}

fn of_search(node: Option<&Node>) -> String {
    let Some(node) = node else { return "nothing".into() };
    let what = match &node.kind {
        Kind::Link(target) => format!("link {target:?}"),
        Kind::Directory => "directory".into(),
        Kind::Fifo => "fifo".into(),
        Kind::File(content) => format!("file of {}", content.size),
        Kind::Char | Kind::Block => "device".into(),
    };
    format!("{what} {:o} {}:{}", node.mode, node.uid, node.gid)
}

/// Every path below, and a few that may not be there.
fn paths(root: &Path) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::from([Vec::new()]);
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            all.insert(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec());
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
    }
    for way in ["", "a", "b", "c", "l", "m", "a/b", "a/l", "l/m", "b/m/..", "l/c", "a/../l/f"] {
        for name in ["", "a", "f", "g", "h", "h1", "k", "l", "m", "p", "../f"] {
            all.insert(format!("{way}/{name}").trim_matches('/').as_bytes().to_vec());
        }
    }
    all
}

#[test]
fn a_search_sees_what_overlayfs_shows() {
    let test = here!();
    if !rustix::process::geteuid().is_root() {
        return skip::record(test, "root", "is needed to mount what layers have");
    }
    if !crate::support::disk::own_namespace(test) {
        return;
    }
    let thing =
        (any::<u8>(), any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(a, b, c, d)| Thing(a, b, c, d));
    let layer = || prop::collection::vec(thing.clone(), 1..10);
    let config =
        Config { cases: 300, max_global_rejects: 20_000, failure_persistence: None, ..Config::default() };
    let tested = TestRunner::new(config).run(&prop::collection::vec(layer(), 2..5), |layers| {
        let dir = directory();
        let mut unpacked = Layers::below(dir.path());
        let mut bytes = Vec::new();
        for things in &layers {
            let whole = things
                .iter()
                .enumerate()
                .fold(Tarball::new(), |tar, (at, thing)| put(tar, at, thing))
                .bytes();
            // Docker would refuse it as well: it takes a file for a directory, or links to what is not there.
            prop_assume!(unpacked.add(&whole).is_ok());
            bytes.push(whole);
        }
        let image = image(dir.path(), &bytes);
        let mounted = unpacked.mount(None);
        check(&image, &mounted.0)
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

fn check(image: &ArchivedImage, root: &Path) -> Result<(), TestCaseError> {
    let paths = paths(root);
    // All at once, where one may help the other, and one alone, where none does.
    let alone = paths.iter().nth(paths.len() / 2).into_iter().cloned().collect();
    for paths in [paths, alone] {
        let mut search = Search::new();
        for path in &paths {
            search.content(path);
            search.node(path);
            search.directory(path);
        }
        let answer = search.look(&image.layers, &Cancel::default()).unwrap();
        for path in &paths {
            let at = root.join(std::ffi::OsStr::from_bytes(path));
            let shown = String::from_utf8_lossy(path);
            // A process in the image stays in it where a link leads to the top; here it would not.
            let Some(at) = inside(root, &at) else { continue };
            prop_assert_eq!(of_search(answer.node(path)), of_kernel(&at), "{}", shown);
            if at.is_dir() && !at.is_symlink() {
                let names = answer.names(path).unwrap_or_default();
                let names: BTreeSet<_> = names.iter().map(|(name, _)| name.to_vec()).collect();
                let listed = std::fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path());
                // In a directory that is of one layer alone overlayfs lists whiteouts, and says that nothing is there.
                let there = listed.filter(|path| path.symlink_metadata().is_ok());
                let expected = there.map(|path| path.file_name().unwrap_or_default().as_bytes().to_vec());
                prop_assert_eq!(names, expected.collect::<BTreeSet<_>>(), "names in {}", shown);
            }
            if at.is_file() && !at.is_symlink() {
                let mut read = None;
                let each =
                    &mut |_: usize, bytes: Result<&[u8], Unreadable>| read = bytes.map(<[u8]>::to_vec).ok();
                answer.read(&[path], &Cancel::default(), each).unwrap();
                prop_assert_eq!(read, std::fs::read(&at).ok(), "content of {}", shown);
            }
        }
    }
    Ok(())
}

/// Where a path leads with all but its last name followed, inside of the root; `None` where that leads nowhere.
fn inside(root: &Path, path: &Path) -> Option<std::path::PathBuf> {
    let relative = path.strip_prefix(root).unwrap();
    let (mut here, mut links) = (root.to_path_buf(), 0);
    let mut to_go: Vec<_> = relative.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    while let Some(name) = to_go.pop() {
        if name == ".." {
            if here != root {
                here.pop();
            }
            continue;
        }
        let next = here.join(&name);
        match std::fs::read_link(&next) {
            Ok(target) if !to_go.is_empty() => {
                links += 1;
                if links > 40 {
                    return None;
                }
                if target.is_absolute() {
                    here = root.to_path_buf();
                }
                let names = target.components().filter_map(|part| match part {
                    std::path::Component::RootDir | std::path::Component::CurDir => None,
                    part => Some(part.as_os_str().to_owned()),
                });
                to_go.extend(names.collect::<Vec<_>>().into_iter().rev());
            }
            _ => here = next,
        }
    }
    Some(here)
}

#[test]
fn what_is_asked_for_bounds_what_is_kept_and_a_lie_ends_it() {
    let dir = directory();
    let many = (0..5000).fold(Tarball::new(), |tar, n| tar.file(&format!("d{}/f{n}", n % 50), b"x"));
    let top = Tarball::new().symlink("way", "d7").symlink("round", "round").file("f/x", b"").bytes();
    let image = image(dir.path(), &[many.bytes(), top]);
    let mut search = Search::new();
    search.content(b"/way/f7");
    search.node(b"round/x");
    search.content(b"round");
    search.content(b"f");
    let answer = search.look(&image.layers, &Cancel::default()).unwrap();
    let mut read = Vec::new();
    let paths: [&[u8]; 4] = [b"way/f7", b"round", b"f", b"f/none"];
    answer
        .read(&paths, &Cancel::default(), &mut |at, bytes| read.push((at, bytes.map(<[u8]>::len))))
        .unwrap();
    read.sort_by_key(|(at, _)| *at);
    let (circle, directory) = (Err(Unreadable::Circle), Err(Unreadable::Directory));
    assert_eq!(read, [(0, Ok(1)), (1, circle), (2, directory), (3, Err(Unreadable::Missing))]);
    assert_eq!(answer.node(b"round/x"), None);
    let rule = |path: &[u8]| path.starts_with(b"d1/");
    let mut search = Search::new();
    search.all(&rule);
    let answer = search.look(&image.layers, &Cancel::default()).unwrap();
    assert_eq!(answer.all(&rule).count(), 100);
    // Content that is another one than the config says.
    let path = dir.path().join("image.tar");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|window| window == b"d7/f").unwrap();
    bytes[at + 512] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let image = in_archive(&path, &Platform::host(), &Cancel::default()).unwrap().pop().unwrap();
    let error = search.look(&image.layers, &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("diff ID mismatch"), "{error}");
}

#[test]
fn a_name_that_a_hundred_thousand_files_have_is_found_all_the_same() {
    let dir = directory();
    let many = (0..100_100).fold(Tarball::new(), |tar, n| tar.file(&format!("d/{n}/index.js"), b""));
    let top = Tarball::new().symlink("way", "d/100099").symlink("gone/index.js", "/way/index.js").bytes();
    let image = image(dir.path(), &[many.bytes(), top]);
    let mut search = Search::new();
    search.node(b"/way/index.js");
    search.content(b"/gone/index.js");
    search.node(b"/way/other.js");
    let answer = search.look(&image.layers, &Cancel::default()).unwrap();
    assert!(matches!(answer.node(b"way/index.js").unwrap().kind, Kind::File(_)));
    assert!(matches!(answer.node(b"gone/index.js").unwrap().kind, Kind::Link(_)));
    assert_eq!(answer.node(b"way/other.js"), None);
    let mut read = None;
    answer
        .read(&[b"gone/index.js"], &Cancel::default(), &mut |_, bytes| read = bytes.map(<[u8]>::len).ok())
        .unwrap();
    assert_eq!(read, Some(0));
}
