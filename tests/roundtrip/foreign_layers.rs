//! Layers that their owner forbids to pass on: an image may lack them, in the store and in an oci-archive.

use serde_json::json;

use crate::support::Sandbox;
use crate::support::tarball::{Oci, layer, members_of, sha256};

/// An image of two layers, of which the archive lacks the first, and that layer's digest.
fn image() -> (Oci, String) {
    let layers = [layer("a", b"foreign"), layer("b", b"ours")];
    let mut oci = Oci::image("foreign:1", &layers);
    let digest = sha256(&layers[0]);
    let mut manifest = oci.manifest();
    manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
    manifest["layers"][0]["urls"] = json!(["https://registry.invalid/layer"]);
    oci.root("foreign:1", &manifest);
    oci.blobs.remove(digest.trim_start_matches("sha256:"));
    (oci, digest)
}

#[test]
fn an_absent_one_is_left_out_where_that_can_be_and_named_where_not() {
    let (oci, digest) = image();
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("in.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "in.tar"]);
    sandbox.ok(["verify"]);
    sandbox.ok(["export", "foreign:1", "--archive", "oci", "-o", "out.tar"]);
    let out = members_of(&sandbox.path("out.tar"));
    assert!(!out.contains_key(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))));
    for args in [&[][..], &["--archive", "docker"], &["--archive", "oci", "--layers", "plain"]] {
        let said = sandbox.fail(["export", "foreign:1", "-o", "other.tar"].iter().chain(args), 1);
        assert!(
            said.contains(&digest) && said.contains("foreign") && said.contains("--archive oci"),
            "{said}"
        );
        assert!(!sandbox.path("other.tar").exists());
    }
    let again = Sandbox::new();
    std::fs::copy(sandbox.path("out.tar"), again.path("out.tar")).unwrap();
    again.ok(["import", "out.tar"]);
}

#[test]
fn one_that_is_there_is_passed_on() {
    let (mut oci, digest) = image();
    oci.add(&layer("a", b"foreign"));
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("in.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "in.tar"]);
    sandbox.ok(["export", "foreign:1", "-o", "out.tar"]);
    let out = members_of(&sandbox.path("out.tar"));
    assert!(out.contains_key(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))));
}
