//! Gigabytes, of holes: how much is read, and what comes in.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::reuse::bytes_read;
use crate::support::store::{assert_sound, document};
use crate::support::tarball::sha256;
use crate::support::{Sandbox, need, peer};

const GIB: u64 = 1 << 30;

/// A header of a file in a tar.
fn header(path: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// The diff ID of a layer that has one file of so many zeros (a multiple of 512).
fn diff_id(zeros: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(header("zeros", zeros).as_bytes());
    let chunk = vec![0; 1 << 20];
    let mut left = zeros + 1024;
    while left > 0 {
        let part = left.min(chunk.len() as u64);
        hash.update(&chunk[..usize::try_from(part).unwrap()]);
        left -= part;
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A docker-archive of one image with that layer, as a sparse file; returns the image ID.
fn write_archive(path: &Path, name: &str, diff_id: &str, zeros: u64, marker: &str) -> String {
    let layer = format!("{}.tar", diff_id.trim_start_matches("sha256:"));
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"Labels": {"marker": marker}},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = config.to_string();
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": [&layer]}]).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(header(&layer, 512 + zeros + 1024).as_bytes()).unwrap();
    file.write_all(header("zeros", zeros).as_bytes()).unwrap();
    file.seek(SeekFrom::Current(i64::try_from(zeros + 1024).unwrap())).unwrap();
    for (path, text) in [("config.json", &config), ("manifest.json", &manifest)] {
        file.write_all(header(path, text.len() as u64).as_bytes()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.write_all(&vec![0; text.len().next_multiple_of(512) - text.len()]).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
    sha256(config.as_bytes())
}

#[test]
#[ignore = "long: hashes and compresses 5 GiB"]
fn a_layer_of_5_gib_comes_in_and_goes_out() {
    let sandbox = Sandbox::new();
    let diff_id = diff_id(5 * GIB);
    let image_id = write_archive(&sandbox.path("large.tar"), "large:1", &diff_id, 5 * GIB, "one");
    let rows = sandbox.json(["import", "large.tar"]);
    assert_eq!(rows[0]["image_id"], image_id);
    assert_sound(&sandbox.store());
    let inspected = sandbox.json(["inspect", "large:1"]);
    assert_eq!(inspected[0]["layers"][0]["diff_id"], diff_id);
    let manifest = document(&sandbox.store(), rows[0]["digest"].as_str().unwrap());
    let stored = manifest["layers"][0]["size"].as_u64().unwrap();
    assert!(stored < 5 * GIB / 1000, "{stored}: zeros compress");
    sandbox.ok(["verify"]);
    // The newest skopeo reads it and checks the digests of what it unpacks.
    let mut skopeo = need!(peer::forky("skopeo", sandbox.root()), "skopeo of forky");
    skopeo.args(["--insecure-policy", "inspect", "--raw", "--config", "oci:store:large:1"]);
    assert_eq!(sha256(crate::support::run(&mut skopeo).as_bytes()), image_id);
}

#[test]
#[ignore = "long: hashes and compresses 4 GiB"]
fn of_an_archive_of_4_gib_whose_layers_are_there_less_than_1_mib_is_read() {
    let sandbox = Sandbox::new();
    need!(peer::tool("strace"), "strace");
    let diff_id = diff_id(4 * GIB);
    write_archive(&sandbox.path("one.tar"), "large:1", &diff_id, 4 * GIB, "one");
    let other = write_archive(&sandbox.path("two.tar"), "large:2", &diff_id, 4 * GIB, "two");
    sandbox.ok(["import", "one.tar"]);
    // Another image of the same layer, and then the very same image.
    for _ in 0..2 {
        let args = ["import", "two.tar", "--format", "json"];
        let read = need!(bytes_read(&sandbox, "two.tar", &args), "strace");
        assert!((1..1 << 20).contains(&read), "{read} bytes of an archive of 4 GiB were read");
        assert_eq!(sandbox.json(["inspect", "large:2"])[0]["image_id"], other);
    }
    assert_sound(&sandbox.store());
}
