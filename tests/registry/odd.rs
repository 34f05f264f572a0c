//! Registries, mirrors and lists that are odd, in ways that readers with fresh eyes found.

use serde_json::json;

use super::{small, with};
use crate::support::Sandbox;
use crate::support::image::{Image, OCI_INDEX, OCI_MANIFEST, descriptor, layer, noise};
use crate::support::store::{assert_sound, names};
use crate::support::web::{Does, Web, answer};

/// Credentials in the file of docker's, for a host; and how they go over the wire.
fn known(sandbox: &Sandbox, host: &str) -> &'static str {
    // user:hunter2
    let auth = "dXNlcjpodW50ZXIy";
    std::fs::create_dir_all(sandbox.path("home/.docker")).unwrap();
    let text = json!({"auths": {host: {"auth": auth}}}).to_string();
    std::fs::write(sandbox.path("home/.docker/config.json"), text).unwrap();
    auth
}

#[test]
fn who_repeats_a_secret_in_an_error_is_not_repeated() {
    let (sandbox, web, reference) = with(&small(1));
    let auth = known(&sandbox, &web.address);
    web.rule(|asked| match asked.header("authorization") {
        None => Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], b"")),
        Some(sent) => {
            let body =
                json!({"errors": [{"code": "DENIED", "message": format!("bad {sent} of user:hunter2")}]});
            Does::Answer(answer("403 Forbidden", &[], body.to_string().as_bytes()))
        }
    });
    let said = sandbox.fail(["pull", &format!("{reference}@{}", small(1).digest())], 1);
    assert!(said.contains("403 Forbidden: bad") && said.contains("***"), "{said}");
    assert!(!said.contains(auth) && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_service_for_tokens_on_this_machine_is_not_asked_by_way_of_a_proxy() {
    let (mut sandbox, web, reference) = with(&small(1));
    known(&sandbox, &web.address);
    let proxy = Web::new();
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        sandbox.set(name, format!("http://{}", proxy.address));
    }
    let address = web.address.clone();
    web.rule(move |asked| match asked.header("authorization") {
        Some(sent) if asked.path.starts_with("/token") => {
            assert!(sent.starts_with("Basic "));
            Does::Answer(answer("200 OK", &[], br#"{"token": "t"}"#))
        }
        None => {
            let challenge = format!("Bearer realm=\"http://{address}/token\"");
            Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b""))
        }
        _ => Does::Pass,
    });
    sandbox.ok(["pull", &reference]);
    assert_eq!(proxy.take(), [""; 0]);
    assert!(web.take().iter().any(|asked| asked.contains("/token")));
}

#[test]
fn a_beginning_that_a_registry_does_not_go_on_from_is_no_hindrance() {
    let image = Image::of(&[layer("noise", &noise(1, 2 << 20))]);
    let (sandbox, web, reference) = with(&image);
    web.rule(|asked| match (asked.is_blob(), asked.header("range")) {
        (true, None) if asked.nth == 0 => Does::Cut(1 << 20),
        (true, Some(_)) => Does::Answer(answer("416 Range Not Satisfiable", &[], b"")),
        _ => Does::Pass,
    });
    sandbox.ok(["pull", &reference]);
    assert_sound(&sandbox.store());
}

#[test]
fn a_list_of_referrers_with_one_that_is_not_there_costs_nothing_else() {
    let image = small(1);
    let (sandbox, web, reference) = with(&image);
    let signature = image.referrer("application/vnd.example.signature", b"signed");
    let gone = image.referrer("application/vnd.example.signature", b"gone");
    web.put("a/b:referrer", &signature);
    let list = [&gone, &signature].map(|referrer| descriptor(OCI_MANIFEST, referrer.root()));
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list});
    let path = format!("/v2/a/b/referrers/{}", image.digest());
    web.put_document(&path, OCI_INDEX, index.to_string().as_bytes());
    assert_eq!(sandbox.ok(["pull", "--referrers", &reference]).lines().count(), 2);
}

#[test]
fn what_came_by_tag_and_digest_moves_with_its_tag() {
    let (sandbox, web, reference) = with(&small(1));
    sandbox.ok(["pull", &format!("{reference}@{}", small(1).digest())]);
    web.put("a/b:1", &small(2));
    assert!(sandbox.ok(["pull", &reference]).contains(&small(2).digest()));
}

#[test]
fn the_registry_says_which_tags_there_are_and_not_a_mirror() {
    let (origin, mirror) = (Web::new(), Web::new());
    let sandbox = Sandbox::in_memory();
    let list = |web: &Web, tags: &[&str]| {
        for tag in tags {
            web.put(&format!("a/b:{tag}"), &small(1));
        }
        // Where it has no API for referrers, their list is a tag.
        let all: Vec<_> =
            tags.iter().map(|tag| (*tag).to_owned()).chain([format!("sha256-{:064}", 7)]).collect();
        web.put_document(
            "/v2/a/b/tags/list",
            "application/json",
            json!({"tags": all}).to_string().as_bytes(),
        );
    };
    list(&origin, &["one", "two"]);
    list(&mirror, &["one"]);
    let text = format!("[mirrors]\n\"{}\" = [\"{}\"]\n", origin.address, mirror.address);
    let dir = sandbox.path("home/.config/larder");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("larder.toml"), text).unwrap();
    let text = format!("- {{registry: '{}', repository: a/b, tags: ['*']}}\n", origin.address);
    std::fs::write(sandbox.path("sync.yml"), text).unwrap();
    let both = ["one", "two"].map(|tag| format!("{}/a/b:{tag}", origin.address));
    sandbox.ok(["sync", "sync.yml", "--delete"]);
    assert_eq!(names(&sandbox.store()), both.into());
    assert!(!mirror.take().iter().any(|asked| asked.contains("/tags/")));
    // A name that somebody gave another image does not move.
    sandbox.ok(["rm", &format!("{}/a/b:two", origin.address)]);
    sandbox.ok(["tag", &format!("{}/a/b:one", origin.address), &format!("{}/a/b:two", origin.address)]);
    for web in [&origin, &mirror] {
        web.put("a/b:two", &small(3));
    }
    let said = sandbox.fail(["sync", "sync.yml"], 7);
    assert!(said.contains("a/b:two"), "{said}");
}
