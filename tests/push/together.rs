//! Several that push at the same time, and registries that forget or mix up what they were told meanwhile.

use super::{small, stored, with};
use crate::push::taker::Does;
use crate::support::web::answer;
use crate::support::{need, peer};

#[test]
fn an_upload_that_the_registry_has_forgotten_is_begun_anew_once() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    sandbox.ok(["push", &name, &format!("{}/first", taker.address)]);
    // Nothing is mounted, and what is begun instead is not there any more when the blob comes.
    taker.rule(|asked| match asked.kind().as_str() {
        "POST mount" => Does::Answer(answer("202 Accepted", &[("Location", "/v2/c/blobs/uploads/999")], b"")),
        _ => Does::Pass,
    });
    taker.take();
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
    let kinds = taker.kinds();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    let blobs = image.blobs().len();
    assert_eq!((count("POST upload"), count("PUT upload")), (blobs, 2 * blobs), "{kinds:?}");
    // One that forgets all is an error, and soon.
    taker.rule(|asked| match asked.kind().as_str() {
        "POST mount" | "POST upload" => {
            Does::Answer(answer("202 Accepted", &[("Location", "/v2/d/blobs/uploads/999")], b""))
        }
        _ => Does::Pass,
    });
    let said = sandbox.fail(["push", &name, &format!("{}/d", taker.address), "--jobs", "1"], 1);
    assert!(said.contains("404"), "{said}");
    assert_eq!(taker.kinds().iter().filter(|kind| *kind == "PUT upload").count(), 2);
}

#[test]
fn a_manifest_that_is_there_though_putting_it_failed_is_there() {
    let wrong = |status: &str| {
        let body = br#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}"#;
        answer(status, &[("Content-Type", "application/json")], body)
    };
    let image = small(1);
    // Somebody else has put the same; or was just at it, and the registry reads half of it.
    for (is_there, status, puts) in
        [(true, "400 Bad Request", 1), (true, "412 Precondition Failed", 1), (false, "400 Bad Request", 2)]
    {
        let (sandbox, name, taker) = with(&image);
        taker.rule(move |asked| match asked.kind().as_str() {
            "PUT manifest" if asked.nth == 0 && is_there => Does::Lie(wrong(status)),
            "PUT manifest" if asked.nth == 0 => Does::Answer(wrong(status)),
            _ => Does::Pass,
        });
        sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
        assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
        assert_eq!(taker.kinds().iter().filter(|kind| *kind == "PUT manifest").count(), puts);
    }
    // Where another image has the tag it is not there; nor is it for somebody who may not.
    let (sandbox, name, taker) = with(&image);
    for (status, words) in
        [("400 Bad Request", "did not match"), ("412 Precondition Failed", "412"), ("403 Forbidden", "403")]
    {
        taker.put_manifest("c", "1", crate::support::image::OCI_MANIFEST, small(2).root());
        taker.rule(move |asked| match asked.kind().as_str() {
            "PUT manifest" => Does::Answer(wrong(status)),
            _ => Does::Pass,
        });
        let said = sandbox.fail(["push", &name, &format!("{}/c", taker.address)], 1);
        assert!(said.contains(words) && said.contains("PUT /v2/c/manifests/1"), "{said}");
    }
}

#[test]
fn many_may_push_one_tag_at_the_same_time() {
    let registry = need!(peer::registry(), "docker-registry");
    let (sandbox, name) = stored(&small(1));
    let own = sandbox.root().file_name().unwrap().to_str().unwrap().to_lowercase();
    let own = own.replace(|c: char| !c.is_ascii_alphanumeric(), "x");
    for round in 0..8 {
        let place = |tag: u8| format!("{}/{own}/r{round}:{tag}", registry.address);
        let push = || sandbox.command(["push", &name, &place(1), &place(2)]).spawn().unwrap();
        let pushing: Vec<_> = (0..6).map(|_| push()).collect();
        for mut child in pushing {
            assert_eq!(child.wait().unwrap().code(), Some(0), "round {round}");
        }
    }
}
