//! What became of each image, in words and as JSON.

use larder_store::policy::{Candidate, Dropped, Kept, Verdict};
use larder_store::prune::{Judged, Pruned};
use larder_store::quantity::shown_seconds;
use serde_json::{Value, json};

use crate::cli::{Outcome, Table, brief, human};

/// A table of those images that `shown` wants, what goes first.
pub(super) fn table(images: &[Judged], shown: impl Fn(&Verdict) -> bool) -> Outcome {
    let mut table = Table::new(&["REFERENCE", "DIGEST", ">SIZE", "VERDICT", "REASON"]);
    let mut rows: Vec<_> = images.iter().filter(|judged| shown(&judged.verdict)).collect();
    rows.sort_by_key(|judged| (matches!(judged.verdict, Verdict::Keep(_)), judged.image.shown_name()));
    for Judged { image, verdict } in rows {
        let (word, _, reason) = words(verdict);
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
            let (word, code, reason) = words(verdict);
            json!({
                "references": image.names,
                "was": image.lost,
                "digest": image.digest,
                "size": size(image),
                "imported": image.imported,
                "last_used": image.last_used,
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

/// What happens, the reason for programs, and for people.
pub(super) fn words(verdict: &Verdict) -> (&'static str, &'static str, String) {
    let ago = |seconds: &u64| shown_seconds(*seconds);
    let (word, code, reason) = match verdict {
        Verdict::Keep(kept) => {
            let (code, reason) = match kept {
                Kept::InUse(by) => ("in-use", format!("in use by {}", brief(by))),
                Kept::Pinned => ("pinned", "pinned".into()),
                Kept::Protected => ("protected", "protected by the policy".into()),
                Kept::Newest(group) => ("newest", format!("among the newest of {group}")),
                Kept::Young(age) => ("young", format!("came in {} ago", ago(age))),
                Kept::Orphan(age) => {
                    ("orphan", format!("lost its name {} ago; there is a way back", ago(age)))
                }
                Kept::Busy => ("busy", "would go, but a hold lives".into()),
                Kept::FreesNothing => {
                    ("frees-nothing", "has nothing for itself: room is not made by it".into())
                }
                Kept::Reserve => ("reserve", "the store would fall below its reserve".into()),
                Kept::WithinLimits => ("within-limits", "no limit asks for it".into()),
            };
            ("keep", code, reason)
        }
        Verdict::Drop(dropped) => {
            let (code, reason) = match dropped {
                Dropped::Unused(age) => ("unused", format!("not used for {}", ago(age))),
                Dropped::Old(age) => ("old", format!("came in {} ago", ago(age))),
                Dropped::Size => ("size", "the store was larger than max_size".into()),
                Dropped::Space => ("space", "free space was below min_free".into()),
            };
            ("drop", code, reason)
        }
    };
    (word, code, reason)
}
