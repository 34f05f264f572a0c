//! `larder holds`: who protects what at the moment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use larder_store::have::{self, Kept};
use larder_store::lease::{self, Seen};
use larder_store::lock::{Owner, Process};
use serde_json::{Value, json};

use crate::cli::{Context, Format, Outcome, Table, print_json};

/// List what running larders protect
///
/// One row for each `hold`, for each import, export and verify that is just running, and for each list that `bundle have --keep` keeps. PROCESS is the one that took
/// the lease; what it started may keep the lease after its end, and is listed then. Of COMMAND the store knows the program alone;
/// the rest comes from the running process.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A lease, and what the kernel tells of it.
struct Row {
    lease: Seen,
    owner: Option<Owner>,
    /// Who has it after its owner's end.
    keepers: Vec<Process>,
    /// The words of its command, as far as this user may see them.
    command: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.existing_store()?;
    let leases = store.layout().private().ensure_dir("leases")?;
    let mut rows = Vec::new();
    for lease in lease::glance(&leases)? {
        let owner = lease::owner(&leases, &lease.id)?;
        let (mut keepers, mut command) = (Vec::new(), Vec::new());
        match owner {
            Some(Owner { has_ended: true, .. }) => keepers = lease::keepers(&leases, &lease.id)?,
            Some(Owner { pid, has_ended: false }) => command = words(pid, &lease),
            None => {}
        }
        rows.push(Row { lease, owner, keepers, command });
    }
    // The oldest first; those that do not say it at the end.
    rows.sort_by(|Row { lease: a, .. }, Row { lease: b, .. }| {
        (a.since.is_none(), a.since, &a.id).cmp(&(b.since.is_none(), b.since, &b.id))
    });
    let kept = have::kept(store.layout().private())?;
    match args.format {
        Format::Json => {
            print_json(&rows.iter().map(value).chain(kept.iter().map(kept_value)).collect::<Vec<_>>())
        }
        Format::Table => table(&rows, &kept),
    }
}

/// The command that a hold runs, from its own arguments, which end with it: the kernel decides who may see them.
fn words(pid: u32, lease: &Seen) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let all: Vec<_> = line.split(|byte| *byte == 0).map(OsStr::from_bytes).collect();
    let command = all.get(all.len().saturating_sub(lease.words)..).unwrap_or_default();
    match command.first() {
        Some(first) if lease::program(first) == lease.program => {
            command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
        }
        _ => Vec::new(),
    }
}

fn value(row: &Row) -> Value {
    let Row { lease, owner, keepers, command } = row;
    let keepers = keepers.iter().map(|keeper| json!({"process": keeper.pid, "name": keeper.name}));
    json!({
        "purpose": lease.purpose,
        "images": lease.images,
        "program": lease.program,
        "words": lease.words,
        "command": command,
        "since": lease.since.and_then(time),
        "process": owner.map(|owner| owner.pid),
        "process_ended": owner.map(|owner| owner.has_ended),
        "keepers": keepers.collect::<Vec<_>>(),
        "digests": lease.digests.len(),
        "until": null,
    })
}

/// A have-list that is kept: no process has it.
fn kept_value(kept: &Kept) -> Value {
    json!({
        "purpose": "have-list", "images": [], "program": "", "words": 0, "command": [], "since": null, "process": null,
        "process_ended": null, "keepers": [], "digests": kept.digests.len(), "until": time(kept.until),
    })
}

fn table(rows: &[Row], kept: &[Kept]) -> Outcome {
    let mut table = Table::new(&["PURPOSE", "IMAGES", ">AGE", "PROCESS", "COMMAND"]);
    let now = super::now();
    let or_nothing = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for row in rows {
        let lease = &row.lease;
        let process = match row.owner {
            Some(Owner { pid, has_ended: false }) => pid.to_string(),
            Some(Owner { pid, has_ended: true }) => format!("{pid} (ended; {})", kept_by(&row.keepers)),
            None => "-".to_owned(),
        };
        let command = match (&row.command[..], lease.words) {
            ([], 0 | 1) => lease.program.clone(),
            ([], _) => format!("{} …", lease.program),
            (words, _) => cut(&words.join(" ")),
        };
        table.row([
            lease.purpose.clone(),
            or_nothing(lease.images.join(" ")),
            lease.since.map_or("-".to_owned(), |since| age(now.saturating_sub(since))),
            process,
            or_nothing(command),
        ]);
    }
    for kept in kept {
        let until = format!("until {}", time(kept.until).unwrap_or_default());
        table.row(["have-list".into(), "-".into(), "-".into(), "-".into(), until]);
    }
    table.print()
}

fn kept_by(keepers: &[Process]) -> String {
    if keepers.is_empty() {
        return "what it started runs".to_owned();
    }
    let keepers: Vec<_> = keepers.iter().map(|keeper| format!("{} {}", keeper.pid, keeper.name)).collect();
    format!("kept by {}", keepers.join(", "))
}

/// No more than fits into a table; what is left out is told.
fn cut(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some(_) => text.chars().take(MOST - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// RFC 3339.
fn time(seconds: i64) -> Option<String> {
    Some(jiff::Timestamp::from_second(seconds).ok()?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// In the largest unit that fits.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
