//! The newest podman: saves in both forms, loads and runs all of ours.

use super::{GCC, GREETING, assert_is_image, config_of, export};
use crate::support::store::{assert_sound, blob, document, named};
use crate::support::tarball::members_of;
use crate::support::{Sandbox, fixture, need, peer, run};

/// Runs podman in the sandbox; its images stay there.
fn podman(sandbox: &Sandbox, args: &[&str]) -> Option<String> {
    Some(run(peer::forky("podman", sandbox.root())?.args(args)))
}

#[test]
fn docker_archives_and_oci_archives_of_podman_come_in() {
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20.tar"), sandbox.path("image.tar")).unwrap();
    need!(podman(&sandbox, &["load", "-q", "-i", "image.tar"]), "podman of forky");
    podman(&sandbox, &["save", "-q", "--format", "docker-archive", "-o", "docker.tar", GCC]);
    sandbox.ok(["import", "docker.tar", "--name", "docker:1"]);
    assert_is_image(&sandbox, "docker:1", &config_of(&sandbox.path("docker.tar")));

    podman(&sandbox, &["save", "-q", "--format", "oci-archive", "-o", "oci.tar", GCC]);
    sandbox.ok(["import", "oci.tar", "--name", "oci:1"]);
    assert_sound(&sandbox.store());
    let members = members_of(&sandbox.path("oci.tar"));
    let digest = named(&sandbox.store(), "oci:1").unwrap();
    let path = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    assert_eq!(blob(&sandbox.store(), &digest), members[&path(&digest)], "the manifest is kept");
    let config = document(&sandbox.store(), &digest)["config"]["digest"].as_str().unwrap().to_owned();
    assert_eq!(blob(&sandbox.store(), &config), members[&path(&config)]);
}

#[test]
fn our_archives_load_and_run_under_their_names() {
    let sandbox = super::imported("docker20.tar");
    let image_id = sandbox.json(["inspect", GCC])[0]["image_id"].as_str().unwrap().to_owned();
    let forms: [&[&str]; 6] = [
        &[],
        &["--archive", "oci"],
        &["--archive", "docker"],
        &["--layers", "plain"],
        &["--layers", "plain", "--archive", "oci"],
        &["--as", "registry.example/ci/gcc:7"],
    ];
    for form in forms {
        export(&sandbox, GCC, "ours.tar", form);
        let said = need!(podman(&sandbox, &["load", "-q", "-i", "ours.tar"]), "podman of forky");
        let name = said.trim().strip_prefix("Loaded image: ").unwrap();
        // A docker-archive alone has the short name, which podman completes in its own way.
        let expected = match form {
            [_, "docker"] => "localhost/capy-debian-12-gcc12:latest",
            ["--as", name] => name,
            _ => "docker.io/library/capy-debian-12-gcc12:latest",
        };
        assert_eq!(name, expected, "{form:?}");
        let id = podman(&sandbox, &["image", "inspect", "--format", "{{.Id}}", name]).unwrap();
        assert_eq!(format!("sha256:{}", id.trim()), image_id, "{form:?}");
        assert_eq!(podman(&sandbox, &["run", "--rm", "--network=host", name]).unwrap(), GREETING, "{form:?}");
        podman(&sandbox, &["rmi", "-fa"]);
    }
}

#[test]
fn podman_pulls_from_the_store_as_it_stands() {
    for (file, name) in [("docker20.tar", GCC), ("multiarch-oci.tar", "capy-debian-12-multi:latest")] {
        let sandbox = super::imported(file);
        let from = format!("oci:{}:{name}", sandbox.store().display());
        let id = need!(podman(&sandbox, &["pull", "-q", &from]), "podman of forky");
        assert_eq!(
            podman(&sandbox, &["run", "--rm", "--network=host", id.trim()]).unwrap(),
            GREETING,
            "{file}"
        );
    }
}
