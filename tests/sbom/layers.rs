//! What later layers change, take away and cover.

use std::collections::BTreeMap;

use super::{document, import, listed, stanza};
use crate::support::Sandbox;
use crate::support::tarball::{self, Tarball};

const MODULES: &str = "usr/lib/node_modules";
const SITE: &str = "usr/lib/python3/dist-packages";

fn status(rows: &[(&str, &str)]) -> Vec<u8> {
    rows.iter().map(|(name, version)| stanza(name, version, "")).collect::<String>().into_bytes()
}

fn manifest(name: &str) -> Vec<u8> {
    format!("{{\"name\":\"{name}\",\"version\":\"1.0.0\"}}").into_bytes()
}

fn metadata(name: &str) -> Vec<u8> {
    format!("Name: {name}\nVersion: 1.0\n").into_bytes()
}

/// `name version` of each package with the number of the layer that brought it.
fn found(sandbox: &Sandbox, layers: &[Vec<u8>]) -> BTreeMap<String, usize> {
    import(sandbox, "app:1", layers);
    let (spdx, code, said) = document(sandbox, &["app:1"]);
    assert_eq!(code, 0, "{said}");
    let inspected = sandbox.json(["inspect", "app:1"]);
    let of = inspected[0]["layers"].as_array().unwrap();
    let number = |digest: &str| of.iter().position(|layer| layer["diff_id"] == digest).unwrap();
    listed(&spdx).iter().map(|p| (format!("{} {}", p.name, p.version), number(&p.layer))).collect()
}

fn of<const N: usize>(rows: [(&str, usize); N]) -> BTreeMap<String, usize> {
    rows.map(|(name, layer)| (name.to_owned(), layer)).into()
}

#[test]
fn a_package_is_of_the_layer_that_brought_its_version() {
    let sandbox = Sandbox::new();
    let layer = |rows: &[(&str, &str)]| {
        let mut layer = Tarball::new();
        layer.file("var/lib/dpkg/status", &status(rows));
        layer.bytes()
    };
    let layers = [
        layer(&[("stays", "1"), ("upgraded", "1"), ("removed", "1"), ("returns", "1"), ("goes-back", "1")]),
        layer(&[("stays", "1"), ("upgraded", "2"), ("goes-back", "2")]),
        layer(&[("stays", "1"), ("upgraded", "2"), ("returns", "1"), ("goes-back", "1"), ("new", "1")]),
    ];
    assert_eq!(
        found(&sandbox, &layers),
        of([("stays 1", 0), ("upgraded 2", 1), ("returns 1", 2), ("goes-back 1", 2), ("new 1", 2)])
    );
}

#[test]
fn what_is_hidden_is_not_there() {
    let sandbox = Sandbox::new();
    let mut base = Tarball::new();
    base.file("var/lib/dpkg/status", &status(&[("bash", "5"), ("dash", "1")]))
        .file("var/lib/dpkg/status.d/tzdata", stanza("tzdata", "2024a", "").as_bytes())
        .file(&format!("{MODULES}/hidden/package.json"), &manifest("hidden"))
        .file(&format!("{MODULES}/left/package.json"), &manifest("left"))
        .file(&format!("{MODULES}/@scope/a/package.json"), &manifest("@scope/a"))
        .file(&format!("{SITE}/gone-1.0.dist-info/METADATA"), &metadata("gone"))
        .file(&format!("{SITE}/kept-1.0.dist-info/METADATA"), &metadata("kept"));
    let base = base.bytes();
    let mut whiteouts = Tarball::new();
    whiteouts
        .file("var/lib/dpkg/.wh.status", b"")
        .file(&format!("{MODULES}/.wh.hidden"), b"")
        .file(&format!("{SITE}/.wh.gone-1.0.dist-info"), b"");
    let whiteouts = whiteouts.bytes();
    assert_eq!(
        found(&sandbox, &[base.clone(), whiteouts.clone()]),
        of([("tzdata 2024a", 0), ("left 1.0.0", 0), ("@scope/a 1.0.0", 0), ("kept 1.0", 0)])
    );
    // A database that comes again is of the layer that it came with.
    let mut again = Tarball::new();
    again.file("var/lib/dpkg/status", &status(&[("bash", "5"), ("zsh", "1")]));
    let again = again.bytes();
    // The same where something else took the place of its directory.
    for between in [whiteouts, tarball::layer("var/lib/dpkg", b"a file")] {
        let rows = found(&sandbox, &[base.clone(), between, again.clone()]);
        let layers = ["zsh 1", "bash 5", "dash 1"].map(|name| rows.get(name).copied());
        assert_eq!(layers, [Some(2), Some(2), None]);
    }
    // Opaque: nothing of the layers below is there, and what the layer itself has is, wherever the mark stands in it.
    let mut opaque = Tarball::new();
    opaque
        .file(&format!("{MODULES}/@scope/b/package.json"), &manifest("@scope/b"))
        .file(&format!("{MODULES}/.wh..wh..opq"), b"")
        .file("var/lib/dpkg/.wh..wh..opq", b"")
        .file(&format!("{SITE}/new-1.0.dist-info/METADATA"), &metadata("new"));
    assert_eq!(
        found(&sandbox, &[base, opaque.bytes()]),
        of([("@scope/b 1.0.0", 1), ("gone 1.0", 0), ("kept 1.0", 0), ("new 1.0", 1)])
    );
}
