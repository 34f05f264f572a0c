//! larder under watch: with little memory, little time, and every call written down that takes a path.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::support::{Sandbox, peer};

/// Bytes of memory that no input may make larder use: private and writable (a limit of the kernel), or in RAM.
pub(super) const MEMORY: u64 = 200 << 20;
/// What no input may make larder take of the processors, which a busy machine does not change much: five seconds. Without optimisation
/// JSON is read several times slower.
pub(super) const TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 5 });
/// After this by the clock it is said to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that change what a path leads to, or that leave the machine; a `?` lets an architecture lack one.
const TRACED: &str = "trace=?open,?openat,?openat2,?creat,?mkdir,?mkdirat,?mknod,?mknodat,?rmdir,?unlink,?unlinkat,\
    ?rename,?renameat,?renameat2,?link,?linkat,?symlink,?symlinkat,?chmod,?fchmodat,?fchmodat2,?chown,?lchown,?fchownat,\
    ?truncate,?utime,?utimes,?utimensat,?futimesat,?setxattr,?lsetxattr,?removexattr,?lremovexattr,?mount,?umount2,\
    ?execve,?execveat,?socket,?connect,?exit_group";

/// A run that came to its end, or was brought to it.
pub(super) struct Ended {
    /// The exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// What it took of all processors.
    pub(super) busy: Duration,
    /// The most that was in RAM, bytes.
    pub(super) peak: u64,
    /// What strace wrote.
    pub(super) calls: String,
}

/// Runs larder with the tools that a test has asked for already: prlimit and strace.
pub(super) fn run<A: AsRef<OsStr>>(
    sandbox: &Sandbox,
    args: impl IntoIterator<Item = A>,
    stdin: Option<&[u8]>,
) -> Ended {
    let notes = tempfile::Builder::new().prefix("larder-watch.").tempdir().unwrap();
    let at = |name: &str| notes.path().join(name);
    let larder = sandbox.command(args);
    let mut watch = sandbox.enclose(peer::tool("prlimit").unwrap());
    watch.arg(format!("--data={MEMORY}")).arg(peer::tool("strace").unwrap().get_program());
    watch.args(["-f", "-qq", "-y", "--seccomp-bpf", "-e", TRACED, "-o"]).arg(at("calls"));
    // Time to look at a process that has done all it does.
    watch.args(["-e", "inject=exit_group:delay_enter=30000"]);
    watch.arg(larder.get_program()).args(larder.get_args());
    watch.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    watch.stdout(File::create(at("stdout")).unwrap()).stderr(File::create(at("stderr")).unwrap());
    let (code, busy, peak) = spawn(&mut watch, stdin);
    let text = |name| String::from_utf8_lossy(&std::fs::read(at(name)).unwrap()).into_owned();
    Ended { code, stdout: text("stdout"), stderr: text("stderr"), busy, peak, calls: text("calls") }
}

fn spawn(command: &mut Command, stdin: Option<&[u8]>) -> (Option<i32>, Duration, u64) {
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pipe = child.stdin.take();
    std::thread::scope(|scope| {
        if let (Some(mut pipe), Some(bytes)) = (pipe, stdin) {
            // It may stop reading before the end.
            scope.spawn(move || drop(pipe.write_all(bytes)));
        }
        let (busy, peak) = look_on(&mut child, begun);
        (child.wait().unwrap().code(), busy, peak)
    })
}

/// Waits for the end, with an eye on time and memory of the process below strace.
fn look_on(strace: &mut Child, begun: Instant) -> (Duration, u64) {
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let (mut busy, mut peak) = (Duration::ZERO, 0);
    while strace.try_wait().unwrap().is_none() {
        let pid = std::fs::read_to_string(&children).unwrap_or_default();
        let pid = pid.split_whitespace().next().and_then(|pid| pid.parse::<i32>().ok());
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        peak = peak.max(status.as_deref().and_then(high_water).unwrap_or(0));
        let stat = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        busy = busy.max(stat.as_deref().and_then(processor_time).unwrap_or_default());
        if let Some(pid) = pid.and_then(Pid::from_raw).filter(|_| begun.elapsed() > PATIENCE) {
            // Not strace, without which larder would go on.
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    (busy, peak)
}

/// What all threads took of the processors by the word of `/proc/PID/stat`, whose unit is a hundredth of a second.
fn processor_time(stat: &str) -> Option<Duration> {
    // The name, in brackets, may have anything in it.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// The most that was in RAM by the word of `/proc/PID/status`, bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}
