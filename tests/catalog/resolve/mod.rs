//! `larder resolve` over images that were imported; the rules themselves have a table of cases in `src/catalog/resolve/`.

mod answers;
mod briefs;
mod input;
mod unread;

use crate::support::Sandbox;
use crate::support::tarball::{Tarball, config, docker_archive_with};

/// What to ask for where it does not matter.
const JOB: [&str; 5] = ["resolve", "--os", "ubuntu:25.04", "--arch", "amd64"];

/// A layer with an os-release, if any, packages in dpkg's database, and programs.
fn root(os: Option<(&str, &str)>, packages: &[&str], programs: &[&str]) -> Vec<u8> {
    let mut root = Tarball::new();
    if let Some((id, version)) = os {
        root.file("etc/os-release", format!("ID={id}\nVERSION_ID=\"{version}\"\n").as_bytes());
    }
    let stanza = |name: &&str| {
        let (name, arch) = name.split_once(':').unwrap_or((name, "amd64"));
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: {arch}\nVersion: 15.2.0-1\n\n")
    };
    root.file("var/lib/dpkg/status", packages.iter().map(stanza).collect::<String>().as_bytes());
    for program in programs {
        root.program(&format!("usr/bin/{program}"), b"#!");
    }
    root.bytes()
}

fn ubuntu(packages: &[&str], programs: &[&str]) -> Vec<u8> {
    root(Some(("ubuntu", "25.04")), packages, programs)
}

/// Imports an image of one layer under these names.
fn import(sandbox: &Sandbox, names: &[&str], arch: &str, layer: Vec<u8>, options: &[&str]) {
    let layers = [layer];
    let archive = docker_archive_with(&config("linux", arch, &layers).to_string(), names, &layers);
    std::fs::write(sandbox.path("image.tar"), archive).unwrap();
    sandbox.ok(["import", "image.tar"].iter().chain(options));
}

/// A base, an image with a compiler, and one with more than that.
fn three() -> Sandbox {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, &["base"], "amd64", ubuntu(&["libssl-dev"], &["cmake"]), &[]);
    import(&sandbox, &["gcc"], "amd64", ubuntu(&["gcc-15"], &["gcc-15"]), &[]);
    import(
        &sandbox,
        &["full"],
        "amd64",
        ubuntu(&["gcc-15", "libssl-dev", "ninja"], &["gcc-15", "cmake"]),
        &[],
    );
    sandbox
}

/// The name that is printed for a job.
fn best(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.ok(JOB.iter().chain(words)).trim_end().to_owned()
}
