//! `larder resolve`: the image for a job.

pub(in crate::commands) mod answer;
pub(in crate::commands) mod file;
pub(in crate::commands) mod look;
pub(in crate::commands) mod workflow;

use std::path::PathBuf;

use clap::ValueEnum;
use larder_store::descriptor::Platform;
use larder_store::settings::settings_of;

use crate::catalog::resolve::{Lacking, resolve};
use crate::catalog::{Arch, Asked, Compiler, Os, Project, Requirements, Suffix, Word};
use crate::cli::{CommandError, Context, Outcome, fail, line, note, print_json};

/// Find the image for a job: by os, architecture, compiler, packages and tools
///
/// Prints the name of the best image and nothing else. If none will do, it says on stderr which one to build on and what it lacks,
/// and ends with 3. What is not known of the images yet is read first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asking: Asking,

    /// An image that lacks a package or a tool is no more than a base
    #[arg(long)]
    strict_packages: bool,

    /// Show the marks of all candidates, and why the others are none (on stderr)
    #[arg(long)]
    explain: bool,

    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a job needs, as `resolve` and `ensure` are told.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Asking {
    /// The operating system, by the words of its os-release: ubuntu:25.04
    #[arg(long, value_name = "NAME:VERSION")]
    pub(in crate::commands) os: Option<Os>,

    /// The architecture: amd64, arm64, x86 … [default: this machine's]
    #[arg(long)]
    pub(in crate::commands) arch: Option<Arch>,

    /// A compiler: gcc-15 is served by any 15.x
    #[arg(long, value_name = "FAMILY-VERSION")]
    compiler: Option<Compiler>,

    /// A package that the job needs (in another architecture: libc6:i386)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    package: Vec<Word>,

    /// A tool that the job calls
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tool: Vec<Word>,

    /// What else is special about the variant: cov, asan, ubsan, tsan, x86
    #[arg(long, value_name = "SUFFIX", value_delimiter = ',')]
    variant: Vec<Suffix>,

    /// Only images that are declared to be for this project; `ensure` makes new ones for it
    #[arg(long)]
    project: Option<Project>,

    /// A file (YAML or JSON) that says the same; `-` is stdin
    #[arg(long, value_name = "FILE|-")]
    requirements: Option<PathBuf>,

    /// A GitHub workflow whose jobs say it; prints `-P LABEL=NAME` for act, once for each label; `-` is stdin
    #[arg(long, value_name = "FILE|-", conflicts_with = "requirements")]
    pub(in crate::commands) workflow: Option<PathBuf>,

    /// Only this job of the workflow [default: all that can be told]
    #[arg(long, requires = "workflow")]
    job: Option<String>,

    /// Only entries of the matrix that have this value; repeatable
    #[arg(long, value_name = "KEY=VALUE", requires = "workflow", value_parser = workflow::pair)]
    matrix: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The name of the image
    #[default]
    Text,
    /// All of the answer; the fields are documented in docs/json.md
    Json,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if let Some(path) = &args.asking.workflow {
        return workflow::run(context, args, path);
    }
    let job = job(context, &args.asking, args.asking.flags()?)?;
    let store = context.store()?;
    let policy = settings_of(&store)?.policy;
    let offers = look::offers(context, &store, &[&job])?;
    // The answer stands without them, as a list of images does.
    offers.damaged.iter().for_each(|why| note(format_args!("{why}")));
    let lacking = if args.strict_packages { Lacking::Built } else { Lacking::Used };
    let answer = resolve(&job, &offers.all, lacking, &mut look::damage(&store));
    let best = answer.candidates.first();
    let stale = best.and_then(|best| offers.stale(&store, &policy, best.name));
    let stale = stale.as_deref();
    if args.explain {
        answer::explain(&answer);
    }
    match (args.format, best) {
        (Format::Json, _) => print_json(&answer::value(&answer, stale))?,
        (Format::Text, Some(best)) if !answer.needs_build => line(best.name)?,
        (Format::Text, _) => {}
    }
    answer::tell(&job, &answer, stale)
}

fn refused(why: String) -> CommandError {
    fail(why).usage()
}

impl Asking {
    /// What the flags say.
    pub(in crate::commands) fn flags(&self) -> Outcome<Asked> {
        let flags = Asked {
            project: self.project.clone(),
            os: self.os.clone(),
            arch: self.arch.clone(),
            compiler: self.compiler.clone(),
            suffixes: self.variant.iter().copied().collect(),
            packages: self.package.iter().cloned().collect(),
            tools: self.tool.iter().cloned().collect(),
        };
        flags.with_x86_as_architecture().map_err(refused)
    }
}

/// What flags and file ask for together.
pub(in crate::commands) fn job(context: &Context, asking: &Asking, flags: Asked) -> Outcome<Requirements> {
    let mut asked = flags;
    if let Some(path) = &asking.requirements {
        let file = file::read(path, &context.cancel)?;
        asked = asked.and(file, ["the flags", &path.display().to_string()]).map_err(refused)?;
    }
    let host = Platform::host().architecture.parse().map_err(refused)?;
    if asked.os.is_none() {
        let hint = "--os NAME:VERSION, or a file of --requirements, says it";
        return Err(refused("no os is asked for".to_owned()).with_hint(hint));
    }
    asked.whole(host).map_err(refused)
}
