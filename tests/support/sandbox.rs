//! A home of its own for one test, and larder run in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{Docker, describe, succeeded};

/// A user without any rights.
pub const NOBODY: u32 = 65534;

/// A temporary directory with home, store and TMPDIR inside. It is removed when dropped.
///
/// Commands run in it see `PATH` of the outer environment and nothing else; there is no `DOCKER_HOST` unless set.
pub struct Sandbox {
    root: TempDir,
    environment: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    /// Makes the directories; the store itself is left to larder.
    pub fn new() -> Self {
        Self::of(named().tempdir().unwrap())
    }

    /// The same in memory where there is one, for tests of many steps that are not about what a disk keeps.
    pub fn in_memory() -> Self {
        Self::of(named().tempdir_in("/dev/shm").unwrap_or_else(|_| named().tempdir().unwrap()))
    }

    fn of(root: TempDir) -> Self {
        let mut sandbox = Self { root, environment: BTreeMap::new() };
        for (variable, name) in [("HOME", "home"), ("TMPDIR", "tmp")] {
            let dir = sandbox.path(name);
            std::fs::create_dir(&dir).unwrap();
            sandbox.set(variable, dir);
        }
        sandbox.set("LARDER_STORE", sandbox.store());
        sandbox.set("PATH", std::env::var_os("PATH").unwrap());
        sandbox
    }

    /// The sandbox's own directory.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The path of NAME in the sandbox, whether it exists or not.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where larder keeps its store.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Sets an environment variable for all that runs in the sandbox from now on.
    pub fn set(&mut self, variable: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.insert(variable.into(), value.into());
    }

    /// Points `DOCKER_HOST` at this engine.
    pub fn use_docker(&mut self, docker: &Docker) {
        self.set("DOCKER_HOST", docker.host());
    }

    /// Gives any command the sandbox's environment and directory.
    pub fn enclose(&self, mut command: Command) -> Command {
        command.env_clear().envs(&self.environment).current_dir(self.root());
        command
    }

    /// A larder command to be spawned, piped into, or killed.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.enclose(Command::new(assert_cmd::cargo::cargo_bin!("larder")));
        command.args(args);
        command
    }

    /// A larder command of another user (with a group of the same number) who is in these groups too; `None` where
    /// that cannot be done. From now on everybody may go into the sandbox.
    pub fn command_as<A: AsRef<OsStr>>(
        &self,
        uid: u32,
        groups: &[u32],
        args: impl IntoIterator<Item = A>,
    ) -> Option<Command> {
        let mut setpriv = super::peer::root().and_then(|()| super::peer::tool("setpriv"))?;
        // The program itself may lie where only root gets.
        let larder = self.path("larder");
        if !larder.exists() {
            // Not by this process: a test that forks meanwhile would have it open for writing, and nobody could run it.
            super::run(Command::new("cp").arg(assert_cmd::cargo::cargo_bin!("larder")).arg(&larder));
        }
        super::run(Command::new("chmod").arg("755").arg(self.root()).arg(&larder));
        setpriv.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
        match groups {
            [] => setpriv.arg("--clear-groups"),
            groups => setpriv
                .arg(format!("--groups={}", groups.iter().map(u32::to_string).collect::<Vec<_>>().join(","))),
        };
        setpriv.arg(larder).args(args);
        Some(self.enclose(setpriv))
    }

    /// Runs larder, whatever becomes of it.
    pub fn larder<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs larder, which must succeed, and returns its stdout.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        let mut command = self.command(args);
        let output = command.output().unwrap();
        succeeded(&command, &output)
    }

    /// Runs larder, which must end with this exit code, and returns its stderr.
    pub fn fail<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>, code: i32) -> String {
        let mut command = self.command(args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", describe(&command, &output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs larder with `--format json`, which must succeed, and parses its stdout.
    pub fn json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> serde_json::Value {
        let mut command = self.command(args);
        command.args(["--format", "json"]);
        let output = command.output().unwrap();
        serde_json::from_str(&succeeded(&command, &output)).unwrap()
    }
}

fn named() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("larder-test.");
    builder
}
