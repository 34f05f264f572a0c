//! An operating system with its version, in the words of its `/etc/os-release`.
//!
//! `ubuntu:25.04` where it is said, `ubuntu-25.04` within a name. A version has one spelling, so that what is asked for and
//! what is there can be compared: a code name is no version.

use std::fmt;
use std::str::FromStr;

/// Systems that names know (`ID` of os-release(5)). A closed list: the words before one belong to the project.
pub(super) const KNOWN: &[&str] = &[
    "almalinux",
    "alpine",
    "amzn",
    "arch",
    "azurelinux",
    "centos",
    "debian",
    "fedora",
    "freebsd",
    "gentoo",
    "kali",
    "linuxmint",
    "macos",
    "manjaro",
    "nixos",
    "ol",
    "opensuse-leap",
    "opensuse-tumbleweed",
    "photon",
    "rhel",
    "rocky",
    "sles",
    "ubuntu",
    "void",
    "windows",
    "wolfi",
];

/// What stands for the version where a system has no number for it.
pub(super) const WORDS: [&str; 5] = ["edge", "rawhide", "rolling", "sid", "testing"];

/// Systems without versions: whatever number their os-release has is that of a day.
const ROLLING: [&str; 6] = ["arch", "gentoo", "kali", "manjaro", "opensuse-tumbleweed", "void"];
/// Systems of which `A` and `A.B` are different releases, where others call an update of `A` so.
const EXACT: [&str; 5] = ["amzn", "linuxmint", "nixos", "opensuse-leap", "ubuntu"];

/// An operating system with its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Os {
    name: String,
    version: String,
}

impl Os {
    /// `name` is the `ID` and `version` the `VERSION_ID` of os-release(5), or `rolling` and its like.
    pub(crate) fn new(name: &str, version: &str) -> Result<Os, String> {
        if !is_name(name) {
            return Err(format!("{name:?} is no os: expected the ID of its os-release, such as ubuntu"));
        }
        if !is_version(version) {
            return Err(format!(
                "{version:?} is no version of an os: expected the VERSION_ID of its os-release, such as 25.04, or {}",
                WORDS.join(", ")
            ));
        }
        Ok(Os { name: name.to_owned(), version: version.to_owned() })
    }

    /// `ubuntu`: the `ID` of its os-release.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `25.04`: its `VERSION_ID`, or a word in its place.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it is a system without versions.
    pub(crate) fn is_rolling(&self) -> bool {
        ROLLING.contains(&self.name())
    }

    /// Whether a word stands in place of its version.
    pub(crate) fn is_word(&self) -> bool {
        WORDS.contains(&self.version.as_str())
    }

    /// Whether a system with this `ID` and `VERSION_ID` is what somebody gets who asks for this one: 3.20 is served by 3.20.3, 9 by
    /// 9.6, and a word by what stands in its place there.
    pub(super) fn is_served_by(&self, name: &str, version: Option<&str>) -> bool {
        let is_word = self.is_word();
        let served = match version {
            None => is_word,
            Some(version) if version == self.version => true,
            Some(version) if is_word => match self.version.as_str() {
                "rolling" => ROLLING.contains(&name),
                // Of alpine's: 3.23_alpha20250612.
                "edge" => version.contains('_'),
                _ => false,
            },
            Some(version) => {
                let is_release = match name {
                    "alpine" => self.version.contains('.'),
                    name => !EXACT.contains(&name),
                };
                is_release && version.strip_prefix(&self.version).is_some_and(|rest| rest.starts_with('.'))
            }
        };
        name == self.name && served
    }

    /// The other of the two that their os-release does not tell apart.
    pub(super) fn twin(&self) -> Option<Os> {
        let version = match self.version.as_str() {
            "sid" => "testing",
            "testing" => "sid",
            _ => return None,
        };
        Some(Os { name: self.name.clone(), version: version.to_owned() })
    }

    /// The one that these words of a name end with, and how many words it takes.
    pub(super) fn at_end(words: &[&str]) -> Option<(Os, usize)> {
        let (version, before) = words.split_last()?;
        let last = before.last()?;
        let two = before.len().checked_sub(2).map(|at| before[at..].join("-"));
        let (name, count) = match two.filter(|two| KNOWN.contains(&two.as_str())) {
            Some(two) => (two, 3),
            None => ((*last).to_owned(), 2),
        };
        let is_known = KNOWN.contains(&name.as_str());
        Os::new(&name, version).ok().filter(|_| is_known).map(|os| (os, count))
    }

    /// Whether names know it.
    pub(super) fn is_known(&self) -> bool {
        KNOWN.contains(&self.name.as_str())
    }

    /// As it stands within a name: `ubuntu-25.04`.
    pub(super) fn in_name(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && is_words(text, &['-', '.', '_'])
}

/// `25.04`, `12`, `3.23_alpha20250612`, `rolling`.
pub(super) fn is_version(text: &str) -> bool {
    WORDS.contains(&text) || text.starts_with(|c: char| c.is_ascii_digit()) && is_words(text, &['.', '_'])
}

/// Lower-case letters and digits, with single separators between them.
pub(super) fn is_words(text: &str, separators: &[char]) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split(separators).all(is_word)
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

impl FromStr for Os {
    type Err = String;

    fn from_str(text: &str) -> Result<Os, String> {
        let expected = || format!("{text:?} is no os with its version: expected one such as ubuntu:25.04");
        let (name, version) = text.split_once(':').ok_or_else(expected)?;
        Os::new(name, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_os_is_a_name_and_a_version() {
        for text in [
            "ubuntu:25.04",
            "debian:12",
            "debian:sid",
            "alpine:3.20.3",
            "alpine:3.23_alpha20250612",
            "arch:rolling",
            "opensuse-leap:15.6",
            "sled:15.6",
        ] {
            assert_eq!(text.parse::<Os>().map(|os| os.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "ubuntu",
            "ubuntu:",
            ":25.04",
            "ubuntu:*",
            "ubuntu:25.*",
            "ubuntu:latest",
            "ubuntu:plucky",
            "Ubuntu:25.04",
            "ubuntu-25.04",
            "ubuntu:25..04",
            "ubuntu:25.04:1",
            "docker.io/library/ubuntu:25.04",
            "ghcr.io:443/ubuntu:25.04",
            "ubuntu :25.04",
            "25:04",
            "ubuntu:25.04\n",
        ] {
            assert!(bad.parse::<Os>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_known_system_is_the_end_of_another() {
        for name in KNOWN {
            assert!(is_name(name) && name.split('-').count() <= 2, "{name}");
            assert!(!KNOWN.iter().any(|other| other.ends_with(&format!("-{name}"))), "{name}");
        }
    }
}
