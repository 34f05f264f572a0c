//! What became of each image, in words and as JSON.

use larder_store::index::timestamp;
use larder_store::lease;
use larder_store::policy::{self, Candidate, Dropped, StepDropped, Verdict};
use larder_store::prune::{Cache, Judged, Pruned};
use larder_store::quantity::shown_seconds;
use larder_store::store::Store;
use serde_json::{Value, json};

use super::Args;
use crate::cli::{CommandError, Outcome, Table, count, fail, human, note, safe};

/// What the reasons call a store.
pub(super) const STORE: &str = "the store";

/// A table of those images that `shown` wants, what goes first.
pub(super) fn table(images: &[Judged], shown: impl Fn(&Verdict) -> bool) -> Outcome {
    let mut table = Table::new(&["REFERENCE", "DIGEST", ">SIZE", "VERDICT", "REASON"]);
    let mut rows: Vec<_> = images.iter().filter(|judged| shown(&judged.verdict)).collect();
    rows.sort_by_key(|judged| (matches!(judged.verdict, Verdict::Keep(_)), judged.image.shown_name()));
    for Judged { image, verdict } in rows {
        let (word, _, reason) = words(verdict, STORE);
        table.row([image.shown_name(), image.digest.short(), human(size(image)), word.to_owned(), reason]);
    }
    table.print()
}

/// All of it.
pub(super) fn value(pruned: &Pruned, is_dry_run: bool) -> Value {
    let images: Vec<_> = pruned
        .images
        .iter()
        .map(|Judged { image, verdict }| {
            let (word, code, reason) = words(verdict, STORE);
            json!({
                "references": image.names,
                "was": image.lost,
                "digest": image.digest,
                "size": size(image),
                "imported": timestamp(image.imported),
                "last_used": timestamp(image.last_used),
                "verdict": word,
                "code": code,
                "reason": reason,
            })
        })
        .collect();
    json!({
        "dry_run": is_dry_run,
        "images": images,
        "swept": pruned.swept,
        "freed_bytes": pruned.freed_bytes,
        "freed_by_images": pruned.freed_by_images,
        "cache": pruned.cache,
        "step_reasons": pruned.cache.reasons.iter().map(|(why, count)| json!({ "code": step_words(why).0, "steps": count })).collect::<Vec<_>>(),
        "stored_bytes": pruned.stored_bytes,
        "free_bytes": pruned.free_bytes,
        "disk_bytes": pruned.disk_bytes,
        "waiting_for_holds": pruned.is_waiting,
        "over_size": pruned.over_size,
        "short_of_space": pruned.short_of_space,
    })
}

/// Bytes of all its blobs.
pub(super) fn size(image: &Candidate) -> u64 {
    image.parts.iter().map(|(_, size)| size).sum()
}

/// What happens, the reason for programs, and for people; `whole` is what was too large.
pub(super) fn words(verdict: &Verdict, whole: &str) -> (&'static str, &'static str, String) {
    let ago = |seconds: &u64| shown_seconds(*seconds);
    let (word, code, reason) = match verdict {
        Verdict::Keep(kept) => {
            let (code, reason) = match kept {
                policy::Kept::InUse(by) => ("in-use", format!("in use by {by}")),
                policy::Kept::Pinned => ("pinned", "pinned".into()),
                policy::Kept::Protected => ("protected", "protected by the policy".into()),
                policy::Kept::Newest(group) => {
                    ("newest", format!("among the newest of {}", group.replace('\u{1f}', " ")))
                }
                policy::Kept::Young(age) => ("young", format!("came in {} ago", ago(age))),
                policy::Kept::Orphan(age) => {
                    ("orphan", format!("lost its name {} ago; there is a way back", ago(age)))
                }
                policy::Kept::Busy => ("busy", "would go, but a hold lives".into()),
                policy::Kept::FreesNothing => {
                    ("frees-nothing", "has nothing for itself: room is not made by it".into())
                }
                policy::Kept::Reserve => ("reserve", format!("{whole} would fall below its reserve")),
                policy::Kept::WithinLimits => ("within-limits", "no limit asks for it".into()),
            };
            ("keep", code, reason)
        }
        Verdict::Drop(dropped) => {
            let (code, reason) = match dropped {
                Dropped::Unused(age) => ("unused", format!("not used for {}", ago(age))),
                Dropped::Old(age) => ("old", format!("came in {} ago", ago(age))),
                Dropped::Size => ("size", format!("{whole} was larger than max_size")),
                Dropped::Space => ("space", "free space was below min_free".into()),
            };
            ("drop", code, reason)
        }
    };
    (word, code, reason)
}

