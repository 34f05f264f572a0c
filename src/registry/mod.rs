//! Registries: images come from them and go to them (the distribution specification,
//! github.com/opencontainers/distribution-spec).
//!
//! Everything asynchronous stays in here; what callers see is synchronous and ends when a signal comes. Nothing in here
//! prints: what happens on the way goes to a watcher that is handed in.

pub(crate) mod access;
mod client;
mod error;
mod given_up;
mod host;
mod lines;
pub(crate) mod mirror;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod repair;
pub(crate) mod steps;
pub(crate) mod sync;

use larder_store::cancel::Cancel;

use self::access::{Environment, Settings};
pub(crate) use self::client::{Checked, Patience, check};
pub(crate) use self::error::{Error, Kind};
pub(crate) use self::given_up::GivenUp;

/// How registries are asked from here.
#[derive(Debug, Clone)]
pub(crate) struct Registries {
    /// What this host's configuration and the command line say.
    pub(crate) settings: Settings,
    /// Where the files with credentials and certificates are.
    pub(crate) environment: Environment,
    /// How long the other side may take.
    pub(crate) patience: Patience,
    /// Asks to stop.
    pub(crate) cancel: Cancel,
    /// Hosts that do not answer, where those who ask get on without them.
    pub(crate) given_up: GivenUp,
}
