//! The typed instructions of a stage.

use std::time::Duration;

/// An instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The line on which it begins, counted from 1.
    pub(crate) line: usize,
    /// As written, with its continued lines joined, without the bodies of heredocs.
    pub(crate) text: String,
    /// What it says.
    pub(crate) instruction: Instruction,
}

impl Step {
    /// Whether it is an ARG of this name.
    pub(crate) fn declares(&self, name: &str) -> bool {
        match &self.instruction {
            Instruction::Arg(names) => names.iter().any(|(known, _)| known == name),
            _ => false,
        }
    }
}

/// What an instruction says. Words still have their quotes and variables until they are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// Names with their defaults.
    Arg(Vec<(String, Option<String>)>),
    /// Variables for all that follows, and for containers.
    Env(Vec<(String, String)>),
    /// Notes about the image.
    Label(Vec<(String, String)>),
    /// A command whose changes become a layer.
    Run(Run),
    /// Files into the image, as they are.
    Copy(Copy),
    /// The same, with archives unpacked.
    Add(Copy),
    /// The directory of all that follows.
    Workdir(String),
    /// The user of all that follows.
    User(String),
    /// Ports, with ranges and protocols.
    Expose(Vec<String>),
    /// Mount points.
    Volume(Vec<String>),
    /// What a container runs; an empty list takes away what there was.
    Entrypoint(Command),
    /// Arguments of the entry point, or what runs without one.
    Cmd(Command),
    /// What runs a command that is not a list.
    Shell(Vec<String>),
    /// How a container is asked to stop.
    StopSignal(String),
    /// How a container is found well.
    HealthCheck(HealthCheck),
    /// An instruction for images that are made from this one, as written.
    OnBuild(String),
    /// Who made it.
    Maintainer(String),
}

impl Instruction {
    /// The word that it begins with.
    pub(crate) fn keyword(&self) -> &'static str {
        match self {
            Instruction::Arg(_) => "ARG",
            Instruction::Env(_) => "ENV",
            Instruction::Label(_) => "LABEL",
            Instruction::Run(_) => "RUN",
            Instruction::Copy(_) => "COPY",
            Instruction::Add(_) => "ADD",
            Instruction::Workdir(_) => "WORKDIR",
            Instruction::User(_) => "USER",
            Instruction::Expose(_) => "EXPOSE",
            Instruction::Volume(_) => "VOLUME",
            Instruction::Entrypoint(_) => "ENTRYPOINT",
            Instruction::Cmd(_) => "CMD",
            Instruction::Shell(_) => "SHELL",
            Instruction::StopSignal(_) => "STOPSIGNAL",
            Instruction::HealthCheck(_) => "HEALTHCHECK",
            Instruction::OnBuild(_) => "ONBUILD",
            Instruction::Maintainer(_) => "MAINTAINER",
        }
    }
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// A text for the shell.
    Shell(String),
    /// The words themselves.
    Exec(Vec<String>),
}

impl Command {
    /// The words that run. Where there is nothing for the shell, it is the shell alone, as in Docker 20.10.
    pub(crate) fn words(&self, shell: &[String]) -> Vec<String> {
        match self {
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => {
                shell.iter().chain(Some(text).filter(|text| !text.is_empty())).cloned().collect()
            }
        }
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Command::Exec(words) => words.is_empty(),
            Command::Shell(text) => text.is_empty(),
        }
    }
}

/// What RUN runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Run {
    /// A command; bodies of heredocs are in its text where it has some.
    Command(Command),
    /// One heredoc that begins with `#!`: it is run as a file of this name.
    Script {
        /// The name of the heredoc, which is the file's.
        name: String,
        /// The file's content.
        content: String,
    },
}

/// What COPY and ADD copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Copy {
    /// `--from`: a stage, its number, or an image; else the context.
    pub(crate) from: Option<String>,
    /// `--chown`: `user[:group]`, names or numbers.
    pub(crate) chown: Option<String>,
    /// `--chmod`: octal.
    pub(crate) chmod: Option<String>,
    /// Paths and patterns.
    pub(crate) sources: Vec<String>,
    /// Files that stand in the Dockerfile itself.
    pub(crate) heredocs: Vec<HereDoc>,
    /// Where to.
    pub(crate) destination: String,
}

/// A text that stands in the Dockerfile below its instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HereDoc {
    /// The word that ends it, which is its file's name too.
    pub(crate) name: String,
    /// Whether variables in it are expanded: its word has no quotes.
    pub(crate) expand: bool,
    /// The lines with their ends, leading tabs cut off where `<<-` says so.
    pub(crate) content: String,
}

/// What HEALTHCHECK says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HealthCheck {
    /// There is none, whatever the base says.
    None,
    /// What to run, and when.
    Test {
        /// What is well if it ends with 0.
        command: Command,
        /// `--interval`.
        interval: Duration,
        /// `--timeout`.
        timeout: Duration,
        /// `--start-period`.
        start_period: Duration,
        /// `--start-interval`.
        start_interval: Duration,
        /// `--retries`.
        retries: u32,
    },
}
