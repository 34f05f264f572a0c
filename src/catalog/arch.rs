//! An architecture, in Go's words as configs have it, under any of the names that people give it.

use std::fmt;
use std::str::FromStr;

use super::meant;

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

/// Go's (`GOARCH`), as far as images are made for them.
const KNOWN: [&str; 16] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x", "sparc64", "wasm", "ppc",
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
        let (name, variant) = lower.split_once('/').map_or((&*lower, None), |(name, of)| (name, Some(of)));
        if !KNOWN.contains(&name) {
            let known = KNOWN.into_iter().chain(NAMES.map(|(theirs, _)| theirs));
            let hint = meant(name, known).map_or_else(String::new, |name| format!("; did you mean {name}?"));
            return Err(format!(
                "{text:?} is no architecture: expected one such as amd64, arm64 or 386{hint}"
            ));
        }
        if !variant.is_none_or(is_word) {
            return Err(format!("{text:?} has no variant of {name}: expected one such as arm/v7"));
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
        for bad in ["", "*", "a b", "a/b/c", "/", "amd64/", "arm/v 7", "arm/v7/x", "am\u{1b}", "linux"] {
            assert!(bad.parse::<Arch>().is_err(), "{bad:?}");
        }
        for (typo, meant) in
            [("amd46", "amd64"), ("arm46", "arm64"), ("x68_64", "x86_64"), ("aarch46", "aarch64")]
        {
            let said = typo.parse::<Arch>().expect_err(typo);
            assert!(said.ends_with(&format!("did you mean {meant}?")), "{said}");
        }
        let said = "solaris".parse::<Arch>().expect_err("no architecture");
        assert!(!said.contains("mean"), "{said}");
    }
}
