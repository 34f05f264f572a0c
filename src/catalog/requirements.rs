//! What a job needs of an image: put together from flags, a file of requirements, or a workflow.

use std::collections::BTreeSet;

use super::arch::Arch;
use super::compiler::Compiler;
use super::declared::Word;
use super::name::{Project, Suffix};
use super::os::Os;

/// What a job says; the essential part need not be whole yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Only images that are declared to be of this project.
    pub(crate) project: Option<Project>,
    pub(crate) os: Option<Os>,
    pub(crate) arch: Option<Arch>,
    pub(crate) compiler: Option<Compiler>,
    /// What the variant is for; `x86` is an architecture and never stands here.
    pub(crate) suffixes: BTreeSet<Suffix>,
    pub(crate) packages: BTreeSet<Word>,
    pub(crate) tools: BTreeSet<Word>,
}

/// What a job needs, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirements {
    pub(crate) project: Option<Project>,
    pub(crate) os: Os,
    pub(crate) arch: Arch,
    pub(crate) compiler: Option<Compiler>,
    pub(crate) suffixes: BTreeSet<Suffix>,
    pub(crate) packages: BTreeSet<Word>,
    pub(crate) tools: BTreeSet<Word>,
}

impl Asked {
    /// With the suffix `x86` as the architecture that it is; another one beside it contradicts it.
    pub(crate) fn with_x86_as_architecture(mut self) -> Result<Asked, String> {
        if self.suffixes.remove(&Suffix::X86) {
            match &self.arch {
                Some(arch) if arch.as_str() != Arch::X86 => {
                    return Err(format!("x86 is asked for, and the architecture {arch}"));
                }
                _ => self.arch = Some(Arch::x86()),
            }
        }
        Ok(self)
    }

    /// Both together: lists grow, and what both say must be the same. The error names the contradiction, and where each stands.
    pub(crate) fn and(self, other: Asked, places: [&str; 2]) -> Result<Asked, String> {
        fn one<T: PartialEq + std::fmt::Display>(
            what: &str,
            [a, b]: [Option<T>; 2],
            places: [&str; 2],
        ) -> Result<Option<T>, String> {
            match (a, b) {
                (Some(a), Some(b)) if a != b => {
                    Err(format!("{what} is {a} by {}, and {b} by {}", places[0], places[1]))
                }
                (a, b) => Ok(a.or(b)),
            }
        }
        let join = |mut a: BTreeSet<Word>, b| {
            a.extend(b);
            a
        };
        let apart = opposed(&self.suffixes).or(opposed(&other.suffixes));
        let suffixes: BTreeSet<_> = self.suffixes.into_iter().chain(other.suffixes).collect();
        if let (None, Some([a, b])) = (apart, opposed(&suffixes)) {
            return Err(format!(
                "{a} and {b} do not go together, and {} and {} ask for both",
                places[0], places[1]
            ));
        }
        Ok(Asked {
            project: one("the project", [self.project, other.project], places)?,
            os: one("the os", [self.os, other.os], places)?,
            arch: one("the architecture", [self.arch, other.arch], places)?,
            compiler: one("the compiler", [self.compiler, other.compiler], places)?,
            suffixes,
            packages: join(self.packages, other.packages),
            tools: join(self.tools, other.tools),
        })
    }

    /// Whole, with the architecture of this machine where none is asked for.
    pub(crate) fn whole(self, host: Arch) -> Result<Requirements, String> {
        let Asked { project, os, arch, compiler, suffixes, packages, tools } = self;
        let os = os.ok_or("no os is asked for")?;
        if let Some([a, b]) = opposed(&suffixes) {
            return Err(format!("{a} and {b} do not go together"));
        }
        Ok(Requirements { project, os, arch: arch.unwrap_or(host), compiler, suffixes, packages, tools })
    }
}

/// Two that no program has at once: each of the two sanitizers wants the memory for itself.
fn opposed(suffixes: &BTreeSet<Suffix>) -> Option<[Suffix; 2]> {
    let both = [Suffix::Asan, Suffix::Tsan];
    both.iter().all(|one| suffixes.contains(one)).then_some(both)
}
