//! `larder hold` and `larder holds`: a command runs, and its images stay.

mod codes;
mod content;
mod docker;
mod full;
mod lives;
mod outsiders;
pub(crate) mod rmi;
mod rmi_always;
mod signals;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::support::Sandbox;
use crate::support::watchdog::Watchdog;

/// A hold whose command has said `ready`; it has what it needs to end when its stdin is closed.
pub(crate) struct Running {
    child: Child,
    _watchdog: Watchdog,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// Says `ready` and waits until its stdin is closed.
pub(crate) const WAITS: &str = "echo ready; cat >/dev/null";

/// A larder command that heeds all signals: a test that was started by nohup, or in the background of a script, hands on
/// that some are ignored.
fn heeding(sandbox: &Sandbox, args: &[&str]) -> Command {
    let larder = sandbox.command(args);
    let mut env = sandbox.enclose(Command::new("env"));
    env.arg("--default-signal").arg(larder.get_program()).args(larder.get_args());
    env
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running =
            Self { _watchdog: Watchdog::over(&child), stdin: child.stdin.take(), child, stdout };
        assert_eq!(running.line(), "ready");
        running
    }

    /// `larder hold IMAGE -- sh -c SCRIPT`.
    pub(crate) fn hold(sandbox: &Sandbox, image: &str, script: &str) -> Self {
        Self::start(heeding(sandbox, &["hold", image, "--", "sh", "-c", script]))
    }

    /// The next line that the command prints, without its end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends larder a signal.
    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Closes stdin and waits; the exit code, where no signal ended larder itself.
    pub(crate) fn end(mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.child.wait().unwrap().code()
    }
}

/// How many blobs a GC without any grace takes.
fn swept(sandbox: &Sandbox) -> usize {
    sandbox.json(["gc", "--grace", "0s"])["swept"].as_object().unwrap().len()
}

fn holds(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.json(["holds"]).as_array().unwrap().clone()
}
