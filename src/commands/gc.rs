//! `larder gc`: what nothing needs goes.

use larder_store::gc::{Collected, Mode, Options, gc};
use larder_store::quantity::seconds;

use crate::build::engine;
use crate::cli::{CommandError, Context, Format, Outcome, count, human, line, note, print_json};

/// Remove what no image needs any more
///
/// What `rm` let go goes at once, and so do the leftovers of processes that were killed. Unpacked layers and the layers of
/// steps that builds keep go as far as they are over the limits of the store ([build] in .larder/larder.toml). Anything else that nothing
/// needs (another tool's, or of an import that failed) waits for --grace, from when a gc first saw it. What a running
/// larder uses is never touched. An image that cannot be read stops it before anything is removed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long foreign and orphaned content is left alone: 90s, 30m, 1h, 7d; 0s is safe unless another tool is just
    /// writing to the store
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    grace: u64,

    /// Only say what would go
    #[arg(long)]
    dry_run: bool,

    /// How to print what went
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Sweep };
    let now = super::now();
    let mut collected = gc(&store, &Options { grace: args.grace, now, mode, cancel: &context.cancel })?;
    let steps = engine::clear_up(&store, mode == Mode::Sweep);
    if let Ok(steps) = &steps {
        collected.leftovers += steps.count;
        steps.notes.iter().for_each(|left| note(format_args!("note: {left}")));
    }
    match args.format {
        Format::Json => print_json(&collected)?,
        Format::Table => describe(&collected, mode).iter().try_for_each(line)?,
    }
    // What became of the store is said all the same.
    steps.map(drop).map_err(|error| CommandError::from(error).in_part())
}

fn describe(collected: &Collected, mode: Mode) -> Vec<String> {
    let (freed, removed) = match mode {
        Mode::DryRun => ("would be freed", "would go"),
        Mode::Sweep => ("freed", "went"),
    };
    let mut lines = vec![format!(
        "{} {freed} ({} {removed})",
        human(collected.freed_bytes),
        count(collected.swept.len(), "blob"),
    )];
    if collected.steps > 0 {
        lines.push(format!("{} of builds {removed}", count(collected.steps, "step")));
    }
    if collected.leftovers > 0 {
        lines.push(format!("{} of processes that died {removed}", count(collected.leftovers, "leftover")));
    }
    if !collected.forgotten.is_empty() {
        let referrers = count(collected.forgotten.len(), "referrer");
        lines.push(format!("{referrers} of images that are gone {removed}"));
    }
    if !collected.waiting.is_empty() {
        let waiting = count(collected.waiting.len(), "blob");
        lines.push(format!(
            "{waiting} ({}) that nothing needs wait for the end of their grace",
            human(collected.waiting_bytes)
        ));
    }
    lines
}
