//! Config bytes and diff IDs go in byte for byte, and the manifest that we make is always the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{DOCKER, GCC, OCI, column, fixtures, import, import_stdin, unpack};
use crate::support::store::{assert_nothing_pending, assert_sound, blob, document, named, reachable};
use crate::support::tarball::{members_of, sha256};
use crate::support::{Sandbox, fixture, need, peer};

#[test]
fn every_fixture_comes_in_from_a_file_and_from_a_pipe_with_one_digest() {
    for (file, args) in fixtures() {
        let (seeking, streaming) = (Sandbox::new(), Sandbox::new());
        let from_file = import(&seeking, file, &args);
        let from_pipe = import_stdin(&streaming, file, &args);
        assert_eq!(from_file, from_pipe, "{file}");
        assert!(!from_file.is_empty(), "{file}");
        for sandbox in [&seeking, &streaming] {
            assert_sound(&sandbox.store());
            assert_nothing_pending(&sandbox.store());
            for row in &from_file {
                let name = row["reference"].as_str().unwrap();
                assert_eq!(named(&sandbox.store(), name).as_deref(), row["digest"].as_str(), "{file}");
            }
        }
    }
}

#[test]
fn config_and_diff_ids_of_docker_archives_stay_as_they_were() {
    need!(peer::tool("zstd"), "zstd");
    for (file, args) in fixtures().into_iter().filter(|(file, _)| !OCI.contains(file)) {
        let sandbox = Sandbox::new();
        let rows = import(&sandbox, file, &args);
        let members = members_of(&fixture(file));
        let items: Vec<Value> = serde_json::from_slice(&members["manifest.json"]).unwrap();
        assert_eq!(items.len(), rows.len(), "{file}");
        for (item, row) in items.iter().zip(&rows) {
            let config = &members[item["Config"].as_str().unwrap()];
            assert_eq!(row["image_id"], sha256(config), "{file}: the image ID is the config's digest");
            let manifest = document(&sandbox.store(), row["digest"].as_str().unwrap());
            let stored = manifest["config"]["digest"].as_str().unwrap();
            assert_eq!(blob(&sandbox.store(), stored), *config, "{file}: config bytes");
            assert_eq!(manifest["config"]["size"], config.len(), "{file}");
            let parsed: Value = serde_json::from_slice(config).unwrap();
            let diff_ids = parsed["rootfs"]["diff_ids"].as_array().unwrap();
            let (layers, paths) =
                (manifest["layers"].as_array().unwrap(), item["Layers"].as_array().unwrap());
            assert_eq!((layers.len(), paths.len()), (diff_ids.len(), diff_ids.len()), "{file}");
            for ((layer, path), diff_id) in layers.iter().zip(paths).zip(diff_ids) {
                let digest = layer["digest"].as_str().unwrap();
                let path_of_blob = crate::support::store::blob_path(&sandbox.store(), digest);
                let plain = unpack(&path_of_blob, layer["mediaType"].as_str().unwrap()).unwrap();
                assert_eq!(*diff_id, sha256(&plain), "{file}: {digest}");
                assert_eq!(plain, members[path.as_str().unwrap()], "{file}: {path}");
            }
        }
    }
}

#[test]
fn all_that_came_with_a_digest_stays_as_it_came() {
    for file in OCI {
        let sandbox = Sandbox::new();
        let rows = import(&sandbox, file, &[]);
        let members = members_of(&fixture(file));
        let index: Value = serde_json::from_slice(&members["index.json"]).unwrap();
        assert_eq!(index["manifests"][0]["digest"], rows[0]["digest"], "{file}");
        let store = sandbox.store();
        let reached = reachable(&store, rows[0]["digest"].as_str().unwrap());
        let in_archive: BTreeMap<_, _> = members
            .iter()
            .filter_map(|(path, bytes)| Some((path.strip_prefix("blobs/sha256/")?, bytes)))
            .collect();
        for digest in &reached {
            let hex = digest.trim_start_matches("sha256:");
            assert_eq!(blob(&store, digest), *in_archive[hex], "{file}: {digest}");
        }
        // These archives hold nothing but their image.
        let all: BTreeSet<_> = in_archive.keys().map(|hex| format!("sha256:{hex}")).collect();
        assert_eq!(reached, all, "{file}");
    }
}

