//! `larder verify`: what is wrong is found, named and left as it is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::two_images;
use crate::import::{CLANG, GCC};
use crate::support::Sandbox;
use crate::support::store::{assert_nothing_pending, blob_path, document, named, tree};

fn change(path: &Path, edit: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    edit(&mut bytes);
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Manifest, config, the layer that both images have, and the one that only this one has.
fn parts(sandbox: &Sandbox) -> [String; 4] {
    let digest = named(&sandbox.store(), GCC).unwrap();
    let manifest = document(&sandbox.store(), &digest);
    let other = document(&sandbox.store(), &named(&sandbox.store(), CLANG).unwrap());
    let layers = |manifest: &Value| -> Vec<String> {
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (own, others) = (layers(&manifest), layers(&other));
    let shared = own.iter().find(|layer| others.contains(layer)).unwrap().clone();
    let alone = own.iter().find(|layer| !others.contains(layer)).unwrap().clone();
    [digest, manifest["config"]["digest"].as_str().unwrap().to_owned(), shared, alone]
}

fn findings(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let output = sandbox.larder(["verify", "--format", "json"].iter().chain(args));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().clone();
    let is_clean = findings.iter().all(|finding| finding["problem"] == "stranger");
    assert_eq!(output.status.code(), Some(if is_clean { 0 } else { 5 }), "{report}");
    assert_nothing_pending(&sandbox.store());
    findings
}

#[test]
fn a_sound_store_has_no_findings() {
    let sandbox = two_images();
    for args in [&[][..], &["--quick"], &[GCC], &["--jobs", "1"]] {
        assert!(findings(&sandbox, args).is_empty(), "{args:?}");
        let output = sandbox.larder(["verify"].iter().chain(args));
        assert!(output.stdout.is_empty() && output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("checked ") && said.contains(" blobs, "), "{said}");
    }
    let empty = Sandbox::new();
    empty.ok(["init"]);
    assert!(findings(&empty, &[]).is_empty(), "an empty one neither");
}

#[test]
fn every_kind_of_harm_is_found_wherever_it_is() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm, bool); 5] = [
        ("missing", |path| std::fs::remove_file(path).unwrap(), true),
        (
            "missing",
            |path| {
                std::fs::rename(path, path.with_extension("away")).unwrap();
                std::os::unix::fs::symlink(path.with_extension("away"), path).unwrap();
            },
            true,
        ),
        ("wrong-size", |path| change(path, |bytes| bytes.push(0)), true),
        ("wrong-size", |path| change(path, Vec::clear), true),
        (
            "damaged",
            |path| {
                change(path, |bytes| {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 1
                })
            },
            false,
        ),
    ];
    for at in 0..4 {
        for (problem, harm, is_seen_quickly) in &harms {
            let sandbox = two_images();
            let digest = parts(&sandbox)[at].clone();
            harm(&blob_path(&sandbox.store(), &digest));
            let before = tree(&sandbox.store().join("blobs"));
            let case = format!("{problem} at {at}");
            let found: Vec<_> = findings(&sandbox, &[])
                .into_iter()
                .filter(|finding| finding["problem"] != "stranger")
                .collect();
            assert_eq!(found.len(), 1, "{case}: {found:?}");
            // A document of another size does not verify; nothing else can be told about it.
            let is_document = at == 0 && *problem == "wrong-size";
            assert!(found[0]["problem"] == *problem || is_document, "{case}: {found:?}");
            assert_eq!(found[0]["digest"], digest, "{case}");
            let images = if at == 2 { vec![CLANG, GCC] } else { vec![GCC] };
            let mut named: Vec<_> =
                found[0]["images"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            named.sort_unstable();
            let full: Vec<_> = images.iter().map(|name| format!("docker.io/library/{name}")).collect();
            assert!(named == images || named == full, "{case}: {named:?}");
            let quick = findings(&sandbox, &["--quick"]);
            let is_seen = quick.iter().any(|finding| finding["digest"] == digest);
            assert_eq!(is_seen, *is_seen_quickly || at < 2, "{case}: documents and configs are always read");
            assert_eq!(findings(&sandbox, &[CLANG]).is_empty(), at != 2, "{case}: the other image");
            let table = sandbox.larder(["verify"]);
            assert!(String::from_utf8(table.stdout).unwrap().contains(&digest), "{case}");
            assert_eq!(tree(&sandbox.store().join("blobs")), before, "{case}: nothing is changed");
        }
    }
}

#[test]
fn strangers_are_listed_and_harm_nobody() {
    let sandbox = two_images();
    let blobs = sandbox.store().join("blobs/sha256");
    std::fs::write(blobs.join("README"), "not ours").unwrap();
    std::fs::create_dir(blobs.join("0".repeat(64))).unwrap();
    let found = findings(&sandbox, &[]);
    let what: Vec<_> = found.iter().map(|finding| finding["what"].as_str().unwrap()).collect();
    assert_eq!(what, [format!("blobs/sha256/{}", "0".repeat(64)), "blobs/sha256/README".to_owned()]);
    assert!(findings(&sandbox, &[GCC]).is_empty(), "whose they are no image tells");
    assert!(blobs.join("README").exists());
}

#[test]
fn a_child_that_was_stored_and_is_gone_is_damage_and_one_that_never_came_is_not() {
    let sandbox = crate::roundtrip::imported("multiarch-oci.tar");
    let entry = crate::support::store::entries(&sandbox.store())[0].clone();
    let children = entry["annotations"]["dev.larder.children"].as_str().unwrap().to_owned();
    std::fs::remove_file(blob_path(&sandbox.store(), children.split(',').next().unwrap())).unwrap();
    let found = findings(&sandbox, &[]);
    assert_eq!((found.len(), &found[0]["problem"]), (1, &"missing".into()), "{found:?}");
    let sandbox = crate::roundtrip::imported("sparse-oci.tar");
    assert!(findings(&sandbox, &[]).is_empty());
}

#[test]
fn an_image_that_is_not_there_is_no_such_image() {
    let sandbox = two_images();
    sandbox.fail(["verify", "nothing:1"], 3);
}
