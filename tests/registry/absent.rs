//! What is not there: only an image that somebody asked for by its name is "no such image"; all else is a failure that says what
//! is missing and where. And other answers whose errors have to say more than their status.

use serde_json::json;

use super::{assert_empty, small, with};
use crate::support::Sandbox;
use crate::support::image::{Image, digest, layer};
use crate::support::web::{Asked, Does, Web, answer};

fn not_found() -> Does {
    Does::Answer(answer("404 Not Found", &[], b""))
}

#[test]
fn only_an_image_that_was_asked_for_is_no_such_image() {
    let image = Image::index(&[("amd64", small(1)), ("arm64", small(2))]);
    let (sandbox, web, reference) = with(&image);
    let fails = |code: i32, rule: &'static (dyn Fn(&Asked) -> Does + Send + Sync), expected: &[&str]| {
        web.rule(rule);
        let said = sandbox.fail(["pull", "--all-platforms", &reference], code);
        assert!(expected.iter().all(|text| said.contains(text)), "{expected:?}: {said}");
        assert_empty(&sandbox);
    };
    let tag: &(dyn Fn(&Asked) -> Does + Send + Sync) =
        &|asked| if asked.path.ends_with("/manifests/1") { not_found() } else { Does::Pass };
    fails(3, tag, &["HEAD /v2/a/b/manifests/1: 404", "is the name right?"]);
    fails(
        1,
        &|asked| {
            let is_child = asked.path.ends_with(&small(2).digest());
            if is_child { not_found() } else { Does::Pass }
        },
        &["GET /v2/a/b/manifests/sha256:", "what lists it is there, and this is not"],
    );
    fails(
        1,
        &|asked| if asked.is_blob() { not_found() } else { Does::Pass },
        &["GET /v2/a/b/blobs/sha256:", "has lost a part of the image"],
    );
    // Whom the user has never heard of.
    let realm = format!("Bearer realm=\"http://{}/token\"", web.address);
    web.rule(move |asked| match asked.path.starts_with("/token") {
        true => not_found(),
        false => Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", &realm)], b"")),
    });
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("GET /token, for a token for") && said.contains("404"), "{said}");
    assert_empty(&sandbox);
}

#[test]
fn a_bucket_without_the_blob_is_named() {
    let (sandbox, web, reference) = with(&small(1));
    let bucket = Web::new();
    let (address, long) = (bucket.address.clone(), "x".repeat(300));
    web.rule(move |asked| match asked.is_blob() {
        true => {
            let to = format!("http://{address}/{long}?X-Signature=hunter2");
            Does::Answer(answer("307 Temporary Redirect", &[("Location", &to)], b""))
        }
        false => Does::Pass,
    });
    for (status, body) in [
        ("404 Not Found", &b""[..]),
        ("403 Forbidden", b"no access to https://b.example/x?X-Signature=hunter2 now"),
        ("400 Bad Request", br#"{"errors":[{"message":"GET /x?X-Signature=hunter2"}]}"#),
    ] {
        bucket.rule(move |_| Does::Answer(answer(status, &[], body)));
        let said = sandbox.fail(["pull", &reference], 1);
        assert!(said.contains(&format!("{} (where {} sends)", bucket.address, web.address)), "{said}");
        assert!(said.contains(status) && said.contains("(for blobs/sha256:"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains(&"x".repeat(100)), "{said}");
    }
    assert_empty(&sandbox);
}

#[test]
fn one_digest_with_two_sizes_is_refused() {
    let own = layer("own", b"1");
    let mut manifest = Image::of(&[own.clone(), own.clone()]).manifest();
    let blobs = Image::of(&[own.clone(), own.clone()]).blobs().to_vec();
    let size = own.len();
    manifest["layers"][1]["size"] = json!(size + 7);
    let (sandbox, web, reference) = with(&Image::with_manifest(&manifest, blobs));
    let said = sandbox.fail(["pull", &reference], 5);
    let expected = format!("lists {} with {} bytes and with {size}", digest(&own), size + 7);
    assert!(said.contains(&expected), "{said}");
    assert!(!web.take_all().iter().any(Asked::is_blob));
    assert_empty(&sandbox);
}

#[test]
fn how_long_a_registry_wants_to_be_left_alone_is_said() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let (sandbox, web, reference) = with(&small(1));
        web.rule(move |_| Does::Answer(answer(status, &[("Retry-After", "7200")], b"")));
        let said = sandbox.fail(["pull", &reference], 1);
        assert!(said.contains(status) && said.contains("left alone for 7200 seconds (2 h)"), "{said}");
        assert_eq!(web.take().len(), 1, "{status}");
    }
}

#[test]
fn a_password_goes_over_plain_http_to_no_other_host() {
    let (sandbox, web) = (Sandbox::in_memory(), Web::new());
    let reference = web.put("a/b:1", &small(1));
    std::fs::create_dir_all(sandbox.path("home/.docker")).unwrap();
    // user:hunter2
    let auths = json!({"auths": {web.address.as_str(): {"auth": "dXNlcjpodW50ZXIy"}}});
    std::fs::write(sandbox.path("home/.docker/config.json"), auths.to_string()).unwrap();
    web.rule(|_| {
        // Nobody is there; if it were asked, that would be the error.
        let challenge = "Bearer realm=\"http://tokens.invalid/token\"";
        Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", challenge)], b""))
    });
    for flags in [&[][..], &["--plain-http"]] {
        let said = sandbox.fail(["pull", &reference].iter().chain(flags), 1);
        assert!(said.contains("tokens.invalid") && said.contains("over plain HTTP"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
