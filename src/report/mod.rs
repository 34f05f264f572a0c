//! The store as one page of HTML: a map of its bytes, growth and use, what a prune would take, the largest packages.
//!
//! The page has all in itself and asks nobody for anything. Names and versions come from outside: they are in it as JSON in which nothing can end
//! the script's element, and are shown as text. Values in, a page out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use larder_store::df::{Parts, Usage, usage};
use larder_store::digest::Digest;
use serde::Serialize;

#[cfg(test)]
mod tests;

const PAGE: &str = include_str!("page.html");
/// Packages in the list of the largest.
const LARGEST: usize = 100;
const DAY: i64 = 86_400;

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
    /// What a blob is, where it is no layer.
    pub(crate) labels: HashMap<Digest, String>,
    /// Bytes of all blobs.
    pub(crate) on_disk: u64,
    /// Bytes of layers that only builds need.
    pub(crate) step_bytes: u64,
    /// Bytes that are free on the disk.
    pub(crate) free: u64,
    /// Bytes that a prune would free; why that is not known.
    pub(crate) freed: Result<u64, String>,
    /// Packages with their kinds and installed bytes, of each image that was looked into.
    pub(crate) packages: Vec<Vec<Installed>>,
}

/// An image.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) name: String,
    /// Seconds since 1970.
    pub(crate) imported: Option<i64>,
    pub(crate) last_used: Option<i64>,
    /// What a prune would do with it, and why.
    pub(crate) verdict: String,
    pub(crate) goes: bool,
}

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Installed {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) bytes: u64,
}

#[derive(Serialize)]
struct Image<'a> {
    name: &'a str,
    total: u64,
    unique: u64,
    shared: u64,
    imported: Option<i64>,
    last_used: Option<i64>,
    verdict: &'a str,
    goes: bool,
}

#[derive(Serialize)]
struct Prune<'a> {
    freed: u64,
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
    /// Size, the images that have it, what it is.
    blobs: Vec<(u64, Vec<usize>, String)>,
    growth: Vec<(i64, u64)>,
    uses: Vec<(i64, u64)>,
    prune: Prune<'a>,
    packages: Vec<(String, &'static str, u64, usize)>,
    packages_of: usize,
}

/// The page.
pub(crate) fn page(given: &Given) -> String {
    let usage = usage(&given.parts);
    // Images as they stand in the table: those that take most first.
    let mut order: Vec<_> = given.parts.keys().copied().collect();
    order.sort_by_key(|digest| (std::cmp::Reverse(usage.images[digest].unique), *digest));
    let nobody = About::default();
    let about = |digest: &Digest| given.images.get(digest).unwrap_or(&nobody);
    let images = order.iter().map(|digest| {
        let (About { name, imported, last_used, verdict, goes }, sizes) =
            (about(digest), usage.images[digest]);
        Image {
            name,
            total: sizes.total,
            unique: sizes.unique,
            shared: sizes.shared,
            imported: *imported,
            last_used: *last_used,
            verdict,
            goes: *goes,
        }
    });
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
        growth: growth(given),
        uses: uses(given, &usage),
        prune: Prune {
            freed: *given.freed.as_ref().unwrap_or(&0),
            error: given.freed.as_ref().err().map(String::as_str),
        },
        packages: largest(&given.packages),
        packages_of: given.packages.len(),
    };
    let json = serde_json::to_string(&data).expect("numbers and strings serialise");
    // `</script>` and `<!--` mean something to HTML also inside of a string (HTML standard, "Restrictions for contents of script elements").
    let json = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    PAGE.replacen("@DATA@", &json, 1)
}

fn blobs(given: &Given, order: &[Digest]) -> Vec<(u64, Vec<usize>, String)> {
    let mut users: BTreeMap<Digest, (u64, Vec<usize>)> = BTreeMap::new();
    for (number, image) in order.iter().enumerate() {
        for (blob, size) in &given.parts[image] {
            let (known, images) = users.entry(*blob).or_default();
            *known = *size;
            images.push(number);
        }
    }
    let label =
        |blob: &Digest| given.labels.get(blob).cloned().unwrap_or_else(|| format!("layer {}", blob.short()));
    users.into_iter().map(|(blob, (size, images))| (size, images, label(&blob))).collect()
}

/// Bytes that are here by the day on which the first image came that has them, from day to day.
fn growth(given: &Given) -> Vec<(i64, u64)> {
    let mut first: HashMap<Digest, (i64, u64)> = HashMap::new();
    for (image, blobs) in &given.parts {
        let Some(imported) = given.images.get(image).and_then(|about| about.imported) else { continue };
        for (blob, size) in blobs {
            let (day, _) = first.entry(*blob).or_insert((i64::MAX, *size));
            *day = (*day).min(imported.div_euclid(DAY));
        }
    }
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for (day, size) in first.into_values() {
        *days.entry(day).or_default() += size;
    }
    let mut sum = 0;
    let sums = days.into_iter().map(|(day, size)| {
        sum += size;
        (day, sum)
    });
    sums.collect()
}

fn uses(given: &Given, usage: &Usage) -> Vec<(i64, u64)> {
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for (image, about) in &given.images {
        if let (Some(last), Some(sizes)) = (about.last_used, usage.images.get(image)) {
            *days.entry(last.div_euclid(DAY)).or_default() += sizes.total;
        }
    }
    days.into_iter().collect()
}

/// The packages that take most, by the largest of their versions; and in how many images each is.
fn largest(images: &[Vec<Installed>]) -> Vec<(String, &'static str, u64, usize)> {
    let mut all: BTreeMap<(&str, &'static str), (u64, usize)> = BTreeMap::new();
    for packages in images {
        let mut seen = BTreeSet::new();
        for package in packages {
            let key = (package.name.as_str(), package.kind);
            let (bytes, count) = all.entry(key).or_default();
            *bytes = (*bytes).max(package.bytes);
            *count += usize::from(seen.insert(key));
        }
    }
    let mut all: Vec<_> =
        all.into_iter().map(|((name, kind), (bytes, count))| (name.to_owned(), kind, bytes, count)).collect();
    all.sort_by(|a, b| (b.2, &a.0).cmp(&(a.2, &b.0)));
    all.retain(|(_, _, bytes, _)| *bytes > 0);
    all.truncate(LARGEST);
    all
}
