//! `larder prune --tree`: the answer for a folder of archives.

use std::path::Path;

use larder_store::gc::Mode;
use larder_store::index::timestamp;
use larder_store::policy::{self, Verdict};
use larder_store::settings::settings_of;
use serde_json::{Value, json};

use super::answer::{Kept, say_no_limit, say_waiting, unattainable, words};
use super::{Args, has_limits};
use crate::catalog::tree::{Apart, Fate, Judged, Options, Pruned, prune_tree};
use crate::cli::{Context, Format, Outcome, Table, count, fail, human, line, note, print_json};

/// What the reasons call it.
const WHOLE: &str = "the folder";

pub(super) fn run(context: &Context, args: &Args, dir: &Path) -> Outcome {
    let store = context.existing_store()?;
    let policy = args.limits.over(settings_of(&store)?.policy)?;
    let options = Options {
        dir,
        policy: &policy,
        now: crate::commands::now(),
        mode: if args.dry_run { Mode::DryRun } else { Mode::Sweep },
        cancel: &context.cancel,
    };
    let pruned = prune_tree(&store, &options)?;
    match args.format {
        Format::Json => print_json(&value(dir, &pruned, args.dry_run))?,
        Format::Table => say(args, &pruned)?,
    }
    if !has_limits(&policy) {
        say_no_limit();
    }
    let busy = Fate::Decided(Verdict::Keep(policy::Kept::Busy));
    let busy = pruned.files.iter().filter(|file| file.fate == busy).count();
    let over = if pruned.is_waiting { pruned.over_size } else { 0 };
    say_waiting(&store, WHOLE, over, &count(busy, "file"), busy > 0)?;
    let stuck = pruned.files.iter().filter(|file| matches!(file.fate, Fate::Apart(Apart::Stuck(_))));
    let stuck: Vec<_> = stuck.map(|file| format!("{}: {}", file.path, reason(&file.fate).2)).collect();
    if !stuck.is_empty() {
        return Err(fail(stuck.join("; ")).in_part());
    }
    if !pruned.is_short() {
        return Ok(());
    }
    let kept = pruned.files.iter().filter(|file| !file.is_dropped());
    let kept =
        kept.map(|file| Kept { name: file.path.clone(), size: file.size, reason: reason(&file.fate).2 });
    let others = pruned.disk_bytes.saturating_sub(pruned.free_bytes).saturating_sub(pruned.stored_bytes);
    let others = format!("{} of the disk are not archives of the folder", human(others));
    let missing = (pruned.over_size, pruned.short_of_space);
    Err(unattainable(args, WHOLE, missing, kept.collect(), &others))
}

fn say(args: &Args, pruned: &Pruned) -> Outcome {
    let dropped = pruned.files.iter().filter(|file| file.is_dropped()).count();
    if args.explain || dropped > 0 {
        let mut table = Table::new(&["FILE", ">SIZE", "VERDICT", "REASON"]);
        let mut rows: Vec<_> = pruned.files.iter().filter(|file| args.explain || file.is_dropped()).collect();
        rows.sort_by_key(|file| (!file.is_dropped(), &file.path));
        for file in rows {
            let (word, _, reason) = reason(&file.fate);
            table.row([file.path.clone(), human(file.size), word.to_owned(), reason]);
        }
        table.print()?;
    }
    let (go, freed) = if args.dry_run { ("would go", "would be freed") } else { ("gone", "freed") };
    line(format!(
        "{} {go}, {} {freed}; {} stored, {} free on the disk",
        count(dropped, "file"),
        human(pruned.freed_bytes),
        human(pruned.stored_bytes),
        human(pruned.free_bytes),
    ))?;
    for refused in &pruned.refused {
        note(format_args!("image-registry.yml: {} {}; it is passed over", refused.what, refused.why));
    }
    Ok(())
}

fn value(dir: &Path, pruned: &Pruned, is_dry_run: bool) -> Value {
    let file = |file: &Judged| {
        let (word, code, reason) = reason(&file.fate);
        json!({
            "file": file.path,
            "references": file.references,
            "size": file.size,
            "imported": timestamp(file.imported),
            "last_used": timestamp(file.last_used),
            "verdict": word,
            "code": code,
            "reason": reason,
        })
    };
    let refused = pruned.refused.iter().map(|refused| json!({"entry": refused.what, "reason": refused.why}));
    json!({
        "dry_run": is_dry_run,
        "tree": dir.to_string_lossy(),
        "files": pruned.files.iter().map(file).collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "freed_bytes": pruned.freed_bytes,
        "stored_bytes": pruned.stored_bytes,
        "free_bytes": pruned.free_bytes,
        "disk_bytes": pruned.disk_bytes,
        "waiting_for_holds": pruned.is_waiting,
        "over_size": pruned.over_size,
        "short_of_space": pruned.short_of_space,
    })
}

/// What happens, the reason for programs, and for people.
fn reason(fate: &Fate) -> (&'static str, &'static str, String) {
    let apart = match fate {
        Fate::Decided(verdict) => return words(verdict, WHOLE),
        Fate::Apart(apart) => apart,
    };
    let (code, reason) = match apart {
        Apart::Stranger => ("stranger", "not exported by larder, and not listed".into()),
        Apart::Changed => ("changed", "changed since larder exported it or looked at it".into()),
        Apart::Linked => ("linked", "has another name (a hard link), which keeps its bytes".into()),
        Apart::Unreadable(why) => ("unreadable", format!("what is in it cannot be told: {why}")),
        Apart::Irreplaceable(why) => ("irreplaceable", format!("the store cannot give it again: {why}")),
        Apart::Stuck(why) => ("stuck", why.clone()),
    };
    ("keep", code, reason)
}
