//! Images for hand-overs: they run, and their layers are large enough to be told apart from requests.

use serde_json::Value;

use crate::support::tarball::{config, docker_archive_with, layer, members_of, noise};
use crate::support::{Sandbox, feed, fixture};

/// Bytes of the large layer at the bottom of both images.
pub(super) const BASE_SIZE: u64 = 3 << 20;
/// Bytes of the layer that the application has on top.
pub(super) const APP_SIZE: u64 = 256 << 10;

/// The layer with the program that prints its arguments.
fn hello() -> Vec<u8> {
    let members = members_of(&fixture("docker20.tar"));
    let items: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    members[items[0]["Layers"][0].as_str().unwrap()].clone()
}

/// Layers of an image that others are built on.
pub(crate) fn base() -> Vec<Vec<u8>> {
    vec![hello(), layer("usr/lib/base", &noise(1, BASE_SIZE as usize))]
}

/// Layers of an image on that base.
pub(crate) fn app() -> Vec<Vec<u8>> {
    let mut layers = base();
    layers.push(layer("opt/app", &noise(2, APP_SIZE as usize)));
    layers
}

/// Puts an image with these layers into the store.
pub(crate) fn store(sandbox: &Sandbox, name: &str, layers: &[Vec<u8>]) {
    store_config(sandbox, name, &config("linux", "amd64", layers), layers, &[]);
}

/// Puts an image with this config into the store.
pub(crate) fn store_config(sandbox: &Sandbox, name: &str, config: &Value, layers: &[Vec<u8>], more: &[&str]) {
    let archive = docker_archive_with(&config.to_string(), &[name], layers);
    let output = feed(sandbox.command(["import", "-"]).args(more), &archive);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
