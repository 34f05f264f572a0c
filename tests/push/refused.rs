//! What a registry does not want, and what it answers that cannot be: the error names the side, the request and the remedy.

use super::taker::{Asked, Does, Taker};
use super::{small, with};
use crate::support::image::digest;
use crate::support::web::answer;

#[test]
fn an_error_names_side_request_and_remedy() {
    let (sandbox, name) = super::stored(&small(1));
    let other = digest(b"another one");
    let wrong = |header: &str| answer("201 Created", &[(header, &other), ("Location", "/x")], b"");
    for (kind, said, code, expected) in [
        ("HEAD manifest", answer("403 Forbidden", &[], b""), 1, "larder login"),
        (
            "POST upload",
            answer("403 Forbidden", &[], br#"{"errors":[{"message":"read only"}]}"#),
            1,
            "read only",
        ),
        ("POST upload", answer("401 Unauthorized", &[], b""), 1, "larder login"),
        ("POST upload", answer("404 Not Found", &[], b""), 1, "to be made before"),
        ("POST upload", answer("202 Accepted", &[], b""), 1, "(Location)"),
        ("POST upload", answer("202 Accepted", &[("Location", "ftp://a/b")], b""), 1, "which is not asked"),
        ("PUT upload", answer("413 Payload Too Large", &[], b""), 1, "its limit has to be raised"),
        (
            "PUT upload",
            answer("400 Bad Request", &[], br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#),
            1,
            "DIGEST_INVALID",
        ),
        ("PUT upload", wrong("Docker-Content-Digest"), 5, "another"),
        ("PUT manifest", wrong("Docker-Content-Digest"), 5, "took manifest"),
        ("PUT manifest", answer("413 Payload Too Large", &[], b""), 1, "413"),
        (
            "PUT manifest",
            answer("400 Bad Request", &[], br#"{"errors":[{"message":"no such"}]}"#),
            1,
            "no such",
        ),
        ("HEAD manifest", answer("200 OK", &[("Content-Type", "text/html")], b""), 5, "a page for browsers"),
    ] {
        let taker = Taker::new();
        let rule = said.clone();
        taker.rule(move |asked| if asked.kind() == kind { Does::Answer(rule.clone()) } else { Does::Pass });
        let place = format!("{}/c", taker.address);
        let error = sandbox.fail(["push", &name, &place], code);
        let expected = if expected == "another" { other.as_str() } else { expected };
        let said = String::from_utf8_lossy(&said);
        assert!(error.contains(expected), "{kind}: {said}: {error}");
        assert!(error.contains(&taker.address) && error.contains("/v2/c/"), "{kind}: {said}: {error}");
        assert_eq!(taker.manifest("c", "1"), None, "{kind}: {said}");
    }
}

/// Whether a request has what a registry with tokens wants for it.
fn may(asked: &Asked) -> bool {
    let token = asked.headers.get("authorization").cloned().unwrap_or_default();
    let source = asked.path.split("from=").nth(1);
    token.contains("repository:c/d:pull,push")
        && source.is_none_or(|from| token.contains(&format!("repository:{from}:pull")))
        || token.contains("repository:e:pull,push") && source.is_none()
}

#[test]
fn a_token_is_good_for_writing_and_for_what_is_mounted() {
    let (sandbox, name, taker) = with(&small(1));
    let realm = format!(
        "Bearer realm=\"http://{}/token\",service=\"s\",scope=\"repository:c/d:pull\"",
        taker.address
    );
    taker.rule(move |asked| {
        if let Some(query) = asked.path.strip_prefix("/token?") {
            // What was asked for, as it was.
            let said = query.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/");
            let token = serde_json::json!({"token": said.replace('&', ";")}).to_string();
            return Does::Answer(answer("200 OK", &[], token.as_bytes()));
        }
        if may(asked) {
            return Does::Pass;
        }
        Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", &realm)], b""))
    });
    sandbox.ok(["push", &name, &format!("{}/e", taker.address)]);
    taker.take();
    let pushed = &sandbox.json(["push", &name, &format!("{}/c/d", taker.address)])[0];
    assert_eq!(pushed["mounted_blobs"], 3, "{pushed}");
}

#[test]
fn another_host_gets_the_blobs_and_no_credentials() {
    let image = small(1);
    let (mut sandbox, name, taker) = with(&image);
    let bucket = Taker::new();
    taker.send_to(&bucket.address);
    let config = sandbox.path("docker");
    std::fs::create_dir(&config).unwrap();
    // user:secret
    let auths = serde_json::json!({"auths": {&taker.address: {"auth": "dXNlcjpzZWNyZXQ="}}});
    std::fs::write(config.join("config.json"), auths.to_string()).unwrap();
    sandbox.set("DOCKER_CONFIG", config);
    taker.rule(|asked| match asked.headers.contains_key("authorization") {
        true => Does::Pass,
        false => Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], b"")),
    });
    // It takes all that comes.
    bucket.rule(|_| Does::Answer(answer("201 Created", &[], b"")));
    // The registry does not have what went elsewhere, and says so in the end.
    let error = sandbox.fail(["push", &name, &format!("{}/c", taker.address)], 1);
    assert!(error.contains("MANIFEST_BLOB_UNKNOWN"), "{error}");
    assert!(!error.contains("secret") && !error.contains("dXNlcjpzZWNyZXQ"), "{error}");
    let asked = bucket.take();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| !asked.headers.contains_key("authorization")), "{asked:?}");
}
