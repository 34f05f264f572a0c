//! The catalogue: names by the convention, what is declared of images, and what is in them.
//!
//! Which names there are and what is proposed for others is decided by pure functions with tests of their own
//! (`src/catalog/`); here is what stands around them.

mod debian;
mod declared;
mod facts;
mod freshness;
mod gone;
mod names;
mod resolve;
mod tree_bad;
mod tree_files;
mod tree_roundtrip;
mod tree_together;
mod workflow;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::store::{REF_NAME, entries};
use crate::support::tarball::{Tarball, config, docker_archive_with, layer, members};

/// An archive of images with these names each, written into the sandbox.
fn archive(sandbox: &Sandbox, file: &str, images: &[&[&str]]) -> Vec<u8> {
    let mut all = Tarball::new();
    let mut items = Vec::new();
    for names in images {
        let layers = [layer("name", names.concat().as_bytes())];
        let one = docker_archive_with(&config("linux", "amd64", &layers).to_string(), names, &layers);
        for (path, bytes) in members(&one) {
            if path == "manifest.json" {
                items.push(serde_json::from_slice::<Value>(&bytes).unwrap()[0].clone());
            } else {
                all.file(&path, &bytes);
            }
        }
    }
    all.file("manifest.json", json!(items).to_string().as_bytes());
    let bytes = all.bytes();
    std::fs::write(sandbox.path(file), &bytes).unwrap();
    bytes
}

/// Writes the store's settings.
fn settings(sandbox: &Sandbox, text: &str) {
    sandbox.ok(["init"]);
    std::fs::write(sandbox.store().join(".larder/larder.toml"), text).unwrap();
}

/// What is declared of a name, as `key=value` words.
fn declared(sandbox: &Sandbox, name: &str) -> String {
    const WORDS: [&str; 7] = ["project", "os", "arch", "variant", "compilers", "packages", "tools"];
    let entries = entries(&sandbox.store());
    let entry = entries.iter().find(|entry| entry["annotations"][REF_NAME] == name);
    let annotations = &entry.unwrap_or_else(|| panic!("no {name}"))["annotations"];
    let said = |word| Some(format!("{word}={}", annotations[format!("dev.larder.{word}")].as_str()?));
    WORDS.into_iter().filter_map(said).collect::<Vec<_>>().join(" ")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("{name}:latest")).collect()
}
