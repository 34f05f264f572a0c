//! podman, buildah and skopeo, which share one library for images.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{
    Bench, CLANG, GCC, GREETING, Identity, Seen, Source, Tool, Written, attempt, image_id_of, same, tool,
};
use crate::support::store::blob;
use crate::support::tarball::sha256;

/// Which of them, and whether the newest.
pub(super) struct Containers {
    pub(super) name: &'static str,
    pub(super) newest: bool,
}

/// The limits of the machine that runs the tests may be lower than what the tools set on their own.
const LIMITS: [&str; 2] = ["--ulimit=nofile=1024", "--ulimit=nproc=1024"];

impl Containers {
    /// The tool, with its images in the sandbox.
    fn command(&self, bench: &Bench) -> Command {
        let mut command = tool(self.newest, self.name, bench).expect("it was there a moment ago");
        match self.name {
            "skopeo" => drop(command.arg("--insecure-policy")),
            _ if self.newest => {}
            name => {
                let dir = |part: &str| bench.sandbox.path(format!("{name}-{part}"));
                command.arg("--root").arg(dir("root")).arg("--runroot").arg(dir("runroot"));
                command.args(["--storage-driver", "vfs"]);
            }
        }
        if self.name == "podman" && !self.newest {
            // The other runtime, crun, refuses machines with both kinds of cgroups mounted.
            command.args(["--runtime", "runc", "--tmpdir"]).arg(bench.sandbox.path("podman-tmp"));
        }
        command
    }

    fn ok(&self, bench: &Bench, args: &[&str]) -> Seen<String> {
        attempt(self.command(bench).args(args))
    }

    fn load_and_run(&self, bench: &Bench, source: Source) -> Seen {
        self.ok(bench, &["rmi", "-fa"])?;
        let id = if source.is_store() {
            self.ok(bench, &["pull", "-q", &transports(source)[0]])?.trim().to_owned()
        } else {
            let said = self.ok(bench, &["load", "-q", "-i", source.file()])?;
            said.trim().rsplit_once(' ').ok_or("it names no image")?.1.to_owned()
        };
        let shown = self.ok(bench, &["image", "inspect", "--format", "sha256:{{.Id}}", &id])?;
        same("image ID", &shown, &bench.image_id)?;
        let run = ["run", "--rm", "--network=host", LIMITS[0], LIMITS[1], &id];
        same("podman run", &self.ok(bench, &run)?, GREETING)
    }

    fn pull_and_run(&self, bench: &Bench, source: Source) -> Seen {
        for from in transports(source) {
            self.ok(bench, &["rmi", "-fa"])?;
            let id = self.ok(bench, &["pull", "-q", &from])?.trim().to_owned();
            same("image ID", &format!("sha256:{id}"), &bench.image_id)?;
            let container = self.ok(bench, &["from", "--pull-never", LIMITS[0], LIMITS[1], &id])?;
            let run = ["run", "--isolation", "chroot", container.trim(), "/bin/hello"];
            same("buildah run", &self.ok(bench, &run)?, GREETING)?;
            self.ok(bench, &["rm", "-a"])?;
        }
        Ok(())
    }

    /// A copy reads and checks every byte. (On the way from a docker-archive to a layout it writes a config of its own.)
    fn copy(&self, bench: &Bench, source: Source) -> Seen {
        for from in transports(source) {
            let config = self.ok(bench, &["inspect", "--raw", "--config", &from])?;
            same("image ID", &sha256(config.as_bytes()), &bench.image_id)?;
            let copy = bench.fresh("copy");
            self.ok(bench, &["copy", "-q", &from, "oci:copy:x"])?;
            let diff_ids = |config: &[u8]| {
                let config: Value = serde_json::from_slice(config).unwrap();
                config["rootfs"]["diff_ids"].to_string()
            };
            same("diff IDs", &diff_ids(&blob(&copy, &image_id_of(&copy))), &diff_ids(config.as_bytes()))?;
        }
        Ok(())
    }
}

/// What containers/image calls it; a hybrid is both. The path is relative, as the tools make a name of it.
fn transports(source: Source) -> Vec<String> {
    let path = source.file();
    match source {
        Source::Store | Source::GzipStore => vec![format!("oci:{path}:{GCC}")],
        Source::Hybrid => vec![format!("docker-archive:{path}"), format!("oci-archive:{path}")],
        Source::DockerPlain | Source::DockerGzip => vec![format!("docker-archive:{path}")],
        Source::Oci => vec![format!("oci-archive:{path}")],
    }
}

impl Tool for Containers {
    fn version(&self) -> String {
        let command = if self.newest {
            crate::support::peer::forky(self.name, std::path::Path::new("/tmp"))
        } else {
            crate::support::peer::tool(self.name)
        };
        let said = attempt(command.unwrap().arg("--version")).unwrap();
        said.split_whitespace().nth(2).unwrap().to_owned()
    }

    fn read(&self, bench: &Bench, source: Source) -> Seen {
        match self.name {
            "podman" => self.load_and_run(bench, source),
            "buildah" => self.pull_and_run(bench, source),
            _ => self.copy(bench, source),
        }
    }

    fn write(&self, bench: &Bench, form: &str) -> Seen<Written> {
        let written = bench.fresh("written");
        let path = written.to_str().unwrap();
        if self.name == "skopeo" {
            let (transport, more) = form.split_once(' ').unwrap_or((form, ""));
            let mut command = self.command(bench);
            command.args(["copy", "-q"]).args(more.split_whitespace());
            attempt(command.args(["docker-archive:image.tar", &format!("{transport}{path}:written:1")]))?;
            return known(bench, written, transport);
        }
        self.ok(bench, &["rmi", "-fa"])?;
        if self.name == "buildah" {
            let id = self.ok(bench, &["pull", "-q", "docker-archive:image.tar"])?;
            self.ok(bench, &["push", "-q", id.trim(), &format!("{form}{path}:written:1")])?;
            return known(bench, written, form);
        }
        self.ok(bench, &["load", "-q", "-i", "two.tar"])?;
        let name = |name: &str| format!("localhost/{name}");
        if form == "save -m" {
            self.ok(bench, &["save", "-q", "-m", "-o", path, &name(GCC), &name(CLANG)])?;
            let ids = vec![bench.image_id.clone(), bench.clang_id.clone()];
            return Ok(Written { path: written, identity: Identity::Images(ids) });
        }
        let format = form.trim_start_matches("save --format ");
        self.ok(bench, &["save", "-q", "--format", format, "-o", path, &name(GCC)])?;
        known(bench, written, format)
    }
}

/// What becomes OCI on the way gets a config of the tool's own, and so another ID, which stands in what it wrote.
fn known(bench: &Bench, path: PathBuf, form: &str) -> Seen<Written> {
    if !form.starts_with("oci") {
        return bench.written(path);
    }
    let layout = if path.is_dir() { path.clone() } else { bench.unpack(&path)? };
    let identity = Identity::Images(vec![image_id_of(&layout)]);
    Ok(Written { path, identity })
}
