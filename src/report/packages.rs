//! The largest packages.

use std::collections::{BTreeMap, BTreeSet};

/// Packages in the list.
const LARGEST: usize = 100;

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Installed {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// Installed bytes, as its package manager says.
    pub(crate) bytes: u64,
}

/// Name, kind, bytes of the largest version, and in how many images it is.
pub(super) type Large = (String, &'static str, u64, usize);

/// The packages that take most, by the largest of their versions.
pub(super) fn largest(images: &[Vec<Installed>]) -> Vec<Large> {
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
