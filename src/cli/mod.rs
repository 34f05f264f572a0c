//! The command line: arguments in, exit code out. stdout is data, stderr is for people.

mod child;
mod error;
mod output;
mod progress;
mod prompt;
mod signals;
mod stdin;
mod steps;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use larder_store::Store;
use larder_store::cancel::Cancel;

use crate::registry::access::Environment;

pub(crate) use child::run as run_child;
pub(crate) use error::{CommandError, Outcome, fail};
pub(crate) use output::{Table, count, human, line, note, pairs, print, print_json, safe, safe_json};
pub(crate) use progress::Bar;
pub(crate) use prompt::{all, ask, ask_hidden, can_ask};
pub(crate) use signals::Signals;
pub(crate) use stdin::{interruptible, interruptible_stdin};
pub(crate) use steps::{Steps, plain};

/// How answers are rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs; the fields are documented in docs/json.md.
    Json,
}

/// What every verb is given.
pub(crate) struct Context {
    pub(crate) store_path: PathBuf,
    pub(crate) lock_timeout: Duration,
    pub(crate) cancel: Cancel,
    pub(crate) signals: Signals,
}

/// Where this process looks for what its user and its host say of registries.
pub(crate) fn environment() -> Environment {
    Environment::new(rustix::process::getuid().as_raw(), |name| std::env::var_os(name))
}

impl Context {
    /// Opens the store, or makes it.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        Ok(Store::open(&self.store_path, self.lock_timeout)?.with_cancel(&self.cancel))
    }

    /// Whether there is a store, so that opening it makes none.
    pub(crate) fn has_store(&self) -> bool {
        self.store_path.join("oci-layout").exists()
    }

    /// Opens the store for a verb that has nothing to do in a new one: there, all is well with a path that is misspelt.
    pub(crate) fn existing_store(&self) -> Result<Store, CommandError> {
        match self.store_path.try_exists() {
            Ok(false) => Err(fail(format!("there is no store at {}", self.store_path.display())).with_hint(
                "--store or LARDER_STORE names one; `larder init` makes it, and so does the first import",
            )),
            _ => self.store(),
        }
    }
}
