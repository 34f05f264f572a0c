//! containerd by its own client: `ctr images import`, a container, `ctr images export`.

use std::process::Command;

use super::{Bench, FULL, GREETING, Seen, Source, Tool, Written, attempt, same};
use crate::support::peer::Containerd;
use crate::support::tarball::sha256;

/// A namespace of one containerd, of this process alone.
pub(super) struct Ctr {
    pub(super) containerd: Containerd,
    namespace: String,
}

impl Ctr {
    pub(super) fn new(containerd: Containerd, test: &str) -> Self {
        Self { containerd, namespace: format!("larder-{test}-{}", std::process::id()) }
    }

    /// Runs ctr in the sandbox.
    pub(super) fn ok(&self, bench: &Bench, args: &[&str]) -> Seen<String> {
        attempt(self.command(bench).args(args))
    }

    pub(super) fn command(&self, bench: &Bench) -> Command {
        self.containerd.ctr(&self.namespace, bench.root())
    }

    /// The image is there under its full name, is the one that it should be, and runs; then it is removed.
    pub(super) fn prove(&self, bench: &Bench) -> Seen {
        same("ctr images ls", &self.ok(bench, &["images", "ls", "-q"])?, FULL)?;
        let config = self.ok(bench, &["content", "get", &bench.image_id])?;
        same("config", &sha256(config.as_bytes()), &bench.image_id)?;
        let fifo = self.containerd.fifo();
        let run = ["run", "--rm", "--net-host", "--fifo-dir", fifo.to_str().unwrap(), FULL, "greeting"];
        let mut said = String::new();
        // ctr can end before it has passed on what so short a container printed.
        for _ in 0..5 {
            if said.is_empty() {
                said = self.ok(bench, &run)?;
            }
        }
        same("ctr run", &said, GREETING)?;
        self.ok(bench, &["images", "rm", "--sync", FULL]).map(drop)
    }
}

impl Tool for Ctr {
    fn version(&self) -> String {
        let mut command = self.containerd.ctr(&self.namespace, std::path::Path::new("/tmp"));
        let said = attempt(command.arg("--version")).unwrap();
        said.split_whitespace().last().unwrap().to_owned()
    }

    fn read(&self, bench: &Bench, source: Source) -> Seen {
        if source.is_store() {
            let parts = ["oci-layout", "index.json", "blobs"];
            bench.fresh("packed.tar");
            let mut tar = bench.sandbox.enclose(Command::new("tar"));
            attempt(tar.args(["-cf", "packed.tar", "-C", source.file()]).args(parts))?;
            self.ok(bench, &["images", "import", "packed.tar"])?;
        } else {
            self.ok(bench, &["images", "import", source.file()])?;
        }
        self.prove(bench)
    }

    fn write(&self, bench: &Bench, form: &str) -> Seen<Written> {
        let source = if form.ends_with("zstd") { "hybrid.tar" } else { "image.tar" };
        self.ok(bench, &["images", "import", source])?;
        let written = bench.fresh("exported.tar");
        // The client of containerd 2 has been seen to end before the stream that it writes: such a file has no end mark.
        for _ in 0..5 {
            self.ok(bench, &["images", "export", "exported.tar", FULL])?;
            let bytes = std::fs::read(&written).map_err(|error| error.to_string())?;
            if bytes.ends_with(&[0; 1024]) {
                break;
            }
        }
        self.ok(bench, &["images", "rm", "--sync", FULL])?;
        bench.written(written)
    }
}
