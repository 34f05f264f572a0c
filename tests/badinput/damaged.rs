//! Stored content that is no longer what it was: it does not leave the store, and what is missing can be brought again.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::roundtrip::{CLANG, GCC, imported};
use crate::support::store::{assert_nothing_pending, assert_sound, blob_path, document, index_text, named};
use crate::support::{Sandbox, fixture, need, peer};

/// Changes a blob, which is read-only.
fn change(path: &Path, edit: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    edit(&mut bytes);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

/// The digests of the manifest, the config and the first layer.
fn parts(sandbox: &Sandbox) -> [(&'static str, String); 3] {
    let digest = named(&sandbox.store(), GCC).unwrap();
    let manifest = document(&sandbox.store(), &digest);
    let of = |value: &serde_json::Value| value["digest"].as_str().unwrap().to_owned();
    [("manifest", digest), ("config", of(&manifest["config"])), ("layer", of(&manifest["layers"][0]))]
}

#[test]
fn a_child_that_was_stored_and_is_gone_is_damage() {
    let sandbox = imported("multiarch-oci.tar");
    let name = "capy-debian-12-multi";
    let root = named(&sandbox.store(), &format!("{name}:latest")).unwrap();
    let child = document(&sandbox.store(), &root)["manifests"][1]["digest"].as_str().unwrap().to_owned();
    std::fs::remove_file(blob_path(&sandbox.store(), &child)).unwrap();
    let said = sandbox.fail(["export", name, "--all-platforms", "-o", "out.tar"], 5);
    assert!(said.contains(&child) && said.contains("missing"), "{said}");
    assert!(!sandbox.path("out.tar").exists());
    // A sparse index lacks its child from the start.
    imported("sparse-oci.tar").ok(["export", name, "--all-platforms", "-o", "out.tar"]);
}

#[test]
fn an_export_of_damaged_content_ends_before_it_is_an_archive() {
    for (number, (part, digest)) in parts(&imported("docker20.tar")).into_iter().enumerate() {
        for (what, damage) in [
            ("a flipped bit", (|bytes| flip(bytes)) as fn(&mut Vec<u8>)),
            ("cut", |bytes| bytes.truncate(bytes.len() - 1)),
            ("longer", |bytes| bytes.push(0)),
            ("empty", Vec::clear),
        ] {
            let sandbox = imported("docker20.tar");
            let before = index_text(&sandbox.store());
            change(&blob_path(&sandbox.store(), &digest), damage);
            for form in [
                &[][..],
                &["--archive", "docker"],
                &["--archive", "oci"],
                &["--layers", "plain"],
                &["--jobs", "1"],
            ] {
                let output = sandbox.larder(["export", GCC, "-o", "out.tar"].iter().chain(form));
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(5), "{part} {what} {form:?}: {said}");
                // Where a layer is unpacked, it is the blob or what it should have become that is named.
                assert!(said.contains("sha256:"), "{part} {what} {form:?}: {said}");
                assert!(
                    form == ["--layers", "plain"] || said.contains(&digest),
                    "{part} {what} {form:?}: {said}"
                );
                let names: BTreeSet<_> = std::fs::read_dir(sandbox.root())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .collect();
                assert_eq!(names.len(), 3, "{part} {what}: no archive and no part of one: {names:?}");

                let piped = sandbox.larder(["export", GCC, "-o", "-"].iter().chain(form));
                assert_eq!(piped.status.code(), Some(5));
                let text = String::from_utf8_lossy(&piped.stdout);
                assert!(
                    !text.contains("manifest.json") && !text.contains("index.json"),
                    "{part} {what}: it is an image"
                );
            }
            assert_eq!(before, index_text(&sandbox.store()));
            assert_nothing_pending(&sandbox.store());
            let image = &sandbox.json(["images"])[0];
            assert_eq!(image["use_count"], 0, "{number}: it was not used");
        }
    }
}

#[test]
fn damaged_content_is_not_handed_over() {
    let docker = need!(peer::docker28(), "Docker 28");
    for (part, digest) in parts(&imported("docker20.tar")) {
        let mut sandbox = imported("docker20.tar");
        sandbox.use_docker(&docker);
        change(&blob_path(&sandbox.store(), &digest), |bytes| flip(bytes));
        let output = sandbox.larder(["export", "--to-docker", GCC]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(5), 0), "{part}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&digest), "{part}: {output:?}");
        assert_eq!(docker.image_id(GCC), None, "{part}");
        assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn content_that_is_missing_stops_an_export_and_comes_back_with_an_import() {
    for (part, digest) in parts(&imported("docker20.tar")) {
        for (what, damage) in [("missing", None), ("cut", Some(10)), ("empty", Some(0))] {
            for piped in [false, true] {
                let sandbox = imported("docker20-two.tar");
                let path = blob_path(&sandbox.store(), &digest);
                std::fs::remove_file(&path).unwrap();
                if let Some(size) = damage {
                    std::fs::write(&path, vec![0; size]).unwrap();
                }
                let said = sandbox.fail(["export", GCC, "-o", "out.tar"], 5);
                assert!(said.contains(&digest), "{part} {what}: {said}");
                let archive = fixture("docker20.tar");
                if piped {
                    let output = crate::support::feed(
                        &mut sandbox.command(["import", "-"]),
                        &std::fs::read(&archive).unwrap(),
                    );
                    assert!(output.status.success(), "{part} {what}: {output:?}");
                } else {
                    sandbox.ok(["import".as_ref(), archive.as_os_str()]);
                }
                assert_sound(&sandbox.store());
                assert_eq!(named(&sandbox.store(), GCC).unwrap(), parts(&sandbox)[0].1);
                sandbox.ok(["export", GCC, CLANG, "-o", "out.tar"]);
            }
        }
    }
}

#[test]
fn what_is_no_file_at_a_blobs_place_is_replaced() {
    let (_, digest) = parts(&imported("docker20.tar"))[2].clone();
    for kind in ["link", "directory", "pipe"] {
        let sandbox = imported("docker20.tar");
        let path = blob_path(&sandbox.store(), &digest);
        std::fs::rename(&path, sandbox.path("elsewhere")).unwrap();
        match kind {
            "link" => std::os::unix::fs::symlink(sandbox.path("elsewhere"), &path).unwrap(),
            "directory" => std::fs::create_dir(&path).unwrap(),
            _ => drop(crate::support::run(std::process::Command::new("mkfifo").arg(&path))),
        }
        sandbox.fail(["export", GCC, "-o", "out.tar"], 5);
        sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file(), "{kind}");
        sandbox.ok(["export", GCC, "-o", "out.tar"]);
    }
}

#[test]
fn files_that_larder_does_not_know_are_left_alone() {
    let sandbox = imported("docker20.tar");
    for name in ["blobs/README", "blobs/sha256/notes.txt", "blobs/sha512", ".larder/other", "other.txt"] {
        std::fs::write(sandbox.store().join(name), "mine").unwrap();
    }
    sandbox.ok(["import".as_ref(), fixture("docker20-two.tar").as_os_str()]);
    sandbox.ok(["rm", GCC]);
    sandbox.ok(["export", CLANG, "-o", "out.tar"]);
    sandbox.ok(["df"]);
    for name in ["blobs/README", "blobs/sha256/notes.txt", "blobs/sha512", ".larder/other", "other.txt"] {
        assert_eq!(std::fs::read_to_string(sandbox.store().join(name)).unwrap(), "mine", "{name}");
    }
}
