//! Out of a real tool, into the store, out again, into a real tool, and run there.

mod archive;
mod engines;
mod foreign_layers;
mod gzip;
mod output;
mod podman;
mod readers;
mod skopeo;

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

pub(crate) use crate::import::{CLANG, GCC};
use crate::support::store::{assert_sound, blob, document, named};
use crate::support::tarball::{members_of, sha256};
use crate::support::{Sandbox, fixture};

/// What the images of the fixtures print.
pub(crate) const GREETING: &str = "hello from larder\n";

/// A sandbox with a store into which this fixture was imported.
pub(crate) fn imported(file: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(["import".as_ref(), fixture(file).as_os_str()]);
    sandbox
}

/// The config that a docker-archive names for its first image.
fn config_of(archive: &Path) -> Vec<u8> {
    let members = members_of(archive);
    let items: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    members[items[0]["Config"].as_str().unwrap()].clone()
}

/// The image in the store has this config byte for byte, and layers of its diff IDs.
fn assert_is_image(sandbox: &Sandbox, name: &str, config: &[u8]) {
    let store = sandbox.store();
    assert_sound(&store);
    let manifest = document(&store, &named(&store, name).unwrap());
    let stored = blob(&store, manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(config), "{name}: config bytes");
    let parsed: Value = serde_json::from_slice(config).unwrap();
    let inspected = &sandbox.json(["inspect", name])[0];
    let diff_ids: Vec<_> =
        inspected["layers"].as_array().unwrap().iter().map(|layer| layer["diff_id"].clone()).collect();
    assert_eq!(Value::from(diff_ids), parsed["rootfs"]["diff_ids"], "{name}");
    assert_eq!(inspected["image_id"], sha256(config), "{name}");
}

/// `larder export REF -o FILE` and more arguments.
fn export(sandbox: &Sandbox, reference: &str, file: &str, more: &[&str]) {
    let args = ["export", reference, "-o", file].into_iter().chain(more.iter().copied());
    sandbox.ok(args.map(OsStr::new));
}
