//! Hosts that a run does not ask any more: whoever of it finds one that does not answer says so for all of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The hosts, known to all clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenUp(Arc<Mutex<BTreeSet<String>>>);

impl GivenUp {
    /// Notes that a host (with its port) is not to be asked any more.
    pub(crate) fn note(&self, host: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
    }

    /// Whether it is not.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }
}
