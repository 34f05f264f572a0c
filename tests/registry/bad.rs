//! A registry that lies, or is none. Each ends in an error that names the side, the request and what is wrong; nothing gets a
//! name, nothing half is left.

use super::{assert_empty, small, with};
use crate::support::Sandbox;
use crate::support::image::{Image, OCI_MANIFEST, descriptor, digest, layer};
use crate::support::store::{assert_nothing_pending, entries, named};
use crate::support::web::{Asked, Does, Web, answer};

/// Pulls from a registry that does this, which must fail with this exit code; what is said.
fn refused(image: &Image, code: i32, rule: impl Fn(&Asked) -> Does + Send + Sync + 'static) -> String {
    let (sandbox, web, reference) = with(image);
    web.rule(rule);
    let stderr = sandbox.fail(["pull", &reference], code);
    assert!(stderr.contains(&web.address), "the side: {stderr}");
    assert!(stderr.contains("/v2/a/b/") || stderr.contains("GET /"), "the request: {stderr}");
    assert_empty(&sandbox);
    assert_nothing_pending(&sandbox.store());
    stderr
}

/// What stands where a blob's body should be.
fn blob(body: &'static [u8]) -> impl Fn(&Asked) -> Does {
    move |asked| if asked.is_blob() { Does::Answer(answer("200 OK", &[], body)) } else { Does::Pass }
}

#[test]
fn a_blob_of_another_size() {
    let said = refused(&small(1), 5, blob(b"short"));
    assert!(said.contains("has 5 bytes of it where"), "{said}");
}

#[test]
fn a_blob_with_another_digest() {
    let length = layer("own", b"1").len();
    let image = Image::of(&[layer("own", b"1")]);
    let said = refused(&image, 5, move |asked| {
        let is_layer = asked.is_blob() && asked.path.ends_with(&digest(&layer("own", b"1")));
        if is_layer { Does::Answer(answer("200 OK", &[], &vec![7; length])) } else { Does::Pass }
    });
    assert!(said.contains("digest mismatch: got sha256:"), "{said}");
}

#[test]
fn a_body_that_never_ends() {
    let said = refused(&small(1), 5, |asked| match asked.is_blob() {
        true => Does::Endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec()),
        false => Does::Pass,
    });
    assert!(said.contains("sends more than the"), "{said}");
}

#[test]
fn a_manifest_that_is_too_long_or_never_ends() {
    let long = vec![b' '; (4 << 20) + 1];
    for (rule, times) in [(0, 1), (1, 1)] {
        let long = long.clone();
        let said = refused(&small(1), 5, move |asked| {
            if asked.method != "GET" || !asked.is_manifest() {
                return Does::Pass;
            }
            match rule {
                0 => Does::Answer(answer("200 OK", &[("Content-Type", OCI_MANIFEST)], &long)),
                _ => Does::Endless(
                    format!("HTTP/1.1 200 OK\r\nContent-Type: {OCI_MANIFEST}\r\n\r\n").into_bytes(),
                ),
            }
        });
        assert!(said.matches("longer than 4194304 bytes").count() == times, "{said}");
    }
}

#[test]
fn a_media_type_that_is_no_manifests() {
    for method in ["HEAD", "GET"] {
        let said = refused(&small(1), 5, move |asked| match asked.is_manifest() && asked.method == method {
            true => Does::Answer(answer("200 OK", &[("Content-Type", "application/octet-stream")], b"")),
            false => Does::Pass,
        });
        assert!(said.contains("application/octet-stream"), "{said}");
    }
}

#[test]
fn a_page_for_browsers() {
    let page = b"<html>Please log in</html>";
    for method in ["HEAD", "GET"] {
        let said = refused(&small(1), 5, move |asked| match asked.is_manifest() && asked.method == method {
            true => Does::Answer(answer("200 OK", &[("Content-Type", "text/html; charset=utf-8")], page)),
            false => Does::Pass,
        });
        assert!(
            said.contains("a page for browsers") && said.contains("hint: is this the registry's address"),
            "{said}"
        );
    }
    // One that calls itself a manifest.
    let said = refused(&small(1), 5, move |asked| match asked.is_manifest() && asked.method == "GET" {
        true => Does::Answer(answer("200 OK", &[("Content-Type", OCI_MANIFEST)], page)),
        false => Does::Pass,
    });
    assert!(said.contains("digest mismatch"), "{said}");
}

#[test]
fn a_manifest_that_contradicts_itself() {
    let mut manifest = small(1).manifest();
    manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json".into();
    let image = Image::with_manifest(&manifest, small(1).blobs().to_vec());
    let said = refused(&image, 5, |_| Does::Pass);
    assert!(said.contains("calls itself"), "{said}");
}

