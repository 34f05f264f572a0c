//! Every tool that larder shares images with, in the distribution's version and the newest: one table, each cell of it
//! done for real, and the page that shows it.

mod containerd;
mod containers;
mod docker;
mod foreign;
mod layouts;
mod matrix;
mod page;
mod pipes;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::import::{CLANG, GCC};
use crate::roundtrip::{GREETING, imported};
use crate::support::store::{document, named};
use crate::support::{Sandbox, describe, fixture, peer};

/// The full name of the image, by which containerd knows it.
const FULL: &str = "docker.io/library/capy-debian-12-gcc12:latest";

/// Whether a tool did what was asked of it; what it said where it did not.
type Seen<T = ()> = Result<T, String>;

/// What larder offers to a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The store's directory as it stands, with zstd layers.
    Store,
    /// The same of a store with gzip layers.
    GzipStore,
    /// `export`.
    Hybrid,
    /// `export --archive docker --layers plain`.
    DockerPlain,
    /// `export --archive docker --layers gzip`.
    DockerGzip,
    /// `export --archive oci`.
    Oci,
}

impl Source {
    const ALL: [Self; 6] =
        [Self::Store, Self::GzipStore, Self::Hybrid, Self::DockerPlain, Self::DockerGzip, Self::Oci];

    /// Its path relative to the sandbox, in which every tool runs.
    fn file(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::GzipStore => "gzip-store",
            Self::Hybrid => "hybrid.tar",
            Self::DockerPlain => "docker-plain.tar",
            Self::DockerGzip => "docker-gzip.tar",
            Self::Oci => "oci.tar",
        }
    }

    /// Whether it is a directory.
    fn is_store(self) -> bool {
        matches!(self, Self::Store | Self::GzipStore)
    }
}

/// What a tool wrote, and how the image in it is known without larder.
struct Written {
    path: PathBuf,
    identity: Identity,
}

/// How an image is recognised.
enum Identity {
    /// The images that come in have these IDs, in this order.
    Images(Vec<String>),
    /// It is an index, and its bytes are kept.
    Index(String),
}

/// A tool of one version.
trait Tool {
    /// Its version, for the page.
    fn version(&self) -> String;
    /// Reads the whole image and runs it, or compares what came through; leaves nothing that helps the next one.
    fn read(&self, bench: &Bench, source: Source) -> Seen;
    /// Writes an image in one of its forms.
    fn write(&self, bench: &Bench, form: &str) -> Seen<Written>;
}

/// A store with one image, all archives of it, and the fixtures for the tools to start from.
struct Bench {
    sandbox: Sandbox,
    image_id: String,
    clang_id: String,
}

impl Bench {
    fn new() -> Self {
        let sandbox = imported("docker20.tar");
        for (source, form) in [
            (Source::Hybrid, &[][..]),
            (Source::Oci, &["--archive", "oci"]),
            (Source::DockerPlain, &["--archive", "docker", "--layers", "plain"]),
            (Source::DockerGzip, &["--archive", "docker", "--layers", "gzip"]),
        ] {
            sandbox.ok(["export", GCC, "-o", source.file()].into_iter().chain(form.iter().copied()));
        }
        for (file, copy) in [("docker20.tar", "image.tar"), ("docker20-two.tar", "two.tar")] {
            std::fs::copy(fixture(file), sandbox.path(copy)).unwrap();
        }
        let gzip = Source::GzipStore.file();
        sandbox.ok(["import", "--store", gzip, "--compression", "gzip", "image.tar"]);
        sandbox.ok(["import", "--store", "two-store", "two.tar"]);
        let id = |name| {
            let inspected = sandbox.json(["inspect", "--store", "two-store", name]);
            inspected[0]["image_id"].as_str().unwrap().to_owned()
        };
        let (image_id, clang_id) = (id(GCC), id(CLANG));
        Self { sandbox, image_id, clang_id }
    }

    fn root(&self) -> &Path {
        self.sandbox.root()
    }

    /// The digest of the image's manifest in one of the stores.
    fn digest(&self, source: Source) -> String {
        named(&self.sandbox.path(source.file()), GCC).unwrap()
    }

    /// A name in the sandbox that nothing has yet; what was there is removed.
    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.sandbox.path(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        path
    }

    /// An archive unpacked by tar, for the tools that read layouts in directories alone.
    fn unpacked(&self, source: Source) -> Seen<PathBuf> {
        if source.is_store() {
            return Ok(self.sandbox.path(source.file()));
        }
        self.unpack(&self.sandbox.path(source.file()))
    }

    fn unpack(&self, archive: &Path) -> Seen<PathBuf> {
        let dir = self.fresh("unpacked");
        std::fs::create_dir(&dir).unwrap();
        attempt(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&dir))?;
        Ok(dir)
    }

    /// Written, and it holds the image that every tool starts from.
    fn written(&self, path: impl Into<PathBuf>) -> Seen<Written> {
        Ok(Written { path: path.into(), identity: Identity::Images(vec![self.image_id.clone()]) })
    }
}

/// A tool of the distribution or the newest one, in the sandbox.
///
/// The distribution's are in a mount namespace of their own, so that no mount of theirs is left in the sandbox.
fn tool(newest: bool, name: &str, bench: &Bench) -> Option<Command> {
    if newest {
        return peer::forky(name, bench.root());
    }
    let found = peer::tool(name)?;
    let mut command = peer::root().and_then(|()| peer::tool("unshare"))?;
    command.args(["--mount", "--propagation", "private"]).arg(found.get_program());
    let mut command = bench.sandbox.enclose(command);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Some(command)
}

/// Runs a command; its stdout, or all that there is to say about its failure.
fn attempt(command: &mut Command) -> Seen<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(describe(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What was seen is what was expected.
fn same(what: &str, seen: &str, expected: &str) -> Seen {
    if seen.trim() == expected.trim() { Ok(()) } else { Err(format!("{what}: {seen}, expected {expected}")) }
}

/// The ID of the only image in a layout, as its documents say.
fn image_id_of(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifest = document(layout, index["manifests"][0]["digest"].as_str().unwrap());
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}
