//! What this machine has for running steps.

use std::fs;

use serde::Serialize;

use super::{Runtime, cgroups};

/// What there is; nothing is tried.
#[derive(Debug, Serialize)]
pub(crate) struct Abilities {
    /// The path of the runtime.
    pub(crate) runtime: Option<String>,
    /// Whether the kernel lists overlayfs. (One that is a module may be loaded on first use.)
    pub(crate) overlayfs: bool,
    /// Whether users without rights may make namespaces.
    pub(crate) user_namespaces: bool,
    /// Why steps run without control groups, and so without limits, where they do.
    pub(crate) without_control_groups: Option<String>,
}

/// Looks.
pub(crate) fn abilities() -> Abilities {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // Debian's own switch; kernels without it have none to turn off.
    let is_off = read("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0";
    let most = read("/proc/sys/user/max_user_namespaces").trim().parse::<u64>().unwrap_or(0);
    Abilities {
        runtime: Runtime::find().ok().map(|runtime| runtime.program.display().to_string()),
        overlayfs: read("/proc/filesystems").split_whitespace().any(|word| word == "overlay"),
        user_namespaces: !is_off && most > 0,
        without_control_groups: cgroups::obstacle().unwrap_or_else(|error| Some(error.to_string())),
    }
}
