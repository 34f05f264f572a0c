//! What looks strange and is valid: links that `docker save` writes, layers with anything in them, and a store in
//! which others have left their things.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tar::EntryType;

use super::bombs::with_layer;
use super::documents::hex_of;
use super::raw::{bare, file, member};
use super::{Case, NAME, bad, blob, docker, good, layers, oci, tools, try_all};
use crate::support::store::blobs;
use crate::support::tarball::{Tarball, config, docker_archive, docker_archive_with, hex, noise, sha256};
use crate::support::{Sandbox, need, peer, run};

/// A docker-archive as `docker save` wrote it until version 24: a directory for each layer, and what is the same
/// as an earlier one a link to it.
fn linked(links: &[(&str, &str)], kind: EntryType, layer_path: &str) -> Vec<u8> {
    let layers = layers();
    let config = config("linux", "amd64", &[layers[0].clone(), layers[0].clone()]).to_string();
    let mut out = Tarball::new();
    let config_path = format!("{}.json", hex(config.as_bytes()));
    out.file("one/VERSION", b"1.0").file("one/json", b"{}").file("one/layer.tar", &layers[0]);
    out.file(&config_path, config.as_bytes());
    let items = json!([{"Config": config_path, "RepoTags": [NAME], "Layers": ["one/layer.tar", layer_path]}]);
    out.file("manifest.json", items.to_string().as_bytes());
    let links = links.iter().flat_map(|(path, target)| bare(path, kind, target)).collect::<Vec<_>>();
    [links, out.bytes()].concat()
}

#[test]
fn layers_that_are_links() {
    need!(tools(), "strace or prlimit");
    let chain = |count: usize| -> Vec<(String, String)> {
        let to = |n| if n == 0 { "one/layer.tar".to_owned() } else { format!("l{n}") };
        (1..=count).map(|n| (format!("l{n}"), to(n - 1))).collect()
    };
    let chained = |count: usize| {
        let links = chain(count);
        let links: Vec<_> = links.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
        linked(&links, EntryType::Symlink, &format!("l{count}"))
    };
    let at = "two/layer.tar";
    try_all(vec![
        good("as docker save wrote it", linked(&[(at, "../one/layer.tar")], EntryType::Symlink, at)),
        good("by way of nothing", linked(&[(at, "./../two/.././one//layer.tar")], EntryType::Symlink, at)),
        good("a hard link", linked(&[(at, "one/layer.tar")], EntryType::Link, at)),
        good("the same file twice", linked(&[], EntryType::Symlink, "one/layer.tar")),
        good("in another spelling", linked(&[], EntryType::Symlink, "./one//layer.tar")),
        good("three links", chained(3)),
        bad("a hundred links", chained(100), &["is missing"]),
        bad("a link to a directory", linked(&[(at, "../one")], EntryType::Symlink, at), &["is missing"]),
        bad(
            "a link to what is not there",
            linked(&[(at, "../three/layer.tar")], EntryType::Symlink, at),
            &["is missing"],
        ),
        bad("a link out", linked(&[(at, "../../one/layer.tar")], EntryType::Symlink, at), &["links out"]),
        bad("a way through a link", linked(&[("two", "one")], EntryType::Symlink, at), &["is missing"]),
    ]);
}

#[test]
fn layers_with_anything_in_them() {
    need!(tools().and(peer::tool("zstd")).and(peer::tool("gzip")), "strace, prlimit, zstd or gzip");
    let end = vec![0; 1024];
    let mut cases: Vec<Case> = Vec::new();
    for (what, layer) in [
        ("climbing names", [file(b"../../../../tmp/evil", b"x"), end.clone()].concat()),
        ("absolute names", [file(b"/etc/passwd", b"x"), end.clone()].concat()),
        ("names with ANSI", [file(b"\x1b[2J", b"x"), end.clone()].concat()),
        ("links out", [bare("l", EntryType::Symlink, "/etc"), file(b"l/passwd", b"x"), end.clone()].concat()),
        ("hard links out", [bare("l", EntryType::Link, "../../etc/passwd"), end.clone()].concat()),
        (
            "devices",
            [bare("sda", EntryType::Block, ""), bare("mem", EntryType::Char, ""), end.clone()].concat(),
        ),
        ("whiteouts", [file(b".wh..wh..opq", b""), file(b"etc/.wh.passwd", b""), end.clone()].concat()),
        ("one file twice", [file(b"a", b"1"), file(b"a", b"2"), end.clone()].concat()),
        ("no end", file(b"a", b"x")),
        ("a size of exabytes", [member(&huge(), b""), end.clone()].concat()),
        ("noise", noise(3, 3000)),
        ("nothing", Vec::new()),
        ("an image", docker()),
    ] {
        cases.push(good(
            format!("a docker layer with {what}"),
            docker_archive(NAME, std::slice::from_ref(&layer)),
        ));
        for (tool, kind) in [("", ""), ("zstd", "+zstd"), ("gzip", "+gzip")] {
            let packed = match tool {
                "" => layer.clone(),
                tool => super::bombs::packed(tool, &[], &layer).unwrap(),
            };
            cases.push(good(format!("a {kind} layer with {what}"), of_layer(kind, &layer, &packed)));
        }
    }
    cases.push(bad(
        "a layer that is not what its diff ID says",
        with_layer("", &noise(4, 500)),
        &["diff ID mismatch"],
    ));
    try_all(cases);
}

