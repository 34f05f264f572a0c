//! Tar members that mean harm.

use tar::{EntryType, Header};

use super::{case, refuse_all};
use crate::support::Sandbox;
use crate::support::tarball::{Tarball, docker_archive, layer};

/// A good archive with these raw members in front of it.
fn with(members: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (header, data) in members {
        archive.extend(header.as_bytes());
        archive.extend(data);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend(docker_archive("bad:1", &[layer("a", b"x")]));
    archive
}

fn header(path: &[u8], kind: EntryType, target: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn member(path: &str, kind: EntryType, target: &str) -> Vec<u8> {
    with(&[(header(path.as_bytes(), kind, target.as_bytes(), 0), Vec::new())])
}

/// An extended header with these records, and the member that it is for.
fn extended(records: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        let length = (1..).find(|length: &usize| length.to_string().len() + body.len() == *length).unwrap();
        data.extend(format!("{length}{body}").into_bytes());
    }
    with(&[
        (header(b"pax", EntryType::XHeader, b"", data.len() as u64), data),
        (header(b"file", EntryType::Regular, b"", content.len() as u64), content.to_vec()),
    ])
}

#[test]
fn names_and_links_that_lead_out() {
    let file = |path: &str| member(path, EntryType::Regular, "");
    refuse_all(vec![
        case("climbing", file("../evil"), 1, &["../evil", "climbs out"]),
        case("climbing later", file("a/../../evil"), 1, &["a/../../evil", "climbs out"]),
        case("absolute", file("/tmp/evil"), 1, &["/tmp/evil", "absolute"]),
        case("backslash", file("a\\evil"), 1, &["evil", "backslash"]),
        case("control", file("a\u{1b}[2Jevil"), 1, &["evil", "control"]),
        case(
            "no UTF-8",
            with(&[(header(b"a\xffevil", EntryType::Regular, b"", 0), Vec::new())]),
            1,
            &["UTF-8"],
        ),
        case(
            "long climbing",
            extended(&[("path", &format!("{}evil", "../".repeat(50)))], b"x"),
            1,
            &["climbs out"],
        ),
        case("link out", member("a/l", EntryType::Symlink, "../../evil"), 1, &["a/l", "links out"]),
        case("absolute link", member("l", EntryType::Symlink, "/etc/passwd"), 1, &["links out"]),
        case("hard link out", member("l", EntryType::Link, "../evil"), 1, &["links out"]),
        case("absolute hard link", member("l", EntryType::Link, "/etc/passwd"), 1, &["links out"]),
    ]);
}

#[test]
fn members_that_no_image_has() {
    refuse_all(vec![
        case("a pipe", member("p", EntryType::Fifo, ""), 1, &["\"p\"", "device or a pipe"]),
        case("a device", member("d", EntryType::Char, ""), 1, &["\"d\"", "device or a pipe"]),
        case("a disk", member("d", EntryType::Block, ""), 1, &["\"d\"", "device or a pipe"]),
        case("a sparse file", member("s", EntryType::GNUSparse, ""), 1, &["\"s\"", "sparse"]),
        case("a strange one", member("s", EntryType::new(b'V'), ""), 1, &["\"s\""]),
        case(
            "twice the same",
            with(&[(header(b"manifest.json", EntryType::Regular, b"", 0), Vec::new())]),
            1,
            &["manifest.json", "twice"],
        ),
    ]);
}

#[test]
fn headers_that_can_be_read_two_ways() {
    let mut negative = header(b"n", EntryType::Regular, b"", 0);
    negative.as_old_mut().size = [0xff; 12];
    negative.set_cksum();
    let mut huge = header(b"h", EntryType::Regular, b"", 0);
    huge.set_size(1 << 62);
    huge.set_cksum();
    let mut flipped = docker_archive("bad:1", &[layer("a", b"x")]);
    flipped[5] ^= 1;
    let long = vec![b'a'; 1 << 20];
    let mut base_256 = header(b"b", EntryType::Regular, b"", 0);
    base_256.as_old_mut().size[..4].copy_from_slice(&[0x80, 1, 0, 0]);
    base_256.as_old_mut().size[4..].fill(0);
    base_256.set_cksum();
    let sized = |path: &str, kind| with(&[(header(path.as_bytes(), kind, b"l", 512), vec![0; 512])]);
    refuse_all(vec![
        case("a size of 2^80 bytes", with(&[(base_256, Vec::new())]), 1, &["impossible size"]),
        case("a file of a directory's name", sized("x/", EntryType::Regular), 1, &["\"x/\"", "has a size"]),
        case("a directory of a size", sized("x", EntryType::Directory), 1, &["\"x\"", "has a size"]),
        case("a link of a size", sized("x", EntryType::Symlink), 1, &["\"x\"", "has a size"]),
        case("a hard link of a size", sized("x", EntryType::Link), 1, &["\"x\"", "has a size"]),
        case("two large sizes", extended(&[("size", "9000000000")], b"abc"), 1, &["two sizes"]),
        case("a negative size", with(&[(negative, Vec::new())]), 1, &["negative size"]),
        case("a size of exabytes", with(&[(huge, Vec::new())]), 1, &[]),
        case("two sizes", extended(&[("size", "2")], b"abc"), 1, &["two sizes"]),
        case("a size that is no number", extended(&[("size", "-3")], b"abc"), 1, &[]),
        case("two paths", extended(&[("path", "a"), ("path", "b")], b"abc"), 1, &[]),
        case(
            "a malformed extended header",
            with(&[(header(b"x", EntryType::XHeader, b"", 3), b"abc".to_vec())]),
            1,
            &[],
        ),
        case(
            "a huge extended header",
            with(&[(header(b"x", EntryType::XHeader, b"", 1 << 20), long.clone())]),
            1,
            &[],
        ),
        case("a huge name", with(&[(header(b"x", EntryType::GNULongName, b"", 1 << 20), long)]), 1, &[]),
        case("a damaged header", flipped, 1, &["tar"]),
    ]);
}

#[test]
fn manifests_and_blobs_that_are_links() {
    let good = docker_archive("bad:1", &[layer("a", b"x")]);
    let files = crate::support::tarball::members(&good);
    let linked = |name: &str| {
        let mut archive = Tarball::new();
        for (path, bytes) in &files {
            let is_it =
                path == name || (name == "config" && path.ends_with(".json") && path != "manifest.json");
            let real = if is_it { "real" } else { path };
            archive.file(real, bytes);
            if is_it {
                archive.link(path, "real");
            }
        }
        archive.bytes()
    };
    refuse_all(vec![
        case("manifest.json", linked("manifest.json"), 1, &["manifest.json", "link"]),
        case("the config", linked("config"), 1, &[".json", "link"]),
    ]);
    // A layer may be one (docker save writes it so), but not one that leads round and round.
    let path = files.keys().find(|path| path.ends_with(".tar")).unwrap();
    let mut round = Tarball::new();
    for (name, bytes) in files.iter().filter(|(name, _)| *name != path) {
        round.file(name, bytes);
    }
    round.link(path, "other").link("other", path);
    refuse_all(vec![case("a layer that is a circle", round.bytes(), 5, &[path])]);
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("linked.tar"), linked(path)).unwrap();
    sandbox.ok(["import", "linked.tar"]);
}
