//! `larder sync`: what a list wants comes, stays as it is there, and nothing goes unasked.

use serde_json::{Value, json};

use super::small;
use crate::support::image::{Image, digest, layer};
use crate::support::store::{assert_sound, named, names};
use crate::support::web::{Does, Web, answer};
use crate::support::{Sandbox, peer};

/// A registry with these tags of `a/b`; each is another image on a common layer.
fn tagged(tags: &[&str]) -> Web {
    let web = Web::new();
    for (seed, tag) in tags.iter().enumerate() {
        web.put(&format!("a/b:{tag}"), &small(seed as u64));
    }
    list(&web, tags);
    web
}

/// Says which tags there are.
fn list(web: &Web, tags: &[&str]) {
    let listed = json!({"name": "a/b", "tags": tags}).to_string();
    web.put_document("/v2/a/b/tags/list", "application/json", listed.as_bytes());
}

/// Writes the list; `keys` are those beside registry and repository.
fn wants(sandbox: &Sandbox, web: &Web, keys: &str) {
    let text = format!("- registry: {}\n  repository: a/b\n{keys}", web.address);
    std::fs::write(sandbox.path("sync.yml"), text).unwrap();
}

fn rows(sandbox: &Sandbox, words: &[&str]) -> Vec<(String, String, u64)> {
    let rows = sandbox.json(["sync", "sync.yml"].iter().chain(words));
    let row = |row: &Value| {
        let tag = row["reference"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (tag, row["state"].as_str().unwrap().to_owned(), row["bytes"].as_u64().unwrap())
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

fn states(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    rows(sandbox, words).into_iter().map(|(tag, state, _)| format!("{tag} {state}")).collect()
}

#[test]
fn a_plan_is_exact_and_what_is_there_costs_one_request() {
    let web = tagged(&["1.0", "1.1", "2.0", "latest"]);
    let sandbox = Sandbox::in_memory();
    wants(&sandbox, &web, "  semver: '1'\n  tags: ['*']\n");
    let planned = rows(&sandbox, &["--dry-run"]);
    assert!(names(&sandbox.store()).is_empty());
    assert!(!web.take().iter().any(|asked| asked.contains("/blobs/")));
    web.sent();
    assert_eq!(rows(&sandbox, &[]), planned);
    // All that was sent but the list of tags was planned; a layer that two have in common came once.
    let listed = json!({"name": "a/b", "tags": ["1.0", "1.1", "2.0", "latest"]}).to_string().len() as u64;
    assert_eq!(web.sent() - listed, planned.iter().map(|(_, _, bytes)| bytes).sum::<u64>());
    let image = small(0);
    let all: usize = image.blobs().iter().map(Vec::len).sum::<usize>() + image.root().len();
    assert_eq!(planned[0], ("1.0".to_owned(), "new".to_owned(), all as u64));
    let common = layer("base", b"common to all").len() as u64;
    assert!(planned[1].2 < all as u64 - common / 2 && planned.len() == 2, "{planned:?}");
    assert_sound(&sandbox.store());
    web.take();
    assert_eq!(states(&sandbox, &[]), ["1.0 there", "1.1 there"]);
    assert_eq!(
        web.take(),
        ["GET /v2/a/b/tags/list?n=1000", "HEAD /v2/a/b/manifests/1.0", "HEAD /v2/a/b/manifests/1.1"]
    );
    // What is named needs no list.
    wants(&sandbox, &web, "  tags: [1.0]\n");
    assert_eq!(states(&sandbox, &[]), ["1.0 there"]);
    assert_eq!(web.take(), ["HEAD /v2/a/b/manifests/1.0"]);
}

#[test]
fn a_tag_that_moved_is_taken_and_one_that_is_not_wanted_any_more_goes_when_that_is_asked_for() {
    let web = tagged(&["1.0", "1.1", "1.2"]);
    let sandbox = Sandbox::in_memory();
    wants(&sandbox, &web, "  tags: ['1.*']\n");
    states(&sandbox, &[]);
    web.put("a/b:1.2", &small(7));
    web.put("a/b:1.3", &small(8));
    list(&web, &["1.0", "1.1", "1.2", "1.3"]);
    wants(&sandbox, &web, "  tags: ['1.*']\n  newest: 2\n");
    let name = |tag: &str| format!("{}/a/b:{tag}", web.address);
    sandbox.ok(["pin", &name("1.0")]);
    // Named by hand, and what came by another way: neither is sync's.
    sandbox.ok(["tag", &name("1.1"), &name("mine")]);
    sandbox.ok(["tag", &name("1.1"), "other:1"]);
    let before = names(&sandbox.store());
    let planned = states(&sandbox, &["--delete", "--dry-run"]);
    assert_eq!(planned, ["1.2 moved", "1.3 new", "1.1 gone"]);
    assert_eq!(names(&sandbox.store()), before);
    assert_eq!(states(&sandbox, &[]), planned[..2]);
    assert!(names(&sandbox.store()).contains(&name("1.1")), "not without --delete");
    let output = sandbox.command(["sync", "sync.yml", "--delete"]).output().unwrap();
    let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.contains(&format!("{} ", name("1.1"))) && out.contains(" gone 0\n"), "{out}");
    assert!(
        said.contains(&format!("{} is not wanted any more, and stays: it is pinned", name("1.0"))),
        "{said}"
    );
    let expected = ["1.0", "1.2", "1.3", "mine"].map(name);
    let expected: std::collections::BTreeSet<_> =
        expected.into_iter().chain(["other:1".to_owned()]).collect();
    assert_eq!(names(&sandbox.store()), expected);
    assert_eq!(named(&sandbox.store(), &name("1.2")), Some(small(7).digest()));
    sandbox.ok(["gc"]);
    assert_sound(&sandbox.store());
}

#[test]
fn a_registry_that_lost_its_tags_or_does_not_answer_takes_nothing_away() {
    let web = tagged(&["1.0", "1.1"]);
    let sandbox = Sandbox::in_memory();
    wants(&sandbox, &web, "  tags: ['1.*']\n");
    states(&sandbox, &[]);
    let before = names(&sandbox.store());
    list(&web, &[]);
    assert!(states(&sandbox, &["--delete"]).is_empty());
    assert_eq!(names(&sandbox.store()), before);
    // One of them cannot be looked at: what else is there is not judged by the rest.
    list(&web, &["1.0"]);
    web.put_document("/v2/a/b/tags/list", "application/json", br#"{"tags": ["1.0", "1.9"]}"#);
    let said = sandbox.fail(["sync", "sync.yml", "--delete"], 7);
    assert!(said.contains("a/b:1.9") && said.contains("not all could be looked at"), "{said}");
    assert_eq!(names(&sandbox.store()), before);
    web.rule(|_| Does::Answer(answer("503 Service Unavailable", &[("Retry-After", "0")], b"")));
    let said = sandbox.fail(["sync", "sync.yml", "--delete"], 1);
    assert!(said.contains("503"), "{said}");
    assert_eq!(names(&sandbox.store()), before);
}

#[test]
fn what_cannot_be_had_is_named_and_the_rest_is_done() {
    let web = tagged(&["1.0"]);
    let sandbox = Sandbox::in_memory();
    let text = format!(
        "- {{registry: '{0}', repository: nothing, tags: ['*']}}\n- {{registry: '{0}', repository: a/b, tags: [1.0, 9]}}\n",
        web.address
    );
    std::fs::write(sandbox.path("sync.yml"), text).unwrap();
    let said = sandbox.fail(["sync", "sync.yml"], 7);
    assert!(
        said.contains("/nothing: ") && said.contains("/a/b:9: ") && said.contains("2 things of the list"),
        "{said}"
    );
    assert_eq!(names(&sandbox.store()), [format!("{}/a/b:1.0", web.address)].into());
    wants(&sandbox, &web, "  tags: [9]\n");
    sandbox.fail(["sync", "sync.yml"], 3);
    wants(&sandbox, &web, "  tag: [9]\n");
    let said = sandbox.fail(["sync", "sync.yml"], 2);
    assert!(said.contains("sync.yml: ") && said.contains("line 3") && said.contains("keys are"), "{said}");
    sandbox.fail(["sync", "nowhere.yml"], 2);
}

#[test]
fn lists_of_tags_have_pages_and_an_end() {
    let web = tagged(&["1.0", "1.1"]);
    let sandbox = Sandbox::in_memory();
    wants(&sandbox, &web, "  tags: ['*']\n");
    let page = |asked: &str, tags: &[&str], next: Option<&str>| {
        let body = json!({"tags": tags}).to_string();
        let link = next.map(|last| format!("</v2/a/b/tags/list?n=1&last={last}>; rel=\"next\""));
        let headers: Vec<_> = link.iter().map(|link| ("Link", link.as_str())).collect();
        (asked.to_owned(), answer("200 OK", &headers, body.as_bytes()))
    };
    let pages = [
        page("/v2/a/b/tags/list?n=1000", &["1.0"], Some("1.0")),
        page("/v2/a/b/tags/list?n=1&last=1.0", &["1.1"], None),
    ];
    web.rule(move |asked| {
        let found = pages.iter().find(|(path, _)| *path == asked.path);
        found.map_or(Does::Pass, |(_, page)| Does::Answer(page.clone()))
    });
    assert_eq!(states(&sandbox, &["--dry-run"]), ["1.0 new", "1.1 new"]);
    // Pages without tags that lead on, and pages that lead to themselves.
    for tags in [&[][..], &["1.0"]] {
        let (_, endless) = page("", tags, Some("x"));
        web.rule(move |asked| match asked.path.contains("/tags/") {
            true => Does::Answer(endless.clone()),
            false => Does::Pass,
        });
        let said = sandbox.fail(["sync", "sync.yml", "--dry-run"], 1);
        assert!(said.contains("does not end"), "{said}");
    }
}

#[test]
fn platforms_are_those_that_are_asked_for() {
    let web = Web::new();
    let of = |architecture: &str| {
        Image::for_platform(architecture, &[layer(architecture, architecture.as_bytes())])
    };
    let index = Image::index(&[("amd64", of("amd64")), ("arm64", of("arm64")), ("s390x", of("s390x"))]);
    web.put("a/b:1", &index);
    let sandbox = Sandbox::in_memory();
    wants(&sandbox, &web, "  tags: [1]\n  platforms: [linux/arm64, linux/s390x]\n");
    let first = rows(&sandbox, &[]);
    let has = |architecture: &str| {
        let blob = digest(&layer(architecture, architecture.as_bytes()));
        crate::support::store::blob_path(&sandbox.store(), &blob).exists()
    };
    assert!(!has("amd64") && has("arm64") && has("s390x"));
    // More of the same image: it is there as a whole only then.
    wants(&sandbox, &web, "  tags: [1]\n  platforms: [all]\n");
    let more = rows(&sandbox, &[]);
    assert!(has("amd64") && more[0].1 == "new" && more[0].2 < first[0].2, "{more:?}");
    assert_eq!(states(&sandbox, &[]), ["1 there"]);
}

#[test]
fn a_registry_of_the_distribution_is_mirrored() {
    let registry = crate::support::need!(peer::registry(), "docker-registry");
    let sandbox = Sandbox::new();
    let busybox = crate::support::need!(peer::tool("busybox"), "busybox");
    std::fs::create_dir(sandbox.path("context")).unwrap();
    std::fs::copy(busybox.get_program(), sandbox.path("context/busybox")).unwrap();
    let unique = sandbox.root().file_name().unwrap().to_str().unwrap().to_lowercase().replace('.', "-");
    let repository = format!("{unique}/tools");
    let mut skopeo = crate::support::need!(peer::tool("skopeo"), "skopeo");
    for version in ["1.0", "1.1", "1.10"] {
        let text = format!("FROM scratch\nCOPY busybox /bin/\nLABEL version={version}\n");
        std::fs::write(sandbox.path("context/Dockerfile"), text).unwrap();
        sandbox.ok(["build", "context", "-t", &format!("tools:{version}")]);
        let from = format!("oci:{}:tools:{version}", sandbox.store().display());
        let to = format!("docker://{}/{repository}:{version}", registry.address);
        let mut copy = std::process::Command::new(skopeo.get_program());
        crate::support::run(copy.args(["copy", "--dest-tls-verify=false", &from, &to]));
    }
    let _ = &mut skopeo;
    let other = Sandbox::new();
    let text =
        format!("- {{registry: '{}', repository: {repository}, semver: '1', newest: 2}}\n", registry.address);
    std::fs::write(other.path("sync.yml"), text).unwrap();
    assert_eq!(states(&other, &[]), ["1.1 new", "1.10 new"]);
    assert_eq!(states(&other, &["--delete"]), ["1.1 there", "1.10 there"]);
    other.ok(["verify"]);
}
