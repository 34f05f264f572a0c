//! What every test of the command stands on: a sandbox to run larder in, the real peers, the fixtures.
//!
//! Long tests bear `#[ignore = "long: …"]`; `LARDER_LONG=1 tests/run` (that is `.ci/full`) runs them.

mod docker;
pub mod peer;
mod sandbox;
pub mod skip;
mod tests;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use docker::Docker;
pub use sandbox::Sandbox;
pub(crate) use skip::need;

/// The path of `fixtures/NAME`, which must exist.
pub fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    assert!(path.is_file(), "{}: no such fixture", path.display());
    path
}

/// Runs a command that must succeed and returns its stdout.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    succeeded(command, &output)
}

/// The stdout of a finished command, which must have succeeded.
pub fn succeeded(command: &Command, output: &Output) -> String {
    assert!(output.status.success(), "{}", describe(command, output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// All that a person needs to see of a command that did not do what it should.
pub fn describe(command: &Command, output: &Output) -> String {
    format!(
        "{command:?}: {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
