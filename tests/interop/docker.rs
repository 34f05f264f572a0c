//! Docker Engines: `docker load` and a container, `docker save`; and what buildx builds with the engine's BuildKit.

use serde_json::Value;

use super::{Bench, CLANG, GCC, GREETING, Identity, Seen, Source, Tool, Written, attempt, same};
use crate::support::tarball::{members_of, sha256};
use crate::support::{Docker, peer};

/// An engine.
pub(super) struct Engine(pub(super) Docker);

impl Tool for Engine {
    fn version(&self) -> String {
        self.0.version()
    }

    fn read(&self, bench: &Bench, source: Source) -> Seen {
        self.0.empty();
        let archive = bench.sandbox.path(source.file());
        let said = attempt(&mut self.0.command(["load".as_ref(), "-i".as_ref(), archive.as_os_str()]))?;
        same("docker load", &said, &format!("Loaded image: {GCC}"))?;
        same("docker run", &attempt(&mut self.0.command(RUN))?, GREETING)?;
        // With the containerd store the ID is the manifest's; what it saves has the config.
        let saved = bench.fresh("read-back.tar");
        attempt(&mut self.0.command(["save".as_ref(), "-o".as_ref(), saved.as_os_str(), GCC.as_ref()]))?;
        let members = members_of(&saved);
        let items: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
        same("config", &sha256(&members[items[0]["Config"].as_str().unwrap()]), &bench.image_id)
    }

    fn write(&self, bench: &Bench, form: &str) -> Seen<Written> {
        self.0.empty();
        let (two, saved) = (bench.sandbox.path("two.tar"), bench.fresh("saved.tar"));
        attempt(&mut self.0.command(["load".as_ref(), "-i".as_ref(), two.as_os_str()]))?;
        let (names, ids) = match form {
            "docker save" => (vec![GCC], vec![bench.image_id.clone()]),
            _ => (vec![GCC, CLANG], vec![bench.image_id.clone(), bench.clang_id.clone()]),
        };
        attempt(self.0.command(["save".as_ref(), "-o".as_ref(), saved.as_os_str()]).args(names))?;
        Ok(Written { path: saved, identity: Identity::Images(ids) })
    }
}

const RUN: [&str; 5] = ["run", "--rm", "--pull=never", "--network=host", GCC];

/// buildx with the BuildKit inside of an engine with containerd store.
pub(super) struct Buildx(pub(super) Docker);

impl Buildx {
    fn build(&self, bench: &Bench, source: Source, output: &str, provenance: &str) -> Seen {
        let context = bench.sandbox.path("context");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), "FROM base\nENV BUILT=yes\n").unwrap();
        let layout = bench.sandbox.path(source.file());
        let base = format!("base=oci-layout://{}@{}", layout.display(), bench.digest(source));
        let daemon = self.0.socket().parent();
        let mut command = peer::forky_with("docker", bench.root(), daemon).ok_or("no docker client")?;
        command.env("DOCKER_HOST", self.0.host());
        command.args(["buildx", "build", "--quiet", "--metadata-file", "metadata.json"]);
        command.args([format!("--provenance={provenance}"), format!("--build-context={base}")]);
        attempt(command.args(["--output", output, "context"])).map(drop)
    }
}

impl Tool for Buildx {
    fn version(&self) -> String {
        let daemon = self.0.socket().parent().unwrap();
        let Some(mut command) = peer::forky_with("docker", daemon, None) else { return String::new() };
        let said = attempt(command.args(["buildx", "version"])).unwrap();
        said.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// An image on top of ours, which the engine loads and runs.
    fn read(&self, bench: &Bench, source: Source) -> Seen {
        self.0.empty();
        self.build(bench, source, "type=docker,name=built:1", "false")?;
        let args = ["run", "--rm", "--pull=never", "--network=host", "built:1"];
        same("docker run", &attempt(&mut self.0.command(args))?, GREETING)
    }

    fn write(&self, bench: &Bench, form: &str) -> Seen<Written> {
        let (kind, provenance) = match form {
            "type=docker" => ("type=docker", "false"),
            "type=oci" => ("type=oci", "false"),
            "type=oci,tar=false with provenance" => ("type=oci,tar=false", "mode=max"),
            _ => ("type=oci", "mode=max"),
        };
        let written = bench.fresh("built");
        let name = "name=docker.io/library/built:1";
        self.build(bench, Source::Store, &format!("{kind},{name},dest={}", written.display()), provenance)?;
        let metadata = std::fs::read(bench.sandbox.path("metadata.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        let text = |key: &str| metadata[key].as_str().unwrap_or("absent").to_owned();
        let identity = match provenance {
            "false" => Identity::Images(vec![text("containerimage.config.digest")]),
            _ => Identity::Index(text("containerimage.digest")),
        };
        Ok(Written { path: written, identity })
    }
}
