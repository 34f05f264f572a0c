//! Signatures, inventories and attestations come along where they are asked for.

use super::{small, with};
use crate::support::image::{Image, OCI_INDEX, OCI_MANIFEST, descriptor};
use crate::support::store::{assert_sound, blob_path, named};
use crate::support::web::Web;

const SIGNATURE: &str = "application/vnd.example.signature";

/// Puts what refers to an image beside it, and a list of it under this path.
fn attach(web: &Web, path: &str, referrers: &[&Image]) {
    for (at, referrer) in referrers.iter().enumerate() {
        web.put(&format!("a/b:referrer{at}"), referrer);
    }
    let list: Vec<_> = referrers.iter().map(|referrer| descriptor(OCI_MANIFEST, referrer.root())).collect();
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list});
    web.put_document(path, OCI_INDEX, index.to_string().as_bytes());
}

#[test]
fn they_are_found_by_the_api_and_by_the_tag() {
    let image = small(1);
    let signature = image.referrer(SIGNATURE, b"signed");
    let of_another = small(2).referrer(SIGNATURE, b"of another");
    let hex = image.digest().replace("sha256:", "");
    for path in [format!("/v2/a/b/referrers/sha256:{hex}"), format!("/v2/a/b/manifests/sha256-{hex}")] {
        let (sandbox, web, reference) = with(&image);
        attach(&web, &path, &[&signature, &of_another]);
        sandbox.ok(["pull", &reference]);
        assert!(!blob_path(&sandbox.store(), &signature.digest()).exists(), "nobody asked for it");
        let printed = sandbox.ok(["pull", &reference, "--referrers"]);
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines.len(), 2, "{printed}");
        assert!(lines[1].starts_with(&format!("- {}", signature.digest())), "{printed}");
        assert!(blob_path(&sandbox.store(), &signature.digest()).exists());
        assert!(!blob_path(&sandbox.store(), &of_another.digest()).exists(), "it is about another image");
        assert_sound(&sandbox.store());
        // It lives as long as its subject.
        sandbox.ok(["gc", "--grace", "0s"]);
        assert!(blob_path(&sandbox.store(), &signature.digest()).exists());
        assert_eq!(named(&sandbox.store(), &reference), Some(image.digest()));
        sandbox.ok(["rm", &reference]);
        sandbox.ok(["gc", "--grace", "0s"]);
        assert!(!blob_path(&sandbox.store(), &signature.digest()).exists());
    }
}

#[test]
fn what_refers_to_a_referrer_comes_too_and_a_circle_ends() {
    let image = small(1);
    let inventory = image.referrer("application/vnd.example.sbom", b"what is in it");
    let signature = inventory.referrer(SIGNATURE, b"signed");
    let (sandbox, web, reference) = with(&image);
    attach(&web, &format!("/v2/a/b/referrers/{}", image.digest()), &[&inventory]);
    attach(&web, &format!("/v2/a/b/referrers/{}", inventory.digest()), &[&signature, &inventory]);
    web.put("a/b:inventory", &inventory);
    let printed = sandbox.ok(["pull", &reference, "--referrers"]);
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert_sound(&sandbox.store());
}

#[test]
fn an_image_without_any_is_pulled_all_the_same() {
    let (sandbox, _web, reference) = with(&small(1));
    sandbox.ok(["pull", &reference, "--referrers"]);
    assert_sound(&sandbox.store());
}
