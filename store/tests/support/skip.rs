//! Skipping a test, never in silence.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that a test is skipped, and appends `TEST<TAB>PEER<TAB>REASON` to the file `$LARDER_SKIP_LOG`.
pub fn record(test: &str, peer: &str, reason: &str) {
    // Not by eprintln!, whose text the test harness swallows when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {peer}: {reason}");
    if let Some(log) = std::env::var_os("LARDER_SKIP_LOG") {
        let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
        log.write_all(format!("{test}\t{peer}\t{reason}\n").as_bytes()).unwrap();
    }
}