/// What went of what builds keep, a line for each kind; `go` says whether it has gone.
pub(super) fn cache_in_words(cache: &Cache, go: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if cache.snapshots > 0 {
        let (snapshots, bytes) = (count(cache.snapshots, "snapshot"), human(cache.snapshot_bytes));
        lines.push(format!("{snapshots} {go}, {bytes}: layers can be unpacked again"));
    }
    if cache.steps > 0 {
        let reasons = cache.reasons.iter().map(|(why, count)| format!("{} ({count})", step_words(why).1));
        let (steps, bytes) = (count(cache.steps, "step"), human(cache.step_bytes));
        lines.push(format!("{steps} of builds {go}, {bytes}: {}", reasons.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// What went in all; `go` and `freed` say whether it has, `taken` what else did.
pub(super) fn sum_in_words(pruned: &Pruned, go: &str, freed: &str, taken: &str) -> String {
    let dropped = pruned.images.iter().filter(|judged| matches!(judged.verdict, Verdict::Drop(_))).count();
    let blobs = count(pruned.swept.len(), "blob");
    let others = pruned.freed_bytes.saturating_sub(pruned.swept.values().sum());
    let leftovers = match others.saturating_sub(pruned.cache.snapshot_bytes) {
        0 => String::new(),
        bytes => format!(", and {} of leftovers of processes that died", human(bytes)),
    };
    format!(
        "{} {go}, {} {freed} ({blobs}{leftovers}); {} stored, {} free on the disk{taken}",
        count(dropped, "image"),
        human(pruned.freed_bytes),
        human(pruned.stored_bytes),
        human(pruned.free_bytes),
    )
}

/// By how much the limits are missed: bytes too many, and bytes of free space.
pub(super) fn missing_in_words(whole: &str, missing: (u64, u64)) -> String {
    match missing {
        (0, space) => format!("{} of free space are missing", human(space)),
        (size, 0) => format!("{whole} is {} too large", human(size)),
        (size, space) => {
            format!("{whole} is {} too large, and {} of free space are missing", human(size), human(space))
        }
    }
}

/// The reason for a step, for programs and for people.
fn step_words(why: &StepDropped) -> (&'static str, String) {
    match why {
        StepDropped::Unused(age) => ("unused", format!("not used for {} or longer", shown_seconds(*age))),
        StepDropped::Limit => ("limit", "over steps_max_size".into()),
        StepDropped::Size => ("size", format!("{STORE} was larger than max_size")),
        StepDropped::Space => ("space", "free space was below min_free".into()),
    }
}

/// Something that stays.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) reason: String,
}

/// That nothing goes, and why.
pub(super) fn say_no_limit() {
    note(format_args!(
        "no limit is set, so no image goes: give one here, or in .larder/larder.toml of the store"
    ));
}

/// What waits for the end of holds, which is no failure: how many bytes are over `max_size`, and what would go.
pub(super) fn say_waiting(store: &Store, whole: &str, over: u64, would_go: &str, is_busy: bool) -> Outcome {
    let what = match (over, is_busy) {
        (0, false) => return Ok(()),
        (0, true) => format!("{would_go} would go"),
        (over, _) => format!("{whole} is {} over max_size", human(over)),
    };
    let holds = lease::glance(&store.layout().private().ensure_dir("leases")?)?;
    // The last one may just have ended.
    let holds = holds.iter().filter(|lease| lease.is_hold()).count().max(1);
    note(format_args!(
        "{what}; waits for {} (`larder holds`); --when-busy evict takes what nobody holds",
        count(holds, "hold")
    ));
    Ok(())
}

/// Which limit is out of reach (bytes too many, bytes of free space that are missing), and what holds the space: the largest of
/// what stays, unless all of it was explained.
pub(super) fn unattainable(
    args: &Args,
    whole: &str,
    missing: (u64, u64),
    mut kept: Vec<Kept>,
    others: &str,
) -> CommandError {
    let missing = missing_in_words(whole, missing);
    let error = fail(format!("the limit cannot be reached: {missing}; {others}")).unattainable();
    if args.explain {
        return error;
    }
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.size));
    let holders = kept.iter().take(10);
    let lines: Vec<_> = holders
        // A line end in a name would begin a line of its own.
        .map(|kept| safe(&format!("  {} ({}): {}", kept.name, human(kept.size), kept.reason)))
        .collect();
    if !lines.is_empty() {
        note(format_args!("what stays, the largest first:\n{}", lines.join("\n")));
    }
    let rest = kept.len().saturating_sub(lines.len());
    if rest > 0 {
        note(format_args!("  and {}", count(rest, "smaller one")));
    }
    error.with_hint("the same with --dry-run --explain gives every reason")
}
