//! One running Docker Engine, for one test at a time.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{run, succeeded};

/// An engine without containers and images, held by this test alone until dropped.
///
/// A test that needs several takes them in the order docker20, docker28, docker28c, so that no two wait for each other,
/// and none twice: it would wait for itself.
pub struct Docker {
    host: String,
    client: PathBuf,
    _alone: File,
}

impl Docker {
    /// Waits until no other test has this engine, and empties it.
    pub(super) fn acquire(host: String, client: PathBuf) -> Self {
        let lock = Path::new(host.strip_prefix("unix://").unwrap()).with_file_name("test.lock");
        let alone = File::create(lock).unwrap();
        alone.lock().unwrap();
        let docker = Self { host, client, _alone: alone };
        docker.empty();
        docker
    }

    /// The engine's `DOCKER_HOST`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of the engine's socket.
    pub fn socket(&self) -> &Path {
        Path::new(self.host.strip_prefix("unix://").unwrap())
    }

    /// A docker client command for this engine.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.client);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DOCKER_HOST", &self.host);
        // The builder without buildkit needs no plugin; containers have no network but the host's.
        command.env("DOCKER_BUILDKIT", "0").args(args);
        command
    }

    /// Runs the docker client, whatever becomes of it.
    pub fn docker<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the docker client, which must succeed, and returns its stdout.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        run(&mut self.command(args))
    }

    /// Runs a container with the image's own command, or the one given, and returns its stdout.
    pub fn run(&self, image: &str, args: &[&str]) -> String {
        let mut command = self.command(["run", "--rm", "--pull=never", "--network=host", image]);
        command.args(args);
        let output = command.output().unwrap();
        succeeded(&command, &output)
    }

    /// The engine's version, as `28.5.2+dfsg4`.
    pub fn version(&self) -> String {
        self.ok(["version", "--format", "{{.Server.Version}}"]).trim().to_owned()
    }

    /// Whether images are kept by containerd (their ID is the manifest's digest), not by a graph driver.
    pub fn has_containerd_store(&self) -> bool {
        self.ok(["info", "--format", "{{json .DriverStatus}}"]).contains("io.containerd.snapshotter.v1")
    }

    /// The full ID of an image, `None` where the engine has no such image.
    pub fn image_id(&self, name: &str) -> Option<String> {
        let output = self.docker(["image", "inspect", "--format", "{{.Id}}", name]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Removes all containers and all images.
    pub fn empty(&self) {
        self.remove(&["ps"], &["rm"]);
        self.ok(["image", "prune", "--all", "--force"]);
        self.remove(&["image", "ls"], &["image", "rm"]);
        assert_eq!(self.ok(["image", "ls", "--all", "--quiet"]), "", "images of an earlier test are left");
    }

    fn remove(&self, list: &[&str], remove: &[&str]) {
        let listed = self.ok(list.iter().chain(&["--all", "--quiet"]));
        if !listed.is_empty() {
            self.ok(remove.iter().copied().chain(["--force"]).chain(listed.lines()));
        }
    }
}
