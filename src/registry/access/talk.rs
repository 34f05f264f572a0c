//! A talk with a program: it gets an input and gives an answer, and neither is waited for without end.

use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use larder_store::Error as StoreError;
use larder_store::cancel::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// No answer has more, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why there is no answer.
pub(super) enum Silence {
    /// It took too long.
    Late,
    /// It says more than an answer has.
    Long,
    /// A signal came, or something could not be done here.
    Store(StoreError),
}

impl From<StoreError> for Silence {
    fn from(error: StoreError) -> Silence {
        Silence::Store(error)
    }
}

/// Gives a program the input and takes its answer, until it has ended. Others that it has started may keep the pipes open.
pub(super) fn talk(
    child: &mut Child,
    mut input: &[u8],
    limit: Duration,
    cancel: &Cancel,
) -> Result<Vec<u8>, Silence> {
    let failed = |error: Errno| StoreError::io("talk to", "a program")(error.into());
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
    for pipe in [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
        rustix::io::ioctl_fionbio(pipe, true).map_err(failed)?;
    }
    let deadline = Instant::now() + limit;
    let mut answer = Vec::new();
    loop {
        cancel.check()?;
        if Instant::now() >= deadline {
            return Err(Silence::Late);
        }
        let has_ended = child.try_wait().map_err(StoreError::io("wait for", "a program"))?.is_some();
        stdin = stdin.filter(|pipe| write_some(pipe, &mut input));
        stdout = stdout.filter(|pipe| read_some(pipe, &mut answer));
        if answer.len() > MAX_ANSWER {
            return Err(Silence::Long);
        }
        if has_ended {
            return Ok(answer);
        }
        wait(stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd)).map_err(failed)?;
    }
}

/// Waits until a pipe can be written or read, and not long: nothing tells that a program has ended.
fn wait(stdin: Option<BorrowedFd<'_>>, stdout: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let pause = Timespec::try_from(Duration::from_millis(if stdout.is_some() { 50 } else { 5 })).ok();
    let mut pipes: Vec<_> = stdin.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)).collect();
    pipes.extend(stdout.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    match poll(&mut pipes, pause.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes what there is room for; whether there is more to write, and somebody who reads.
fn write_some(pipe: &ChildStdin, input: &mut &[u8]) -> bool {
    while !input.is_empty() {
        match rustix::io::write(pipe, input) {
            Ok(written) => *input = &input[written..],
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        }
    }
    false
}

/// Reads what is there, and not much more than an answer may have; whether more may come.
fn read_some(pipe: &ChildStdout, answer: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    while answer.len() <= MAX_ANSWER {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return false,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        }
    }
    true
}
