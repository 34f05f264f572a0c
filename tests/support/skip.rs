//! Skipping a test whose peer is missing, never in silence.

use std::fs::OpenOptions;
use std::io::Write;

/// Unwraps an `Option` with a peer, or says which peer is missing, records the skip and returns from the test.
macro_rules! need {
    ($peer:expr, $name:expr) => {
        match $peer {
            Some(peer) => peer,
            None => {
                fn here() {}
                $crate::support::skip::record(std::any::type_name_of_val(&here), $name);
                return;
            }
        }
    };
}
pub(crate) use need;

/// Says that a test is skipped, and appends `TEST<TAB>PEER<TAB>REASON` to the file `$LARDER_SKIP_LOG`.
///
/// `here` is the type name of an item inside of the test function.
pub fn record(here: &str, peer: &str) {
    let test = test_name(here);
    // Not by eprintln!, whose text the test harness swallows when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {peer} is missing");
    if let Some(log) = std::env::var_os("LARDER_SKIP_LOG") {
        let line = format!("{test}\t{peer}\tis missing\n");
        let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }
}

/// `it::import::docker20::here` -> `import::docker20`, the name that `cargo test` prints.
pub fn test_name(here: &str) -> &str {
    let (_, path) = here.split_once("::").unwrap();
    let (test, _) = path.rsplit_once("::").unwrap();
    test.strip_suffix("::{{closure}}").unwrap_or(test)
}
