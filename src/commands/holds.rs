//! `larder holds`: who protects what at the moment.

use larder_store::lease::{self, Seen};
use larder_store::lock::Owner;
use serde_json::{Value, json};

use crate::cli::{Context, Format, Outcome, Table, print_json};

/// List what running larders protect
///
/// One row for each `hold`, and for each import, export and verify that is just running. PROCESS is the one that took
/// the lease; what it started may keep the lease after its end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let leases = store.layout().private().ensure_dir("leases")?;
    let mut seen = Vec::new();
    for lease in lease::glance(&leases)? {
        let owner = lease::owner(&leases, &lease.id)?;
        seen.push((lease, owner));
    }
    // The oldest first; those that do not say it at the end.
    seen.sort_by(|(a, _), (b, _)| {
        (a.since.is_none(), a.since, &a.id).cmp(&(b.since.is_none(), b.since, &b.id))
    });
    match args.format {
        Format::Json => print_json(&seen.iter().map(value).collect::<Vec<_>>()),
        Format::Table => table(&seen),
    }
}

fn value((lease, owner): &(Seen, Option<Owner>)) -> Value {
    json!({
        "purpose": lease.purpose,
        "images": lease.images,
        "command": lease.command,
        "since": lease.since.and_then(time),
        "process": owner.map(|owner| owner.pid),
        "process_ended": owner.map(|owner| owner.has_ended),
        "digests": lease.digests.len(),
    })
}

fn table(seen: &[(Seen, Option<Owner>)]) -> Outcome {
    let mut table = Table::new(&["PURPOSE", "IMAGES", ">AGE", "PROCESS", "COMMAND"]);
    let now = super::now();
    let or_nothing = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for (lease, owner) in seen {
        let process = match owner {
            Some(Owner { pid, has_ended: false }) => pid.to_string(),
            Some(Owner { pid, has_ended: true }) => format!("{pid} (ended; what it started runs)"),
            None => "-".to_owned(),
        };
        table.row([
            lease.purpose.clone(),
            or_nothing(lease.images.join(" ")),
            lease.since.map_or("-".to_owned(), |since| age(now.saturating_sub(since))),
            process,
            or_nothing(lease.command.join(" ").chars().take(80).collect()),
        ]);
    }
    table.print()
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
