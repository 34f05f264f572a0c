//! SIGINT, SIGTERM and SIGHUP raise a flag that all long work looks at, so that nothing half done stays behind.
//! A second one ends the process at once; what that leaves, the next GC takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_store::cancel::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Installs the handlers; the function that is returned tells which signal came.
pub(crate) fn install(cancel: &Cancel) -> impl Fn() -> Option<u8> + use<> {
    let came = Arc::new(AtomicUsize::new(0));
    let twice = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Order matters: the handler that ends the process looks at what an earlier signal has set.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&twice));
        let _ = signal_hook::flag::register(signal, Arc::clone(&twice));
        let _ = signal_hook::flag::register_usize(signal, Arc::clone(&came), signal as usize);
        let _ = signal_hook::flag::register(signal, cancel.flag());
    }
    move || u8::try_from(came.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
}
