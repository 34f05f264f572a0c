//! What an image offers: what was read from it, and what is declared of its names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use larder_store::digest::Digest;
use larder_store::facts::Brief;

use super::super::arch::Arch;
use super::super::compiler::Compiler;
use super::super::declared::Declared;
use super::super::name::{Project, Suffix};
use super::super::os::{Os, WORDS};
use super::super::requirements::Requirements;

/// An image with names in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// What each is declared to be for. The first one counts where several could be shown.
    pub(crate) names: BTreeMap<String, Option<Project>>,
    /// Of the image's manifest; that of a child where the name is an index's.
    pub(crate) digest: Digest,
    pub(crate) os: Offered,
    /// The config's; none where nobody knows it.
    pub(crate) arch: Option<Arch>,
    pub(crate) compilers: Vec<Compiler>,
    pub(crate) suffixes: BTreeSet<Suffix>,
    /// Those that are declared, and those of the asked ones that were found.
    pub(crate) packages: BTreeSet<String>,
    pub(crate) tools: BTreeSet<String>,
    /// How many things in it could not be read.
    pub(crate) problems: u32,
    /// Seconds since 1970.
    pub(crate) last_used: Option<i64>,
    pub(crate) use_count: u64,
    /// Bytes of its blobs as they are stored.
    pub(crate) size: u64,
    /// Why it should be made anew, where it should.
    pub(crate) stale: Option<String>,
}

/// The operating system that an image offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offered {
    /// `ID` and `VERSION_ID` of its os-release, or that it has no such file. What is declared does not count beside it.
    Read(Option<(String, Option<String>)>),
    /// What its names declare: nobody could look into it.
    Declared(BTreeSet<Os>),
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
}

impl Offer {
    /// What is in an image, where somebody could look; what its names declare is added with [`Offer::declare`].
    pub(crate) fn new(digest: Digest, arch: Option<Arch>, brief: Option<&Brief>, size: u64) -> Offer {
        let read = brief.cloned().unwrap_or_default();
        let compilers = read.compilers.iter();
        Offer {
            names: BTreeMap::new(),
            digest,
            os: brief.map_or(Offered::Declared(BTreeSet::new()), |brief| Offered::Read(brief.os.clone())),
            arch,
            compilers: compilers
                .filter_map(|(family, version)| Compiler::new(family, version.as_deref()?).ok())
                .collect(),
            suffixes: BTreeSet::new(),
            packages: read.packages,
            tools: read.programs,
            problems: read.problems,
            last_used: None,
            use_count: 0,
            size,
            stale: None,
        }
    }

    /// Adds a name, and what it declares.
    pub(crate) fn declare(&mut self, name: String, declared: Declared) {
        self.names.insert(name, declared.project);
        if let Offered::Declared(os) = &mut self.os {
            os.extend(declared.os);
        }
        self.compilers.extend(declared.compilers);
        self.suffixes.extend(declared.suffixes);
        self.packages.extend(declared.packages.iter().map(ToString::to_string));
        self.tools.extend(declared.tools.iter().map(ToString::to_string));
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
        if !self.os.serves(&wanted.os) {
            return Some(Why::Os(self.os.to_string()));
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

    /// In how many suffixes its variant differs from the one that is asked for; x86 is an architecture.
    pub(super) fn distance(&self, asked: &BTreeSet<Suffix>) -> usize {
        self.suffixes.symmetric_difference(asked).filter(|suffix| **suffix != Suffix::X86).count()
    }
}

impl Offered {
    /// Whether this is the os. A word for a version (`sid`, `rolling`) stands for the version that its os-release does not have.
    fn serves(&self, wanted: &Os) -> bool {
        match self {
            Offered::Read(None) => false,
            Offered::Read(Some((name, version))) => {
                let is_version = match version {
                    Some(version) => version == wanted.version(),
                    None => WORDS.contains(&wanted.version()),
                };
                name == wanted.name() && is_version
            }
            Offered::Declared(declared) => declared.contains(wanted),
        }
    }
}

impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Offered::Read(None) => f.write_str("has no os-release"),
            Offered::Read(Some((name, Some(version)))) => write!(f, "is {name}:{version}"),
            Offered::Read(Some((name, None))) => write!(f, "is {name} without a version"),
            Offered::Declared(declared) if declared.is_empty() => {
                f.write_str("cannot be read, and declares no os")
            }
            Offered::Declared(declared) => {
                let all: Vec<_> = declared.iter().map(Os::to_string).collect();
                write!(f, "cannot be read, and declares {}", all.join(", "))
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Project => f.write_str("is not declared to be of the project"),
            Why::Os(os) => f.write_str(os),
            Why::Arch(arch) => write!(f, "its architecture is {arch}"),
        }
    }
}
