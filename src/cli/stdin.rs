//! Standard input that a signal can end: a read from a silent pipe would wait for ever.

use std::io::{self, Read};
use std::time::Duration;

use larder_store::Error;
use larder_store::cancel::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Reads stdin, looking at the flag while nothing comes.
pub(crate) fn interruptible_stdin(cancel: Cancel) -> impl Read + Send {
    Stdin { cancel }
}

struct Stdin {
    cancel: Cancel,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pause = Timespec::try_from(Duration::from_millis(100)).ok();
        let stdin = io::stdin();
        loop {
            if self.cancel.is_raised() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, Error::Interrupted));
            }
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], pause.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return rustix::io::read(&stdin, buffer).map_err(io::Error::from),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
