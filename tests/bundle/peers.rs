//! Without a have-list a bundle is an archive that every tool loads.

use super::Gap;
use crate::roundtrip::GCC;
use crate::support::store::named;
use crate::support::{Docker, fixture, need, peer, run};

fn bundle() -> Gap {
    let gap = Gap::new();
    gap.at("out", ["import", fixture("docker20.tar").to_str().unwrap()]);
    gap.at("out", ["bundle", "create", GCC, "-o", "bundle"]);
    gap
}

#[test]
fn larder_import_takes_it() {
    let gap = bundle();
    gap.at("in", ["import", "bundle"]);
    assert_eq!(named(&gap.store("in"), GCC), named(&gap.store("out"), GCC));
}

#[test]
fn skopeo_copies_it() {
    let gap = bundle();
    let mut skopeo = gap.sandbox.enclose(need!(peer::tool("skopeo"), "skopeo"));
    run(skopeo.args(["--insecure-policy", "copy", "-q", "oci-archive:bundle", "oci:copy:copy"]));
    let copied: serde_json::Value =
        serde_json::from_slice(&std::fs::read(gap.path("copy/index.json")).unwrap()).unwrap();
    assert_eq!(copied["manifests"][0]["digest"].as_str().map(str::to_owned), named(&gap.store("out"), GCC));
}

#[test]
fn podman_loads_it() {
    let gap = bundle();
    let mut podman = gap.sandbox.enclose(need!(peer::root().and_then(|()| peer::tool("podman")), "podman"));
    let root = gap.path("podman");
    podman.args(["--storage-driver", "vfs", "--root"]).arg(&root).arg("--runroot").arg(gap.path("run"));
    let said = run(podman.args(["load", "-q", "-i", "bundle"]));
    assert!(said.contains("capy-debian-12-gcc12"), "{said}");
}

fn docker_loads_it(docker: &Docker) {
    let gap = bundle();
    docker.ok(["load", "-i", gap.path("bundle").to_str().unwrap()]);
    assert!(docker.image_id(GCC).is_some(), "{}", docker.ok(["image", "ls"]));
}

#[test]
fn docker28_loads_it_with_a_graph_driver() {
    docker_loads_it(&need!(peer::docker28(), "docker28"));
}

#[test]
fn docker28_loads_it_with_the_containerd_store() {
    docker_loads_it(&need!(peer::docker28c(), "docker28c"));
}
