//! SIGINT, SIGTERM and SIGHUP raise a flag that all long work looks at, so that nothing half done stays behind.
//! A second one ends the process at once; what that leaves, the next GC takes. A signal that was ignored when larder
//! started (`nohup`, a shell's background job) stays ignored.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_store::cancel::Cancel;
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The handlers that larder's own work has.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    came: Arc<AtomicUsize>,
    handlers: Vec<SigId>,
}

impl Signals {
    /// Installs the handlers.
    pub(crate) fn install(cancel: &Cancel) -> Signals {
        let came = Arc::new(AtomicUsize::new(0));
        let twice = Arc::new(AtomicBool::new(false));
        let mut handlers = Vec::new();
        for signal in not_ignored(&[SIGINT, SIGTERM, SIGHUP]) {
            // Order matters: a signal may come while they are installed, and from the first one on it ends the command; the one
            // that ends the process looks at what an earlier signal has set.
            let installed = [
                signal_hook::flag::register(signal, cancel.flag()),
                signal_hook::flag::register_usize(signal, Arc::clone(&came), signal as usize),
                signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&twice)),
                signal_hook::flag::register(signal, Arc::clone(&twice)),
            ];
            handlers.extend(installed.into_iter().flatten());
        }
        Signals { came, handlers }
    }

    /// Which signal came.
    pub(crate) fn came(&self) -> Option<u8> {
        u8::try_from(self.came.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }

    /// From now on signals are somebody else's, who has installed handlers already.
    pub(super) fn give_up(&self) {
        for handler in &self.handlers {
            signal_hook::low_level::unregister(*handler);
        }
    }
}

/// Those signals that whoever started larder did not have ignored.
pub(super) fn not_ignored(signals: &[c_int]) -> Vec<c_int> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    signals.iter().copied().filter(|signal| mask & (1 << (signal - 1)) == 0).collect()
}
