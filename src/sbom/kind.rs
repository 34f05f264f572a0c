//! Whose package a package is.

use serde::{Deserialize, Serialize};

use super::version::Rules;

/// An ecosystem of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Debian and its descendants.
    Deb,
    /// Alpine and Wolfi.
    Apk,
    /// Arch.
    Alpm,
    /// Fedora, Red Hat, SUSE.
    Rpm,
    /// Python, by pip or anything else that writes its metadata.
    Pypi,
    /// JavaScript.
    Npm,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [Kind::Deb, Kind::Apk, Kind::Alpm, Kind::Rpm, Kind::Pypi, Kind::Npm];

    /// Its word, which is the type of a package URL, too.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Apk => "apk",
            Kind::Alpm => "alpm",
            Kind::Rpm => "rpm",
            Kind::Pypi => "pypi",
            Kind::Npm => "npm",
        }
    }

    /// Whose rules its versions go by.
    pub(crate) fn rules(self) -> Rules {
        match self {
            Kind::Deb => Rules::Debian,
            Kind::Apk => Rules::Apk,
            Kind::Alpm => Rules::Pacman,
            Kind::Rpm => Rules::Rpm,
            Kind::Pypi => Rules::Python,
            Kind::Npm => Rules::Semver,
        }
    }

    /// The name that a package goes by in questions: PyPI knows no difference between `PyYAML` and `pyyaml`.
    pub(crate) fn key(self, name: &str) -> String {
        match self {
            Kind::Pypi => normal(name),
            Kind::Deb | Kind::Apk | Kind::Alpm | Kind::Rpm | Kind::Npm => name.to_owned(),
        }
    }
}

/// A Python name as PyPI compares it (PEP 503).
pub(crate) fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            letter => normal.extend(letter.to_lowercase()),
        }
    }
    normal
}

/// It is no kind's word.
#[derive(Debug)]
pub(crate) struct NoKind;

impl std::str::FromStr for Kind {
    type Err = NoKind;

    fn from_str(word: &str) -> Result<Kind, NoKind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or(NoKind)
    }
}
