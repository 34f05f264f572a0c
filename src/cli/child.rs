//! A command that larder runs in the foreground and waits for.
//!
//! It is in larder's own process group and has its terminal, input and output. While it runs larder ends with it and
//! not before: signals are passed on, except those that the terminal gave to the whole group.

use std::ffi::{OsStr, OsString, c_int};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use larder_store::Error;
use larder_store::open_files;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::signals::{Signals, not_ignored};
use super::{Context, Outcome, fail};

const FORWARDED: [c_int; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// Exit code where a command is there and cannot be run, as env(1) has it.
const CANNOT_RUN: u8 = 126;
/// Exit code where there is no such command.
const NOT_FOUND: u8 = 127;

/// Runs a command to its end; its exit code, or 128 and the number of the signal that ended it.
pub(crate) fn run(context: &Context, program: &OsStr, args: &[OsString]) -> Outcome<u8> {
    let ended = run_with_signals(context, program, args);
    // What comes after the command is larder's own work again.
    let _ = Signals::install(&context.cancel);
    ended
}

fn run_with_signals(context: &Context, program: &OsStr, args: &[OsString]) -> Outcome<u8> {
    let failed = |what, error| fail(format!("cannot {what} {program:?}: {error}"));
    // SIGCHLD is not looked at. Handled, it cannot be ignored: then nobody could wait for the child.
    let mut handled = not_ignored(&FORWARDED);
    handled.push(SIGCHLD);
    let mut signals = SignalsInfo::<WithOrigin>::new(&handled).map_err(|e| failed("prepare", e))?;
    context.signals.give_up();
    // Of what came until now the command would know nothing.
    context.cancel.check()?;
    let mut child = spawn(program, args)?;
    let pid = Pid::from_child(&child);
    let handle = signals.handle();
    let waiting = std::thread::spawn(move || {
        // It is not reaped here: as long as signals are passed on its number stays its own.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
        handle.close();
    });
    for origin in &mut signals {
        if origin.signal != SIGCHLD
            && !has_it_already(&origin, pid)
            && let Some(signal) = Signal::from_named_raw(origin.signal)
        {
            // One that has just ended needs no signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
    let _ = waiting.join();
    let status = child.wait().map_err(Error::io("wait for", program))?;
    Ok(code(status))
}

/// Starts it as env(1) does: what the kernel takes for no program is a script for sh.
fn spawn(program: &OsStr, args: &[OsString]) -> Outcome<Child> {
    let found = found(program);
    let start = |mut command: Command| open_files::as_started(|| command.args(args).spawn());
    let mut spawned = start(Command::new(program));
    if let (Err(error), Some(script)) = (&spawned, &found)
        && error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())
    {
        let mut shell = Command::new("/bin/sh");
        shell.arg(script);
        spawned = start(shell);
    }
    spawned.map_err(|error| match (error.kind(), found) {
        (io::ErrorKind::NotFound, None) => {
            fail(format!("cannot run {program:?}: there is no such command")).exits(NOT_FOUND)
        }
        (io::ErrorKind::NotFound, Some(_)) => fail(format!(
            "cannot run {program:?}: it is there, but what should run it is not (the interpreter that its first line names, or a loader)"
        ))
        .exits(NOT_FOUND),
        _ => fail(format!("cannot run {program:?}: {error}")).exits(CANNOT_RUN),
    })
}

/// Where a command is: below PATH, unless it is a path itself.
fn found(program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(program.into()).filter(|path: &PathBuf| path.exists());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Whether the child got a signal by itself: the kernel sends those of a terminal to the whole process group, but for
/// a hang-up, which it sends to the leader of the session alone.
fn has_it_already(origin: &Origin, child: Pid) -> bool {
    if origin.cause != Cause::Kernel {
        return false;
    }
    let (Some(own), Some(childs)) = (Ids::of("self"), Ids::of(&child.as_raw_pid().to_string())) else {
        return false;
    };
    let is_hang_up = origin.signal == SIGHUP && own.session == own.pid;
    own.group == childs.group && !is_hang_up
}

/// Where a process belongs. Group and session are 0 where their leader is outside of this PID namespace (`docker exec`,
/// unshare(1)): getsid(2) and getpgid(2) say so too, but for rustix a process ID is never 0.
struct Ids {
    pid: u32,
    group: u32,
    session: u32,
}

impl Ids {
    /// From /proc/PID/stat (proc_pid_stat(5)): `PID (NAME) STATE PARENT GROUP SESSION …`.
    fn of(process: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let pid = stat.split(' ').next()?.parse().ok()?;
        // The name may have brackets and spaces of its own.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(2).map(|field| field.parse().ok());
        Some(Self { pid, group: fields.next()??, session: fields.next()?? })
    }
}

fn code(status: ExitStatus) -> u8 {
    let ended_by = |signal: i32| 128 + signal;
    let code = status.code().or_else(|| status.signal().map(ended_by));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
