//! Registries: what one has comes into the store, once, whatever the network does; and as whom, and by which way, it is asked.

mod absent;
mod access;
mod bad;
mod broken;
mod build;
mod login;
mod mirrors;
mod odd;
mod peers;
mod plain_http;
mod pull;
mod referrers;
mod sync;
mod sync_broken;
mod sync_delete;
mod sync_pair;
mod sync_real;
mod sync_store;
mod sync_to;
mod together;
mod variable;

use std::path::Path;

use crate::support::Sandbox;
use crate::support::image::{Image, layer, noise};
use crate::support::store;
use crate::support::web::Web;

/// A small image; another one for each seed, with the first layer in common.
fn small(seed: u64) -> Image {
    Image::of(&[layer("base", b"common to all"), layer("own", &noise(seed, 3000))])
}

/// A sandbox and a registry with one image in it, under this name.
fn with(image: &Image) -> (Sandbox, Web, String) {
    let web = Web::new();
    let reference = web.put("a/b:1", image);
    (Sandbox::in_memory(), web, reference)
}

/// The digest behind the one name that there is.
fn only(store: &Path) -> String {
    let entries = store::entries(store);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0]["digest"].as_str().unwrap().to_owned()
}

/// Nothing has a name, and what is there is whole.
fn assert_empty(sandbox: &Sandbox) {
    assert!(store::entries(&sandbox.store()).is_empty());
    store::assert_blobs_match(&sandbox.store());
}
