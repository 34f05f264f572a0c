//! The attendant of a step: a larder of its own, which has the step's mounts and ends the step when nobody wants it any more.
//!
//! Its stdin is a socket: a request comes in, a report goes out, and when the other side ends it the step is ended.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use larder_store::open_files;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::mounts::{self, Devices};
use super::root::MountedRoot;
use super::runtime::{self, Kind, Runtime};
use super::state::{self, BOUND, State};
use super::{SCRIPTS, Step, cgroups, entry, first, spec, user};

/// `/etc/passwd` and `/etc/group` of a root are not longer, in bytes.
const LONGEST: u64 = 8 << 20;

/// What to do where there is no program of the command's name.
const MISSING: &str =
    "the command, or its shell, is looked for in the image: is it there, and on the PATH of the image?";

/// What is asked of an attendant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) runtime: Runtime,
    pub(super) steps: PathBuf,
    pub(super) step: Step,
    /// The soft limit of open files that the step begins with; `None`: as it is.
    pub(super) open_files: Option<u64>,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The step ended by itself.
    Ended { code: i32, notes: Vec<String> },
    /// It was ended because nobody wants it any more.
    Stopped,
    /// Directories cannot be stacked here.
    NoOverlay(String),
    /// It could not be run.
    Failed { message: String, hint: Option<String> },
}

/// Does what is asked on stdin.
pub(super) fn run() -> ExitCode {
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    let mut line = String::new();
    let asked =
        BufReader::new(&socket).read_line(&mut line).ok().and_then(|_| serde_json::from_str(&line).ok());
    let Some(request) = asked else {
        // Whoever asked is gone.
        return ExitCode::FAILURE;
    };
    let report = attend(&request, &socket).unwrap_or_else(|error| match error {
        Error::NoOverlay(why) => Report::NoOverlay(why),
        error => Report::Failed { hint: error.hint().map(str::to_owned), message: error.chain() },
    });
    let report = serde_json::to_vec(&report).unwrap_or_default();
    match (&socket).write_all(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn attend(request: &Request, socket: &UnixStream) -> Result<Report> {
    let state = State::create(&request.steps)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let done = mounts::own_namespaces()
        .map_err(|error| {
            Error::not_run(format!("cannot make namespaces for a step: {error}"))
                .with_hint("steps are run as root; in a container it needs CAP_SYS_ADMIN")
        })
        .and_then(|()| run_mounted(request, &state, socket));
    let removed = state.remove();
    let report = done?;
    removed?;
    Ok(report)
}

fn run_mounted(request: &Request, state: &State, socket: &UnixStream) -> Result<Report> {
    let Request { runtime, step, .. } = request;
    cgroups::suit(runtime.kind).map_err(Error::io("hide control groups below", "/sys/fs/cgroup"))?;
    let obstacle = cgroups::obstacle().map_err(Error::io("read", "/proc/self/mountinfo"))?;
    if let (Kind::Crun, Some(why)) = (runtime.kind, &obstacle) {
        // It takes `nodev` away from the root: a step could open the machine's disks.
        return Err(Error::not_run(format!("crun runs no steps without control groups: {why}"))
            .with_hint("install runc, or make the control groups writable"));
    }
    let devices = if obstacle.is_none() { Devices::Guarded } else { Devices::Refused };
    let root = MountedRoot::mount(&step.root, state, devices)?;
    let ended = write_bundle(request, state, &root, obstacle.is_none())
        .and_then(|()| run_to_its_end(request, state, socket, obstacle.is_none()));
    let unmounted = root.unmount();
    let ended = ended?;
    unmounted?;
    let Some(status) = ended else { return Ok(Report::Stopped) };
    let log = fs::read_to_string(state.at(state::LOG)).unwrap_or_default();
    match runtime::last_error(&log) {
        Some(error) if !status.success() => {
            let why = Error::not_run(format!("{} cannot run the step: {error}", runtime.program.display()));
            let is_missing =
                ["no such file", "not found"].iter().any(|text| error.to_lowercase().contains(text));
            Err(if is_missing { why.with_hint(MISSING) } else { why })
        }
        _ => Ok(Report::Ended {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            notes: obstacle
                .map(|why| format!("steps run without limits: {why}"))
                .into_iter()
                .chain(state.notes().iter().cloned())
                .collect(),
        }),
    }
}

/// Writes what the runtime is given.
fn write_bundle(request: &Request, state: &State, root: &MountedRoot, has_cgroups: bool) -> Result<()> {
    let step = &request.step;
    let text =
        |path: &str| root.files().text(path, LONGEST).map_err(Error::io("read in the step's root", path));
    let identity =
        user::resolve(&step.user, &text("etc/passwd")?, &text("etc/group")?).map_err(Error::not_run)?;
    for name in BOUND {
        // Copies: the machine's own files are not the step's to write.
        let content = match name {
            "hostname" => format!("{}\n", step.hostname).into_bytes(),
            name => fs::read(Path::new("/etc").join(name)).unwrap_or_default(),
        };
        fs::write(state.at(name), content).map_err(Error::io("write", state.at(name)))?;
    }
    let mut bound = BOUND.map(|name| (state.at(name), format!("/etc/{name}"))).to_vec();
    for (number, script) in step.scripts.iter().enumerate() {
        let file = state.at(state::SCRIPTS).join(number.to_string());
        fs::write(&file, &script.content)
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
            .map_err(Error::io("write", &file))?;
        bound.push((file, format!("{SCRIPTS}/{}", script.name)));
    }
    let around = spec::Surroundings {
        root: &state.at(state::ROOT),
        identity: &identity,
        bound,
        cgroup: has_cgroups.then(|| cgroups::path(state.id())),
        open_files: request.open_files.map(|soft| (soft, open_files::hard())),
    };
    let spec = spec::of(step, &around).map_err(Error::not_run)?;
    let config = state.at(state::CONFIG);
    spec.save(&config).map_err(|error| Error::not_run(format!("cannot write {}: {error}", config.display())))
}

/// Runs it; `None` where it was ended because the socket was.
fn run_to_its_end(
    request: &Request,
    state: &State,
    socket: &UnixStream,
    has_cgroups: bool,
) -> Result<Option<ExitStatus>> {
    let runtime = &request.runtime;
    let mut first = Command::new("/proc/self/exe")
        .arg(entry::FIRST)
        .arg(request.open_files.map_or(first::AS_IT_IS.to_owned(), |soft| soft.to_string()))
        .arg(state.at(state::LOG))
        .arg(state.pid_file())
        .arg(&runtime.program)
        .args(runtime.arguments(state, has_cgroups))
        // Its end tells the first process that its attendant has died.
        .stdin(Stdio::piped())
        .spawn()
        .map_err(Error::io("start", "/proc/self/exe"))?;
    let watched = rustix::process::pidfd_open(Pid::from_child(&first), PidfdFlags::empty())
        .map_err(|error| Error::io("watch", "the step")(error.into()))?;
    let mut fds = [PollFd::new(socket, PollFlags::IN), PollFd::new(&watched, PollFlags::IN)];
    while let Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut fds, None) {}
    let is_unwanted = fds[1].revents().is_empty();
    if is_unwanted {
        first.kill().map_err(Error::io("end", "the step"))?;
    }
    // It is the first of its namespace: when it has ended, all others have.
    let stdin = first.stdin.take();
    let status = first.wait().map_err(Error::io("wait for", "the step"))?;
    drop(stdin);
    Ok((!is_unwanted).then_some(status))
}
