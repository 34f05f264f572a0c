//! An architecture, in Go's words as configs have it, under any of the names that people give it.

use std::fmt;
use std::str::FromStr;

/// An architecture: `amd64`, `386`, `arm64`, `arm/v7` …
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Arch(String);

/// Names of others, and Go's.
const NAMES: [(&str, &str); 15] = [
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("x64", "amd64"),
    ("x86", "386"),
    ("i386", "386"),
    ("i486", "386"),
    ("i586", "386"),
    ("i686", "386"),
    ("aarch64", "arm64"),
    ("arm64/v8", "arm64"),
    ("armhf", "arm/v7"),
    ("armv7l", "arm/v7"),
    ("armel", "arm/v5"),
    ("ppc64el", "ppc64le"),
    ("mips64el", "mips64le"),
];

impl Arch {
    /// For 32 bits on x86.
    pub(crate) const X86: &'static str = "386";

    /// That one.
    pub(super) fn x86() -> Arch {
        Arch(Arch::X86.to_owned())
    }

    /// Whether an image for this is what somebody gets who asks for `wanted`: the variant counts where both name one.
    pub(super) fn serves(&self, wanted: &Arch) -> bool {
        let (have, want) = (self.0.split_once('/'), wanted.0.split_once('/'));
        match (have, want) {
            (Some(_), Some(_)) | (None, None) => self == wanted,
            (Some((have, _)), None) => have == wanted.0,
            (None, Some((want, _))) => self.0 == want,
        }
    }

    /// As Go has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Arch, String> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        let lower = text.to_ascii_lowercase();
        if let Some((_, ours)) = NAMES.iter().find(|(theirs, _)| *theirs == lower) {
            return Ok(Arch((*ours).to_owned()));
        }
        if lower.split('/').count() > 2 || !lower.split('/').all(is_word) {
            return Err(format!("{text:?} is no architecture: expected one such as amd64, arm64 or 386"));
        }
        Ok(Arch(lower))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_has_one_spelling() {
        for (text, expected) in [
            ("amd64", "amd64"),
            ("x86_64", "amd64"),
            ("X64", "amd64"),
            ("x86", "386"),
            ("i386", "386"),
            ("arm/v7", "arm/v7"),
        ] {
            assert_eq!(text.parse::<Arch>().map(|arch| arch.to_string()), Ok(expected.to_owned()));
        }
        for bad in ["", "*", "a b", "a/b/c", "/", "amd64/", "am\u{1b}"] {
            assert!(bad.parse::<Arch>().is_err(), "{bad:?}");
        }
    }
}
