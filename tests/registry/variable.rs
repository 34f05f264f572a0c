//! Credentials in a variable, as GitLab gives them to its jobs.

use serde_json::json;

use super::{small, with};
use crate::support::Sandbox;
use crate::support::web::{Asked, Does, Web, answer};

/// user:hunter2
const RIGHT: &str = "dXNlcjpodW50ZXIy";
/// user:wrong
const WRONG: &str = "dXNlcjp3cm9uZw==";

/// A registry that gives an image to whom it knows.
fn closed() -> (Sandbox, Web, String) {
    let (sandbox, web, reference) = with(&small(1));
    web.rule(|asked: &Asked| match asked.header("authorization") {
        Some(sent) if sent == format!("Basic {RIGHT}") => Does::Pass,
        _ => Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], b"")),
    });
    (sandbox, web, reference)
}

fn auths(host: &str, auth: &str) -> String {
    json!({"auths": {host: {"auth": auth}}}).to_string()
}

#[test]
fn a_variable_is_asked_before_files_and_after_the_one_that_is_named() {
    let (mut sandbox, web, reference) = closed();
    let docker = sandbox.path("home/.docker");
    std::fs::create_dir_all(&docker).unwrap();
    // What is in the variable counts, and what it does not have the file may have.
    std::fs::write(docker.join("config.json"), auths(&web.address, WRONG)).unwrap();
    sandbox.set("DOCKER_AUTH_CONFIG", auths(&web.address, RIGHT));
    sandbox.ok(["pull", &reference]);
    let text = sandbox.ok(["doctor"]);
    assert!(text.contains("DOCKER_AUTH_CONFIG (1 entry)"), "{text}");
    std::fs::write(docker.join("config.json"), auths(&web.address, RIGHT)).unwrap();
    web.put("a/b:1", &small(2));
    sandbox.set("DOCKER_AUTH_CONFIG", auths("elsewhere.example", WRONG));
    sandbox.ok(["pull", &reference]);
    // Who names a file means that one.
    let own = sandbox.path("own.json");
    std::fs::write(&own, auths(&web.address, RIGHT)).unwrap();
    sandbox.set("DOCKER_AUTH_CONFIG", auths(&web.address, WRONG));
    sandbox.set("REGISTRY_AUTH_FILE", own);
    web.put("a/b:1", &small(3));
    sandbox.ok(["pull", &reference]);
}

#[test]
fn a_variable_that_is_damaged_is_named_and_not_shown() {
    let (mut sandbox, _web, reference) = closed();
    for (text, expected) in
        [("hunter2", "line 1, column 1: is not JSON"), (r#"{"auths": "hunter2"}"#, "auths: is not an object")]
    {
        sandbox.set("DOCKER_AUTH_CONFIG", text);
        let said = sandbox.fail(["pull", &reference], 1);
        assert!(said.contains("DOCKER_AUTH_CONFIG: ") && said.contains(expected), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    // Refused credentials are those of the variable.
    sandbox.set("DOCKER_AUTH_CONFIG", auths(reference.split('/').next().unwrap(), WRONG));
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("the credentials of DOCKER_AUTH_CONFIG were refused"), "{said}");
}

#[test]
fn a_helper_that_is_not_installed_hides_no_entry() {
    let (mut sandbox, web, reference) = closed();
    let host = web.address.clone();
    let text = |auth: serde_json::Value, named: serde_json::Value| {
        let mut text = json!({"auths": auth});
        text.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
        text.to_string()
    };
    let (store, helpers) = (json!({"credsStore": "not-here"}), json!({"credHelpers": {&host: "not-here"}}));
    let own = json!({&host: {"auth": RIGHT}});
    let docker = sandbox.path("home/.docker");
    std::fs::create_dir_all(&docker).unwrap();
    // Its own entry counts, wherever it stands.
    for (seed, named) in [(2, &store), (3, &helpers)] {
        sandbox.set("DOCKER_AUTH_CONFIG", text(own.clone(), named.clone()));
        web.put("a/b:1", &small(seed));
        sandbox.ok(["pull", &reference]);
        sandbox.set("DOCKER_AUTH_CONFIG", "");
        std::fs::write(docker.join("config.json"), text(own.clone(), named.clone())).unwrap();
        web.put("a/b:1", &small(seed + 10));
        sandbox.ok(["pull", &reference]);
    }
    // The variable names a helper for whoever has it; others go on to the files, as docker does.
    std::fs::write(docker.join("config.json"), auths(&host, RIGHT)).unwrap();
    sandbox.set("DOCKER_AUTH_CONFIG", text(json!({"elsewhere.example": {"auth": WRONG}}), store.clone()));
    web.put("a/b:1", &small(4));
    sandbox.ok(["pull", &reference]);
    // One that alone has this host's credentials is missed, and so is that of a file; nobody goes on as nobody.
    sandbox.set("DOCKER_AUTH_CONFIG", text(json!({}), helpers));
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("docker-credential-not-here") && said.contains("is not below PATH"), "{said}");
    sandbox.set("DOCKER_AUTH_CONFIG", "");
    std::fs::write(docker.join("config.json"), text(json!({}), store)).unwrap();
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("docker-credential-not-here") && said.contains("is not below PATH"), "{said}");
}
