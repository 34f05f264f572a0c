//! The real programs that larder works with, each `None` where it is missing: `need!(peer::act(), "act")`.
//!
//! `tests/peers` installs and starts them and says by `LARDER_TEST_*` where they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Docker, Sandbox};

/// Docker Engine 20.10, which has a graph driver.
pub fn docker20() -> Option<Docker> {
    engine("LARDER_TEST_DOCKER20")
}

/// Docker Engine 28 (or later) with a graph driver.
pub fn docker28() -> Option<Docker> {
    engine("LARDER_TEST_DOCKER28")
}

/// Docker Engine 28 (or later) with the containerd image store.
pub fn docker28c() -> Option<Docker> {
    engine("LARDER_TEST_DOCKER28C")
}

fn engine(variable: &str) -> Option<Docker> {
    Some(Docker::acquire(setting(variable)?, packaged("docker")?))
}

/// A registry on the loopback interface, without TLS or login. All tests share it: use names of your own.
pub struct Registry {
    /// `host:port`.
    pub address: String,
    log: PathBuf,
}

impl Registry {
    /// The registry's log of all requests so far, one line each.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// The registry.
pub fn registry() -> Option<Registry> {
    let log = PathBuf::from(setting("LARDER_TEST_REGISTRY_LOG")?);
    Some(Registry { address: setting("LARDER_TEST_REGISTRY")?, log })
}

/// A registry on the loopback interface, over TLS, for [`USER`] alone. All tests share it: use names of your own.
pub struct SecuredRegistry {
    /// `host:port`.
    pub address: String,
    /// The file with the authority that its certificate comes from.
    pub authority: PathBuf,
}

/// Whom the secured registry knows.
pub const USER: &str = "larder";
/// By this password.
pub const PASSWORD: &str = "correct horse";

impl SecuredRegistry {
    /// Has it trusted in a sandbox, by the user's own `certs.d`.
    pub fn trust_in(&self, sandbox: &Sandbox) {
        let dir = sandbox.path("home/.config/containers/certs.d").join(&self.address);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(&self.authority, dir.join("ca.crt")).unwrap();
    }
}

/// The registry that wants a password.
pub fn secured_registry() -> Option<SecuredRegistry> {
    let authority = PathBuf::from(setting("LARDER_TEST_REGISTRY_TLS_CA")?);
    Some(SecuredRegistry { address: setting("LARDER_TEST_REGISTRY_TLS")?, authority })
}

/// A program of the distribution (skopeo 1.9, umoci, podman 4, …).
pub fn tool(name: &str) -> Option<Command> {
    packaged(name).map(Command::new)
}

/// One of the newest programs (skopeo, podman, buildah, umoci, oras, crane, …), run in the Debian forky root.
///
/// It sees `bind` at the same path and starts in it; all else that it writes is gone when it ends. podman and buildah
/// keep their images in `bind/containers`, so that the next call finds them.
pub fn forky(name: &str, bind: &Path) -> Option<Command> {
    forky_with(name, bind, None)
}

/// The Debian forky root itself.
pub fn forky_root() -> Option<PathBuf> {
    setting("LARDER_TEST_FORKY").map(PathBuf::from)
}

/// Like [`forky`], and it sees one more directory, in which a daemon's socket is.
pub fn forky_with(name: &str, bind: &Path, daemon: Option<&Path>) -> Option<Command> {
    let root = PathBuf::from(setting("LARDER_TEST_FORKY")?);
    if !root.join("usr/bin").join(name).exists() {
        return None;
    }
    let mut command = Command::new(setting("LARDER_TEST_ENTER")?);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LARDER_TEST_FORKY", root);
    command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1").current_dir(bind);
    command.arg("-b").arg(bind);
    if let Some(daemon) = daemon {
        command.arg("-b").arg(daemon);
    }
    command.arg(name);
    if matches!(name, "podman" | "buildah") {
        command.arg("--root").arg(bind.join("containers"));
    }
    Some(command)
}

/// A running containerd, of the distribution or the newest. All tests share it: use a namespace of your own.
pub struct Containerd {
    dir: PathBuf,
    newest: bool,
}

impl Containerd {
    /// A `ctr` command of its version for this namespace, which sees `bind`.
    pub fn ctr(&self, namespace: &str, bind: &Path) -> Command {
        let mut command = if self.newest {
            forky_with("ctr", bind, Some(&self.dir)).expect("its containerd runs")
        } else {
            tool("ctr").expect("its containerd runs")
        };
        command
            .current_dir(bind)
            .arg("--address")
            .arg(self.dir.join("containerd.sock"))
            .args(["-n", namespace]);
        command
    }

    /// Where daemon and client both see the pipes of a container.
    pub fn fifo(&self) -> PathBuf {
        self.dir.join("fifo")
    }
}

/// containerd of the distribution (1.6).
pub fn containerd() -> Option<Containerd> {
    containerd_of("LARDER_TEST_CONTAINERD", false)
}

/// containerd 2.
pub fn containerd2() -> Option<Containerd> {
    containerd_of("LARDER_TEST_CONTAINERD2", true)
}

fn containerd_of(variable: &str, newest: bool) -> Option<Containerd> {
    let socket = PathBuf::from(setting(variable)?);
    Some(Containerd { dir: socket.parent()?.to_path_buf(), newest })
}

/// act, which runs workflows with images that Docker has.
pub fn act() -> Option<Command> {
    setting("LARDER_TEST_ACT").map(Command::new)
}

/// container-structure-test, of which `larder test` takes the files.
pub fn structure_test() -> Option<Command> {
    setting("LARDER_TEST_STRUCTURE").map(Command::new)
}

/// Root's rights, for mounts and for commands as other users.
pub fn root() -> Option<()> {
    rustix::process::geteuid().is_root().then_some(())
}

fn setting(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The distribution's own, not what else of that name is on the `PATH`.
fn packaged(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}
