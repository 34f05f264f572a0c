//! Making images by `larder build`: what a command sees and leaves behind, what is refused, and what a build leaves that does not end well.

mod ahead;
mod cached;
mod config;
mod copied;
mod corpus;
mod elsewhere;
mod ends;
pub(crate) mod ensure;
mod full;
mod hostile;
mod killed;
mod limits;
mod options;
mod refused;
mod sees;
mod shared;
mod together;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::tarball::{config, docker_archive_with};
use crate::support::{Sandbox, describe, peer, run, store, succeeded};

/// Programs of busybox that commands use.
const APPLETS: [&str; 26] = [
    "sh", "id", "pwd", "env", "cat", "ls", "grep", "sleep", "mkdir", "rm", "mknod", "dd", "setsid", "find",
    "kill", "hostname", "wget", "touch", "awk", "chmod", "ln", "mv", "test", "date", "seq", "true",
];

/// A sandbox with a context, whose store has the base `busybox:1`.
pub(crate) struct Builder {
    pub(crate) sandbox: Sandbox,
}

impl Builder {
    /// `None` where a program or right is missing.
    pub(crate) fn new() -> Option<Builder> {
        Self::within(Sandbox::new())
    }

    /// The same in a sandbox that was prepared.
    pub(crate) fn within(sandbox: Sandbox) -> Option<Builder> {
        peer::root()?;
        peer::tool("runc")?;
        let builder = Builder { sandbox };
        std::fs::create_dir(builder.context()).unwrap();
        builder.tree()?;
        builder.import("busybox:1", &["base"]);
        Some(builder)
    }

