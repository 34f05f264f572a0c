//! How many files this process may have open at once.
//!
//! Most machines start a program with a soft limit of 1024 and a hard one that is far higher: the low one is for programs
//! that still use select(2). Layers and nested directories are held open by descriptor, so larder takes what it may have. What it starts for
//! others begins with the limit that larder itself was started with.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than any image needs; a hard limit may be a thousand million.
const ENOUGH: u64 = 65_536;

/// The soft limits before and after it was raised.
static RAISED: OnceLock<(u64, u64)> = OnceLock::new();
/// One at a time puts the limit back for a moment.
static CHANGING: Mutex<()> = Mutex::new(());

/// Raises the soft limit as far as this process may, and as far as there is use for it. To be called once, when a program starts.
pub fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |hard| hard.min(ENOUGH));
    if let Some(soft) = current.filter(|soft| *soft < wanted)
        && set_soft(wanted).is_ok()
    {
        // It is the first time.
        let _ = RAISED.set((soft, wanted));
    }
}

/// The soft limit that this process was started with, where it has another one now.
pub fn started_with() -> Option<u64> {
    RAISED.get().map(|(before, _)| *before)
}

/// The hard limit; the greatest number stands for none.
pub fn hard() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Sets the soft limit of this process, and of what it starts from then on.
pub fn set_soft(soft: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(soft), ..getrlimit(Resource::Nofile) };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Does something that starts a process, which begins with the limit that this one was started with. What is open stays so.
pub fn as_started<T>(start: impl FnOnce() -> T) -> T {
    let Some((before, after)) = RAISED.get() else { return start() };
    let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    // What was its own limit before cannot be refused; and if it is, the process has a higher one.
    let _ = set_soft(*before);
    let started = start();
    let _ = set_soft(*after);
    started
}
