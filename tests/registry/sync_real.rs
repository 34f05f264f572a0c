//! `larder sync` from one registry of the distribution to another, with others' tools as witnesses.

use std::collections::BTreeSet;

use super::peers::digest_of;
use super::small;
use super::sync_pair::Pair;
use crate::support::image::{Image, layer, noise};
use crate::support::{Sandbox, feed, need, peer, run};

/// A name of this test's own.
fn unique(sandbox: &Sandbox) -> String {
    let name = sandbox.root().file_name().unwrap().to_str().unwrap().to_lowercase();
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "x")
}

/// Puts an image into a registry.
fn push(image: &Image, place: &str) {
    let pair = Pair::of(&[]);
    let reference = pair.web.put("a/b:1", image);
    pair.sandbox.ok(["pull", "--all-platforms", &reference]);
    pair.sandbox.ok(["push", &reference, place]);
}

fn wants(sandbox: &Sandbox, text: &str) {
    std::fs::write(sandbox.path("sync.yml"), text).unwrap();
}

fn states(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let rows = sandbox.json(["sync", "sync.yml"].iter().chain(words));
    let word = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let tag = |row| word(row, "to").rsplit(':').next().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| format!("{} {}", tag(row), word(row, "state"))).collect()
}

fn index() -> Image {
    let of = |architecture: &str| {
        Image::for_platform(
            architecture,
            &[layer(architecture, architecture.as_bytes()), layer("n", &noise(1, 9000))],
        )
    };
    Image::index(&[("amd64", of("amd64")), ("arm64", of("arm64"))])
}

#[test]
fn within_one_registry_everything_is_mounted() {
    let registry = need!(peer::registry(), "docker-registry");
    need!(peer::tool("skopeo"), "skopeo");
    let sandbox = Sandbox::in_memory();
    let (host, name) = (&registry.address, unique(&sandbox));
    push(&index(), &format!("{host}/{name}/a:1"));
    wants(
        &sandbox,
        &format!("- {{registry: '{host}', repository: {name}/a, tags: ['*'], to: '{host}/{name}/m/a'}}\n"),
    );
    let from = registry.log().len();
    let rows = sandbox.json(["sync", "sync.yml"]);
    let documents: usize = index().documents().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!((&rows[0]["bytes"], &rows[0]["send_bytes"]), (&documents.into(), &documents.into()), "{rows}");
    let log = registry.log()[from..].to_owned();
    assert!(!log.contains(&format!("GET /v2/{name}/a/blobs/")), "nothing was fetched");
    assert!(!log.contains(&format!("PUT /v2/{name}/m/a/blobs/")), "and nothing sent");
    assert!(log.contains(&format!("POST /v2/{name}/m/a/blobs/uploads/?mount=")), "it was mounted");
    let places = [format!("{host}/{name}/a:1"), format!("{host}/{name}/m/a:1")];
    assert_eq!(places.map(|place| digest_of(&place)), [Some(index().digest()), Some(index().digest())]);
    let from = registry.log().len();
    assert_eq!(states(&sandbox, &[]), ["1 there"]);
    let log = registry.log()[from..].to_owned();
    let asked =
        log.lines().filter(|line| line.contains(&format!("/v2/{name}/")) && line.contains("HTTP/1.1\""));
    let asked: BTreeSet<_> =
        asked.filter_map(|line| line.split('"').find(|part| part.contains(" /v2/"))).collect();
    let expected = [
        format!("GET /v2/{name}/a/tags/list?n=1000 HTTP/1.1"),
        format!("HEAD /v2/{name}/a/manifests/1 HTTP/1.1"),
        format!("HEAD /v2/{name}/m/a/manifests/1 HTTP/1.1"),
    ];
    assert_eq!(asked, expected.iter().map(String::as_str).collect());
}

#[test]
fn from_one_registry_to_one_that_wants_a_password() {
    let registry = need!(peer::registry(), "docker-registry");
    let secured = need!(peer::secured_registry(), "docker-registry over TLS");
    let sandbox = Sandbox::in_memory();
    let (host, name) = (&registry.address, unique(&sandbox));
    push(&index(), &format!("{host}/{name}/a:multi"));
    push(&small(1), &format!("{host}/{name}/a:1.0"));
    wants(&sandbox, &format!("- {{registry: '{host}', repository: {name}/a, tags: ['*']}}\n"));
    let to = format!("{}/mirror", secured.address);
    secured.trust_in(&sandbox);
    let said = sandbox.fail(["sync", "sync.yml", "--to", &to], 1);
    assert!(said.contains("larder login") && said.contains(&secured.address), "{said}");
    let login = ["login", &secured.address, "-u", peer::USER, "--password-stdin"];
    assert!(feed(&mut sandbox.command(login), peer::PASSWORD.as_bytes()).status.success());
    let planned = states(&sandbox, &["--to", &to, "--dry-run"]);
    assert_eq!(planned, ["multi new", "1.0 new"]);
    assert_eq!(states(&sandbox, &["--to", &to]), planned);
    assert_eq!(states(&sandbox, &["--to", &to]), ["multi there", "1.0 there"]);
    for (tag, image) in [("multi", index()), ("1.0", small(1))] {
        let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
        let certificates = sandbox.path("home/.config/containers/certs.d").join(&secured.address);
        let creds = format!("{}:{}", peer::USER, peer::PASSWORD);
        skopeo.args(["inspect", "--raw", "--creds", &creds, "--cert-dir"]).arg(certificates);
        let raw = run(skopeo.arg(format!("docker://{to}/{name}/a:{tag}")));
        assert_eq!(crate::support::image::digest(raw.as_bytes()), image.digest());
    }
}

