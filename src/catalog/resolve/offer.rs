//! What an image offers: what was read from it, and what is declared of its names.

use std::collections::BTreeSet;
use std::fmt;

use larder_store::digest::Digest;
use larder_store::facts::Brief;

use super::super::arch::Arch;
use super::super::compiler::Compiler;
use super::super::declared::{Declared, Word};
use super::super::name::{Project, Suffix};
use super::super::os::Os;
use super::super::requirements::Requirements;
use super::base::official;

/// An image with names in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer<'a> {
    /// Sorted, with what each is declared to be for. The first one counts where several could be shown.
    pub(crate) names: Vec<(String, Option<Project>)>,
    /// Of the image's manifest; that of a child where the name is an index's.
    pub(crate) digest: Digest,
    /// The config's; none where nobody knows it.
    pub(crate) arch: Option<Arch>,
    /// What is in it; none where nobody could look into it.
    pub(crate) read: Option<Brief<'a>>,
    /// What its names declare together, but for projects.
    pub(super) os: BTreeSet<Os>,
    pub(super) compilers: Vec<Compiler>,
    pub(super) suffixes: BTreeSet<Suffix>,
    pub(super) packages: Vec<Word>,
    pub(super) tools: Vec<Word>,
    /// Seconds since 1970.
    pub(crate) last_used: Option<i64>,
    pub(crate) use_count: u64,
    /// Bytes of its blobs as they are stored.
    pub(crate) size: u64,
}

/// Why an image is no candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// None of its names is declared to be of the project.
    Project,
    /// It has another os, or none.
    Os(String),
    /// It is for another architecture.
    Arch(String),
    /// Something of it is not there any more.
    Damaged(String),
}

impl<'a> Offer<'a> {
    /// An image without names; [`Offer::declare`] adds them.
    pub(crate) fn new(digest: Digest, arch: Option<Arch>, read: Option<Brief<'a>>, size: u64) -> Offer<'a> {
        Offer {
            names: Vec::new(),
            digest,
            arch,
            read,
            os: BTreeSet::new(),
            compilers: Vec::new(),
            suffixes: BTreeSet::new(),
            packages: Vec::new(),
            tools: Vec::new(),
            last_used: None,
            use_count: 0,
            size,
        }
    }

    /// Adds a name, and what it declares.
    pub(crate) fn declare(&mut self, name: String, declared: Declared) {
        let at = self.names.partition_point(|(other, _)| *other < name);
        self.names.insert(at, (name, declared.project));
        self.os.extend(declared.os);
        self.compilers.extend(declared.compilers);
        self.suffixes.extend(declared.suffixes);
        self.packages.extend(declared.packages);
        self.tools.extend(declared.tools);
    }

    /// Whether it has the compiler.
    pub(super) fn has_compiler(&self, wanted: &Compiler) -> bool {
        let mut found = self.read.iter().flat_map(|read| &read.head.compilers);
        found.any(|(family, version)| {
            version.as_ref().is_some_and(|version| wanted.is_served_by(family, version))
        }) || self.compilers.iter().any(|compiler| compiler.serves(wanted))
    }

    /// Whether it is declared to be for compilers, and the one that is asked for is none of them: it may be in it all the same,
    /// and is not what `cc` means there.
    pub(crate) fn is_for_another_compiler(&self, asked: Option<&Compiler>) -> bool {
        let is_it = |compiler: &Compiler| asked.is_some_and(|asked| compiler.serves(asked));
        !self.compilers.is_empty() && !self.compilers.iter().any(is_it)
    }

    /// As it is without the packages and tools that are declared of it.
    pub(crate) fn as_read(&self) -> Offer<'a> {
        Offer { packages: Vec::new(), tools: Vec::new(), ..self.clone() }
    }

    /// Whether it has the package, of those that were sought.
    pub(super) fn has_package(&self, wanted: &Word) -> bool {
        let is_read = |read: &Brief<'_>| read.packages.contains(&wanted.as_str());
        self.read.as_ref().is_some_and(is_read) || self.packages.contains(wanted)
    }

    /// Whether it has the tool as a program, of those that were sought.
    pub(super) fn has_tool(&self, wanted: &Word) -> bool {
        let is_read = |read: &Brief<'_>| read.programs.contains(&wanted.as_str());
        self.read.as_ref().is_some_and(is_read) || self.tools.contains(wanted)
    }

