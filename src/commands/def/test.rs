//! `larder def test`: images of definitions, by the test files that come of their templates.

use super::super::test::{How, Known, of_store, parse, tell};
use super::Folder;
use crate::cli::{Context, Outcome, note};
use crate::def::Tag;
use crate::def::generate::directory;
use crate::structure::Report;

/// Check images of definitions by their test.yml.jinja2, as `larder test` does it
///
/// They have to be in the store: `def build` makes them. Images without such a template are passed over.
/// Exit codes: 0 all passed, 1 a test failed, 3 an image is not there, 7 none failed and some were skipped.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["names", "all"])))]
pub(super) struct Args {
    /// Images: all tags of a NAME, or one
    #[arg(value_name = "NAME[:TAG]")]
    names: Vec<String>,

    /// All images of the folder
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    folder: Folder,

    #[command(flatten)]
    how: How,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let definitions = args.folder.read()?;
    let wanted = match args.all {
        true => (0..definitions.tags.len()).collect(),
        false => super::numbers(&definitions, &args.names)?,
    };
    // All that is wrong with a file is found before the first image is looked at.
    let mut files: Vec<(&Tag, Known)> = Vec::new();
    for tag in wanted.into_iter().map(|at| &definitions.tags[at]) {
        match &tag.test {
            Some(text) => files.push((tag, parse(format!("{}/test.yml", directory(tag)), text)?)),
            None => note(format_args!("{}: has no tests", tag.shown())),
        }
    }
    let store = context.store()?;
    let mut suites = Vec::new();
    for (tag, file) in files {
        context.cancel.check()?;
        suites.extend(of_store(context, &store, &tag.shown(), None, &[file], &args.how)?);
    }
    tell(&Report { suites }, args.how.format)
}
