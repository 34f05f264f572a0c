//! What has changed between two inventories.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::inventory::Inventory;
use super::kind::Kind;
use super::version::order;

/// How a package of one image stands to that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Added,
    Removed,
    Upgraded,
    Downgraded,
    /// Several versions, or such as have no order.
    Changed,
}

impl Direction {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Direction::Added => "added",
            Direction::Removed => "removed",
            Direction::Upgraded => "upgraded",
            Direction::Downgraded => "downgraded",
            Direction::Changed => "changed",
        }
    }

    fn of(kind: Kind, before: &[String], after: &[String]) -> Direction {
        match (before, after) {
            ([], _) => Direction::Added,
            (_, []) => Direction::Removed,
            ([before], [after]) => match order(kind.rules(), after, before) {
                Some(Ordering::Greater) => Direction::Upgraded,
                Some(Ordering::Less) => Direction::Downgraded,
                Some(Ordering::Equal) | None => Direction::Changed,
            },
            _ => Direction::Changed,
        }
    }
}

/// A package whose versions differ.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Change {
    /// Whose it is.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// Its architecture, where it has one.
    pub(crate) architecture: Option<String>,
    pub(crate) change: Direction,
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
            versions[side].push(package.version.clone());
        }
    }
    let changes = all.into_iter().filter_map(|((kind, name, architecture), [mut before, mut after])| {
        for versions in [&mut before, &mut after] {
            versions.sort();
            versions.dedup();
        }
        let (name, architecture) = (name.clone(), architecture.clone());
        let change = Direction::of(kind, &before, &after);
        (before != after).then_some(Change { kind, name, architecture, change, before, after })
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
            (Kind::Npm, "x", "2"),
        ]);
        let shown = |change: &Change| {
            let Change { kind, name, change, before, after, .. } = change;
            format!("{} {name} {} {before:?} {after:?}", kind.word(), change.word())
        };
        let changes: Vec<_> = diff(&before, &after).iter().map(shown).collect();
        assert_eq!(
            changes,
            [
                r#"deb bash upgraded ["1"] ["2"]"#,
                r#"deb gone removed ["1"] []"#,
                r#"pypi bash added [] ["1"]"#,
            ]
        );
        let turned: Vec<_> = diff(&after, &before).iter().map(shown).collect();
        assert_eq!(
            turned,
            [
                r#"deb bash downgraded ["2"] ["1"]"#,
                r#"deb gone added [] ["1"]"#,
                r#"pypi bash removed ["1"] []"#,
            ]
        );
        assert_eq!(diff(&before, &before), []);
    }

    #[test]
    fn each_kind_has_its_own_directions() {
        use Direction::{Changed, Downgraded, Upgraded};
        for (kind, before, after, direction) in [
            (Kind::Deb, "1.9-1", "1.10-1", Upgraded),
            (Kind::Deb, "1:1.0-1", "2.0-1", Downgraded),
            (Kind::Deb, "2.0-1", "1:1.0-1", Upgraded),
            (Kind::Deb, "1.0", "1.0-1", Upgraded),
            (Kind::Deb, "1.0-1", "1.0-1~deb12u1", Downgraded),
            (Kind::Npm, "1.0.0", "1.0.0-rc.1", Downgraded),
            (Kind::Npm, "1.0.0+a", "1.0.0+b", Changed),
            (Kind::Pypi, "1.0", "1.0.post1", Upgraded),
            (Kind::Pypi, "latest", "1.0", Changed),
            (Kind::Apk, "1.0_rc1-r0", "1.0-r0", Upgraded),
            (Kind::Rpm, "1.0-2", "1.0~rc1-9", Downgraded),
        ] {
            let [before, after] = [before, after].map(|version| inventory(&[(kind, "x", version)]));
            assert_eq!(diff(&before, &after)[0].change, direction, "{kind:?}");
        }
    }
}
