//! The verbs, one file each.

mod annotate;
mod df;
mod export;
mod images;
mod import;
mod init;
mod inspect;
mod pin;
mod rm;
mod tag;

use clap::Subcommand;

use crate::cli::{Context, Outcome};

/// What larder can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(init::Args),
    Import(import::Args),
    #[command(visible_alias = "ls")]
    Images(images::Args),
    Inspect(inspect::Args),
    Df(df::Args),
    Tag(tag::Args),
    Rm(rm::Args),
    Annotate(annotate::Args),
    /// Protect names from `rm` and `prune`
    Pin(pin::Args),
    /// Take that protection away
    Unpin(pin::Args),
    Export(export::Args),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(&self, context: &Context) -> Outcome {
        match self {
            Verb::Init(args) => init::run(context, args),
            Verb::Import(args) => import::run(context, args),
            Verb::Images(args) => images::run(context, args),
            Verb::Inspect(args) => inspect::run(context, args),
            Verb::Df(args) => df::run(context, args),
            Verb::Tag(args) => tag::run(context, args),
            Verb::Rm(args) => rm::run(context, args),
            Verb::Annotate(args) => annotate::run(context, args),
            Verb::Pin(args) => pin::run(context, args, pin::Change::Pin),
            Verb::Unpin(args) => pin::run(context, args, pin::Change::Unpin),
            Verb::Export(args) => export::run(context, args),
        }
    }
}

/// Threads for compressing: what was asked for, else one for each core, and no more than memory is worth.
fn jobs(asked: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(cores).clamp(1, 16)
}
