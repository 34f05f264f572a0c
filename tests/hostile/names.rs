//! Names that lead out of the archive or onto the terminal, and blobs and documents that are no files.

use tar::{EntryType, Header};

use super::raw::{bare, extended, file, header, long, member, pax, records_of, refused, taken};
use super::{Case, bad, docker, good, oci, tools, try_all};
use crate::support::need;
use crate::support::tarball::{Tarball, hex, members};

#[test]
fn names_that_lead_out() {
    need!(tools(), "strace or prlimit");
    let mut prefixed = header(b"evil", EntryType::Regular, b"", 0);
    prefixed.as_ustar_mut().unwrap().prefix[..5].copy_from_slice(b"../..");
    prefixed.set_cksum();
    let mut cases: Vec<Case> = Vec::new();
    for (what, members, says) in [
        ("climbing from below blobs", vec![file(b"blobs/sha256/../../../evil", b"x")], &["climbs out"][..]),
        ("climbing behind a dot", vec![file(b"./../evil", b"x")], &["climbs out"]),
        ("two dots alone", vec![file(b"..", b"x")], &["climbs out"]),
        ("two slashes", vec![file(b"//etc/evil", b"x")], &["absolute"]),
        ("no name", vec![file(b"", b"x")], &["no name"]),
        ("a dot for a name", vec![file(b".", b"x")], &["no name"]),
        ("a directory that climbs", vec![bare("../dir/", EntryType::Directory, "")], &["climbs out"]),
        ("an absolute directory", vec![bare("/tmp/dir/", EntryType::Directory, "")], &["absolute"]),
        ("climbing by the prefix", vec![member(&prefixed, b"")], &["climbs out"]),
        ("climbing by pax", vec![pax(&[("path", "a/../../evil")]), file(b"a", b"x")], &["climbs out"]),
        ("absolute by pax", vec![pax(&[("path", "/tmp/evil")]), file(b"a", b"x")], &["absolute"]),
        (
            "climbing by a long name",
            vec![long(EntryType::GNULongName, b"../evil"), file(b"a", b"x")],
            &["climbs out"],
        ),
        (
            "NUL by pax",
            vec![extended(EntryType::XHeader, &records_of(&[("path", "a\0evil")])), file(b"a", b"x")],
            &["control"],
        ),
        ("NUL by a long name", vec![long(EntryType::GNULongName, b"a\0/../../evil"), file(b"a", b"x")], &[]),
        ("a backslash that climbs", vec![file(b"..\\evil", b"x")], &["backslash"]),
        ("a drive", vec![file(b"C:\\evil", b"x")], &["backslash"]),
        ("a line's end", vec![file(b"a\nlarder: all is well", b"x")], &["control"]),
        ("a carriage return", vec![file(b"evil\rgood", b"x")], &["control"]),
        ("ANSI", vec![file(b"\x1b]0;evil\x07", b"x")], &["control"]),
        ("C1 control", vec![file("a\u{9b}2Jevil".as_bytes(), b"x")], &["control"]),
        ("text turned round", vec![file("../\u{202e}live".as_bytes(), b"x")], &["climbs out"]),
        (
            "no UTF-8 by pax",
            vec![pax(&[("path", "a")]), file(b"b", b""), file(b"\xc0\xae\xc0\xae/x", b"x")],
            &["UTF-8"],
        ),
        (
            "a link that climbs",
            vec![bare("blobs/sha256/l", EntryType::Symlink, "../../../etc/passwd")],
            &["links out"],
        ),
        ("a link with a backslash", vec![bare("l", EntryType::Symlink, "..\\evil")], &["links out"]),
        (
            "a long link that climbs",
            vec![long(EntryType::GNULongLink, b"../evil"), bare("l", EntryType::Symlink, "x")],
            &["links out"],
        ),
        (
            "an absolute link by pax",
            vec![pax(&[("linkpath", "/etc/passwd")]), bare("l", EntryType::Symlink, "x")],
            &["links out"],
        ),
        (
            "a hard link that climbs by pax",
            vec![pax(&[("linkpath", "a/../../evil")]), bare("l", EntryType::Link, "x")],
            &["links out"],
        ),
        ("a hard link to nothing", vec![bare("l", EntryType::Link, "")], &["links out"]),
    ] {
        cases.extend(refused(what, &members, says));
    }
    // A name ends at the first NUL; what stands behind it is filling.
    cases.extend(taken("NUL in a short name", &[file(b"notes\0/../../evil", b"x")]));
    cases.extend(taken(
        "a directory and a link inside",
        &[bare("notes/", EntryType::Directory, ""), bare("notes/l", EntryType::Symlink, "../other")],
    ));
    try_all(cases);
}

