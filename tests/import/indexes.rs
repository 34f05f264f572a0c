//! Multi-platform images, those that are there in part, and what accompanies an image.

use serde_json::Value;

use super::{import, import_stdin};
use crate::support::store::{assert_sound, blob_path, document, entries};
use crate::support::tarball::members_of;
use crate::support::{Sandbox, fixture};

/// The root of the archive's index, as the archive has it.
fn root(file: &str) -> Value {
    let members = members_of(&fixture(file));
    let index: Value = serde_json::from_slice(&members["index.json"]).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    serde_json::from_slice(&members[&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))])
        .unwrap()
}

fn children(inspected: &Value) -> Vec<(String, bool)> {
    let children = inspected["children"].as_array().unwrap().iter();
    children.map(|child| (child["platform"].as_str().unwrap().to_owned(), child["stored"] == true)).collect()
}

#[test]
fn an_image_of_two_platforms_is_kept_whole() {
    for read in [import, import_stdin] {
        let sandbox = Sandbox::new();
        let rows = read(&sandbox, "multiarch-oci.tar", &[]);
        assert_eq!(rows[0]["image_id"], Value::Null, "an index has no image ID");
        let inspected = &sandbox.json(["inspect", "capy-debian-12-multi"])[0];
        let expected = [("linux/amd64".to_owned(), true), ("linux/arm64".to_owned(), true)];
        assert_eq!(children(inspected), expected);
        assert_eq!(inspected["manifest"], root("multiarch-oci.tar"));
        assert_eq!(inspected["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
        assert_sound(&sandbox.store());
    }
}

#[test]
fn a_sparse_index_is_no_damage_and_says_which_child_is_there() {
    for read in [import, import_stdin] {
        let sandbox = Sandbox::new();
        let rows = read(&sandbox, "sparse-oci.tar", &[]);
        let store = sandbox.store();
        let index = root("sparse-oci.tar");
        assert_eq!(document(&store, rows[0]["digest"].as_str().unwrap()), index);
        let stored = |platform: &str| {
            let children = index["manifests"].as_array().unwrap();
            let child = children.iter().find(|child| child["platform"]["architecture"] == platform).unwrap();
            (
                child["digest"].as_str().unwrap().to_owned(),
                blob_path(&store, child["digest"].as_str().unwrap()).exists(),
            )
        };
        let ((here, here_is_stored), (_, other_is_stored)) = (stored("amd64"), stored("arm64"));
        assert!(here_is_stored && !other_is_stored);
        let entry = &entries(&store)[0];
        assert_eq!(entry["annotations"]["dev.larder.children"], here, "one of these missing would be damage");
        let inspected = &sandbox.json(["inspect", "capy-debian-12-multi"])[0];
        let expected = [("linux/amd64".to_owned(), true), ("linux/arm64".to_owned(), false)];
        assert_eq!(children(inspected), expected);
        assert!(sandbox.ok(["inspect", "capy-debian-12-multi"]).contains("linux/arm64"));
        assert_sound(&store);

        sandbox.ok(["export", "capy-debian-12-multi", "--platform", "linux/amd64", "-o", "amd64.tar"]);
        let members = members_of(&sandbox.path("amd64.tar"));
        let exported: Value = serde_json::from_slice(&members["index.json"]).unwrap();
        assert_eq!(exported["manifests"][0]["digest"], here);
        let absent = ["export", "capy-debian-12-multi", "--platform", "linux/arm64", "-o", "arm64.tar"];
        assert!(sandbox.fail(absent, 1).contains("linux/arm64"));
        assert!(!sandbox.path("arm64.tar").exists());
        sandbox.ok(["export", "capy-debian-12-multi", "--all-platforms", "-o", "all.tar"]);
        let other = Sandbox::new();
        let all = other.json(["import".as_ref(), sandbox.path("all.tar").as_os_str()]);
        assert_eq!(all[0]["digest"], rows[0]["digest"], "what is stored is exported, and comes in again");
    }
}

#[test]
fn a_complete_archive_fills_a_sparse_image_up() {
    let sandbox = Sandbox::new();
    let sparse = import(&sandbox, "sparse-oci.tar", &[]);
    let whole = import(&sandbox, "multiarch-oci.tar", &[]);
    assert_eq!(sparse[0]["digest"], whole[0]["digest"], "the fixtures hold one index");
    let inspected = &sandbox.json(["inspect", "capy-debian-12-multi"])[0];
    assert!(children(inspected).iter().all(|(_, stored)| *stored), "{inspected}");
    assert!(whole[0]["new_bytes"].as_u64().unwrap() > 0, "{whole:?}");
    let children =
        entries(&sandbox.store())[0]["annotations"]["dev.larder.children"].as_str().unwrap().to_owned();
    assert_eq!(children.split(',').count(), 2, "{children}");
}

#[test]
fn an_attestation_stays_with_its_image() {
    for read in [import, import_stdin] {
        let sandbox = Sandbox::new();
        read(&sandbox, "attest-oci.tar", &[]);
        let inspected = &sandbox.json(["inspect", "capy-debian-12-gcc12"])[0];
        let children = inspected["children"].as_array().unwrap();
        let attestation = children.iter().find(|child| child["platform"] == "unknown/unknown").unwrap();
        assert_eq!(attestation["stored"], true);
        assert_eq!(attestation["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
        let manifest = document(&sandbox.store(), attestation["digest"].as_str().unwrap());
        let statement = document(&sandbox.store(), manifest["layers"][0]["digest"].as_str().unwrap());
        assert!(statement["predicateType"].as_str().unwrap().contains("slsa.dev/provenance"), "{statement}");
        assert_eq!(
            inspected["platforms"],
            serde_json::json!(["linux/amd64"]),
            "an attestation is no platform"
        );
    }
}
