//! What has changed between two inventories.

use std::collections::BTreeMap;

use super::inventory::Inventory;
use super::kind::Kind;

/// A package whose versions differ.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Change {
    /// Whose it is.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// Its architecture, where it has one.
    pub(crate) architecture: Option<String>,
    /// The versions of the first; none where it lacks the package.
    pub(crate) before: Vec<String>,
    /// The versions of the second.
    pub(crate) after: Vec<String>,
}

/// All changes from one to the other, by kind and name.
pub(crate) fn diff(before: &Inventory, after: &Inventory) -> Vec<Change> {
    let mut all: BTreeMap<_, [Vec<String>; 2]> = BTreeMap::new();
    for (side, inventory) in [before, after].into_iter().enumerate() {
        for found in &inventory.found {
            let package = &found.package;
            let versions = all.entry((package.kind, &package.name, &package.architecture)).or_default();
            if !versions[side].contains(&package.version) {
                versions[side].push(package.version.clone());
            }
        }
    }
    let changes = all.into_iter().filter_map(|((kind, name, architecture), [mut before, mut after])| {
        before.sort();
        after.sort();
        let (name, architecture) = (name.clone(), architecture.clone());
        (before != after).then_some(Change { kind, name, architecture, before, after })
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::super::inventory::Found;
    use super::super::package::Package;
    use super::*;

    fn inventory(packages: &[(Kind, &str, &str)]) -> Inventory {
        let found = packages.iter().map(|(kind, name, version)| {
            let package = Package::new(*kind, name, version).expect("a package");
            Found { package, path: String::new(), layer: 0 }
        });
        Inventory { os: None, layers: Vec::new(), found: found.collect(), problems: Vec::new() }
    }

    #[test]
    fn changes_are_found() {
        let before = inventory(&[
            (Kind::Deb, "bash", "1"),
            (Kind::Deb, "gone", "1"),
            (Kind::Npm, "x", "1"),
            (Kind::Npm, "x", "2"),
        ]);
        let after = inventory(&[
            (Kind::Deb, "bash", "2"),
            (Kind::Pypi, "bash", "1"),
            (Kind::Npm, "x", "2"),
            (Kind::Npm, "x", "1"),
        ]);
        let shown = |change: &Change| {
            format!("{} {} {:?} {:?}", change.kind.word(), change.name, change.before, change.after)
        };
        let changes: Vec<_> = diff(&before, &after).iter().map(shown).collect();
        assert_eq!(changes, [r#"deb bash ["1"] ["2"]"#, r#"deb gone ["1"] []"#, r#"pypi bash [] ["1"]"#]);
        assert_eq!(diff(&before, &before), []);
    }
}
