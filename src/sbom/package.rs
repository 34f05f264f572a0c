//! A package that is installed in an image, as far as its ecosystem says.

use serde::{Deserialize, Serialize};

use super::kind::Kind;

/// Bytes of a name, a version, an architecture or a source.
pub(crate) const MAX_WORD: usize = 512;
/// Bytes of one licence as it was declared.
const MAX_LICENCE: usize = 512;
/// Licences of one package.
pub(crate) const MAX_LICENCES: usize = 64;

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Package {
    /// Whose it is.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// Its version, as its ecosystem writes it.
    pub(crate) version: String,
    /// In its ecosystem's words; none where it has no such thing.
    pub(crate) architecture: Option<String>,
    /// The source that it was built from, with its version where that is another one.
    pub(crate) source: Option<(String, Option<String>)>,
    /// What it says of its licences, in its own words.
    pub(crate) licences: Vec<String>,
    /// Bytes that it takes when it is installed, as its ecosystem says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

/// Whether text may be a name or a version: printable ASCII without spaces, and not over its length.
pub(crate) fn is_word(word: &str) -> bool {
    (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Package {
    /// A package with nothing but a name and a version; `None` where they are none.
    pub(crate) fn new(kind: Kind, name: &str, version: &str) -> Option<Package> {
        let [name, version] = [name.trim(), version.trim()];
        (is_word(name) && is_word(version)).then(|| Package {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: None,
            source: None,
            licences: Vec::new(),
            size: None,
        })
    }

    /// The same, with an architecture if that is one.
    pub(crate) fn with_architecture(self, architecture: &str) -> Package {
        Package { architecture: is_word(architecture).then(|| architecture.to_owned()), ..self }
    }

    /// The same, with the source that it was built from and the version of that, if they are words.
    pub(crate) fn with_source(self, name: &str, version: Option<&str>) -> Package {
        let version = version.filter(|version| is_word(version)).map(str::to_owned);
        Package { source: is_word(name).then(|| (name.to_owned(), version)), ..self }
    }

    /// Notes licences that it says it has; control characters and what is empty or endless are left out.
    pub(crate) fn add_licences<'a>(&mut self, licences: impl IntoIterator<Item = &'a str>) {
        for licence in licences {
            let licence = licence.split_whitespace().collect::<Vec<_>>().join(" ");
            // Who has the rights is no name of a licence.
            let is_name = !licence.starts_with("Copyright ");
            let is_new = is_name && !self.licences.contains(&licence) && self.licences.len() < MAX_LICENCES;
            if is_new && (1..=MAX_LICENCE).contains(&licence.len()) && !licence.chars().any(char::is_control)
            {
                self.licences.push(licence);
            }
        }
    }
}
