//! Signatures, inventories and attestations go along.

use super::stored;
use super::taker::{Does, Taker};
use crate::support::Sandbox;
use crate::support::image::{Image, OCI_INDEX, OCI_MANIFEST, descriptor};
use crate::support::web::{Web, answer};

const SIGNATURE: &str = "application/vnd.example.signature";

/// A store with an image and what refers to it.
fn signed(image: &Image) -> (Sandbox, Image) {
    let (sandbox, web) = (Sandbox::in_memory(), Web::new());
    let signature = image.referrer(SIGNATURE, b"signed");
    let reference = web.put("a/b:1", image);
    web.put("a/b:signature", &signature);
    let list = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI_MANIFEST, signature.root())],
    });
    let path = format!("/v2/a/b/referrers/{}", image.digest());
    web.put_document(&path, OCI_INDEX, list.to_string().as_bytes());
    sandbox.ok(["pull", "--referrers", "--name", "app:1", &reference]);
    (sandbox, signature)
}

fn tag(image: &Image) -> String {
    image.digest().replace(':', "-")
}

#[test]
fn they_are_listed_beside_what_others_listed() {
    let image = super::small(1);
    let (sandbox, signature) = signed(&image);
    let taker = Taker::new();
    let place = format!("{}/c", taker.address);
    // Somebody else has signed it there.
    let theirs = image.referrer("application/vnd.theirs", b"theirs");
    taker.put_manifest("c", &theirs.digest(), OCI_MANIFEST, theirs.root());
    let mut entry = descriptor(OCI_MANIFEST, theirs.root());
    entry["theirs"] = "kept".into();
    let list = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]});
    taker.put_manifest("c", &tag(&image), OCI_INDEX, list.to_string().as_bytes());
    let pushed = &sandbox.json(["push", "app:1", &place])[0];
    assert_eq!(pushed["referrers"], 1, "{pushed}");
    assert_eq!(taker.manifest("c", &signature.digest()).as_deref(), Some(signature.root()));
    let listed: serde_json::Value =
        serde_json::from_slice(&taker.manifest("c", &tag(&image)).unwrap()).unwrap();
    assert_eq!(listed["manifests"][0]["theirs"], "kept");
    assert_eq!(listed["manifests"][1]["digest"], signature.digest());
    assert_eq!(listed["manifests"][1]["artifactType"], SIGNATURE);
    taker.take();
    sandbox.ok(["push", "app:1", &place]);
    let asked = taker.kinds();
    assert!(asked.iter().all(|kind| !kind.starts_with("PUT") && !kind.starts_with("POST")), "{asked:?}");
}

#[test]
fn a_registry_that_keeps_the_list_is_left_to_do_it() {
    let image = super::small(1);
    let (sandbox, signature) = signed(&image);
    let taker = Taker::new();
    let digest = signature.digest();
    let created =
        answer("201 Created", &[("OCI-Subject", &image.digest()), ("Docker-Content-Digest", &digest)], b"");
    taker.rule(move |asked| match asked.method == "PUT" && asked.path.ends_with(&digest) {
        true => Does::Lie(created.clone()),
        false => Does::Pass,
    });
    sandbox.ok(["push", "app:1", &format!("{}/c", taker.address)]);
    assert!(taker.manifest("c", &signature.digest()).is_some());
    assert_eq!(taker.manifest("c", &tag(&image)), None);
}

#[test]
fn they_stay_where_that_is_asked_for() {
    let image = super::small(1);
    let (sandbox, signature) = signed(&image);
    let taker = Taker::new();
    sandbox.ok(["push", "--no-referrers", "app:1", &format!("{}/c", taker.address)]);
    assert_eq!(taker.manifest("c", &signature.digest()), None);
    assert!(!taker.kinds().contains(&"GET referrers".to_owned()));
    // Without any, nobody is asked for them.
    let (sandbox, name) = stored(&image);
    sandbox.ok(["push", &name, &format!("{}/d", taker.address)]);
    assert!(!taker.kinds().contains(&"GET referrers".to_owned()));
}
