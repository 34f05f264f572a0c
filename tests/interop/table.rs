//! The table: what each tool does with each thing of ours, and what of its own comes in.

use super::containerd::Ctr;
use super::containers::Containers;
use super::docker::{Buildx, Engine};
use super::layouts::{Crane, Oras, Umoci};
use super::{Bench, Tool, tool};
use crate::support::peer;

/// What is seen in a cell.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    /// It works, with a remark where it needs one.
    Yes(Option<&'static str>),
    /// It fails by the tool's nature: the remark, and what the tool then says.
    No(&'static str, &'static str),
    /// The tool has no such function: the remark says why.
    Never(&'static str),
}

use Cell::{Never, No};
const YES: Cell = Cell::Yes(None);
const SHORT: Cell = Cell::Yes(Some(SHORT_NAME));
const OLD_LAYOUT: Cell = Cell::Yes(Some(PATH_AS_NAME));

/// A tool of one version.
pub(super) struct Row {
    pub(super) tool: &'static str,
    /// As a missing peer is called.
    pub(super) peer: &'static str,
    pub(super) open: fn(&Bench) -> Option<Box<dyn Tool>>,
    /// In the order of `Source::ALL`.
    pub(super) reads: [Cell; 6],
    /// Forms by what they are called on the page and in `Tool::write`.
    pub(super) writes: &'static [&'static str],
}

const NO_LAYOUTS: &str = "Reads no directories; `export --to-docker` sends what it lacks.";
const PACKED: &str = "Reads no directories, but the store packed: `tar -C STORE -c oci-layout index.json blobs | ctr images import -`.";
const OLD_ENGINE: &str = "Docker before 23 reads no zstd: `--layers plain` or `--layers gzip`.";
const NO_MANIFEST_JSON: &str = "A graph driver wants `manifest.json`: the hybrid, or `--archive docker`.";
const OLD_UMOCI: &str = "From before zstd layers: `import --compression gzip`.";
const UNPACKED: &str = "Reads layouts in directories: after `tar -x`.";
const NO_DOCKER: &str = "Knows layouts, and no docker-archives.";
const CRANE_ZSTD: &str = "Calls every compressed layer of a docker-archive gzip, and zstd then cannot be read: \
    `--layers plain` or `--layers gzip`, or the unpacked layout.";
const BUILDS: &str = "Its input is the layout: `--build-context base=oci-layout://STORE@DIGEST`.";
const SHORT_NAME: &str =
    "A docker-archive has the short name, which becomes `localhost/NAME`; the others have the full one.";

const PATH_AS_NAME: &str =
    "The image is then called `localhost/PATH`: a path with capital letters is refused.";

const ENGINE_WRITES: &[&str] = &["docker save", "docker save of two images"];
const PODMAN_WRITES: &[&str] =
    &["save --format docker-archive", "save --format oci-archive", "save --format oci-dir", "save -m"];
const BUILDAH_WRITES: &[&str] = &["docker-archive:", "oci-archive:", "oci:"];
const SKOPEO_WRITES: &[&str] = &[
    "docker-archive:",
    "oci-archive:",
    "oci:",
    "oci: --dest-compress-format zstd",
    "oci-archive: --dest-compress-format zstd",
];
const CTR_WRITES: &[&str] = &["images export", "images export, zstd"];
const CRANE_WRITES: &[&str] = &[
    "pull --format tarball",
    "pull --format legacy",
    "pull --format oci",
    "pull --format tarball, zstd layers",
    "pull --format legacy, zstd layers",
];
const BUILDX_WRITES: &[&str] =
    &["type=docker", "type=oci", "type=oci with provenance", "type=oci,tar=false with provenance"];

