//! Making images: what one step of a build sees and leaves behind.

mod config;
mod copied;
mod ends;
mod ensure;
mod killed;
mod sees;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Sandbox, peer};

/// A root of busybox alone, and a place to run steps in it.
pub(crate) struct Steps {
    pub(crate) sandbox: Sandbox,
}

/// Programs of busybox that steps use.
const APPLETS: [&str; 16] = [
    "sh", "id", "pwd", "env", "cat", "ls", "grep", "sleep", "mkdir", "rm", "mknod", "dd", "setsid", "find",
    "kill", "hostname",
];

impl Steps {
    /// `None` where a program or right is missing.
    pub(crate) fn new() -> Option<Steps> {
        peer::root()?;
        peer::tool("runc")?;
        let steps = Steps { sandbox: Sandbox::new() };
        let base = steps.base();
        for dir in ["bin", "etc"] {
            std::fs::create_dir_all(base.join(dir)).unwrap();
        }
        for dir in ["upper", "work"] {
            std::fs::create_dir(steps.sandbox.path(dir)).unwrap();
        }
        let busybox = peer::tool("busybox")?;
        std::fs::copy(busybox.get_program(), base.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", base.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1001::/home/build:/bin/sh\n";
        std::fs::write(base.join("etc/passwd"), passwd).unwrap();
        std::fs::write(base.join("etc/group"), "root:x:0:\nbuild:x:1001:\nextra:x:55:build\n").unwrap();
        Some(steps)
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.sandbox.path("base")
    }

    /// A step of `sh -c SCRIPT`.
    pub(crate) fn step(&self, script: &str) -> Value {
        json!({
            "root": {"overlay": {
                "lowers": [self.base()], "upper": self.sandbox.path("upper"), "work": self.sandbox.path("work"),
            }},
            "args": ["sh", "-c", script],
            "hostname": "builder",
            "network": "none",
            "timeout": {"secs": 60, "nanos": 0},
        })
    }

    /// Puts the upper directory aside: that of a step that was killed is of no use.
    pub(crate) fn renew(&self, aside: &str) {
        for dir in ["upper", "work"] {
            let old = self.sandbox.path(dir);
            std::fs::rename(&old, self.sandbox.path(format!("{dir}-{aside}"))).unwrap();
            std::fs::create_dir(old).unwrap();
        }
    }

    pub(crate) fn command(&self, step: &Value) -> Command {
        let spec = self.sandbox.path("step.json");
        std::fs::write(&spec, step.to_string()).unwrap();
        self.sandbox.command([
            "__run-step".as_ref(),
            self.sandbox.path("steps").as_os_str(),
            spec.as_os_str(),
        ])
    }

    pub(crate) fn run(&self, step: &Value) -> Output {
        self.command(step).output().unwrap()
    }

    /// Runs a script that must succeed; its stdout.
    pub(crate) fn ok(&self, step: &Value) -> String {
        let output = self.run(step);
        assert!(output.status.success(), "{}: {output:?}", step["args"]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Names below a directory of the sandbox.
    pub(crate) fn below(&self, dir: &str) -> BTreeSet<String> {
        let dir = self.sandbox.path(dir);
        let mut found = BTreeSet::new();
        collect(&dir, &dir, &mut found);
        found
    }

    /// The IDs of steps that run, or that were not cleared up.
    pub(crate) fn ids(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.sandbox.path("steps")) else { return Vec::new() };
        entries.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Processes that the sandbox has something to do with.
    pub(crate) fn processes(&self) -> Vec<String> {
        let mark = self.sandbox.root().to_str().unwrap().to_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let files = std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            if targets.any(|target| target.starts_with(self.sandbox.root())) {
                found.push(format!("{} has a file open", entry.path().display()));
            }
            for what in ["cmdline", "environ"] {
                let text = std::fs::read(entry.path().join(what)).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                if text.contains(&mark) {
                    found.push(format!("{}: {text}", entry.path().display()));
                }
            }
        }
        found
    }

    /// No process, no mount and no control group of these steps is there.
    pub(crate) fn assert_gone(&self, ids: &[String]) {
        assert_eq!(self.processes(), [""; 0]);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.sandbox.root().to_str().unwrap()), "{mounts}");
        for hierarchy in mounts.lines().filter(|line| line.contains(" - cgroup")) {
            let groups = Path::new(hierarchy.split(' ').nth(4).unwrap()).join("larder");
            for id in ids {
                assert!(!groups.join(id).exists(), "{}", groups.join(id).display());
            }
        }
    }
}

fn collect(root: &Path, dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        found.insert(name);
        if entry.file_type().unwrap().is_dir() {
            collect(root, &entry.path(), found);
        }
    }
}
