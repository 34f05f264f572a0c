//! The images of the day, built and saved by a real engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Length;
use crate::support::tarball::noise;
use crate::support::{Docker, Sandbox, describe, fixture};

/// What the images are built on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bases {
    /// The fixture with a shell and some megabytes.
    Small,
    /// Debian with a compiler, and with LLVM as well.
    Real,
}

/// Published as `latest`, one version after the other.
pub(super) const APPS: [&str; 3] = ["ci-app", "ci-gui", "ci-tests"];
/// Published under the name of each version.
pub(super) const NIGHTLY: &str = "ci-nightly";
/// Protected by the policy.
pub(super) const TOOLS: &str = "ci-tools";
/// Pinned.
pub(super) const PINNED: &str = "ci-release";

/// An archive for each repository, with all versions of it.
pub(super) struct Archives {
    dir: PathBuf,
    /// What `/etc/version` says in the image with this ID.
    pub(super) versions: BTreeMap<String, String>,
}

impl Archives {
    /// The archive with a repository's images.
    pub(super) fn of(&self, name: &str) -> PathBuf {
        let repository = name.split(':').next().unwrap();
        self.dir.join(format!("{repository}.tar"))
    }
}

/// Builds and saves them; the engine is empty afterwards. `None` where what they are built of is missing.
pub(super) fn build(sandbox: &Sandbox, docker: &Docker, length: &Length) -> Option<Archives> {
    let bases = match length.bases {
        Bases::Small => small(sandbox, docker)?,
        Bases::Real => real(docker)?,
    };
    let mut archives = Archives { dir: sandbox.root().to_path_buf(), versions: BTreeMap::new() };
    let repositories = APPS.iter().map(|app| (*app, length.versions)).chain([(NIGHTLY, length.versions)]);
    for (at, (repository, versions)) in repositories.chain([(TOOLS, 1), (PINNED, 1)]).enumerate() {
        let mut names = Vec::new();
        for version in 1..=versions {
            let name = format!("{repository}:{version}");
            let context = sandbox.path("context");
            std::fs::create_dir_all(context.join("opt")).unwrap();
            std::fs::create_dir_all(context.join("etc")).unwrap();
            std::fs::write(context.join("etc/version"), format!("{name}\n")).unwrap();
            let own = noise((100 * at + version) as u64, length.own);
            std::fs::write(context.join("opt/own"), own).unwrap();
            let dockerfile = format!("FROM {}\nCOPY . /\n{}\n", bases[at % bases.len()], length.step);
            build_one(docker, &context, &dockerfile, &name);
            archives.versions.insert(docker.image_id(&name).unwrap(), name.clone());
            names.push(name);
        }
        let archive = archives.of(repository);
        docker.ok(["save".as_ref(), "-o".as_ref(), archive.as_os_str()]
            .into_iter()
            .chain(names.iter().map(AsRef::as_ref)));
        docker.ok(["image".to_owned(), "rm".into()].into_iter().chain(names));
    }
    docker.empty();
    Some(archives)
}

fn small(sandbox: &Sandbox, docker: &Docker) -> Option<Vec<String>> {
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists())?;
    let archive = fixture("docker20.tar");
    docker.ok(["load".as_ref(), "-i".as_ref(), archive.as_os_str()]);
    let context = sandbox.path("base");
    std::fs::create_dir_all(context.join("bin")).unwrap();
    std::fs::copy(busybox, context.join("bin/sh")).unwrap();
    std::fs::write(context.join("base"), noise(1, 12 << 20)).unwrap();
    build_one(docker, &context, "FROM capy-debian-12-gcc12\nCOPY . /\n", "base:1");
    Some(vec!["base:1".into()])
}

/// Minutes, where they have to be made first.
fn real(docker: &Docker) -> Option<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/image");
    let made = Command::new(script).output().unwrap();
    if !made.status.success() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), &made.stderr);
        return None;
    }
    let dir = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
    for archive in ["gcc12.d28.tar", "sibling.d28.tar"] {
        docker.ok(["load".as_ref(), "-i".as_ref(), dir.join(archive).as_os_str()]);
    }
    Some(vec!["capy-debian-12-gcc12".into(), "capy-debian-12-gcc12-llvm".into()])
}

fn build_one(docker: &Docker, context: &Path, dockerfile: &str, name: &str) {
    // Beside the context, which is copied whole.
    let file = context.with_extension("Dockerfile");
    std::fs::write(&file, dockerfile).unwrap();
    let mut build = docker.command(["build", "--network=host", "--tag", name, "--file"]);
    let output = build.arg(&file).arg(context).output().unwrap();
    assert!(output.status.success(), "{}", describe(&build, &output));
}
