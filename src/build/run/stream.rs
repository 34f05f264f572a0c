//! The runner's side of a step: it starts the attendant, passes the output on, and says when to stop.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use larder_store::cancel::Cancel;
use larder_store::open_files;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::attend::{Report, Request};
use super::error::{Error, Result};
use super::tail::Tail;
use super::{Ended, Runner, Step, Stream, entry};

/// So often it is looked whether the step is still wanted.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What an attendant gets for ending its step; then it is killed, and the kernel does the rest.
const PATIENCE: Duration = Duration::from_secs(10);

impl Runner {
    /// Runs a step to its end. All that it started has ended then, and nothing is mounted any more, however it ended.
    ///
    /// `output` gets what it writes to stdout and stderr, in the order in which it was written.
    pub(crate) fn run(&self, step: &Step, output: &mut dyn FnMut(&[u8]), cancel: &Cancel) -> Result<Ended> {
        let (written, writer) = std::io::pipe().map_err(Error::io("make", "a pipe"))?;
        let both = writer.try_clone().map_err(Error::io("make", "a pipe"))?;
        self.run_with(step, (writer, both), vec![written], &mut |_, bytes| output(bytes), cancel)
    }

    /// The same, with stdout and stderr told apart; which of them was written first is not known then.
    pub(crate) fn run_apart(
        &self,
        step: &Step,
        output: &mut dyn FnMut(Stream, &[u8]),
        cancel: &Cancel,
    ) -> Result<Ended> {
        let (out, out_writer) = std::io::pipe().map_err(Error::io("make", "a pipe"))?;
        let (err, err_writer) = std::io::pipe().map_err(Error::io("make", "a pipe"))?;
        let mut output = |number: usize, bytes: &[u8]| match number {
            0 => output(Stream::Out, bytes),
            _ => output(Stream::Err, bytes),
        };
        self.run_with(step, (out_writer, err_writer), vec![out, err], &mut output, cancel)
    }

    /// `output` is told which of the pipes it was.
    fn run_with(
        &self,
        step: &Step,
        (stdout, stderr): (PipeWriter, PipeWriter),
        written: Vec<PipeReader>,
        output: &mut dyn FnMut(usize, &[u8]),
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
            .stdout(stdout)
            .stderr(stderr)
            // Signals of the terminal are for the runner, which says when to stop.
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", "/proc/self/exe"))?;
        let mut line = serde_json::to_vec(&request).map_err(Error::not_run)?;
        line.push(b'\n');
        // One that died of itself has no report: that is said below.
        let _ = (&socket).write_all(&line);
        let mut tail = Tail::default();
        let mut output = |number: usize, bytes: &[u8]| {
            tail.push(bytes);
            output(number, bytes);
        };
        // One beyond what the clock can say never comes.
        let deadline = Instant::now().checked_add(step.timeout);
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let passed = pass_on(&mut attendant, written, &socket, &mut output, &is_over, cancel);
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

/// Hands output on until nobody can write any more, which is when the attendant and all of the step have ended.
fn pass_on(
    attendant: &mut Child,
    written: Vec<PipeReader>,
    socket: &UnixStream,
    output: &mut dyn FnMut(usize, &[u8]),
    is_over: &dyn Fn() -> bool,
    cancel: &Cancel,
) -> Result<()> {
    let failed = |error: Errno| Error::io("read the output of", "the step")(error.into());
    let mut buffer = vec![0; 64 << 10];
    let mut stopped: Option<Instant> = None;
    let mut open: Vec<_> = written.into_iter().enumerate().collect();
    loop {
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
        let mut fds: Vec<_> =
            open.iter().map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)).collect();
        match rustix::event::poll(&mut fds, Some(&TICK)) {
            Err(Errno::INTR) | Ok(0) => continue,
            polled => polled.map_err(failed)?,
        };
        let ready: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ended = Vec::new();
        for ((number, pipe), _) in open.iter().zip(ready).filter(|(_, is_ready)| *is_ready) {
            match rustix::io::read(pipe, &mut buffer[..]) {
                Err(Errno::INTR) => {}
                Ok(0) => ended.push(*number),
                Ok(count) => output(*number, &buffer[..count]),
                Err(error) => return Err(failed(error)),
            }
        }
        open.retain(|(number, _)| !ended.contains(number));
        if open.is_empty() {
            return Ok(());
        }
    }
}
