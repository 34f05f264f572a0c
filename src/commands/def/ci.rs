//! `larder def ci`: a pipeline for the images of a folder.

use std::path::PathBuf;

use clap::ValueEnum;

use super::super::export::write_bytes;
use super::Folder;
use crate::cli::{CommandError, Outcome, count, fail, note, print};
use crate::def::ci::{self, Pipeline, Wanted};

/// Print a pipeline that builds and tests the images, and hands them from job to job as archives
///
/// A job an image: it takes the archives of the images that it needs, checks their names and digests against what the jobs said that made them,
/// builds, tests, and hands over an archive itself. No job asks a registry. Images of other places come from the store of the runner,
/// by a job each. docs/ci.md says what a runner has to have.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who runs it
    #[arg(value_enum)]
    provider: Provider,

    /// How archives get from job to job
    #[arg(long, value_enum, default_value_t)]
    handover: Handover,

    /// A label (GitHub) or tag (GitLab) that the runners have; several may be given [default: self-hosted for GitHub, none for GitLab]
    #[arg(long, value_name = "LABEL")]
    runner: Vec<String>,

    #[command(flatten)]
    folder: Folder,

    /// Write it to this file; `-` is stdout
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Provider {
    /// A workflow of GitHub Actions
    Github,
    /// A pipeline of GitLab CI
    Gitlab,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Handover {
    /// As artifacts of the jobs
    #[default]
    Artifact,
    /// In a directory of the one machine that runs all jobs
    Dir,
}

pub(super) fn run(args: &Args) -> Outcome {
    let definitions = args.folder.read()?;
    let wanted = args.wanted()?;
    let Pipeline { text, jobs, notes } = ci::pipeline(&definitions, &wanted).map_err(refused)?;
    notes.iter().for_each(|text| note(format_args!("{text}")));
    if args.output.as_os_str() == "-" {
        return print(&text);
    }
    let above = args.output.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above.filter(|above| matches!(above.try_exists(), Ok(false))) {
        return Err(fail(format!("{}: there is no such directory", above.display()))
            .with_hint(format!("mkdir -p {} makes it", above.display())));
    }
    write_bytes(&args.output, text.as_bytes())?;
    note(format_args!("{}: {}", args.output.display(), count(jobs, "job")));
    Ok(())
}

fn refused(error: ci::Error) -> CommandError {
    let hint = match &error {
        ci::Error::Cycle(_) => "one of them may be two names: tags that are needed, and tags that need",
        ci::Error::Foreign { .. } => "FROM and --from take NAME:TAG",
        ci::Error::Word(_) => return fail(error).usage(),
    };
    fail(error).with_hint(hint)
}

impl Args {
    fn wanted(&self) -> Outcome<Wanted> {
        let word = |text: &str| text.to_owned();
        let mut folder = Vec::new();
        let images = &self.folder.images;
        let images =
            images.to_str().ok_or_else(|| fail(format!("{}: is not UTF-8", images.display())).usage())?;
        if images != "images" {
            folder.extend([word("--images"), word(images)]);
        }
        if self.folder.no_lock {
            folder.push(word("--no-lock"));
        }
        let (provider, name) = match self.provider {
            Provider::Github => (ci::Provider::GitHub, "github"),
            Provider::Gitlab => (ci::Provider::GitLab, "gitlab"),
        };
        let mut command: Vec<_> = ["larder", "def", "ci", name].map(word).into();
        let handover = match self.handover {
            Handover::Artifact => ci::Handover::Artifact,
            Handover::Dir => {
                command.extend(["--handover", "dir"].map(word));
                ci::Handover::Dir
            }
        };
        command.extend(self.runner.iter().flat_map(|label| [word("--runner"), label.clone()]));
        command.extend(folder.clone());
        Ok(Wanted { provider, handover, runners: self.runner.clone(), folder, command })
    }
}
