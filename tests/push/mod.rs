//! `larder push`: what the store has goes to registries, once, and whatever does not go well is said.

mod believed;
mod broken;
mod peers;
mod referrers;
mod refused;
mod sent;
pub(crate) mod taker;
mod together;

use crate::support::Sandbox;
use crate::support::image::{Image, layer, noise};
use crate::support::web::Web;

use taker::Taker;

/// The name under which [`stored`] puts an image into the store, without its registry.
const NAME: &str = "a/b:1";

/// A small image; another one for each seed, with the first layer in common.
fn small(seed: u64) -> Image {
    Image::of(&[layer("base", b"common to all"), layer("own", &noise(seed, 3000))])
}

/// A sandbox with an image in its store, under this name; where it came from is gone.
fn stored(image: &Image) -> (Sandbox, String) {
    let (sandbox, web) = (Sandbox::in_memory(), Web::new());
    let reference = web.put(NAME, image);
    sandbox.ok(["pull", "--all-platforms", "--name", "app:1", &reference]);
    (sandbox, "app:1".to_owned())
}

/// The same, and a registry to push to.
fn with(image: &Image) -> (Sandbox, String, Taker) {
    let (sandbox, name) = stored(image);
    (sandbox, name, Taker::new())
}
