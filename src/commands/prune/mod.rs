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

use crate::cli::{CommandError, Context, Format, Outcome, count, human, line, print_json};
use crate::docker::{Engine, Fate, LoadedCopy};
use answer::{
    Kept, STORE, cache_in_words, missing_in_words, say_no_limit, say_waiting, size, sum_in_words, table,
    unattainable, value, words,
};
use limits::Limits;

/// Remove images as the policy says, and what no image needs any more
///
/// What is in use, pinned, protected, the newest of its group or just came in stays, whatever the limits. Images go when they
/// were not used for too long or are too old; and when the store is too large or the disk too full, as many as must:
/// versions that lost their name first, then what was used least recently, then what frees most. Without limits no image goes.
/// What builds keep for the next one goes before: unpacked layers first, then the layers of steps.
///
/// Limits stand in .larder/larder.toml of the store. A flag wins over the key of its name; but --protect adds to the store's, and what
/// a [[rule]] says for its names stands. Ends with 4 where a limit cannot be reached, and with 0 where only the end of a hold is
/// waited for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look at DIR alone, a folder of <project>/<name>.tar, and not at the store: the same limits, for files that larder
    /// exported or that DIR/image-registry.yml lists, if the store can give them again
    #[arg(long, value_name = "DIR", conflicts_with = "docker")]
    tree: Option<PathBuf>,

    /// Change nothing, and say what would go
    #[arg(long)]
    dry_run: bool,

    /// Give the reason for every image, for those that stay as well. Removes all the same: add --dry-run to look only
    #[arg(long)]
    explain: bool,

    /// Also take loaded copies out of the Docker engine: those that larder gave it, that no container and no hold uses, that are
    /// older than --min-age, and that the store can give again
    #[arg(long)]
    docker: bool,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    // Last: its heading would stand over whatever follows.
    #[command(flatten)]
    limits: Limits,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if let Some(dir) = &args.tree {
        return tree::run(context, args, dir);
    }
    let store = context.existing_store()?;
    let policy = args.limits.over(settings_of(&store)?.policy)?;
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
        (Format::Table, Ok(Some(copies))) => say(args, &pruned, copies),
        (Format::Table, _) => say(args, &pruned, &[]),
    };
    // Who also asked for copies in the engine knows why no image goes.
    if !args.docker && !has_limits(&policy) {
        say_no_limit();
    }
    let busy = Verdict::Keep(larder_store::policy::Kept::Busy);
    let busy = pruned.images.iter().filter(|judged| judged.verdict == busy).count();
    let over = if pruned.is_waiting { pruned.over_size } else { 0 };
    say_waiting(&store, STORE, over, &count(busy, "image"), busy > 0)?;
    // What became of the store is said all the same.
    copies.map_err(CommandError::in_part)?;
    said?;
    if pruned.is_short() { Err(out_of_reach(args, &pruned)) } else { Ok(()) }
}

fn say(args: &Args, pruned: &Pruned, copies: &[LoadedCopy]) -> Outcome {
    let is_dropped = |verdict: &Verdict| matches!(verdict, Verdict::Drop(_));
    let dropped = pruned.images.iter().filter(|judged| is_dropped(&judged.verdict)).count();
    if args.explain || dropped > 0 {
        table(&pruned.images, |verdict| args.explain || is_dropped(verdict))?;
    }
    loaded::table(copies, args.explain)?;
    let (go, freed) = if args.dry_run { ("would go", "would be freed") } else { ("gone", "freed") };
    for words in cache_in_words(&pruned.cache, go) {
        line(words)?;
    }
    let taken = match copies.iter().filter(|copy| copy.fate == Fate::Removed).count() {
        0 => String::new(),
        taken => format!(
            "; {} {go} from Docker",
            if taken == 1 { "1 copy".into() } else { format!("{taken} copies") }
        ),
    };
    line(sum_in_words(pruned, go, freed, &taken))
}

/// What a dry run says beside its table, in sentences.
pub(super) fn in_words(policy: &Policy, pruned: &Pruned) -> Vec<String> {
    let mut words = vec![sum_in_words(pruned, "would go", "would be freed", "")];
    words.extend(cache_in_words(&pruned.cache, "would go"));
    if !has_limits(policy) {
        words.push(
            "no limit is set, so no image goes: .larder/larder.toml of the store has room for some".into(),
        );
    }
    if pruned.is_waiting {
        words.push("a hold lives: limits of age and size wait for its end".into());
    }
    if pruned.is_short() {
        let missing = missing_in_words(STORE, (pruned.over_size, pruned.short_of_space));
        words.push(format!("the limit cannot be reached: {missing}"));
    }
    words
}

/// What becomes of an image and why, in a sentence.
pub(super) fn verdict_in_words(verdict: &Verdict) -> String {
    let (word, _, reason) = words(verdict, STORE);
    format!("{word}: {reason}")
}

fn has_limits(policy: &Policy) -> bool {
    let ages = |unused: Option<u64>, age: Option<u64>| unused.is_some() || age.is_some();
    policy.max_size.is_some()
        || policy.min_free.is_some()
        || ages(policy.limits.unused_for, policy.limits.max_age)
        || policy.rules.iter().any(|rule| ages(rule.unused_for, rule.max_age))
}

/// Which limit, and what holds the space: the largest images that stay.
fn out_of_reach(args: &Args, pruned: &Pruned) -> CommandError {
    let kept = pruned.images.iter().filter(|judged| matches!(judged.verdict, Verdict::Keep(_)));
    let kept = kept.map(|judged| Kept {
        name: judged.image.shown_name(),
        size: size(&judged.image),
        reason: words(&judged.verdict, STORE).2,
    });
    let others = pruned.disk_bytes.saturating_sub(pruned.free_bytes).saturating_sub(pruned.stored_bytes);
    let others = format!("{} of the disk are not larder's", human(others));
    let missing = (pruned.over_size, pruned.short_of_space);
    unattainable(args, STORE, missing, kept.collect(), &others)
}
