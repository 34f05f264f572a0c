//! What a remote has, and is not what it is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fleet::{REPOSITORY, asked, join, two};
use super::*;
use crate::push::taker::{Does, Taker};
use crate::support::image::digest;
use crate::support::store::named;
use crate::support::web::answer;
use crate::support::{need, wait_for};

/// Lets a host share steps of builds, too.
fn with_steps(host: &Sandbox, taker: &Taker) {
    let settings = host.path("home/.config/larder/larder.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(settings, format!("{text}cache = \"{}/steps\"\n", taker.address)).unwrap();
}

/// The annotations of an image.
fn annotations(host: &Sandbox, name: &str) -> Value {
    let is_it = |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"] == name;
    entries(&host.store()).into_iter().find(is_it).unwrap()["annotations"].clone()
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_asked_once() {
    let (sandbox, taker) = (need!(desk(), "root, runc and busybox"), Taker::new());
    join(&sandbox, &taker.address, "");
    with_steps(&sandbox, &taker);
    taker.rule(|_| Does::Answer(answer("429 Too Many Requests", &[("Retry-After", "60")], b"{}")));
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!((out, ran(&said)), (format!("{NAME}\n"), 1), "{said}");
    assert_eq!(asked(&taker), [format!("GET /v2/{REPOSITORY}/manifests/latest")], "{said}");
}

#[test]
fn what_says_that_it_is_on_a_base_has_to_have_its_layers() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    let job = ["ensure", "--base=hardened:12", "--project=p", "--package=cmake"];
    for host in [&first, &second] {
        import(host, "hardened:12", debian_root("hardened").unwrap(), &[]);
    }
    let name = first.ok(job);
    let name = name.trim();
    // The same labels upon other layers.
    let said = annotations(&first, name);
    let mut labels: Vec<_> = ["project", "os", "packages", "dockerfile"]
        .iter()
        .filter_map(|key| Some(format!("dev.larder.{key}={}", said[format!("dev.larder.{key}")].as_str()?)))
        .collect();
    for key in ["name", "digest"] {
        let value = said[format!("org.opencontainers.image.base.{key}")].as_str().unwrap();
        labels.push(format!("dev.larder.base.{key}={value}"));
    }
    std::fs::create_dir(first.path("context")).unwrap();
    let text = format!("FROM debian:12\nRUN apt-get install cmake\nLABEL {}\n", labels.join(" "));
    std::fs::write(first.path("context/Dockerfile"), text).unwrap();
    first.ok(["build", "context", "-t", "lie:1"]);
    let place = format!("{}/fleet/{name}", taker.address);
    first.ok(["push", "lie:1", &place]);
    let output = second.larder(job);
    let said = text_of(&output);
    assert!(output.status.success() && ran(&said) == 1, "{said}");
    assert!(said.contains("its layers are not on those of hardened:12; it is not taken"), "{said}");
    second.ok(["rm", name]);
    // What is on it is taken.
    let output = second.larder(job);
    let said = text_of(&output);
    assert!(ran(&said) == 0 && said.contains("is fetched from"), "{said}");
}

#[test]
fn what_is_to_be_made_anew_is_not_fetched_and_takes_the_place_of_what_is_there() {
    let (first, _second, taker) = need!(two(), "root, runc and busybox");
    ensured(&first, &[]);
    let before = taker.manifest(REPOSITORY, "latest").unwrap();
    first.ok(["rm", NAME]);
    taker.take();
    let (_, said) = ensured(&first, &["--no-cache"]);
    assert!(ran(&said) == 1 && said.contains("is shared as"), "{said}");
    assert!(!asked(&taker).contains(&format!("GET /v2/{REPOSITORY}/manifests/latest")));
    let after = taker.manifest(REPOSITORY, "latest").unwrap();
    assert_ne!(after, before);
    assert_eq!(named(&first.store(), NAME), Some(digest(&after)));
}