/// All of them. Docker Engines in the order in which tests take them.
pub(super) const TABLE: [Row; 16] = [
    Row {
        tool: "Docker 20.10",
        peer: "Docker 20.10",
        open: |_| Some(Box::new(Engine(peer::docker20()?))),
        reads: [
            Never(NO_LAYOUTS),
            Never(NO_LAYOUTS),
            No(OLD_ENGINE, "invalid tar header"),
            YES,
            YES,
            No(NO_MANIFEST_JSON, "no such file or directory"),
        ],
        writes: ENGINE_WRITES,
    },
    Row {
        tool: "Docker 28.5, graph driver",
        peer: "Docker 28",
        open: |_| Some(Box::new(Engine(peer::docker28()?))),
        reads: [
            Never(NO_LAYOUTS),
            Never(NO_LAYOUTS),
            YES,
            YES,
            YES,
            No(NO_MANIFEST_JSON, "no such file or directory"),
        ],
        writes: ENGINE_WRITES,
    },
    Row {
        tool: "Docker 28.5, containerd store",
        peer: "Docker 28 with containerd store",
        open: |_| Some(Box::new(Engine(peer::docker28c()?))),
        reads: [Never(NO_LAYOUTS), Never(NO_LAYOUTS), YES, YES, YES, YES],
        writes: ENGINE_WRITES,
    },
    Row {
        tool: "buildx (Docker 28.5, containerd store)",
        peer: "Docker 28 with containerd store, buildx",
        open: |bench| {
            let engine = peer::docker28c()?;
            peer::forky("docker", bench.root())?;
            Some(Box::new(Buildx(engine)))
        },
        reads: [YES, YES, Never(BUILDS), Never(BUILDS), Never(BUILDS), Never(BUILDS)],
        writes: BUILDX_WRITES,
    },
    containers(
        "podman",
        "podman",
        OLD_LAYOUT,
        |bench| containers_tool(bench, "podman", false),
        PODMAN_WRITES,
    ),
    containers(
        "podman",
        "podman of forky",
        YES,
        |bench| containers_tool(bench, "podman", true),
        PODMAN_WRITES,
    ),
    containers(
        "buildah",
        "buildah",
        OLD_LAYOUT,
        |bench| containers_tool(bench, "buildah", false),
        BUILDAH_WRITES,
    ),
    containers(
        "buildah",
        "buildah of forky",
        YES,
        |bench| containers_tool(bench, "buildah", true),
        BUILDAH_WRITES,
    ),
    containers("skopeo", "skopeo", YES, |bench| containers_tool(bench, "skopeo", false), SKOPEO_WRITES),
    containers(
        "skopeo",
        "skopeo of forky",
        YES,
        |bench| containers_tool(bench, "skopeo", true),
        SKOPEO_WRITES,
    ),
    Row {
        tool: "umoci",
        peer: "umoci",
        open: |bench| umoci(bench, false),
        reads: [
            No(OLD_UMOCI, "not correct mediatype"),
            YES,
            No(OLD_UMOCI, "not correct mediatype"),
            Never(NO_DOCKER),
            Never(NO_DOCKER),
            No(OLD_UMOCI, "not correct mediatype"),
        ],
        writes: &["init, new, repack, config"],
    },
    Row {
        tool: "umoci",
        peer: "umoci of forky",
        open: |bench| umoci(bench, true),
        reads: [
            YES,
            YES,
            Cell::Yes(Some(UNPACKED)),
            Never(NO_DOCKER),
            Never(NO_DOCKER),
            Cell::Yes(Some(UNPACKED)),
        ],
        writes: &["init, new, repack, config"],
    },
    Row {
        tool: "crane",
        peer: "crane of forky, docker-registry",
        open: |bench| {
            peer::forky("crane", bench.root())?;
            Some(Box::new(Crane(peer::registry()?)))
        },
        reads: [YES, YES, No(CRANE_ZSTD, "invalid header"), YES, YES, Cell::Yes(Some(UNPACKED))],
        writes: CRANE_WRITES,
    },
    Row {
        tool: "oras",
        peer: "oras of forky",
        open: |bench| {
            peer::forky("oras", bench.root())?;
            Some(Box::new(Oras))
        },
        reads: [YES, YES, YES, Never(NO_DOCKER), Never(NO_DOCKER), YES],
        writes: &["cp --to-oci-layout"],
    },
    Row {
        tool: "containerd (ctr)",
        peer: "containerd",
        open: |_| Some(Box::new(Ctr::new(peer::containerd()?, "matrix"))),
        reads: [Cell::Yes(Some(PACKED)), Cell::Yes(Some(PACKED)), YES, YES, YES, YES],
        writes: CTR_WRITES,
    },
    Row {
        tool: "containerd (ctr)",
        peer: "containerd of forky",
        open: |_| Some(Box::new(Ctr::new(peer::containerd2()?, "matrix"))),
        reads: [Cell::Yes(Some(PACKED)), Cell::Yes(Some(PACKED)), YES, YES, YES, YES],
        writes: CTR_WRITES,
    },
];

/// podman, buildah and skopeo read everything.
const fn containers(
    tool: &'static str,
    peer: &'static str,
    store: Cell,
    open: fn(&Bench) -> Option<Box<dyn Tool>>,
    writes: &'static [&'static str],
) -> Row {
    // skopeo gives no names.
    let docker = if matches!(tool.as_bytes(), b"skopeo") { YES } else { SHORT };
    Row { tool, peer, open, reads: [store, store, YES, docker, docker, YES], writes }
}

fn containers_tool(bench: &Bench, name: &'static str, newest: bool) -> Option<Box<dyn Tool>> {
    tool(newest, name, bench)?;
    Some(Box::new(Containers { name, newest }))
}

fn umoci(bench: &Bench, newest: bool) -> Option<Box<dyn Tool>> {
    tool(newest, "umoci", bench)?;
    Some(Box::new(Umoci { newest }))
}