#[test]
fn what_is_not_wanted_any_more_goes_and_takes_nothing_along() {
    let registry = need!(peer::registry(), "docker-registry");
    need!(peer::tool("skopeo"), "skopeo");
    let pair = Pair::of(&["1.0", "1.1", "1.2"]);
    pair.web.put("a/b:multi", &index());
    let (sandbox, host) = (&pair.sandbox, &registry.address);
    let there = format!("{host}/{}/m", unique(sandbox));
    let mirrors = |tags: &str| pair.wants(&format!("  tags: {tags}\n  to: {there}\n"));
    mirrors("[1.0, 1.1, 1.2, multi]");
    assert_eq!(states(sandbox, &[]), ["1.0 new", "1.1 new", "1.2 new", "multi new"]);
    // By others: another tag of what is wanted, a child of it, a list of referrers, and two tags of an image of their own.
    let child = Image::for_platform("amd64", &[layer("amd64", b"amd64"), layer("n", &noise(1, 9000))]);
    let list = format!("sha256-{}", small(1).digest().replace("sha256:", ""));
    for (image, tag) in [
        (&small(1), "alias"),
        (&child, "child"),
        (&small(8), list.as_str()),
        (&small(9), "x"),
        (&small(9), "y"),
    ] {
        push(image, &format!("{there}:{tag}"));
    }
    let all = || {
        let mut skopeo = peer::tool("skopeo").unwrap();
        let text = run(skopeo.args(["list-tags", "--tls-verify=false", &format!("docker://{there}")]));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tags = parsed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
        tags.collect::<BTreeSet<_>>()
    };
    let set = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<BTreeSet<_>>();
    let before = set(&["1.0", "1.1", "1.2", "multi", "alias", "child", &list, "x", "y"]);
    assert_eq!(all(), before);
    // Nothing goes unasked, in a dry run, where nothing is chosen, and where not all could be looked at.
    mirrors("['9*']");
    let listed = br#"{"tags": ["1.0", "1.1", "multi"]}"#;
    pair.web.put_document("/v2/a/b/tags/list", "application/json", listed);
    assert_eq!(states(sandbox, &["--delete"]), [""; 0]);
    mirrors("[1.1, '9']");
    let said = sandbox.fail(["sync", "sync.yml", "--delete"], 7);
    assert!(said.contains("not all could be looked at"), "{said}");
    mirrors("[1.1, multi]");
    states(sandbox, &[]);
    let planned = states(sandbox, &["--delete", "--dry-run"]).into_iter().collect::<BTreeSet<_>>();
    assert!(planned.contains("1.0 gone") && planned.contains("x gone"), "{planned:?}");
    assert_eq!(all(), before);
    let output = sandbox.command(["sync", "sync.yml", "--delete"]).output().unwrap();
    let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}");
    for tag in ["1.0", "1.2", "x", "y"] {
        assert!(out.contains(&format!("{there}:{tag} sha256:")), "{out}");
    }
    for tag in ["alias", "child"] {
        assert!(said.contains(&format!("{there}:{tag} is not wanted any more, and stays")), "{said}");
    }
    assert_eq!(all(), set(&["1.1", "multi", "alias", "child", &list]));
    for (tag, image) in [("1.1", small(1)), ("multi", index()), ("child", child)] {
        assert_eq!(digest_of(&format!("{there}:{tag}")), Some(image.digest()), "{tag}");
    }
    let mut skopeo = peer::tool("skopeo").unwrap();
    let copy =
        ["--insecure-policy", "copy", "--all", "--src-tls-verify=false", &format!("docker://{there}:multi")];
    run(skopeo.args(copy).arg(format!("dir:{}", sandbox.path("whole").display())));
    assert_eq!(states(sandbox, &["--delete"]), ["1.1 there", "multi there"]);
}
