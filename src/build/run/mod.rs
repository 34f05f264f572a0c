//! Running one step of a build: a command in a root file system, in namespaces of its own, by crun or runc.
//!
//! Three processes do it. [`Runner::run`] starts larder again as the *attendant* (`attend`), which has mount and PID namespaces
//! of its own, mounts the root, and starts larder a third time as the *first* process there (`first`), which becomes the runtime.
//! When the first dies the kernel ends all that is in its namespace, and the mounts go with the last of them. The attendant
//! dies only of a SIGKILL of its own, and takes the first along; when the runner stops, or is killed, the socket
//! between them ends, and the attendant ends the step and clears up.
//!
//! Promises: no process of a step and no mount outlives it, however it ends; what the step finds bound into its root (`/etc/resolv.conf` and
//! others) leaves nothing in it. Does not: unpack, make layers, or know what a Dockerfile is.

mod abilities;
mod attend;
mod beneath;
mod cgroups;
mod entry;
mod error;
mod first;
mod mounts;
mod root;
mod runtime;
mod spec;
mod state;
mod stream;
mod tail;
mod user;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use abilities::{Abilities, abilities};
pub(crate) use entry::entry;
pub(crate) use error::{Error, Result};
pub(crate) use runtime::Runtime;
pub(crate) use state::{Reclaimed, clear_up};

/// What a step runs, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Its root file system.
    pub(crate) root: Root,
    /// The command and its arguments; the command is looked up in the step's own `PATH`.
    pub(crate) args: Vec<String>,
    /// `NAME=value`; a later one wins. `PATH`, `HOME` and `HOSTNAME` are added where they are missing.
    #[serde(default)]
    pub(crate) env: Vec<String>,
    /// Made where it is missing; empty: `/`.
    #[serde(default)]
    pub(crate) cwd: String,
    /// `name|uid[:group|gid]`, by the root's own `/etc/passwd` and `/etc/group`; empty: root.
    #[serde(default)]
    pub(crate) user: String,
    /// Its name for itself.
    pub(crate) hostname: String,
    /// What it sees of the network.
    pub(crate) network: Network,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// How many processes and threads it may have at a time.
    #[serde(default = "default_pids")]
    pub(crate) pids: i64,
    /// Scripts that it sees below `/dev/pipes` and that leave nothing in its root.
    #[serde(default)]
    pub(crate) scripts: Vec<Script>,
}

/// A file that a step can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// One component of a path.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) content: String,
}

/// Where a step sees its scripts, as with BuildKit.
pub(crate) const SCRIPTS: &str = "/dev/pipes";

/// Enough for any build, and less than a machine has.
pub(crate) const fn default_pids() -> i64 {
    4096
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Root {
    /// Directories that are stacked.
    Overlay {
        /// The topmost first; may be none.
        lowers: Vec<PathBuf>,
        /// Takes what the step changes.
        upper: PathBuf,
        /// Overlayfs's own, empty, on the file system of `upper`. After a step that was killed neither it nor `upper` can be used again.
        work: PathBuf,
    },
    /// One directory, which the step changes in place.
    Directory(PathBuf),
}

/// What a step sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Network {
    /// A loopback interface that nobody else has.
    None,
    /// The machine's own.
    Host,
}

/// Where a step writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The command's exit code, 128 and more for a signal.
    pub(crate) code: i32,
    /// The last lines of its output, both streams together, to be repeated where the step failed.
    pub(crate) last_lines: Vec<String>,
    /// What the step had to do without.
    pub(crate) notes: Vec<String>,
}

/// Runs steps.
#[derive(Debug)]
pub(crate) struct Runner {
    runtime: Runtime,
    steps: PathBuf,
}

impl Runner {
    /// Finds a runtime on the `PATH`. `steps` is a private directory that takes what a step needs while it runs; all runs of a store
    /// share it, so that each clears up after those that were killed.
    pub(crate) fn find(steps: &Path) -> Result<Runner> {
        Ok(Runner { runtime: Runtime::find()?, steps: steps.to_path_buf() })
    }
}