#[test]
fn whichever_docker_saved_the_image_the_manifest_is_the_same() {
    let digests: BTreeMap<_, _> = DOCKER
        .iter()
        .map(|file| (import(&Sandbox::new(), file, &[])[0]["digest"].clone().to_string(), file))
        .collect();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[test]
fn a_made_manifest_has_standard_fields_and_nothing_else() {
    let sandbox = Sandbox::new();
    let rows = import(&sandbox, "docker28.tar", &[]);
    let manifest = document(&sandbox.store(), rows[0]["digest"].as_str().unwrap());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        keys(&manifest),
        BTreeSet::from(["config", "layers", "mediaType", "schemaVersion"].map(String::from))
    );
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        assert_eq!(keys(part), BTreeSet::from(["digest", "mediaType", "size"].map(String::from)));
    }
    // What the source called it is not lost: it stands at the entry.
    let index = members_of(&fixture("docker28.tar"));
    let source: Value = serde_json::from_slice(&index["index.json"]).unwrap();
    let entry = &crate::support::store::entries(&sandbox.store())[0];
    assert_eq!(entry["annotations"]["dev.larder.source-digest"], source["manifests"][0]["digest"]);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let archive = crate::support::tarball::docker_archive(
        "threads:1",
        // More than one frame of 4 MiB, and a last one that is not full.
        &[
            crate::support::tarball::layer("noise", &crate::support::tarball::noise(1, 9 << 20)),
            vec![0; 1024],
        ],
    );
    let mut digests = BTreeSet::new();
    for compression in ["zstd", "gzip"] {
        for jobs in ["1", "4"] {
            let sandbox = Sandbox::new();
            let path = sandbox.path("threads.tar");
            std::fs::write(&path, &archive).unwrap();
            let args = ["import", "threads.tar", "--jobs", jobs, "--compression", compression];
            let rows = sandbox.json(args);
            digests.insert((compression, rows[0]["digest"].to_string()));
            assert_sound(&sandbox.store());
        }
    }
    assert_eq!(digests.len(), 2, "one for each compression: {digests:?}");
    for jobs in ["1", "4"] {
        let rows = import(&Sandbox::new(), "docker20.tar", &["--jobs", jobs]);
        assert_eq!(
            rows[0]["digest"],
            import(&Sandbox::new(), "docker20.tar", &[])[0]["digest"],
            "--jobs {jobs}"
        );
    }
}

#[test]
fn layers_are_compressed_as_they_are_wanted() {
    need!(peer::tool("zstd"), "zstd");
    let mut ids = BTreeSet::new();
    for (how, suffix) in
        [("none", ""), ("gzip", "+gzip"), ("gzip:1", "+gzip"), ("zstd", "+zstd"), ("zstd:9", "+zstd")]
    {
        for piped in [false, true] {
            let sandbox = Sandbox::new();
            let read = if piped { import_stdin } else { import };
            let rows = read(&sandbox, "docker20.tar", &["--compression", how]);
            ids.extend(column(&rows, "image_id").iter().map(Value::to_string));
            let store = sandbox.store();
            let manifest = document(&store, &named(&store, GCC).unwrap());
            let config = document(&store, manifest["config"]["digest"].as_str().unwrap());
            let layers = manifest["layers"].as_array().unwrap();
            for (layer, diff_id) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
                let media_type = layer["mediaType"].as_str().unwrap();
                assert_eq!(media_type, format!("application/vnd.oci.image.layer.v1.tar{suffix}"), "{how}");
                let path = crate::support::store::blob_path(&store, layer["digest"].as_str().unwrap());
                assert_eq!(*diff_id, sha256(&unpack(&path, media_type).unwrap()), "{how}");
            }
            assert_sound(&store);
        }
    }
    assert_eq!(ids.len(), 1, "the image ID stays, however its layers are compressed: {ids:?}");
    let sandbox = Sandbox::new();
    for bad in ["lz4", "zstd:0", "zstd:20", "gzip:10", "none:1", ""] {
        let archive = fixture("docker20.tar");
        sandbox.fail(["import".as_ref(), archive.as_os_str(), "--compression".as_ref(), bad.as_ref()], 2);
    }
    assert!(!sandbox.store().exists());
}
