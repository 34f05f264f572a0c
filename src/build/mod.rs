//! Making images without a daemon.

pub(crate) mod run;
