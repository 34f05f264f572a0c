//! The store as one page of HTML: a map of its bytes, growth and use, what a prune would take, the largest packages.
//!
//! The page has all in itself and asks nobody for anything. Names and versions come from outside: they are in it as JSON in which nothing can end
//! the script's element, and are shown as text. Values in, a page out.

mod html;
mod packages;
#[cfg(test)]
mod tests;
mod time;

use std::collections::{BTreeMap, HashMap};

use larder_store::df::{Parts, usage};
use larder_store::digest::Digest;
use serde::Serialize;

pub(crate) use packages::Installed;

/// All that the page shows of a store.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// Its directory.
    pub(crate) store: String,
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// The blobs of each image that are there, each with its size in bytes.
    pub(crate) parts: Parts,
    /// What is known of each image.
    pub(crate) images: BTreeMap<Digest, About>,
    /// What each blob is.
    pub(crate) kinds: HashMap<Digest, String>,
    /// Bytes of all blobs.
    pub(crate) on_disk: u64,
    /// Bytes of layers that only builds need.
    pub(crate) step_bytes: u64,
    /// Bytes that are free on the disk.
    pub(crate) free: u64,
    /// What a prune would do now; why that is not known.
    pub(crate) prune: Result<Taken, String>,
    /// Packages with their kinds and installed bytes, of each image that was looked into.
    pub(crate) packages: Vec<Vec<Installed>>,
}

/// An image.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct About {
    pub(crate) name: String,
    /// Seconds since 1970.
    pub(crate) imported: Option<i64>,
    pub(crate) last_used: Option<i64>,
    /// What a prune would do with it, and why.
    pub(crate) verdict: String,
    pub(crate) goes: bool,
    /// Whether it is none itself, and is here for one that it says something about.
    pub(crate) is_document: bool,
}

/// What a prune would take.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Taken {
    /// Bytes of all that it would take.
    pub(crate) freed: u64,
    /// What it would say itself.
    pub(crate) words: Vec<String>,
}

#[derive(Serialize)]
struct Image<'a> {
    #[serde(flatten)]
    about: Option<&'a About>,
    total: u64,
    unique: u64,
    shared: u64,
}

#[derive(Serialize)]
struct Prune<'a> {
    #[serde(flatten)]
    taken: &'a Taken,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Data<'a> {
    store: &'a str,
    version: &'a str,
    now: i64,
    on_disk: u64,
    stored: u64,
    saved: u64,
    unreferenced: u64,
    step_bytes: u64,
    free: u64,
    images: Vec<Image<'a>>,
    /// Size, the images that have it, what it is, the begin of its digest.
    blobs: Vec<(u64, Vec<usize>, &'a str, String)>,
    growth: Vec<(i64, u64)>,
    uses: Vec<(i64, u64)>,
    /// Bytes of which no use is known.
    unused: u64,
    prune: Prune<'a>,
    packages: Vec<packages::Large>,
    packages_of: usize,
}

/// The page.
pub(crate) fn page(given: &Given) -> String {
    let usage = usage(&given.parts);
    // Images as they stand in the table: those that take most first.
    let mut order: Vec<_> = given.parts.keys().copied().collect();
    order.sort_by_key(|digest| (std::cmp::Reverse(usage.images[digest].unique), *digest));
    let images = order.iter().map(|digest| {
        let sizes = usage.images[digest];
        let about = given.images.get(digest);
        Image { about, total: sizes.total, unique: sizes.unique, shared: sizes.shared }
    });
    let nothing = Taken::default();
    let (uses, unused) = time::uses(&given.parts, &given.images);
    let data = Data {
        store: &given.store,
        version: env!("CARGO_PKG_VERSION"),
        now: given.now,
        on_disk: given.on_disk,
        stored: usage.stored,
        saved: usage.saved,
        unreferenced: given.on_disk.saturating_sub(usage.stored).saturating_sub(given.step_bytes),
        step_bytes: given.step_bytes,
        free: given.free,
        images: images.collect(),
        blobs: blobs(given, &order),
        growth: time::growth(&given.parts, &given.images),
        uses,
        unused,
        prune: Prune {
            taken: given.prune.as_ref().unwrap_or(&nothing),
            error: given.prune.as_ref().err().map(String::as_str),
        },
        packages: packages::largest(&given.packages),
        packages_of: given.packages.len(),
    };
    html::page(&serde_json::to_string(&data).expect("numbers and strings serialise"))
}

fn blobs<'a>(given: &'a Given, order: &[Digest]) -> Vec<(u64, Vec<usize>, &'a str, String)> {
    let mut users: BTreeMap<Digest, (u64, Vec<usize>)> = BTreeMap::new();
    for (number, image) in order.iter().enumerate() {
        for (blob, size) in &given.parts[image] {
            let (known, images) = users.entry(*blob).or_default();
            *known = *size;
            images.push(number);
        }
    }
    let kind = |blob: &Digest| given.kinds.get(blob).map_or("blob", String::as_str);
    users.into_iter().map(|(blob, (size, images))| (size, images, kind(&blob), blob.short())).collect()
}