    /// Makes the files of the base, from which a test may make others.
    fn tree(&self) -> Option<()> {
        let base = self.sandbox.path("base");
        for dir in ["bin", "etc", "tmp"] {
            std::fs::create_dir_all(base.join(dir)).unwrap();
        }
        let busybox = peer::tool("busybox")?;
        std::fs::copy(busybox.get_program(), base.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", base.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1001::/home/build:/bin/sh\n";
        std::fs::write(base.join("etc/passwd"), passwd).unwrap();
        std::fs::write(base.join("etc/group"), "root:x:0:\nbuild:x:1001:\nextra:x:55:build\n").unwrap();
        Some(())
    }

    /// Imports an image whose layers are these directories of the sandbox, the lowest first.
    pub(crate) fn import(&self, name: &str, directories: &[&str]) {
        let layers = directories.iter().map(|directory| self.layer(directory)).collect::<Vec<_>>();
        self.import_layers(name, &layers, Value::Null);
    }

    /// A directory of the sandbox as a layer.
    pub(crate) fn layer(&self, directory: &str) -> Vec<u8> {
        let mut tar = Command::new("tar");
        tar.args(["--numeric-owner", "--owner=0", "--group=0", "--sort=name", "--mtime=@1700000000", "-C"]);
        let output = tar.arg(self.sandbox.path(directory)).args(["-c", "."]).output().unwrap();
        assert!(output.status.success(), "{}", describe(&tar, &output));
        output.stdout
    }

    /// Imports an image of these layers, with this in its config beside the layers.
    pub(crate) fn import_layers(&self, name: &str, layers: &[Vec<u8>], settings: Value) {
        let mut document = config("linux", "amd64", layers);
        document["config"] = settings;
        let archive = self.sandbox.path("import.tar");
        std::fs::write(&archive, docker_archive_with(&document.to_string(), &[name], layers)).unwrap();
        self.sandbox.ok(["import".as_ref(), archive.as_os_str(), "--replace".as_ref()]);
    }

    /// The directory that COPY reads.
    pub(crate) fn context(&self) -> PathBuf {
        self.sandbox.path("context")
    }

    /// The command that builds this Dockerfile as `made:1`.
    pub(crate) fn command(&self, dockerfile: &str, args: &[&str]) -> Command {
        std::fs::write(self.context().join("Dockerfile"), dockerfile).unwrap();
        let mut command = self.sandbox.command(["build", "context", "-t", "made:1"]);
        command.args(args);
        command
    }

    /// Builds it, whatever becomes of that.
    pub(crate) fn run(&self, dockerfile: &str, args: &[&str]) -> Output {
        self.command(dockerfile, args).output().unwrap()
    }

    /// Builds it, which must succeed; what it told.
    pub(crate) fn ok(&self, dockerfile: &str, args: &[&str]) -> Made {
        let mut command = self.command(dockerfile, args);
        let output = command.output().unwrap();
        let line = succeeded(&command, &output);
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let [_, digest, image_id] = &words[..3] else { panic!("{line:?}") };
        Made {
            digest: digest.clone(),
            image_id: image_id.clone(),
            told: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Builds it, which must end with this exit code; what it told.
    pub(crate) fn fail(&self, dockerfile: &str, args: &[&str], code: i32) -> String {
        let mut command = self.command(dockerfile, args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", describe(&command, &output));
        assert!(output.stdout.is_empty(), "{}", describe(&command, &output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// What a script writes that is run on a base, done anew.
    pub(crate) fn says(&self, head: &str, script: &str, args: &[&str]) -> String {
        let args: Vec<_> = args.iter().copied().chain(["--no-cache"]).collect();
        let made = self.ok(&format!("{head}\nRUN <<EOF\n{script}\nEOF\n"), &args);
        made.said("RUN <<EOF").to_owned()
    }

    /// The manifest of a name.
    pub(crate) fn manifest(&self, name: &str) -> Value {
        let digest = store::named(&self.sandbox.store(), name).unwrap();
        store::document(&self.sandbox.store(), &digest)
    }

    /// The config of a name.
    pub(crate) fn config(&self, name: &str) -> Value {
        let manifest = self.manifest(name);
        store::document(&self.sandbox.store(), manifest["config"]["digest"].as_str().unwrap())
    }

    /// What is in each layer of an image, the lowest first.
    pub(crate) fn layers(&self, name: &str) -> Vec<BTreeSet<String>> {
        let manifest = self.manifest(name);
        let layers = manifest["layers"].as_array().unwrap().iter();
        let names = |layer: &Value| {
            let blob = store::blob(&self.sandbox.store(), layer["digest"].as_str().unwrap());
            let plain = zstd::decode_all(&blob[..]).unwrap();
            let mut archive = tar::Archive::new(&plain[..]);
            let name = |entry: std::io::Result<tar::Entry<'_, _>>| {
                entry.unwrap().path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned()
            };
            archive.entries().unwrap().map(name).collect()
        };
        layers.map(names).collect()
    }

    /// The IDs of commands that run, or that were not cleared up.
    pub(crate) fn ids(&self) -> Vec<String> {
        names_in(&self.sandbox.store().join(".larder/building/run"))
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

    /// `FROM busybox:1`, with something by which processes are found.
    pub(crate) fn marked(&self) -> String {
        format!("FROM busybox:1\nENV MARK={}\n", self.sandbox.root().display())
    }

    /// No process, no mount and no control group of these commands is there.
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

    /// Nothing is left of builds but images and whole snapshots, and the store verifies.
    pub(crate) fn assert_clean(&self) {
        let store = self.sandbox.store();
        assert_eq!(self.ids(), [""; 0]);
        assert_eq!(names_in(&store.join(".larder/ingest")), [""; 0]);
        assert_eq!(names_in(&store.join(".larder/leases")), [""; 0]);
        let snapshots = names_in(&store.join(".larder/snapshots"));
        assert!(snapshots.iter().all(|name| !name.starts_with("new.")), "{snapshots:?}");
        self.sandbox.ok(["verify"]);
    }
}

/// A build that succeeded.
pub(crate) struct Made {
    pub(crate) digest: String,
    pub(crate) image_id: String,
    /// All of its stderr.
    pub(crate) told: String,
}

impl Made {
    /// What is between the header of a step, which begins so, and the next.
    pub(crate) fn said(&self, step: &str) -> &str {
        let at = self.told.find(step).unwrap_or_else(|| panic!("no {step:?} in {}", self.told));
        let said = self.told[at..].split_once('\n').unwrap().1;
        let said = said.find("\n[").map_or(said, |end| &said[..=end]);
        // After the last step it is told whose name it was.
        said.find("made:1 was sha256:").map_or(said, |end| &said[..end])
    }

    /// How many steps were known.
    pub(crate) fn cached(&self) -> usize {
        self.told.matches(" (cached)\n").count()
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Copies a directory with all that it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// From now on the sandbox has these programs and no others.
pub(crate) fn only(builder: &mut Builder, programs: &[&str]) {
    let dir = builder.sandbox.path(format!("only-{}", programs.join("-")));
    std::fs::create_dir_all(&dir).unwrap();
    for program in programs {
        let _ = symlink(peer::tool(program).unwrap().get_program(), dir.join(program));
    }
    builder.sandbox.set("PATH", &dir);
}
