//! Pipes, stdin above all, that a signal can end: a read from a silent one would wait for ever.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use larder_store::Error;
use larder_store::cancel::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Reads stdin, looking at the flag while nothing comes.
pub(crate) fn interruptible_stdin(cancel: Cancel) -> impl Read + Send {
    interruptible(io::stdin(), cancel)
}

/// Reads a pipe in the same way; one that was opened without waiting for a writer is waited for here.
pub(crate) fn interruptible(source: impl AsFd + Send, cancel: Cancel) -> impl Read + Send {
    Interruptible { source, cancel }
}

struct Interruptible<S> {
    source: S,
    cancel: Cancel,
}

impl<S: AsFd> Read for Interruptible<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pause = Timespec::try_from(Duration::from_millis(100)).ok();
        loop {
            if self.cancel.is_raised() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, Error::Interrupted));
            }
            match poll(&mut [PollFd::new(&self.source, PollFlags::IN)], pause.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return rustix::io::read(&self.source, buffer).map_err(io::Error::from),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
