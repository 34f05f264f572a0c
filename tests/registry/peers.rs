//! What other tools push larder pulls, digest for digest.

use std::path::Path;

use crate::import::GCC;
use crate::support::image::digest;
use crate::support::store::{assert_sound, blob_path, entries, named};
use crate::support::{Docker, Sandbox, fixture, need, peer, run};

/// The digest that the registry has under a name, by the word of skopeo.
pub(super) fn digest_of(reference: &str) -> Option<String> {
    let mut skopeo = peer::tool("skopeo")?;
    let from = format!("docker://{reference}");
    Some(digest(run(skopeo.args(["inspect", "--raw", "--tls-verify=false", &from])).as_bytes()))
}

/// Pulls what was pushed under a name of the shared registry; it has the digest that it has there.
fn is_pulled(reference: &str) {
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["pull", reference, "--all-platforms"]);
    assert_eq!(named(&sandbox.store(), reference), Some(digest_of(reference).unwrap()));
    assert_sound(&sandbox.store());
    sandbox.ok(["verify"]);
}

/// Puts a fixture where a tool in the forky root sees it.
fn bring(sandbox: &Sandbox, file: &str) -> String {
    let path = sandbox.path(file);
    std::fs::copy(fixture(file), &path).unwrap();
    path.display().to_string()
}

#[test]
fn skopeo() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = Sandbox::new();
    for tool in ["1.9", "newest"] {
        for file in ["multiarch-oci.tar", "skopeo-oci-zstd.tar", "podman-oci.tar"] {
            let mut skopeo = match tool {
                "newest" => need!(peer::forky("skopeo", sandbox.root()), "skopeo of forky"),
                _ => need!(peer::tool("skopeo"), "skopeo"),
            };
            let from = format!("oci-archive:{}", bring(&sandbox, file));
            let name =
                format!("{}/peers/skopeo-{tool}/{}:1", registry.address, file.trim_end_matches(".tar"));
            let to = format!("docker://{name}");
            run(skopeo.args(["--insecure-policy", "copy", "--all", "--dest-tls-verify=false", &from, &to]));
            is_pulled(&name);
        }
    }
}

#[test]
fn crane() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = Sandbox::new();
    let mut crane = need!(peer::forky("crane", sandbox.root()), "crane of forky");
    let name = format!("{}/peers/crane:1", registry.address);
    run(crane.args(["push", &bring(&sandbox, "docker20.tar"), &name]));
    is_pulled(&name);
}

#[test]
fn podman() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = Sandbox::new();
    let name = format!("{}/peers/podman:1", registry.address);
    let archive = bring(&sandbox, "podman-docker.tar");
    let mut load = need!(peer::forky("podman", sandbox.root()), "podman of forky");
    run(load.args(["load", "-i", &archive]));
    let mut push = peer::forky("podman", sandbox.root()).unwrap();
    run(push.args(["push", "--tls-verify=false", GCC, &name]));
    is_pulled(&name);
}

/// Pushes by a Docker engine.
fn docker_pushes(docker: &Docker, name: &str, archive: &Path) {
    docker.ok(["load".as_ref(), "-i".as_ref(), archive.as_os_str()]);
    for args in [["tag", GCC, name].as_slice(), &["push", name], &["rmi", name]] {
        docker.ok(args);
    }
    is_pulled(name);
}

#[test]
fn docker20() {
    let registry = need!(peer::registry(), "docker-registry");
    let docker = need!(peer::docker20(), "Docker 20.10");
    docker_pushes(&docker, &format!("{}/peers/docker20:1", registry.address), &fixture("docker20.tar"));
}

#[test]
fn docker28_with_both_image_stores() {
    let registry = need!(peer::registry(), "docker-registry");
    {
        let docker = need!(peer::docker28(), "Docker 28");
        docker_pushes(&docker, &format!("{}/peers/docker28:1", registry.address), &fixture("docker28.tar"));
    }
    let docker = need!(peer::docker28c(), "Docker 28 with containerd");
    docker_pushes(&docker, &format!("{}/peers/docker28c:1", registry.address), &fixture("docker28c.tar"));
}

#[test]
fn what_oras_attached_is_found() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = Sandbox::new();
    let name = format!("{}/peers/oras:1", registry.address);
    let mut crane = need!(peer::forky("crane", sandbox.root()), "crane of forky");
    run(crane.args(["push", &bring(&sandbox, "docker20.tar"), &name]));
    std::fs::write(sandbox.path("sbom.json"), "{\"packages\":[]}").unwrap();
    let mut oras = need!(peer::forky("oras", sandbox.root()), "oras of forky");
    let kind = "application/vnd.example.sbom";
    run(oras.args(["attach", "--plain-http", "--artifact-type", kind, &name, "sbom.json:application/json"]));
    let printed = sandbox.ok(["pull", &name, "--referrers"]);
    assert_eq!(printed.lines().count(), 2, "{printed}");
    let entries = entries(&sandbox.store());
    let attached =
        entries.iter().find(|entry| entry["annotations"].get("org.opencontainers.image.ref.name").is_none());
    let attached = attached.unwrap()["digest"].as_str().unwrap();
    assert!(blob_path(&sandbox.store(), attached).exists());
    assert_sound(&sandbox.store());
}