#[test]
fn an_own_dockerfile_has_to_have_read_the_same_and_to_be_built_the_same() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    let third = Sandbox::new();
    join(&third, &taker.address, "");
    let text = "FROM debian:12\nARG WORD\nRUN apt-get install gcc-12 cmake curl\nCOPY file /\n";
    for (host, word) in [(&first, "one"), (&second, "two"), (&third, "two")] {
        own(host, text);
        std::fs::write(host.path("images/p/file"), word).unwrap();
    }
    debian(&second, "first", &[]).unwrap();
    debian(&third, "first", &[]).unwrap();
    // What is beside it is nothing to it.
    std::fs::write(third.path("images/p/beside"), "").unwrap();
    ensured(&first, &[]);
    let (_, said) = ensured(&second, &[]);
    assert!(ran(&said) == 1 && said.contains("was made of other files"), "{said}");
    // It has what nobody asked for yet, and that is seen.
    let (_, said) = ensured(&third, &["--tool=curl"]);
    assert!(ran(&said) == 0 && said.contains("is fetched from"), "{said}");
    for option in ["--build-arg=WORD=x", "--label=a=b", "--target=0"] {
        third.ok(["rm", NAME]);
        let (_, said) = ensured(&third, &[option]);
        assert!(said.contains("was made of other files, or with other arguments"), "{option}: {said}");
    }
}

#[test]
fn what_was_killed_before_it_had_a_name_is_let_go_by_the_next() {
    let (first, second, _taker) = need!(two(), "root, runc and busybox");
    ensured(&first, &[]);
    ensured(&second, &[]);
    // As it was between the two.
    let path = second.store().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let entry = &mut index["manifests"][0]["annotations"];
    entry.as_object_mut().unwrap().remove("org.opencontainers.image.ref.name").unwrap();
    std::fs::write(&path, index.to_string()).unwrap();
    // There is another one by now.
    first.ok(["rm", NAME]);
    ensured(&first, &["--no-cache"]);
    let (_, said) = ensured(&second, &[]);
    assert!(ran(&said) == 0 && said.contains("is fetched from"), "{said}");
    assert_eq!(entries(&second.store()).len(), 1);
    second.ok(["verify"]);
}

#[test]
fn what_does_not_say_when_it_was_made_is_not_known_to_be_young() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    ensured(&first, &[]);
    std::fs::create_dir(first.path("context")).unwrap();
    std::fs::write(first.path("context/Dockerfile"), format!("FROM {NAME}\nLABEL a=b\n")).unwrap();
    let place = format!("{}/{REPOSITORY}:latest", taker.address);
    second.ok(["init"]);
    for epoch in ["315532800", "4102444800"] {
        let mut build = first.command(["build", "context", "-t", "lie:1"]);
        assert!(build.env("SOURCE_DATE_EPOCH", epoch).output().unwrap().status.success());
        first.ok(["push", "lie:1", &place]);
        std::fs::write(second.store().join(".larder/larder.toml"), "rebuild_after = '30d'\n").unwrap();
        let said = second.fail(JOB, 3);
        assert!(said.contains("does not say when it was made, and rebuild_after is set"), "{epoch}: {said}");
        std::fs::write(second.store().join(".larder/larder.toml"), "").unwrap();
        let (_, said) = ensured(&second, &[]);
        assert!(said.contains("is fetched from"), "{epoch}: {said}");
        second.ok(["rm", NAME]);
    }
}

#[test]
fn what_was_made_is_shared_whatever_its_name_means_by_then() {
    let (first, _second, taker) = need!(two(), "root, runc and busybox");
    with_steps(&first, &taker);
    let is_time = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&is_time);
    // Between the two the steps are shared.
    taker.rule(move |asked| match asked.path.contains("/steps/") && asked.method != "GET" {
        true => Does::Until(Arc::clone(&rule)),
        false => Does::Pass,
    });
    let child = begin(&first, &[]);
    let made = wait_for(|| named(&first.store(), NAME));
    first.ok(["tag", "debian:12", NAME]);
    is_time.store(true, Ordering::SeqCst);
    let (output, _, said) = end(child);
    assert!(output.status.success() && said.contains("is shared as"), "{said}");
    assert_eq!(digest(&taker.manifest(REPOSITORY, "latest").unwrap()), made);
}

fn text_of(output: &Output) -> String {
    text(&output.stderr)
}