#[test]
fn a_config_that_does_not_fit_its_layers() {
    let image = small(1);
    let mut manifest = image.manifest();
    let layers = manifest["layers"].as_array().unwrap()[..1].to_vec();
    manifest["layers"] = layers.into();
    let (sandbox, _web, reference) = with(&Image::with_manifest(&manifest, image.blobs().to_vec()));
    let said = sandbox.fail(["pull", &reference], 5);
    assert!(said.contains("lists 2 diff IDs where its manifest lists 1 layers"), "{said}");
    assert_empty(&sandbox);
}

#[test]
fn who_wants_to_know_and_is_never_content() {
    let unauthorized =
        |challenge: &str| Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", challenge)], b""));
    let said = refused(&small(1), 1, move |_| unauthorized(r#"Basic realm="x""#));
    assert!(said.contains("it wants a user and a password") && said.contains("larder login"), "{said}");
    let said = refused(&small(1), 1, move |_| Does::Answer(answer("401 Unauthorized", &[], b"")));
    assert!(said.contains("does not say what it wants"), "{said}");
    // Tokens that are never good enough.
    let (sandbox, web, reference) = with(&small(1));
    let realm = format!(r#"Bearer realm="http://{}/token",service="x""#, web.address);
    web.rule(move |asked| match asked.path.starts_with("/token") {
        true => Does::Answer(answer("200 OK", &[], br#"{"token":"abc"}"#)),
        false => unauthorized(&realm),
    });
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("401 Unauthorized, with what it asked for"), "{said}");
    let asked = web.take();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[1], "GET /token?scope=repository%3Aa%2Fb%3Apull&service=x");
    assert_empty(&sandbox);
}

/// Credentials for a registry, in docker's file.
fn login(sandbox: &Sandbox, host: &str) {
    let dir = sandbox.path("home/.docker");
    std::fs::create_dir_all(&dir).unwrap();
    // me:hunter2
    std::fs::write(
        dir.join("config.json"),
        format!(r#"{{"auths":{{"{host}":{{"auth":"bWU6aHVudGVyMg=="}}}}}}"#),
    )
    .unwrap();
}

#[test]
fn a_redirect_to_another_host_takes_no_credentials_along() {
    for is_bearer in [false, true] {
        let (sandbox, web, reference) = with(&small(1));
        let other = Web::new();
        other.put("a/b:1", &small(1));
        login(&sandbox, &web.address);
        let (there, own) = (format!("http://{}", other.address), web.address.clone());
        web.rule(move |asked| {
            if asked.path.starts_with("/token") {
                assert_eq!(asked.header("authorization"), Some("Basic bWU6aHVudGVyMg=="));
                return Does::Answer(answer("200 OK", &[], br#"{"access_token":"abc"}"#));
            }
            let challenge = match is_bearer {
                true => format!(r#"Bearer realm="http://{own}/token""#),
                false => r#"Basic realm="x""#.to_owned(),
            };
            match asked.header("authorization") {
                None => Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"")),
                Some(_) if asked.is_blob() => {
                    let to = format!("{there}{}", asked.path);
                    Does::Answer(answer("307 Temporary Redirect", &[("Location", &to)], b""))
                }
                Some(_) => Does::Pass,
            }
        });
        sandbox.ok(["pull", &reference]);
        assert_eq!(named(&sandbox.store(), &reference), Some(small(1).digest()));
        let asked = other.take_all();
        assert_eq!(asked.len(), small(1).blobs().len());
        assert!(asked.iter().all(|asked| asked.header("authorization").is_none()), "{asked:?}");
        let with = web.take_all().iter().filter(|asked| asked.header("authorization").is_none()).count();
        assert_eq!(with, 1, "only the first request asks without");
    }
}

#[test]
fn a_redirect_that_leads_nowhere_good() {
    let to = |place: &'static str| {
        move |asked: &Asked| match asked.is_blob() {
            true => Does::Answer(answer("302 Found", &[("Location", place)], b"")),
            false => Does::Pass,
        }
    };
    let said = refused(&small(1), 1, to("http://registry.example.com/x?secret=1"));
    assert!(
        said.contains("sends to http://registry.example.com, which is not asked") && !said.contains("secret"),
        "{said}"
    );
    let said = refused(&small(1), 1, to("file:///etc/passwd"));
    assert!(!said.contains("passwd"), "{said}");
    let said = refused(&small(1), 1, |asked| match asked.is_blob() {
        true => Does::Answer(answer("302 Found", &[("Location", asked.path.as_str())], b"")),
        false => Does::Pass,
    });
    assert!(said.contains("sends on more than 5 times"), "{said}");
}

#[test]
fn a_tag_that_moves_between_two_requests() {
    // It is another image by the time of the second request: the one that was announced comes, or none.
    let (sandbox, web, reference) = with(&small(1));
    let first = small(1).digest();
    web.put("a/b:1", &small(2));
    let announced = first.clone();
    web.rule(move |asked| match asked.method.as_str() {
        "HEAD" => {
            let headers = [("Content-Type", OCI_MANIFEST), ("Docker-Content-Digest", announced.as_str())];
            Does::Answer(answer("200 OK", &headers, b""))
        }
        _ => Does::Pass,
    });
    sandbox.ok(["pull", &reference]);
    assert_eq!(named(&sandbox.store(), &reference), Some(first.clone()));
    // And gone with its tag.
    let sandbox = Sandbox::in_memory();
    web.remove(&format!("/v2/a/b/manifests/{first}"));
    let said = sandbox.fail(["pull", &reference], 3);
    assert!(said.contains(&format!("GET /v2/a/b/manifests/{first}: 404")), "{said}");
    assert_empty(&sandbox);
    // Or the registry has another one under the digest of the first.
    web.put_document(&format!("/v2/a/b/manifests/{first}"), OCI_MANIFEST, small(2).root());
    let said = sandbox.fail(["pull", &reference], 5);
    assert!(
        said.contains(&format!("digest mismatch: asked for {first}, got {}", small(2).digest())),
        "{said}"
    );
    assert_empty(&sandbox);
}

#[test]
fn a_layer_that_may_not_be_passed_on_is_named_and_not_fetched() {
    let (own, theirs) = (layer("own", b"1"), layer("theirs", b"2"));
    let mut image = Image::of(&[own, theirs.clone()]);
    let mut manifest = image.manifest();
    manifest["layers"][1]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar".into();
    manifest["layers"][1]["urls"] = serde_json::json!(["http://127.0.0.1:9/theirs"]);
    image = Image::with_manifest(&manifest, image.blobs()[..2].to_vec());
    let (sandbox, web, reference) = with(&image);
    let output = sandbox.larder(["pull", &reference]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains(&digest(&theirs)), "{said}");
    assert!(!web.take().iter().any(|request| request.contains(&digest(&theirs))));
    assert_eq!(named(&sandbox.store(), &reference), Some(image.digest()));
    sandbox.ok(["verify"]);
    web.take();
    sandbox.ok(["pull", &reference]);
    assert_eq!(web.take().len(), 1);
}

#[test]
fn what_claims_more_than_the_disk_has_is_not_begun() {
    let mut manifest = small(1).manifest();
    manifest["layers"][1]["size"] = (1u64 << 60).into();
    let image = Image::with_manifest(&manifest, small(1).blobs().to_vec());
    let (sandbox, web, reference) = with(&image);
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("bytes are needed"), "{said}");
    assert!(!web.take_all().iter().any(Asked::is_blob));
    assert_empty(&sandbox);
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn digests_and_names_that_are_none() {
    let said = refused(&small(1), 5, |asked| match asked.method.as_str() {
        "HEAD" => {
            let headers = [("Content-Type", OCI_MANIFEST), ("Docker-Content-Digest", "sha256:../../x")];
            Does::Answer(answer("200 OK", &headers, b""))
        }
        _ => Does::Pass,
    });
    assert!(said.contains("announces the digest"), "{said}");
    let sandbox = Sandbox::in_memory();
    for name in ["http://127.0.0.1/a", "a/../b", "a:b:c", ""] {
        sandbox.fail(["pull", name], 2);
    }
    // An index in which an index is itself.
    let child = descriptor(OCI_MANIFEST, b"nothing");
    let manifest = serde_json::json!({"schemaVersion": 2, "config": child, "layers": [], "manifests": []});
    let said = refused(&Image::with_manifest(&manifest, Vec::new()), 5, |_| Does::Pass);
    assert!(said.contains("has both"), "{said}");
}

#[test]
fn an_old_image_stays_when_its_successor_is_bad() {
    let (sandbox, web, reference) = with(&small(1));
    sandbox.ok(["pull", &reference]);
    web.put("a/b:1", &small(2));
    web.rule(blob(b"short"));
    let before = std::fs::read(sandbox.store().join("index.json")).unwrap();
    sandbox.fail(["pull", &reference], 5);
    assert_eq!(std::fs::read(sandbox.store().join("index.json")).unwrap(), before);
    assert_eq!(entries(&sandbox.store()).len(), 1);
    assert_nothing_pending(&sandbox.store());
}
