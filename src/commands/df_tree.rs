//! `df --tree`: images with their blobs, each with a bar as long as its part of the store.

use std::collections::HashMap;

use larder_store::df::{Parts, Usage};
use larder_store::digest::Digest;

use crate::cli::{count, human, safe};

/// Columns of a bar.
const BAR: u64 = 24;
/// Blobs of an image that have a line each; manifests and configs are small and many.
const SHOWN: usize = 12;

/// The tree's lines; images are given with their names, in their order.
pub(super) fn tree(images: &[(String, Digest)], parts: &Parts, usage: &Usage) -> String {
    let mut users: HashMap<Digest, u64> = HashMap::new();
    for blob in parts.values().flat_map(HashMap::keys) {
        *users.entry(*blob).or_default() += 1;
    }
    let mut out = String::new();
    for (name, digest) in images {
        let (sizes, blobs) = (usage.images[digest], &parts[digest]);
        let all = bar(sizes.unique, sizes.shared, usage.stored);
        out += &format!("{all} {:>9}  {}\n", human(sizes.total), safe(name));
        let mut blobs: Vec<_> = blobs.iter().map(|(blob, size)| (*size, *blob)).collect();
        blobs.sort_by_key(|(size, blob)| (std::cmp::Reverse(*size), *blob));
        let (shown, rest) = blobs.split_at(blobs.len().min(SHOWN));
        for (number, (size, blob)) in shown.iter().enumerate() {
            let others = users[blob] - 1;
            let (own, shared) = if others == 0 { (*size, 0) } else { (0, *size) };
            let branch = if number + 1 == blobs.len() { "└─" } else { "├─" };
            let with = match others {
                0 => String::new(),
                others => format!(", shared with {}", count(others as usize, "image")),
            };
            let line = bar(own, shared, usage.stored);
            out += &format!("{line} {:>9}  {branch} {}{with}\n", human(*size), blob.short());
        }
        if !rest.is_empty() {
            let bytes = rest.iter().map(|(size, _)| size).sum();
            let line = bar(bytes, 0, usage.stored);
            out += &format!("{line} {:>9}  └─ {} more\n", human(bytes), rest.len());
        }
    }
    out
}

/// What an image has for itself, and what it shares, of the whole; the rest is blank.
pub(super) fn bar(own: u64, shared: u64, whole: u64) -> String {
    let columns = |bytes: u64| {
        let part = u128::from(bytes.min(whole)) * u128::from(BAR);
        u64::try_from((part + u128::from(whole / 2)).checked_div(u128::from(whole)).unwrap_or(0))
            .unwrap_or(BAR)
    };
    let all = columns(own.saturating_add(shared));
    let own = columns(own).min(all);
    let repeat = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or(0));
    format!("{}{}{}", repeat("█", own), repeat("▒", all - own), repeat("·", BAR - all))
}

#[cfg(test)]
mod tests {
    use larder_store::df::usage;

    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        for (own, shared, whole, text) in [
            (0, 0, 0, "························"),
            (50, 50, 100, "████████████▒▒▒▒▒▒▒▒▒▒▒▒"),
            (25, 0, 100, "██████··················"),
            (0, 200, 100, "▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒"),
            (u64::MAX, u64::MAX, u64::MAX, "████████████████████████"),
        ] {
            assert_eq!(bar(own, shared, whole), text, "{own} {shared} {whole}");
        }
    }

    #[test]
    fn a_tree_says_who_shares() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let parts = Parts::from([
            (digest("a"), [(digest("base"), 100), (digest("x"), 50)].into()),
            (digest("b"), [(digest("base"), 100)].into()),
        ]);
        let images = [("a:1".to_owned(), digest("a")), ("b\x1b[2J".to_owned(), digest("b"))];
        let text = tree(&images, &parts, &usage(&parts));
        let words = text.lines().map(|line| line.trim_start_matches(['█', '▒', '·', ' ']).to_owned());
        let [base, x] = ["base", "x"].map(|name| digest(name).short());
        let expected = [
            "150 B  a:1".to_owned(),
            format!("100 B  ├─ {base}, shared with 1 image"),
            format!("50 B  └─ {x}"),
            "100 B  b\\u{1b}[2J".to_owned(),
            format!("100 B  └─ {base}, shared with 1 image"),
        ];
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }
}
