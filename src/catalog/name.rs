//! Names by the convention: `<project>-<os>-<variant>`, such as `capy-ubuntu-25.04-clang20-asan`.
//!
//! Parser and writer are inverses: a name has one spelling, and no two variants share one. It is read from its end, so that a
//! project may have dashes and digits. The grammar with all that had to be decided is `docs/naming.md`. A name is the last part
//! of a reference's path: registry, namespace and tag are as they like.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use larder_store::reference::Reference;

use super::compiler::Compiler;
use super::os::{Os, is_words};

/// What an image is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Project(String);

/// What else is special about a variant, in the order in which names have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Suffix {
    /// Coverage.
    Cov,
    /// Address sanitizer.
    Asan,
    /// Undefined behaviour sanitizer.
    Ubsan,
    /// Thread sanitizer.
    Tsan,
    /// For 32 bits.
    X86,
}

/// What tells the images of one project and os apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Variant {
    /// The compiler; a plain base has none.
    pub(crate) compiler: Option<Compiler>,
    /// All else.
    pub(crate) suffixes: BTreeSet<Suffix>,
}

/// A name by the convention.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    project: Project,
    os: Os,
    variant: Variant,
}

impl Suffix {
    pub(super) const ALL: [Suffix; 5] = [Suffix::Cov, Suffix::Asan, Suffix::Ubsan, Suffix::Tsan, Suffix::X86];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Suffix::Cov => "cov",
            Suffix::Asan => "asan",
            Suffix::Ubsan => "ubsan",
            Suffix::Tsan => "tsan",
            Suffix::X86 => "x86",
        }
    }
}

impl Variant {
    /// Whether there is nothing to tell: a plain base.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Variant::default()
    }

    /// The one that these words end with, and how many words it takes.
    fn at_end(words: &[&str]) -> Result<(Variant, usize), String> {
        let is_suffix = |word: &&&str| word.parse::<Suffix>().is_ok();
        let count = words.iter().rev().take_while(is_suffix).count();
        let (rest, last) = words.split_at(words.len() - count);
        let found: Vec<Suffix> = last.iter().filter_map(|word| word.parse().ok()).collect();
        if !found.is_sorted_by(|a, b| a < b) {
            let order = Suffix::ALL.map(Suffix::as_str).join(", ");
            return Err(format!("its suffixes are in another order than {order}, or there twice"));
        }
        let (compiler, more) =
            Compiler::at_end(rest).map_or((None, 0), |(compiler, count)| (Some(compiler), count));
        Ok((Variant { compiler, suffixes: found.into_iter().collect() }, count + more))
    }
}

impl Name {
    /// A name, where the os is one that names know.
    pub(crate) fn new(project: Project, os: Os, variant: Variant) -> Result<Name, String> {
        if !os.is_known() {
            return Err(format!("names do not know the os of {os}: {}", super::os::KNOWN.join(", ")));
        }
        Ok(Name { project, os, variant })
    }

    /// The name of a reference.
    pub(crate) fn of(reference: &Reference) -> Result<Name, String> {
        reference.path().rsplit('/').next().unwrap_or_default().parse()
    }

    /// What the image is for.
    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    /// Its operating system.
    pub(crate) fn os(&self) -> &Os {
        &self.os
    }

    /// What tells it apart.
    pub(crate) fn variant(&self) -> &Variant {
        &self.variant
    }
}

impl FromStr for Project {
    type Err = String;

    /// What reads as another part of a name is no part of a project: it stands in the wrong place.
    fn from_str(text: &str) -> Result<Project, String> {
        if !is_words(text, &['-', '.', '_']) {
            return Err(format!(
                "{text:?} is no project: expected lower-case letters and digits with single `-`, `.` or `_` between them"
            ));
        }
        let words: Vec<_> = text.split('-').collect();
        let misplaced = (1..=words.len()).find_map(|end| {
            let compiler = Compiler::at_end(&words[..end]).map(|(compiler, _)| compiler.to_string());
            compiler.or_else(|| Os::at_end(&words[..end]).map(|(os, _)| os.to_string()))
        });
        let suffix =
            words.last().filter(|word| word.parse::<Suffix>().is_ok()).map(|word| (*word).to_owned());
        match misplaced.or(suffix) {
            Some(part) => Err(format!("the project {text:?} has {part} in it, which has another place")),
            None => Ok(Project(text.to_owned())),
        }
    }
}

impl FromStr for Suffix {
    type Err = String;

    fn from_str(text: &str) -> Result<Suffix, String> {
        Suffix::ALL
            .into_iter()
            .find(|suffix| suffix.as_str() == text)
            .ok_or_else(|| format!("{text:?} is none of {}", Suffix::ALL.map(Suffix::as_str).join(", ")))
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Variant, String> {
        let words: Vec<_> = text.split('-').collect();
        match Variant::at_end(&words)? {
            (variant, count) if count == words.len() => Ok(variant),
            _ => Err(format!("{text:?} is no variant: expected one such as gcc15, clang20-asan or x86")),
        }
    }
}

impl FromStr for Name {
    type Err = String;

    /// Reads a name without registry, namespace and tag; the error is a phrase without the name.
    fn from_str(text: &str) -> Result<Name, String> {
        let words: Vec<_> = text.split('-').collect();
        let (variant, count) = Variant::at_end(&words)?;
        let rest = &words[..words.len() - count];
        let Some((os, count)) = Os::at_end(rest) else {
            let place = match (&variant.compiler, rest.last()) {
                (Some(compiler), _) => format!("before {}", compiler.in_name()),
                (None, Some(last)) => format!("at its end ({last:?} is no part of one, and no compiler)"),
                (None, None) => "in it".to_owned(),
            };
            return Err(format!("there is no os with its version {place}"));
        };
        let project = rest[..rest.len() - count].join("-");
        if project.is_empty() {
            return Err(format!("there is no project before {}", os.in_name()));
        }
        Name::new(project.parse()?, os, variant)
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compiler = self.compiler.iter().map(Compiler::in_name);
        let parts = compiler.chain(self.suffixes.iter().map(Suffix::to_string));
        f.write_str(&parts.collect::<Vec<_>>().join("-"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.project, self.os.in_name())?;
        if self.variant.is_plain() { Ok(()) } else { write!(f, "-{}", self.variant) }
    }
}
