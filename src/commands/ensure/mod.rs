//! `larder ensure`: the image for a job, made where there is none.

mod base;
mod check;
mod decide;
mod expected;
mod fetch;
mod from;
mod give;
mod make;
mod plan;
mod remote;
mod share;
mod workflow;

use std::path::PathBuf;

use clap::ValueEnum;
use larder_store::settings::settings_of;

use super::build::How;
use super::resolve::{self, Asking};
use crate::catalog::Requirements;
use crate::cli::{Context, Outcome, fail, line, print, print_json, safe};
use decide::Look;
use give::Give;
use make::Ensured;
use plan::Plan;

/// Find the image for a job, and make it where there is none
///
/// What is asked for is said as for `resolve`, and an image that lacks anything of it does not do.
/// Where none is there, or the one that is has become stale, the remote of the host's configuration is
/// asked for it, where there is one; else one is built: with the project's own Dockerfile for it, or
/// with one that puts what is missing upon the best base of the store. It is looked into before it
/// gets its name (<project>-<os>-<variant>), so that what was asked for is there. Two jobs that need
/// the same image build it once.
///
/// Prints the name of the image and nothing else:
///
///   img=$(larder ensure --project capy --os debian:12 --compiler gcc-12 --tool cmake --to-docker) &&
///     act -P ubuntu-latest=$img --pull=false
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    asking: Asking,

    /// The newest image that was made on this one; a new one is made on it. Os and architecture are its own where nothing is said
    #[arg(long, value_name = "REF", conflicts_with = "workflow")]
    base: Option<String>,

    /// Where projects have their Dockerfiles: <DIR>/<project>/Dockerfile.<name> [default: images]
    #[arg(long, value_name = "DIR")]
    definitions: Option<PathBuf>,

    /// Hand the image over to a Docker engine
    #[arg(long)]
    to_docker: bool,

    /// Write it to <project>/<name>.tar in this folder, and its entry into the folder's image-registry.yml
    #[arg(long, value_name = "DIR")]
    to_tree: Option<PathBuf>,

    /// Print the Dockerfile and, as a comment behind it, the name; nothing is built, and no remote is asked
    #[arg(long, conflicts_with_all = ["to_docker", "to_tree"])]
    dry_run: bool,

    #[command(flatten)]
    how: How,

    /// Threads for compressing [default: one for each core, at most 6]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The name of the image
    #[default]
    Text,
    /// What was found or made; the fields are documented in docs/json.md
    Json,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if let Some(dir) = args.definitions.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(fail(format!("--definitions {}: there is no such directory", dir.display())).usage());
    }
    if let Some(path) = &args.asking.workflow {
        return workflow::run(context, args, path);
    }
    let job = job(context, args)?;
    let store = context.store()?;
    let give = Give::prepared(context, args, &store)?;
    let policy = settings_of(&store)?.policy;
    let look = Look::new(context, args, &store, &policy)?;
    let ensured = look.ensure(&job)?;
    if let (Ensured::Planned(plan), Format::Text) = (&ensured, args.format) {
        return show(plan);
    }
    let mut value = ensured.value();
    let mut name = ensured.name();
    if let Some(handed) = give.give(std::slice::from_ref(&name))?.pop() {
        value["engine_name"] = handed.clone().into();
        name = handed;
    }
    match args.format {
        Format::Text => line(name),
        Format::Json => print_json(&value),
    }
}

/// What is asked for; of a base's image where that is named.
fn job(context: &Context, args: &Args) -> Outcome<Requirements> {
    let mut flags = args.asking.flags()?;
    if let Some(query) = &args.base {
        let store = context.store()?;
        base::complete(context, &store, query, &mut flags)?;
    }
    resolve::job(context, &args.asking, flags)
}

/// What would be done.
fn show(plan: &Plan) -> Outcome {
    let kept = |line: &str| line.split('\t').map(safe).collect::<Vec<_>>().join("\t");
    let lines: Vec<_> = plan.source.text().lines().map(kept).collect();
    print(&format!("{}\n# {}\n", lines.join("\n"), plan.reference.familiar()))
}
