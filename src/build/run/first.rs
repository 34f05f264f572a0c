//! The first process of a step's PID namespace, which becomes the runtime.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use larder_store::open_files;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::mounts;

/// In the place of the limit of open files: it stays.
pub(super) const AS_IT_IS: &str = "-";

/// Becomes the runtime that the arguments name, after the limit of open files and the file for what prevents it.
pub(super) fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(limit), Some(log), Some(program)) = (args.next(), args.next(), args.next()) else {
        return ExitCode::FAILURE;
    };
    let error = match prepare(&limit) {
        Ok(()) => Command::new(&program).args(args).stdin(Stdio::null()).exec(),
        Err(error) => error,
    };
    let message = format!("cannot start {}: {error}", program.display());
    let line = serde_json::json!({"level": "error", "msg": message});
    let _ = std::fs::File::create(log).and_then(|mut log| writeln!(log, "{line}"));
    ExitCode::FAILURE
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