fn huge() -> tar::Header {
    let mut header = super::raw::header(b"huge", EntryType::Regular, b"", 0);
    header.set_size(1 << 60);
    header.set_cksum();
    header
}

/// An oci-archive of one layer in this form.
fn of_layer(kind: &str, plain: &[u8], packed: &[u8]) -> Vec<u8> {
    let mut oci = crate::support::tarball::Oci::image(NAME, &[plain.to_vec()]);
    let mut manifest = oci.manifest();
    manifest["layers"][0] = json!({
        "mediaType": format!("application/vnd.oci.image.layer.v1.tar{kind}"), "digest": sha256(packed), "size": packed.len(),
    });
    oci.add(packed);
    oci.root(NAME, &manifest);
    oci.archive()
}

#[test]
fn what_others_left_in_the_store() {
    need!(tools(), "strace or prlimit");
    let oci = oci();
    let manifest = oci.manifest();
    let parts = [
        ("manifest", &oci.index["manifests"][0]),
        ("config", &manifest["config"]),
        ("layer", &manifest["layers"][0]),
    ];
    let kinds: [(&str, super::layouts::Change); 9] = [
        ("an empty file", |at, _| std::fs::write(at, "").unwrap()),
        ("a longer file", |at, _| std::fs::write(at, vec![b'x'; 100_000]).unwrap()),
        ("a shorter file", |at, _| std::fs::write(at, "x").unwrap()),
        ("a link out", |at, outside| symlink(outside, at).unwrap()),
        ("a link to nothing", |at, _| symlink("nothing", at).unwrap()),
        ("a directory", |at, _| std::fs::create_dir(at).unwrap()),
        ("a full directory", |at, _| {
            std::fs::create_dir(at).unwrap();
            std::fs::write(at.join("precious"), "mine").unwrap();
        }),
        ("a pipe", |at, _| drop(run(Command::new("mkfifo").arg(at)))),
        ("a socket", |at, outside| super::layouts::socket(at, outside)),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (part, descriptor) in parts {
        for (what, put) in kinds {
            let hex = hex_of(descriptor);
            let expected = oci.blobs[&hex].clone();
            let at = hex.clone();
            let mut case = good(format!("{what} where the {part} belongs"), oci.archive());
            case.prepare = Some(Box::new(move |sandbox: &Sandbox| {
                // As large as the blob, so that its size does not betray it.
                std::fs::write(sandbox.path("outside"), vec![b'o'; expected.len()]).unwrap();
                put(&blob(sandbox, &at), &sandbox.path("outside"));
            }));
            let expected = oci.blobs[&hex].clone();
            case.check = Some(Box::new(move |sandbox: &Sandbox| {
                let at = blob(sandbox, &hex);
                assert!(std::fs::symlink_metadata(&at).unwrap().is_file(), "{}", at.display());
                assert!(std::fs::read(at).unwrap() == expected);
            }));
            cases.push(case);
        }
    }
    let mut strangers = good("files that are no blobs", docker());
    const NAMES: [&str; 5] =
        ["blobs/README", "blobs/sha256/notes.txt", "blobs/sha512", "other.txt", ".larder/other"];
    strangers.prepare = Some(Box::new(|sandbox: &Sandbox| {
        for name in NAMES {
            std::fs::write(sandbox.store().join(name), "mine").unwrap();
        }
        symlink("/etc/passwd", sandbox.store().join("blobs/sha256/link")).unwrap();
        std::fs::write(blob(sandbox, &"a".repeat(64)), "no blob of ours").unwrap();
    }));
    strangers.check = Some(Box::new(|sandbox: &Sandbox| {
        for name in NAMES {
            assert_eq!(std::fs::read_to_string(sandbox.store().join(name)).unwrap(), "mine", "{name}");
        }
        assert_eq!(std::fs::read_link(blob(sandbox, "link")).unwrap(), Path::new("/etc/passwd"));
        assert!(blob(sandbox, &"a".repeat(64)).is_file());
    }));
    cases.push(strangers);
    let mut twice = good(
        "an image that is there already",
        docker_archive_with(
            &config("linux", "amd64", &layers()).to_string(),
            &[NAME, "hostile:2"],
            &layers(),
        ),
    );
    twice.check = Some(Box::new(|sandbox: &Sandbox| {
        let before = blobs(&sandbox.store());
        std::fs::write(sandbox.path("again.tar"), docker()).unwrap();
        sandbox.ok(["import", "again.tar"]);
        assert_eq!(before, blobs(&sandbox.store()));
    }));
    cases.push(twice);
    try_all(cases);
}
