//! A compiler with its version: `gcc-15` where it is said, `gcc15` within a name.

use std::fmt;
use std::str::FromStr;

/// Families as CI matrices of C++ projects name them.
pub(super) const FAMILIES: [&str; 8] =
    ["apple-clang", "clang", "clang-cl", "gcc", "icx", "mingw", "msvc", "nvhpc"];

/// What compiles C++, and its family.
const DRIVERS: [(&str, &str); 2] = [("g++", "gcc"), ("clang++", "clang")];

/// A compiler with its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Compiler {
    family: &'static str,
    version: String,
}

impl Compiler {
    /// A compiler of a family that is known.
    pub(super) fn new(family: &str, version: &str) -> Result<Compiler, String> {
        let family = FAMILIES.into_iter().find(|known| *known == family).ok_or_else(|| {
            format!("{family:?} is no family of compilers that is known: {}", FAMILIES.join(", "))
        })?;
        if !is_version(version) {
            return Err(format!("{version:?} is no version of {family}: expected one such as 15 or 15.2"));
        }
        Ok(Compiler { family, version: version.to_owned() })
    }

    /// The one that these words of a name end with, and how many words it takes.
    pub(super) fn at_end(words: &[&str]) -> Option<(Compiler, usize)> {
        [2, 1].into_iter().find_map(|count| {
            let at = words.len().checked_sub(count)?;
            Compiler::glued(&words[at..].join("-")).map(|compiler| (compiler, count))
        })
    }

    /// `gcc15`.
    fn glued(text: &str) -> Option<Compiler> {
        FAMILIES.iter().find_map(|family| Compiler::new(family, text.strip_prefix(family)?).ok())
    }

    /// Whether facts tell that it is in an image.
    pub(crate) fn is_seen(&self) -> bool {
        DRIVERS.iter().any(|(_, family)| *family == self.family)
    }

    /// `gcc`, `clang` …
    pub(crate) fn family(&self) -> &str {
        self.family
    }

    /// `15`, `15.2` …
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether this is what somebody gets who asks for `wanted`: gcc-15.2 is a gcc-15, but no gcc-1.
    pub(crate) fn serves(&self, wanted: &Compiler) -> bool {
        wanted.is_served_by(self.family, &self.version)
    }

    /// The same of a compiler that was found, of whatever family and version.
    pub(crate) fn is_served_by(&self, family: &str, version: &str) -> bool {
        let rest = version.strip_prefix(&self.version);
        self.family == family && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// As it stands within a name: `gcc15`.
    pub(super) fn in_name(&self) -> String {
        format!("{}{}", self.family, self.version)
    }
}

/// Numbers with single dots between them; the first has no zero before it, or there were two names for one.
pub(super) fn is_version(text: &str) -> bool {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    text.split('.').all(is_number) && !(text.len() > 1 && text.starts_with('0') && !text.starts_with("0."))
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.family, self.version)
    }
}

impl FromStr for Compiler {
    type Err = String;

    /// Reads `gcc-15`, and `gcc15` or `g++-15` too.
    fn from_str(said: &str) -> Result<Compiler, String> {
        let driver = DRIVERS.iter().find_map(|(driver, family)| Some((family, said.strip_prefix(driver)?)));
        let text = &driver.map_or_else(|| said.to_owned(), |(family, rest)| format!("{family}{rest}"));
        if let Some(compiler) = Compiler::glued(text) {
            return Ok(compiler);
        }
        let expected = || format!("{said:?} is no compiler with its version: expected one such as gcc-15");
        let (family, version) = text.rsplit_once('-').ok_or_else(expected)?;
        Compiler::new(family, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_a_family_and_a_version() {
        for (text, said, named) in [
            ("gcc-15", "gcc-15", "gcc15"),
            ("gcc15", "gcc-15", "gcc15"),
            ("gcc-15.2", "gcc-15.2", "gcc15.2"),
            ("g++-15", "gcc-15", "gcc15"),
            ("clang++-20", "clang-20", "clang20"),
            ("clang-20", "clang-20", "clang20"),
            ("apple-clang-17", "apple-clang-17", "apple-clang17"),
            ("apple-clang17", "apple-clang-17", "apple-clang17"),
            ("clang-cl-19", "clang-cl-19", "clang-cl19"),
            ("msvc-14.3", "msvc-14.3", "msvc14.3"),
            ("icx-2025.0", "icx-2025.0", "icx2025.0"),
        ] {
            let compiler: Compiler = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((compiler.to_string().as_str(), compiler.in_name().as_str()), (said, named));
        }
        for bad in [
            "",
            "gcc",
            "gcc-",
            "gcc-*",
            "gcc-15.",
            "gcc-015",
            "gcc--15",
            "GCC-15",
            "g++",
            "tcc-1",
            "15",
            "gcc 15",
            "gcc-15-asan",
            "gcc-x",
            "gcc-15\n",
        ] {
            assert!(bad.parse::<Compiler>().is_err(), "{bad:?}");
        }
        let said = "tcc-1".parse::<Compiler>().expect_err("an unknown family");
        assert!(said.contains("tcc") && said.contains("clang"), "{said}");
    }
}
