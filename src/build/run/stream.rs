//! The runner's side of a step: it starts the attendant, passes the output on, and says when to stop.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder_store::cancel::Cancel;
use larder_store::open_files;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::attend::{Report, Request};
use super::error::{Error, Result};
use super::tail::Tail;
use super::{Ended, Runner, Step, entry};

/// So often it is looked whether the step is still wanted.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What an attendant gets for ending its step; then it is killed, and the kernel does the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which of its streams a step wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Its stdout.
    Out,
    /// Its stderr.
    Err,
}

impl Runner {
    /// Runs a step to its end. All that it started has ended then, and nothing is mounted any more, however it ended.
    pub(crate) fn run(
        &self,
        step: &Step,
        output: &mut dyn FnMut(Stream, &[u8]),
        cancel: &Cancel,
    ) -> Result<Ended> {
        cancel.check()?;
        let request = Request {
            runtime: self.runtime.clone(),
            steps: self.steps.clone(),
            step: step.clone(),
            open_files: open_files::started_with(),
        };
        let (socket, theirs) = UnixStream::pair().map_err(Error::io("make", "a socket"))?;
        let mut attendant = Command::new("/proc/self/exe")
            .arg(entry::ATTEND)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Signals of the terminal are for the runner, which says when to stop.
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", "/proc/self/exe"))?;
        let mut line = serde_json::to_vec(&request).map_err(Error::not_run)?;
        line.push(b'\n');
        // One that died of itself has no report: that is said below.
        let _ = (&socket).write_all(&line);
        let mut tail = Tail::default();
        let mut output = |stream, bytes: &[u8]| {
            tail.push(bytes);
            output(stream, bytes);
        };
        // One beyond what the clock can say never comes.
        let deadline = Instant::now().checked_add(step.timeout);
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let passed = pass_on(&mut attendant, &socket, &mut output, &is_over, cancel);
        if passed.is_err() {
            stop(&socket);
        }
        let mut report = Vec::new();
        let _ = (&socket).read_to_end(&mut report);
        attendant.wait().map_err(Error::io("wait for", "the attendant of a step"))?;
        passed?;
        let last_lines = tail.lines();
        match serde_json::from_slice(&report) {
            Ok(Report::Ended { code, notes }) => Ok(Ended { code, last_lines, notes }),
            Ok(Report::NoOverlay(why)) => Err(Error::NoOverlay(why)),
            Ok(Report::Failed { message, hint }) => Err(Error::NotRun { message, hint }),
            Ok(Report::Stopped) | Err(_) if cancel.is_raised() => {
                Err(larder_store::Error::Interrupted.into())
            }
            Ok(Report::Stopped) => Err(Error::TimedOut { after: step.timeout, last_lines }),
            Err(_) if is_over() => Err(Error::TimedOut { after: step.timeout, last_lines }),
            Err(_) => Err(Error::not_run("the process that attends the step was killed")),
        }
    }
}

/// Asks the attendant to end the step.
fn stop(socket: &UnixStream) {
    // One that has ended needs no asking.
    let _ = socket.shutdown(Shutdown::Write);
}

/// Hands output on until both streams have ended, which is when the attendant and all of the step have.
fn pass_on(
    attendant: &mut Child,
    socket: &UnixStream,
    output: &mut dyn FnMut(Stream, &[u8]),
    is_over: &dyn Fn() -> bool,
    cancel: &Cancel,
) -> Result<()> {
    let failed = |error: Errno| Error::io("read the output of", "the step")(error.into());
    let mut streams = [
        (Stream::Out, attendant.stdout.take().map(OwnedFd::from)),
        (Stream::Err, attendant.stderr.take().map(OwnedFd::from)),
    ];
    let mut buffer = vec![0; 64 << 10];
    let mut stopped: Option<Instant> = None;
    while streams.iter().any(|(_, fd)| fd.is_some()) {
        match stopped {
            None if cancel.is_raised() || is_over() => {
                stop(socket);
                stopped = Some(Instant::now());
            }
            Some(since) if since.elapsed() > PATIENCE => {
                attendant.kill().map_err(Error::io("end", "the attendant of a step"))?;
            }
            _ => {}
        }
        let mut fds: Vec<_> = streams
            .iter()
            .filter_map(|(_, fd)| Some(PollFd::from_borrowed_fd(fd.as_ref()?.as_fd(), PollFlags::IN)))
            .collect();
        match rustix::event::poll(&mut fds, Some(&TICK)) {
            Err(Errno::INTR) => continue,
            polled => polled.map_err(failed)?,
        };
        let ready: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let open = streams.iter_mut().filter(|(_, fd)| fd.is_some());
        for ((stream, fd), _) in open.zip(ready).filter(|(_, is_ready)| *is_ready) {
            let Some(from) = fd.as_ref() else { continue };
            match rustix::io::read(from, &mut buffer[..]) {
                Err(Errno::INTR) => {}
                Ok(0) => *fd = None,
                Ok(count) => output(*stream, &buffer[..count]),
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(())
}
