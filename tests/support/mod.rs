//! What every test of the command stands on: a sandbox to run larder in, the real peers, the fixtures.
//!
//! Long tests bear `#[ignore = "long: …"]`; `LARDER_LONG=1 tests/run` (that is `.ci/full`) runs them.

pub mod disks;
mod docker;
pub mod image;
pub mod peer;
pub mod sandbox;
pub(crate) mod signing;
pub mod skip;
pub mod store;
pub mod tarball;
mod tests;
pub mod watchdog;
pub mod web;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

/// Runs a command with these bytes coming through a pipe, whatever becomes of it.
pub fn feed(command: &mut Command, bytes: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It may stop reading before the end.
        scope.spawn(move || drop(stdin.write_all(bytes)));
        child.wait_with_output().unwrap()
    })
}

/// The stdout of a finished command, which must have succeeded.
pub fn succeeded(command: &Command, output: &Output) -> String {
    assert!(output.status.success(), "{}", describe(command, output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Says something that a person wants to know of a test that passed, past the harness, which would keep it.
pub fn say(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{what}");
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

/// Polls until there is an answer; a minute is for ever.
pub fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "it never happened");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The process that has this file open.
pub fn holder(path: &Path) -> Option<rustix::process::Pid> {
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_str()?.parse::<i32>() else { continue };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == path)) {
            return rustix::process::Pid::from_raw(pid);
        }
    }
    None
}
