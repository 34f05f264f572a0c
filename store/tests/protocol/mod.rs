//! Several processes at one store, and processes that die in the middle.

mod killed;
mod leases;
mod locks;
mod order;
mod steps;
mod updates;
mod uses;

use std::process::Command;

use crate::support::skip;

/// Whether the test cannot watch a process's system calls, and is skipped.
fn strace_is_missing(test: &str) -> bool {
    let works = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    let missing = !works.is_ok_and(|output| output.status.success());
    if missing {
        skip::record(test, "strace", "is missing, or may not trace here");
    }
    missing
}
