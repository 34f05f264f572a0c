//! Which tags of a repository are meant: by name, by pattern, by a range of versions, and of these the newest.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use glob::Pattern;
use semver::{Version, VersionReq};

/// Numbers of a version that are looked at: `2026.11.22.1`.
const MAX_NUMBERS: usize = 4;

/// Which tags are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Choice {
    /// These, whatever their versions.
    pub(crate) names: BTreeSet<String>,
    /// Those that one of these means.
    pub(crate) patterns: Vec<Pattern>,
    /// Those whose numbers are in this range. Beside patterns a tag has to be meant by both.
    pub(crate) range: Option<VersionReq>,
    /// Of those that patterns or a range mean, only so many, the latest versions.
    pub(crate) newest: Option<usize>,
}

/// What is meant of the tags that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen<'a> {
    /// By name; the latest version last.
    pub(crate) tags: Vec<&'a str>,
    /// Named, and not there.
    pub(crate) missing: Vec<&'a str>,
}

impl Choice {
    /// Whether it takes the registry's list of tags to answer.
    pub(crate) fn needs_tags(&self) -> bool {
        !self.patterns.is_empty() || self.range.is_some()
    }

    /// What is meant of these tags.
    pub(crate) fn of<'a>(&'a self, tags: &'a [String]) -> Chosen<'a> {
        let mut meant: Vec<&str> = tags.iter().map(String::as_str).filter(|tag| self.means(tag)).collect();
        meant.sort_by(|a, b| by_version(a, b));
        meant.dedup();
        if let Some(newest) = self.newest {
            meant.drain(..meant.len().saturating_sub(newest));
        }
        let (there, missing) = self
            .names
            .iter()
            .map(String::as_str)
            .partition::<Vec<_>, _>(|name| tags.iter().any(|tag| tag == name));
        meant.extend(there);
        meant.sort_by(|a, b| by_version(a, b));
        meant.dedup();
        Chosen { tags: meant, missing }
    }

    /// Whether a pattern or the range means a tag.
    fn means(&self, tag: &str) -> bool {
        if is_of_referrers(tag) {
            return false;
        }
        let is_like = self.patterns.iter().any(|pattern| pattern.matches(tag));
        match &self.range {
            None => is_like,
            Some(range) => {
                let Some((numbers, rest)) = version(tag) else { return false };
                // What stands behind the numbers is another build of them (`-alpine`), or comes before them (`-rc1`): only a pattern tells.
                let is_meant = if self.patterns.is_empty() { rest.is_empty() } else { is_like };
                let [major, minor, patch] = [0, 1, 2].map(|at| numbers.get(at).copied().unwrap_or(0));
                is_meant && range.matches(&Version::new(major, minor, patch))
            }
        }
    }
}

/// Whether tools keep under this tag what refers to an image, where registries have no list of it: `sha256-<hex>`.
pub(crate) fn is_of_referrers(tag: &str) -> bool {
    tag.strip_prefix("sha256-")
        .is_some_and(|hex| hex.len() >= 64 && hex.bytes().take(64).all(|b| b.is_ascii_hexdigit()))
}

/// The numbers that a tag begins with, and the rest: `v3.12.1-slim` is 3, 12, 1 and `-slim`. None where it begins with none, or goes on in
/// a word (`3d`).
fn version(tag: &str) -> Option<(Vec<u64>, &str)> {
    let mut rest = tag.strip_prefix('v').unwrap_or(tag);
    let mut numbers = Vec::new();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        numbers.push(rest[..end].parse().ok()?);
        rest = &rest[end..];
        let goes_on = rest.strip_prefix('.').filter(|next| next.starts_with(|c: char| c.is_ascii_digit()));
        match goes_on {
            Some(next) if numbers.len() < MAX_NUMBERS => rest = next,
            _ => break,
        }
    }
    let is_end = rest.is_empty() || rest.starts_with(['-', '_', '+']);
    is_end.then_some((numbers, rest))
}

/// By their numbers; of the same numbers one with something behind them first (`-rc1` comes before its version), then by name. What has no
/// numbers comes before all.
fn by_version(a: &str, b: &str) -> Ordering {
    let key = |tag| version(tag).map(|(numbers, rest)| (numbers, rest.is_empty()));
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choice(names: &[&str], patterns: &[&str], range: &str, newest: Option<usize>) -> Choice {
        Choice {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            patterns: patterns.iter().map(|text| Pattern::new(text).expect("a pattern")).collect(),
            range: (!range.is_empty()).then(|| VersionReq::parse(range).expect("a range")),
            newest,
        }
    }

    #[test]
    fn tags_are_chosen_by_name_pattern_range_and_age() {
        let tags = [
            "latest",
            "3",
            "3.9",
            "3.11",
            "3.11.1",
            "v3.12",
            "3.13-rc1",
            "3.13",
            "3.13-slim",
            "3.12-slim",
            "3.9-slim",
            "4.0",
            "2026.11.22.10",
            "2026.11.22.9",
            "sha-1234",
            "3d",
            "stable",
        ]
        .map(str::to_owned);
        for (chosen, expected, missing) in [
            (choice(&["latest", "nothing"], &[], "", None), vec!["latest"], vec!["nothing"]),
            (choice(&[], &["3.1?"], "", None), vec!["3.11", "3.13"], vec![]),
            (choice(&[], &[], ">=3.11, <4", None), vec!["3.11", "3.11.1", "v3.12", "3.13"], vec![]),
            (choice(&[], &[], ">=3.11, <4", Some(2)), vec!["v3.12", "3.13"], vec![]),
            (choice(&[], &["*-slim"], ">=3.12", None), vec!["3.12-slim", "3.13-slim"], vec![]),
            (choice(&[], &["*-slim"], "", Some(1)), vec!["3.13-slim"], vec![]),
            // Ten comes after nine.
            (choice(&[], &["2026.*"], "", Some(1)), vec!["2026.11.22.10"], vec![]),
            // A version is later than what comes before it.
            (choice(&[], &["3.13", "3.13-rc*"], "", Some(1)), vec!["3.13"], vec![]),
            // What is named is there beside the newest, once.
            (choice(&["3.9", "4.0"], &["[34].*"], "", Some(1)), vec!["3.9", "4.0"], vec![]),
            (choice(&[], &["*"], "", Some(0)), vec![], vec![]),
            (choice(&[], &["s*"], "", None), vec!["sha-1234", "stable"], vec![]),
        ] {
            let made = chosen.of(&tags);
            assert_eq!((made.tags, made.missing), (expected, missing), "{chosen:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (tag, expected) in [
            ("3", Some((vec![3], ""))),
            ("v1.2.3", Some((vec![1, 2, 3], ""))),
            ("1.2.3.4.5", None),
            ("3.12-slim", Some((vec![3, 12], "-slim"))),
            ("1.2+build", Some((vec![1, 2], "+build"))),
            ("1.", None),
            ("3d", None),
            ("v", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(version(tag), expected, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn any_tags_are_chosen_from_and_ordered_without_contradiction(
            tags in proptest::collection::vec("[a-z0-9.v_-]{0,12}", 0..20), newest in proptest::option::of(0usize..5),
        ) {
            let all = choice(&[], &["*"], "", newest);
            let chosen = all.of(&tags);
            let distinct: BTreeSet<_> = tags.iter().collect();
            prop_assert_eq!(chosen.tags.len(), newest.unwrap_or(usize::MAX).min(distinct.len()));
            prop_assert!(chosen.tags.is_sorted_by(|a, b| by_version(a, b).is_lt()));
        }
    }
}
