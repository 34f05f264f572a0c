//! The command line: arguments in, exit code out. stdout is data, stderr is for people.

mod child;
mod error;
mod output;
mod progress;
mod signals;
mod stdin;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use larder_store::Store;
use larder_store::cancel::Cancel;

pub(crate) use child::run as run_child;
pub(crate) use error::{CommandError, Outcome, fail};
pub(crate) use output::{Table, brief, count, human, line, note, pairs, print, print_json, safe};
pub(crate) use progress::Bar;
pub(crate) use signals::Signals;
pub(crate) use stdin::interruptible_stdin;

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

impl Context {
    /// Opens the store, or makes it.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        Ok(Store::open(&self.store_path, self.lock_timeout)?.with_cancel(&self.cancel))
    }
}
