//! `larder test`: the verdicts of container-structure-test on the same image and files, what is refused, and what is skipped.

mod cases;
mod image;
mod refused;
mod runs;
mod verdicts;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::support::Sandbox;

/// Writes a test file into the sandbox.
fn write(sandbox: &Sandbox, name: &str, text: &str) -> PathBuf {
    let path = sandbox.path(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The report of a run, which exits so.
fn report(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
