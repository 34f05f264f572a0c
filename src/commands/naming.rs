//! Which names are given to images here, and what is declared with them.

use std::collections::BTreeSet;
use std::str::FromStr;

use larder_store::archive::options::Named;
use larder_store::descriptor::Annotations;
use larder_store::error::Error;
use larder_store::reference::Reference;
use larder_store::settings::{Naming, settings_of};
use larder_store::store::Store;

use crate::catalog::{Compiler, Declared, Name, Os, Project, Suffix, Word, nearest};
use crate::cli::{CommandError, Outcome, fail, note};

/// What is declared of the images that are imported.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What is declared of the images")]
pub(super) struct Flags {
    /// What the images are for; their names must be <PROJECT>-<OS>-<VARIANT> then, and declare the rest
    #[arg(long)]
    project: Option<Project>,

    /// The operating system, by the words of its os-release: ubuntu:25.04
    #[arg(long, value_name = "NAME:VERSION")]
    os: Option<Os>,

    /// A compiler: gcc-15; the first one is the variant's
    #[arg(long, value_name = "FAMILY-VERSION")]
    compiler: Vec<Compiler>,

    /// What else is special about the variant: cov, asan, ubsan, tsan, x86
    #[arg(long, value_name = "SUFFIX", value_delimiter = ',')]
    variant: Vec<Suffix>,

    /// A package that is there because someone asked for it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    package: Vec<Word>,

    /// A tool that is there because someone asked for it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tool: Vec<Word>,
}

impl Flags {
    /// What they say.
    pub(super) fn declared(&self) -> Declared {
        Declared {
            project: self.project.clone(),
            os: self.os.clone(),
            compilers: self.compiler.clone(),
            suffixes: self.variant.iter().copied().collect::<BTreeSet<_>>(),
            packages: self.package.clone(),
            tools: self.tool.clone(),
        }
    }
}

/// What becomes of a name that is off the convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Off {
    /// It is given.
    Given,
    /// It is refused.
    Refused,
    /// The nearest one is given instead; if there is none, it is refused.
    Replaced,
}

/// Which names are given to images, and what is declared with them.
pub(super) struct Names {
    off: Off,
    declared: Declared,
}

impl Names {
    /// By the convention where a project is declared, the store is strict, or the nearest names are asked for.
    pub(super) fn of(store: &Store, declared: Declared, normalize: bool) -> Outcome<Names> {
        let is_strict = settings_of(store)?.naming == Naming::Strict;
        let off = match normalize {
            true => Off::Replaced,
            false if is_strict || declared.project.is_some() => Off::Refused,
            false => Off::Given,
        };
        Ok(Names { off, declared })
    }

    /// The name that a reference in an archive is taken for.
    pub(super) fn take(&self, reference: &Reference) -> Result<Named, Error> {
        let refused = |why, hint| Error::NameRefused { reference: reference.to_string(), why, hint };
        match Name::of(reference) {
            _ if self.off == Off::Given => Ok(Named {
                reference: reference.clone(),
                declared: self.declared.annotations(),
                known: Annotations::new(),
            }),
            Ok(name) => {
                let declared = self.declared.with(&name).map_err(|why| refused(why, DISAGREE.to_owned()))?;
                Ok(Named {
                    reference: reference.clone(),
                    declared: declared.annotations(),
                    known: Annotations::new(),
                })
            }
            Err(why) => {
                let why = format!("is off the naming convention: {why}");
                let Some(nearest) = self.nearest(reference) else {
                    return Err(refused(why, GRAMMAR.to_owned()));
                };
                // What it contradicts is worth more than how it is spelt.
                let named = self.take(&nearest)?;
                if self.off == Off::Refused {
                    return Err(refused(why, proposal(&nearest)));
                }
                note(format_args!("{reference} is named {nearest}"));
                Ok(named)
            }
        }
    }

    /// The name that one of the command line is taken for.
    pub(super) fn take_given(&self, given: &Given) -> Outcome<Named> {
        let named = match given {
            Given::Reference(reference) => self.take(reference),
            Given::Misspelt { text, nearest, .. } if self.off == Off::Replaced => {
                let named = self.take(nearest);
                if named.is_ok() {
                    note(format_args!("{text} is named {nearest}"));
                }
                named
            }
            Given::Misspelt { why, nearest, .. } => {
                return Err(fail(why).with_hint(proposal(nearest)).usage());
            }
        };
        named.map_err(|error| CommandError::from(error).usage())
    }

    /// The nearest name; where a name says too little to have one, that of what is declared.
    fn nearest(&self, reference: &Reference) -> Option<Reference> {
        let full = reference.full();
        let declared = || {
            let (before, _) = full.rsplit_once('/')?;
            let tag = reference.tag().unwrap_or("latest");
            format!("{before}/{}:{tag}", self.declared.name()?).parse().ok()
        };
        nearest(&full).or_else(declared)
    }
}

/// A name as it was typed: a reference without a digest, or what comes near to a name by the convention.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// It can be given as it is.
    Reference(Reference),
    /// It is no reference.
    Misspelt { text: String, why: String, nearest: Reference },
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Given, String> {
        match (text.parse::<Reference>(), nearest(text)) {
            (Ok(reference), _) if reference.digest().is_some() => {
                Err("expected a name and a tag, no digest".to_owned())
            }
            (Ok(reference), _) => Ok(Given::Reference(reference)),
            (Err(why), Some(nearest)) => {
                Ok(Given::Misspelt { text: text.to_owned(), why: why.to_string(), nearest })
            }
            (Err(why), None) => Err(why.to_string()),
        }
    }
}

const GRAMMAR: &str = "names are <project>-<os>-<variant>, such as capy-ubuntu-25.04-gcc15-asan";
const DISAGREE: &str = "leave the flag out, or give the image a name that says so";

fn proposal(nearest: &Reference) -> String {
    format!("the nearest name is {nearest}; --normalize takes it")
}
