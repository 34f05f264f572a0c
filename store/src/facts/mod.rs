//! Facts: what an image says about itself, read from its layers without running or unpacking it.
//!
//! `os-release`, the databases of dpkg, apk and pacman, and the programs on the PATH, in the file system that the layers
//! make together (whiteouts and links honoured). Facts are kept in `.larder/cache/` by image ID, with a [`Brief`] of each in one
//! file, and the [`Listing`] of each layer by diff ID; all may be lost at any time. Listings are made whenever a layer's plain bytes pass anyway, so that later only
//! the files that matter are unpacked. What is damaged is named in `problems`, and the rest goes on.
//!
//! All input is hostile: sizes and counts are capped, nothing is written but the cache, and what is kept has no control
//! characters.

mod brief;
mod compilers;
mod content;
pub mod databases;
mod lister;
mod listing;
pub mod os_release;
mod programs;
mod read;
#[cfg(test)]
mod tests;
mod view;

use serde::{Deserialize, Serialize};

pub use self::brief::{Brief, Head, Sought, brief_of, briefs};
pub use self::compilers::Compiler;
pub use self::databases::{Installed, Package, PackageKind};
pub use self::lister::Lister;
pub use self::listing::Listing;
pub use self::os_release::Os;
pub use self::programs::Program;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::layers::LayerCache;
use crate::manifest::ImageManifest;
use crate::store::Store;

/// The version of what is written; another one is read anew.
const FORMAT: u32 = 1;

/// What was read from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// As Go's `GOARCH`, from the config.
    pub architecture: String,
    /// What `os-release` says; none where the image has no such file.
    pub os: Option<Os>,
    /// The C and C++ compilers, sorted.
    pub compilers: Vec<Compiler>,
    /// The installed packages, sorted by name.
    pub packages: Vec<Package>,
    /// The programs on the PATH, sorted by name.
    pub programs: Vec<Program>,
    /// What could not be read, in sentences for people.
    pub problems: Vec<String>,
}

/// The facts of an image: those that are known, or else read now and kept. Whatever was damaged inside of the image is no
/// error here; a blob that is missing or does not unpack is one.
pub fn of_image(store: &Store, image: &ImageManifest, cancel: &Cancel) -> Result<Facts> {
    Ok(facts_of(store, &store.layers()?, image, cancel)?.0)
}

/// The facts of an image, and whether they were read now.
fn facts_of(
    store: &Store,
    cache: &LayerCache,
    image: &ImageManifest,
    cancel: &Cancel,
) -> Result<(Facts, bool)> {
    let id = image.image_id();
    if let Some(facts) = cache.image(&id).and_then(|bytes| known(&bytes)) {
        return Ok((facts, false));
    }
    let facts = read::read(store, cache, image, cancel)?;
    cache.learn_image(&id, &serde_json::to_vec(&(FORMAT, &facts)).expect("strings and numbers serialise"));
    brief::learn(cache, &id, &facts);
    Ok((facts, true))
}

fn known(bytes: &[u8]) -> Option<Facts> {
    let (format, facts) = serde_json::from_slice::<(u32, Facts)>(bytes).ok()?;
    (format == FORMAT).then_some(facts)
}
