//! The container runtime: which one there is, and how it is called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::state::{self, State};

/// A runtime's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// Where it is.
    pub(crate) program: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Runc,
    Crun,
}

impl Runtime {
    /// Looks for runc, which is the one that Docker brings, then for crun.
    pub(crate) fn find() -> Result<Runtime> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs: Vec<_> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
        [("runc", Kind::Runc), ("crun", Kind::Crun)]
            .into_iter()
            .find_map(|(name, kind)| {
                let program = dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file())?;
                Some(Runtime { program, kind })
            })
            .ok_or(Error::NoRuntime)
    }

    /// The arguments that start the bundle in a step's directory, and do not wait for its end.
    pub(super) fn arguments(&self, state: &State, has_cgroups: bool) -> Vec<OsString> {
        let option = |name: &str, value: &Path| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(value);
            option
        };
        let mut args = vec![option("root", &state.at(state::RUNTIME))];
        args.push(option("log", &state.at(state::LOG)));
        args.push("--log-format=json".into());
        if !has_cgroups {
            // Of runc: it does without those that cannot be written.
            args.push("--rootless=true".into());
        }
        args.push("run".into());
        args.push("--detach".into());
        args.push(option("pid-file", &state.pid_file()));
        args.push(option("bundle", state.dir()));
        args.push(state.id().into());
        args
    }
}

/// The last error in a runtime's log, which has a JSON document a line.
pub(super) fn last_error(log: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        level: String,
        msg: String,
    }
    let lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.into_iter().find(|line| matches!(&*line.level, "error" | "fatal")).map(|line| line.msg)
}

#[cfg(test)]
mod tests {
    use super::last_error;

    #[test]
    fn a_runtimes_own_error_is_told_from_the_rest_of_its_log() {
        let log = "{\"level\":\"error\",\"msg\":\"runc run failed: no such file\",\"time\":\"now\"}\n{\"level\":\"warning\",\"msg\":\"odd\"}\nnoise\n";
        assert_eq!(last_error(log).as_deref(), Some("runc run failed: no such file"));
        assert_eq!(last_error("{\"level\":\"warning\",\"msg\":\"odd\"}\n"), None);
    }
}
