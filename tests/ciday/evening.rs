//! When the day is over: the store is whole, nothing is left over, and the disk agrees.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::day::Day;
use super::disk::Watch;
use crate::support::run;
use crate::support::store::{assert_nothing_pending, assert_sound, blobs, entries, reachable};

/// Looks, and says what the day was.
pub(super) fn look(day: &Day<'_>, watch: &Watch) {
    let store = day.disk.store();
    day.count_sent();
    day.ok(&["gc", "--grace", "0s"]);
    day.ok(&["verify"]);
    assert_sound(&store);
    assert_nothing_pending(&store);
    let needed: BTreeSet<String> = entries(&store)
        .iter()
        .flat_map(|entry| reachable(&store, entry["digest"].as_str().unwrap()))
        .map(|digest| digest.trim_start_matches("sha256:").to_owned())
        .collect();
    let stored = blobs(&store);
    assert_eq!(needed, stored.keys().cloned().collect(), "what nothing needs is still there");
    let df: Value = serde_json::from_str(&day.ok(&["df", "--format", "json"])).unwrap();
    assert_eq!(df["stored"], stored.values().sum::<u64>());
    assert_eq!(df["unreferenced"], 0);
    assert_eq!(df["free"], day.disk.space().0);
    let mut du = Command::new("du");
    let taken = run(du.args(["-sk", "--apparent-size"]).arg(&store));
    let taken = taken.split('\t').next().unwrap().parse::<u64>().unwrap() << 10;
    let other = taken - stored.values().sum::<u64>();
    assert!(other < 4 << 20, "{other} bytes beside the blobs");
    let least = watch.least_free.load(Ordering::SeqCst);
    let (free, total) = day.disk.space();
    // min_free is 20%; somebody else took half of that, and no import the rest.
    assert!(least > total / 20, "only {least} bytes were free at some moment");
    assert!(watch.looks.load(Ordering::SeqCst) > 500, "nobody looked");
    let gone = watch.gone.load(Ordering::SeqCst);
    assert!(gone >= day.length.rounds, "{gone} images went");
    assert!(
        day.record.count("imports refused") > 0 && day.record.count("jobs whose image was not there") > 0
    );
    let mega = |bytes: u64| bytes / 1_000_000;
    let mut summary =
        format!("a day of CI on {}:\n{}  {gone:>12} images that went\n", day.length.disk, day.record);
    summary += &format!("  {:>9} MB free at the least, of {} MB\n", mega(least), mega(total));
    summary +=
        &format!("  {:>9} MB free in the evening, {} MB stored\n", mega(free), mega(stored.values().sum()));
    day.record.show_said();
    // Not by eprintln!, whose text the test harness swallows when the test passes.
    let _ = std::io::stderr().write_all(summary.as_bytes());
}
