//! The first process of a step's PID namespace: it has the runtime start the step, and ends as that does.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use larder_store::open_files;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions};

use super::mounts;

/// In the place of the limit of open files: it stays.
pub(super) const AS_IT_IS: &str = "-";

/// Has the runtime that the arguments name start the step, and ends as the step does. Before the runtime come the limit of
/// open files, the file for what prevents it, and the one in which the runtime says which process the step's is.
///
/// The runtime does not stay: one that does reads the step's outputs by pipes of its own, and mixes up their order.
pub(super) fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(limit), Some(log), Some(pid), Some(program)) =
        (args.next(), args.next(), args.next(), args.next())
    else {
        return ExitCode::FAILURE;
    };
    let started = prepare(&limit)
        .and_then(|()| Command::new(&program).args(args).stdin(Stdio::null()).status())
        .map_err(|error| format!("cannot start {}: {error}", program.display()));
    let ended = started.and_then(|status| match status.code() {
        Some(0) => wait_for(pid.as_ref()).map_err(|error| format!("cannot wait for the step: {error}")),
        // Why is in the log.
        Some(code) => Ok(code),
        None => Err(format!("{} ended by itself: {status}", program.display())),
    });
    let code = ended.unwrap_or_else(|message| {
        let line = serde_json::json!({"level": "error", "msg": message});
        let log = fs::File::options().append(true).create(true).open(log);
        let _ = log.and_then(|mut log| writeln!(log, "{line}"));
        1
    });
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Waits until the process whose number is in this file has ended, and says its exit code. As the first of the namespace this one is
/// the parent of all whose own has ended.
fn wait_for(file: &Path) -> io::Result<i32> {
    let step: i32 = fs::read_to_string(file)?.trim().parse().map_err(io::Error::other)?;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(error) => return Err(error.into()),
            Ok(Some((pid, status))) if pid.as_raw_pid() == step => {
                let signal = || 128 + status.terminating_signal().unwrap_or(0);
                return Ok(status.exit_status().unwrap_or_else(signal));
            }
            Ok(Some(_)) => {}
        }
    }
}

fn prepare(limit: &OsStr) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the attendant died before that there will be no signal: the other end of stdin is its own.
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut fds, Some(&now))? > 0 {
        return Err(io::Error::other("its attendant has died"));
    }
    mounts::own_proc()?;
    match limit.to_str().filter(|limit| *limit != AS_IT_IS) {
        Some(soft) => open_files::set_soft(soft.parse().map_err(io::Error::other)?),
        None => Ok(()),
    }
}
