//! Aliases that follow from tags: of `9.0.200` the prefixes `9` and `9.0`, given to the highest tag that has them. Pure.
//!
//! Tags whose suffix differs, `-beta` or a variant's, have aliases of their own: `9-beta`. Tags that are no versions by the image's
//! order are left alone.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::keys::ORDERS;

/// What counts as a version, and which one is the highest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// `X.Y.Z`, also with a `v` before it, which aliases do not have (semver.org, item 2: numbers without leading zeros).
    #[default]
    Semver,
    /// A year of two or four digits and up to three numbers more: `2025.09`, `24.04.1` (calver.org).
    Calver,
    /// Anything with dots: digits count as numbers, all else by its letters.
    Natural,
}

impl Order {
    /// By its word in `image.yml`.
    pub(super) fn of(word: &str) -> Option<Order> {
        let at = ORDERS.iter().position(|known| *known == word)?;
        [Order::Semver, Order::Calver, Order::Natural].get(at).copied()
    }
}

/// A tag as a version: its parts, and what stands behind them.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    parts: Vec<&'a str>,
    suffix: &'a str,
}

impl<'a> Version<'a> {
    fn parse(tag: &'a str, order: Order) -> Option<Version<'a>> {
        let end = tag.find(['-', '_']).unwrap_or(tag.len());
        let (version, suffix) = tag.split_at(end);
        let version = match order {
            Order::Semver => version.strip_prefix('v').unwrap_or(version),
            Order::Calver | Order::Natural => version,
        };
        let parts: Vec<_> = version.split('.').collect();
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_one = match order {
            Order::Semver => {
                let is_plain = |part: &&str| is_number(part) && (*part == "0" || !part.starts_with('0'));
                parts.len() == 3 && parts.iter().all(is_plain)
            }
            Order::Calver => {
                (2..=4).contains(&parts.len())
                    && parts.iter().all(is_number)
                    && matches!(parts[0].len(), 2 | 4)
            }
            Order::Natural => parts.len() > 1 && parts.iter().all(|part| !part.is_empty()),
        };
        is_one.then_some(Version { parts, suffix })
    }

    fn compare(&self, other: &Version<'_>) -> Ordering {
        let parts = self.parts.iter().zip(&other.parts).map(|(a, b)| compare(a, b));
        parts.fold(Ordering::Equal, Ordering::then).then(self.parts.len().cmp(&other.parts.len()))
    }
}

/// Runs of digits by their number, however long; all else by its bytes.
fn compare(a: &str, b: &str) -> Ordering {
    let mut runs = (runs(a).into_iter(), runs(b).into_iter());
    loop {
        let order = match (runs.0.next(), runs.1.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.len().cmp(&b.len()).then(a.cmp(b)),
                _ => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn runs(text: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        runs.push(run);
        rest = behind;
    }
    runs
}

/// Digits without leading zeros.
fn number(run: &str) -> Option<&str> {
    run.starts_with(|c: char| c.is_ascii_digit()).then(|| run.trim_start_matches('0'))
}

/// Aliases of tags, each a tag of the image and the suffix that a variant puts behind it: alias and number of the tag that it means.
pub(super) fn generated(tags: &[(&str, &str)], order: Order) -> Vec<(String, usize)> {
    let versions: Vec<_> = tags.iter().map(|(tag, _)| Version::parse(tag, order)).collect();
    let mut aliases: Vec<(String, usize)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (number, (version, (_, behind))) in versions.iter().zip(tags).enumerate() {
        let Some(version) = version else { continue };
        for length in 1..version.parts.len() {
            let alias = format!("{}{}{behind}", version.parts[..length].join("."), version.suffix);
            match known.get(&alias) {
                None => {
                    known.insert(alias.clone(), aliases.len());
                    aliases.push((alias, number));
                }
                Some(at) => {
                    let best = &mut aliases[*at].1;
                    let is_higher = versions[*best]
                        .as_ref()
                        .is_none_or(|best| version.compare(best) == Ordering::Greater);
                    if is_higher {
                        *best = number;
                    }
                }
            }
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn aliases(tags: &[&str], order: Order) -> Vec<String> {
        let with_suffix: Vec<_> = tags.iter().map(|tag| (*tag, "")).collect();
        let said = generated(&with_suffix, order).into_iter();
        said.map(|(alias, tag)| format!("{alias}={}", tags[tag])).collect()
    }

    #[test]
    fn prefixes_are_given_to_the_highest() {
        use Order::{Calver, Natural, Semver};
        for (order, tags, expected) in [
            (Semver, "9.0.100 9.0.200 9.1.50", "9=9.1.50 9.0=9.0.200 9.1=9.1.50"),
            (Semver, "1.10.0 1.9.0", "1=1.10.0 1.10=1.10.0 1.9=1.9.0"),
            (Semver, "1.0.0 1.0.1-beta", "1=1.0.0 1.0=1.0.0 1-beta=1.0.1-beta 1.0-beta=1.0.1-beta"),
            (Semver, "v9.0.100", "9=v9.0.100 9.0=v9.0.100"),
            (Semver, "v1.0.0 1.0.0", "1=v1.0.0 1.0=v1.0.0"),
            (Semver, "latest 2025.09 24.04 1.2.3.4 1.2 1.2.x 1.2.3rc1", ""),
            (Semver, "24.04.1 1.02.3", ""),
            (Semver, "0.0.1", "0=0.0.1 0.0=0.0.1"),
            (
                Semver,
                "1.99999999999999999999999.0 1.100000000000000000000000.0",
                "1=1.100000000000000000000000.0 1.99999999999999999999999=1.99999999999999999999999.0 \
                 1.100000000000000000000000=1.100000000000000000000000.0",
            ),
            (Calver, "2025.09 2025.10 2024.12", "2025=2025.10 2024=2024.12"),
            (Calver, "24.04.1 24.10", "24=24.10 24.04=24.04.1"),
            (
                Calver,
                "2025.9.10 2025.9.9-slim",
                "2025=2025.9.10 2025.9=2025.9.10 2025-slim=2025.9.9-slim 2025.9-slim=2025.9.9-slim",
            ),
            (Calver, "9.1 123.4 v24.04 2025-09-01 latest 2025", ""),
            (Natural, "alpine3.9 alpine3.18", "alpine3=alpine3.18"),
            (Natural, "1.2rc10 1.2rc9 1.2", "1=1.2rc10"),
            (Natural, "a.1 a.01 a..b latest", "a=a.1"),
        ] {
            let tags: Vec<_> = tags.split(' ').collect();
            assert_eq!(aliases(&tags, order).join(" "), expected, "{order:?} {tags:?}");
        }
    }

    #[test]
    fn a_variant_has_its_own() {
        let tags = [("9.0.100", ""), ("9.0.200", ""), ("9.0.100", "-semantic"), ("9.0.100-rc", "-semantic")];
        let said = generated(&tags, Order::Semver);
        let expected = [
            ("9", 1),
            ("9.0", 1),
            ("9-semantic", 2),
            ("9.0-semantic", 2),
            ("9-rc-semantic", 3),
            ("9.0-rc-semantic", 3),
        ];
        assert_eq!(said, expected.map(|(alias, tag)| (alias.to_owned(), tag)));
    }

    fn tag() -> impl Strategy<Value = String> {
        let number = prop_oneof![0..3_u32, 9..12_u32, 99..101_u32];
        (prop::collection::vec(number, 1..4), prop_oneof![Just(""), Just("-a"), Just("-b.1")]).prop_map(
            |(numbers, suffix)| {
                let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
                format!("{}{suffix}", numbers.join("."))
            },
        )
    }

    proptest! {
        /// Against the definition: the highest by its numbers of all tags that have the prefix and the suffix.
        #[test]
        fn each_alias_means_the_highest_tag_with_that_prefix(tags in prop::collection::vec(tag(), 0..12)) {
            let pairs: Vec<_> = tags.iter().map(|tag| (tag.as_str(), "")).collect();
            let said = generated(&pairs, Order::Semver);
            let split = |tag: &str| -> (Vec<u32>, String) {
                let (version, suffix) = tag.split_once('-').unwrap_or((tag, ""));
                (version.split('.').map(|part| part.parse().expect("a number")).collect(), suffix.to_owned())
            };
            let all: Vec<_> = tags.iter().map(|tag| split(tag)).collect();
            for (alias, at) in &said {
                let (prefix, suffix) = split(alias);
                let having = |(numbers, other): &&(Vec<u32>, String)|
                    numbers.len() == 3 && numbers.starts_with(&prefix) && *other == suffix;
                let highest = all.iter().filter(having).max_by(|a, b| a.0.cmp(&b.0));
                prop_assert_eq!(highest, Some(&all[*at]), "{}", alias);
            }
            // And none is left out, or there twice.
            let of_three = all.iter().filter(|(numbers, _)| numbers.len() == 3);
            let wanted: std::collections::BTreeSet<_> = of_three
                .flat_map(|(n, suffix)| [(n[..1].to_vec(), suffix.clone()), (n[..2].to_vec(), suffix.clone())]).collect();
            prop_assert_eq!(said.len(), wanted.len());
        }

        #[test]
        fn the_order_of_tags_changes_no_alias(tags in prop::collection::btree_set(tag(), 0..12)) {
            for order in [Order::Semver, Order::Natural] {
                let of = |tags: Vec<&String>| {
                    let pairs: Vec<_> = tags.iter().map(|tag| (tag.as_str(), "")).collect();
                    let said = generated(&pairs, order).into_iter().map(|(alias, at)| (alias, tags[at].clone()));
                    said.collect::<std::collections::BTreeMap<_, _>>()
                };
                prop_assert_eq!(of(tags.iter().collect()), of(tags.iter().rev().collect()));
            }
        }

        #[test]
        fn no_text_makes_it_fail(tags in prop::collection::vec("[0-9v.a-z_-]{0,12}|\\PC{0,8}", 0..8)) {
            let pairs: Vec<_> = tags.iter().map(|tag| (tag.as_str(), "-x")).collect();
            for order in [Order::Semver, Order::Calver, Order::Natural] {
                for (alias, at) in generated(&pairs, order) {
                    prop_assert!(at < tags.len() && alias.ends_with("-x"));
                }
            }
        }
    }
}