    /// How many things in it could not be read.
    pub(crate) fn problems(&self) -> u32 {
        self.read.as_ref().map_or(0, |read| read.head.problems)
    }

    /// The name by which it is known, within a project where one is asked for.
    pub(crate) fn name(&self, project: Option<&Project>) -> Option<&str> {
        let mut names = self.names.iter();
        names.find(|(_, of)| project.is_none() || of.as_ref() == project).map(|(name, _)| name.as_str())
    }

    /// Why it is no candidate for a job; else the name by which it is one.
    pub(super) fn serves(&self, wanted: &Requirements) -> Result<&str, Why> {
        let name = self.name(wanted.project.as_ref()).ok_or(Why::Project)?;
        self.differs(wanted).map_or(Ok(name), Err)
    }

    fn differs(&self, wanted: &Requirements) -> Option<Why> {
        if !self.is_os(&wanted.os) {
            return Some(Why::Os(self.shown_os()));
        }
        let is_x86 = self.suffixes.contains(&Suffix::X86);
        let serves = match &self.arch {
            // A compiler for 64 bits makes programs for 32, where somebody put the libraries in.
            Some(arch) if wanted.arch.as_str() == Arch::X86 && arch.as_str() == "amd64" => is_x86,
            Some(arch) if arch.as_str() == "amd64" && is_x86 => false,
            Some(arch) => arch.serves(&wanted.arch),
            None => false,
        };
        let shown = match &self.arch {
            Some(arch) if is_x86 => format!("{arch}, declared to be for x86"),
            Some(arch) => arch.to_string(),
            None => "not known".to_owned(),
        };
        (!serves).then_some(Why::Arch(shown))
    }

    /// In how many suffixes its variant differs from the one that is asked for.
    pub(super) fn distance(&self, asked: &BTreeSet<Suffix>) -> usize {
        self.lacks(asked).count() + self.unasked(asked).count()
    }

    /// What is asked for of a variant, and this is not for.
    pub(super) fn lacks<'b>(&'b self, asked: &'b BTreeSet<Suffix>) -> impl Iterator<Item = Suffix> + 'b {
        asked.difference(&self.suffixes).copied()
    }

    /// What this is for that nobody asked for; x86 is an architecture.
    pub(crate) fn unasked<'b>(&'b self, asked: &'b BTreeSet<Suffix>) -> impl Iterator<Item = Suffix> + 'b {
        self.suffixes.difference(asked).copied().filter(|suffix| *suffix != Suffix::X86)
    }

    /// Whether this is the os. What is declared counts where nobody could look, and for a word that the os-release has no
    /// version for, as does the name of the official image: an image without os-release has no os.
    fn is_os(&self, wanted: &Os) -> bool {
        let Some(read) = &self.read else {
            return self.os.iter().any(|os| wanted.is_served_by(os.name(), Some(os.version())));
        };
        let is_called = |os: &Os| {
            let official =
                || official(os).is_some_and(|official| self.names.iter().any(|(name, _)| *name == official));
            self.os.contains(os) || official()
        };
        read.head.os.as_ref().is_some_and(|(name, version)| {
            let is_twin = wanted.twin().is_some_and(|twin| is_called(&twin));
            let is_declared = wanted.is_word() && name == wanted.name() && is_called(wanted);
            is_declared || !is_twin && wanted.is_served_by(name, version.as_deref())
        })
    }

    fn shown_os(&self) -> String {
        let declared = || self.os.iter().map(Os::to_string).collect::<Vec<_>>().join(", ");
        match self.read.as_ref().map(|read| &read.head.os) {
            Some(None) => "has no os-release".to_owned(),
            Some(Some((name, Some(version)))) => format!("is {name}:{version}"),
            Some(Some((name, None))) => format!("is {name} without a version"),
            None if self.os.is_empty() => "cannot be read, and declares no os".to_owned(),
            None => format!("cannot be read, and declares {}", declared()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Project => f.write_str("is not declared to be of the project"),
            Why::Os(why) | Why::Damaged(why) => f.write_str(why),
            Why::Arch(arch) => write!(f, "its architecture is {arch}"),
        }
    }
}