/// The archive with one of its members put in another way.
fn instead(archive: &[u8], path: &str, put: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Tarball::new();
    for (name, bytes) in members(archive).iter().filter(|(name, _)| *name != path) {
        out.file(name, bytes);
    }
    [put.concat(), out.bytes()].concat()
}

/// What a member may be instead of a file; `real` holds its content.
fn disguises(path: &str, content: &[u8]) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("a symbolic link", vec![file(b"real", content), bare(path, EntryType::Symlink, &to_root(path))]),
        ("a hard link", vec![file(b"real", content), bare(path, EntryType::Link, "real")]),
        ("a link out", vec![bare(path, EntryType::Symlink, "/etc/passwd")]),
        ("a hard link out", vec![bare(path, EntryType::Link, "../../etc/passwd")]),
        ("a pipe", vec![bare(path, EntryType::Fifo, "")]),
        ("a character device", vec![bare(path, EntryType::Char, "")]),
        ("a block device", vec![bare(path, EntryType::Block, "")]),
        ("a directory", vec![bare(&format!("{path}/"), EntryType::Directory, "")]),
        ("a sparse file", vec![member(&sparse(path, content), content)]),
    ]
}

fn to_root(path: &str) -> String {
    format!("{}real", "../".repeat(path.matches('/').count()))
}

fn sparse(path: &str, content: &[u8]) -> Header {
    header(path.as_bytes(), EntryType::GNUSparse, b"", content.len() as u64)
}

#[test]
fn documents_and_blobs_that_are_no_files() {
    need!(tools(), "strace or prlimit");
    let (docker, oci) = (docker(), oci());
    let archive = oci.archive();
    let part = |key: &str| {
        let manifest = oci.manifest();
        let descriptor = if key == "config" { &manifest["config"] } else { &manifest["layers"][0] };
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))
    };
    let manifest = oci.index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let in_docker = members(&docker);
    let config = in_docker.keys().find(|path| path.len() == 69 && path.ends_with(".json")).unwrap();
    let layer = in_docker.keys().find(|path| path.ends_with(".tar")).unwrap();
    let mut cases = Vec::new();
    for (what, archive, path) in [
        ("the layer of a docker-archive", &docker, layer.clone()),
        ("the config of a docker-archive", &docker, config.clone()),
        ("manifest.json", &docker, "manifest.json".to_owned()),
        ("the layer of an oci-archive", &archive, part("layer")),
        ("the config of an oci-archive", &archive, part("config")),
        ("the manifest of an oci-archive", &archive, manifest),
        ("index.json", &archive, "index.json".to_owned()),
    ] {
        let content = members(archive)[&path].clone();
        for (kind, put) in disguises(&path, &content) {
            let what = format!("{what} is {kind}");
            let archive = instead(archive, &path, &put);
            // docker-save writes a layer that an image has twice as a link to the first one.
            let is_valid = path == *layer && matches!(kind, "a symbolic link" | "a hard link");
            cases.push(if is_valid { good(what, archive) } else { bad(what, archive, &[]) });
        }
    }
    // What POSIX calls a contiguous file is one.
    let content = &members(&archive)[&part("layer")];
    let contiguous =
        member(&header(part("layer").as_bytes(), EntryType::Continuous, b"", content.len() as u64), content);
    cases.push(good("a layer is a contiguous file", instead(&archive, &part("layer"), &[contiguous])));
    assert_eq!(hex(content), part("layer").rsplit('/').next().unwrap());
    try_all(cases);
}
