//! `larder prune`: what the policy lets go, goes.

mod answer;
mod limits;
mod loaded;
mod tree;

use std::path::PathBuf;

use larder_store::gc::{GRACE, Mode};
use larder_store::policy::{Occasion, Policy, Verdict};
use larder_store::prune::{Options, Pruned, prune};
use larder_store::settings::settings_of;

use crate::cli::{CommandError, Context, Format, Outcome, count, human, line, note, print_json};
use crate::docker::Engine;
use answer::{Kept, STORE, size, table, unattainable, value, words};
use limits::Limits;

/// Remove images as the policy says, and what no image needs any more
///
/// What is in use, pinned, protected, the newest of its group or just came in stays, whatever the limits. Images go when they
/// were not used for too long or are too old; and when the store is too large or the disk too full, as many as must:
/// versions that lost their name first, then what was used least recently, then what frees most. Without limits no image goes.
///
/// Limits stand in .larder/larder.toml of the store; flags win. Ends with 4 where a limit cannot be reached.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look at DIR alone, a folder of <project>/<name>.tar, and not at the store: the same limits, for files that larder
    /// exported or that DIR/image-registry.yml lists, if the store can give them again
    #[arg(long, value_name = "DIR", conflicts_with = "docker")]
    tree: Option<PathBuf>,

    /// Change nothing, and say what would go
    #[arg(long)]
    dry_run: bool,

    /// Give the reason for every image, for those that stay as well
    #[arg(long)]
    explain: bool,

    /// Also take loaded copies out of the Docker engine: those that larder gave it, that no container and no hold uses, that are
    /// older than --min-age, and that the store can give again
    #[arg(long)]
    docker: bool,

    #[command(flatten)]
    limits: Limits,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if let Some(dir) = &args.tree {
        return tree::run(context, args, dir);
    }
    let store = context.store()?;
    let policy = args.limits.over(settings_of(&store)?.policy);
    // First, because whoever asks for it wants to know that there is none before anything is gone.
    let engine = args.docker.then(|| Engine::connect(&context.cancel)).transpose()?;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Sweep };
    let pruned = prune(
        &store,
        &Options {
            policy: &policy,
            occasion: Occasion::Prune,
            grace: GRACE,
            now: super::now(),
            mode,
            cancel: &context.cancel,
        },
    )?;
    let copies =
        engine.map(|engine| loaded::take(context, &store, &engine, &pruned, &policy, mode)).transpose();
    let said = match (args.format, &copies) {
        (Format::Json, copies) => {
            let mut answer = value(&pruned, args.dry_run);
            if let Ok(Some(copies)) = copies {
                answer["docker"] = loaded::value(copies);
            }
            print_json(&answer)
        }
        (Format::Table, copies) => say(args, &policy, &pruned).and_then(|()| match copies {
            Ok(Some(copies)) => loaded::table(copies, args.explain),
            _ => Ok(()),
        }),
    };
    // What became of the store is said all the same.
    copies.map_err(CommandError::in_part)?;
    said?;
    if pruned.is_short() { Err(out_of_reach(&pruned)) } else { Ok(()) }
}

fn say(args: &Args, policy: &Policy, pruned: &Pruned) -> Outcome {
    let is_dropped = |verdict: &Verdict| matches!(verdict, Verdict::Drop(_));
    let dropped = pruned.images.iter().filter(|judged| is_dropped(&judged.verdict)).count();
    if args.explain || dropped > 0 {
        table(&pruned.images, |verdict| args.explain || is_dropped(verdict))?;
    }
    let (go, freed) = if args.dry_run { ("would go", "would be freed") } else { ("gone", "freed") };
    line(format!(
        "{} {go}, {} {freed} ({}); {} stored, {} free on the disk",
        count(dropped, "image"),
        human(pruned.freed_bytes),
        count(pruned.swept.len(), "blob"),
        human(pruned.stored_bytes),
        human(pruned.free_bytes),
    ))?;
    let busy = Verdict::Keep(larder_store::policy::Kept::Busy);
    explain_policy(policy, pruned.images.iter().any(|judged| judged.verdict == busy));
    Ok(())
}

/// What people may wonder about: that nothing goes, and why.
fn explain_policy(policy: &Policy, is_busy: bool) {
    if !has_limits(policy) {
        note(format_args!(
            "no limit is set, so nothing goes: give one here, or in .larder/larder.toml of the store"
        ));
    }
    if is_busy {
        note(format_args!(
            "a hold lives (`larder holds`): what would go stays; --when-busy evict takes what nobody holds"
        ));
    }
}

fn has_limits(policy: &Policy) -> bool {
    let ages = |unused: Option<u64>, age: Option<u64>| unused.is_some() || age.is_some();
    policy.max_size.is_some()
        || policy.min_free.is_some()
        || ages(policy.limits.unused_for, policy.limits.max_age)
        || policy.rules.iter().any(|rule| ages(rule.unused_for, rule.max_age))
}

/// Which limit, and what holds the space: the largest images that stay.
fn out_of_reach(pruned: &Pruned) -> CommandError {
    let kept = pruned.images.iter().filter(|judged| matches!(judged.verdict, Verdict::Keep(_)));
    let kept = kept.map(|judged| Kept {
        name: judged.image.shown_name(),
        size: size(&judged.image),
        reason: words(&judged.verdict, STORE).2,
    });
    let others = pruned.disk_bytes.saturating_sub(pruned.free_bytes).saturating_sub(pruned.stored_bytes);
    let others = format!("{} of the disk are not larder's", human(others));
    let missing = (pruned.over_size, pruned.short_of_space);
    unattainable(STORE, missing, kept.collect(), &others, "larder prune --dry-run --explain")
}
