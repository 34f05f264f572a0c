//! Bytes over time: when they came, and when they were used last.

use std::collections::{BTreeMap, HashMap};

use larder_store::df::Parts;
use larder_store::digest::Digest;

use super::About;

const DAY: i64 = 86_400;

/// Days since 1970, each with bytes.
type Days = Vec<(i64, u64)>;

/// Bytes that are here by the day on which the first image came that has them, summed up from day to day.
pub(super) fn growth(parts: &Parts, images: &BTreeMap<Digest, About>) -> Days {
    let mut first: HashMap<Digest, (i64, u64)> = HashMap::new();
    for (image, blobs) in parts {
        let Some(imported) = images.get(image).and_then(|about| about.imported) else { continue };
        for (blob, size) in blobs {
            let (day, _) = first.entry(*blob).or_insert((i64::MAX, *size));
            *day = (*day).min(imported.div_euclid(DAY));
        }
    }
    let mut sum = 0;
    let sums = by_day(first.into_values()).into_iter().map(|(day, size)| {
        sum += size;
        (day, sum)
    });
    sums.collect()
}

/// Bytes by the day on which an image that has them was used last; and bytes of which no use is known.
pub(super) fn uses(parts: &Parts, images: &BTreeMap<Digest, About>) -> (Days, u64) {
    let mut last: HashMap<Digest, (Option<i64>, u64)> = HashMap::new();
    for (image, blobs) in parts {
        let used = images.get(image).and_then(|about| about.last_used);
        for (blob, size) in blobs {
            let (day, _) = last.entry(*blob).or_insert((None, *size));
            *day = (*day).max(used.map(|used| used.div_euclid(DAY)));
        }
    }
    let unused = last.values().filter(|(day, _)| day.is_none()).map(|(_, size)| size).sum();
    (by_day(last.into_values().filter_map(|(day, size)| Some((day?, size)))), unused)
}

fn by_day(blobs: impl Iterator<Item = (i64, u64)>) -> Days {
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for (day, size) in blobs {
        *days.entry(day).or_default() += size;
    }
    days.into_iter().collect()
}
