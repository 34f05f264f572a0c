//! An archive that fills nearly all of its disk is consumed into a store on the same disk.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;

use serde_json::json;

use crate::badinput::full::{on_disk, text};
use crate::support::tarball::{hex, layer};
use crate::support::{Sandbox, need};

/// Layers of the archive, and the bytes of each: nothing of them can be compressed.
const LAYERS: u64 = 16;
const SIZE: u64 = 250_000_000;
/// The whole disk.
const DISK: &str = "truncate -s 4600000000 disk; mkfs.ext4 -q -m 0 disk; mount -o loop disk store";

/// Writes the archive layer by layer: it is larger than what a test should hold.
fn write(path: &Path) {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(path).unwrap()));
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    let mut layers = Vec::new();
    for _ in 0..LAYERS {
        let mut content = Vec::with_capacity(SIZE as usize);
        File::open("/dev/urandom").unwrap().take(SIZE).read_to_end(&mut content).unwrap();
        let bytes = layer("noise", &content);
        drop(content);
        let id = hex(&bytes);
        add(&format!("{id}.tar"), &bytes);
        layers.push(id);
    }
    let diff_ids: Vec<_> = layers.iter().map(|id| format!("sha256:{id}")).collect();
    let config = json!({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = config.to_string();
    let path = format!("{}.json", hex(config.as_bytes()));
    add(&path, config.as_bytes());
    let paths: Vec<_> = layers.iter().map(|id| format!("{id}.tar")).collect();
    let manifest = json!([{"Config": path, "RepoTags": ["large:1"], "Layers": paths}]);
    add("manifest.json", manifest.to_string().as_bytes());
    archive.finish().unwrap();
}

#[test]
#[ignore = "long: an archive of 4 GB"]
fn four_gigabytes_on_a_disk_with_four_point_six() {
    let sandbox = Sandbox::new();
    write(&sandbox.path("large.tar"));
    // What was verified is not copied.
    let script = "larder init >/dev/null; mv large.tar store/large.tar
        try larder import store/large.tar; try larder import store/large.tar --consume
        ls store; larder verify >/dev/null && echo verified; rm -f store/blobs/sha256/*";
    let output = need!(on_disk(&sandbox, DISK, script), "root");
    let said = text(&output);
    assert!(said.starts_with("1\n") && said.contains("bytes are needed"), "both do not fit: {said}");
    assert!(said.contains("\n0\nlarge:1 ") && said.contains("\nverified\n"), "{said}");
    assert!(!said.contains("large.tar\n"), "the archive is gone: {said}");
}
