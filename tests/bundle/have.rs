//! `bundle have`: what the target has is not sent, and stays there as long as it said.

use super::{Gap, files};
use crate::support::store::{assert_sound, blobs, index_text, named, tree};
use crate::support::tarball::members_of;

/// January is on both sides; February shares a layer with it.
fn month() -> Gap {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1, 2]);
    gap.at("out", ["bundle", "create", "--all", "-o", "january"]);
    gap.at("in", ["bundle", "apply", "january"]);
    gap.image_of("out", "ci:1", &[1, 3], 100_000, &["--replace"]);
    gap
}

fn carried(gap: &Gap, bundle: &str) -> u64 {
    gap.json("out", ["bundle", "inspect", bundle])["carried_bytes"].as_u64().unwrap()
}

#[test]
fn only_what_is_missing_is_sent() {
    let gap = month();
    gap.have("have.json", &[]);
    let before = blobs(&gap.store("in"));
    gap.at("out", ["bundle", "create", "ci:1", "--have", "have.json", "-o", "february"]);
    gap.at("out", ["bundle", "create", "ci:1", "--since", "january", "-o", "since"]);
    let paths = |file: &str| {
        members_of(&gap.path(file)).into_keys().filter(|path| path.starts_with("blobs/")).collect::<Vec<_>>()
    };
    assert_eq!(paths("february"), paths("since"), "the bundle before says the same as the target");
    assert_eq!(paths("february").len(), 3, "manifest, config and one layer");
    gap.at("in", ["bundle", "apply", "february"]);
    let new: u64 = blobs(&gap.store("in")).values().sum::<u64>() - before.values().sum::<u64>();
    assert_eq!(carried(&gap, "february"), new);
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    assert_sound(&gap.store("in"));
    // Where there is no store, none is made for it.
    let said = gap.fail("nowhere", ["bundle", "apply", "february"], 1);
    assert!(said.contains("lacks 1 blob"), "{said}");
    let (code, said) = gap.apply_stdin_to("nowhere", &std::fs::read(gap.path("february")).unwrap());
    assert!(code == Some(1) && said.contains("lacks 1 blob"), "{said}");
    assert!(!gap.store("nowhere").exists());
    // Another store lacks what it presumes: said by image, before anything is written.
    gap.at("empty", ["init"]);
    let before = tree(&gap.store("empty").join("blobs"));
    let said = gap.fail("empty", ["bundle", "apply", "february"], 1);
    assert!(said.contains("lacks 1 blob") && said.contains("ci:1: presumes sha256:"), "{said}");
    assert!(said.contains("bundle have"), "{said}");
    assert_eq!(tree(&gap.store("empty").join("blobs")), before);
    assert_eq!((files(&gap.store("empty"), "journals"), files(&gap.store("empty"), "ingest")), (0, 0));
}

#[test]
fn several_targets_get_what_one_of_them_lacks() {
    let gap = month();
    gap.have("full.json", &[]);
    gap.at("needy", ["init"]);
    std::fs::write(gap.path("needy.json"), gap.at("needy", ["bundle", "have"])).unwrap();
    gap.at("out", ["bundle", "create", "ci:1", "--have", "full.json", "--have", "needy.json", "-o", "both"]);
    for store in ["in", "needy"] {
        gap.at(store, ["bundle", "apply", "both"]);
        assert_eq!(named(&gap.store(store), "ci:1"), named(&gap.store("out"), "ci:1"));
        assert_sound(&gap.store(store));
    }
}

#[test]
fn what_is_kept_stays_until_its_time_is_over() {
    let gap = month();
    gap.have("have.json", &["--keep", "45d"]);
    gap.at("out", ["bundle", "create", "ci:1", "--have", "have.json", "-o", "february"]);
    // Meanwhile the target gives its image up.
    gap.at("in", ["rm", "ci:1"]);
    let before = blobs(&gap.store("in"));
    gap.at("in", ["gc", "--grace", "0s"]);
    assert_eq!(blobs(&gap.store("in")), before, "it is kept");
    for verb in [&["holds"][..], &["doctor"]] {
        let output = gap.sandbox.larder(["--store", "in"].iter().chain(verb));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("until 20"), "{verb:?}: {said}");
    }
    gap.at("in", ["bundle", "apply", "february"]);
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    // Over, it goes with the next gc, and with it what only it kept.
    let lists = gap.store("in").join(".larder/have");
    let list = std::fs::read_dir(&lists).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&list).unwrap();
    let (_, digests) = text.split_once('\n').unwrap();
    std::fs::write(&list, format!("until 2020-01-01T00:00:00Z\n{digests}")).unwrap();
    gap.at("in", ["gc", "--grace", "0s", "--dry-run"]);
    assert!(list.exists(), "a dry run changes nothing");
    gap.at("in", ["gc", "--grace", "0s"]);
    assert!(!list.exists());
    assert!(blobs(&gap.store("in")).len() < before.len() + 3, "what it alone kept is gone");
    assert_sound(&gap.store("in"));
    // What cannot be read is no empty list.
    std::fs::write(&list, "until 2099-01-01T00:00:00Z\nsha256:12\n").unwrap();
    let said = gap.fail("in", ["gc"], 5);
    assert!(said.contains(".larder/have/"), "{said}");
}

#[test]
fn prune_counts_on_nothing_that_is_kept() {
    let gap = month();
    gap.have("have.json", &["--keep", "45d"]);
    gap.at("out", ["bundle", "create", "ci:1", "--have", "have.json", "-o", "february"]);
    let output = gap.sandbox.larder([
        "--store",
        "in",
        "prune",
        "--max-size",
        "1kB",
        "--min-age",
        "0s",
        "--orphan-age",
        "0s",
    ]);
    assert_eq!(output.status.code(), Some(4), "the limit is out of reach");
    gap.at("in", ["bundle", "apply", "february"]);
    assert_sound(&gap.store("in"));
}

#[test]
fn a_layer_that_the_target_can_make_is_not_sent() {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1]);
    // The same content, otherwise compressed.
    gap.image_of("in", "same:1", &[1], 100_000, &["--compression", "gzip"]);
    gap.have("have.json", &[]);
    gap.at("out", ["bundle", "create", "ci:1", "--have", "have.json", "-o", "bundle"]);
    let inspected = gap.json("out", ["bundle", "inspect", "bundle"]);
    assert!(inspected["images"][0]["made_bytes"].as_u64().unwrap() > 90_000, "{inspected}");
    assert!(inspected["carried_bytes"].as_u64().unwrap() < 5_000, "{inspected}");
    gap.at("in", ["bundle", "apply", "bundle"]);
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    assert_sound(&gap.store("in"));
    // A list of another encoder proves nothing.
    let mut have: serde_json::Value =
        serde_json::from_slice(&std::fs::read(gap.path("have.json")).unwrap()).unwrap();
    have["encoder"] = "larder 0".into();
    std::fs::write(gap.path("have.json"), have.to_string()).unwrap();
    gap.at("out", ["bundle", "create", "ci:1", "--have", "have.json", "-o", "sent"]);
    assert!(carried(&gap, "sent") > 90_000);
}

#[test]
fn a_have_list_that_is_none_is_refused() {
    let gap = month();
    gap.have("have.json", &[]);
    let good: serde_json::Value =
        serde_json::from_slice(&std::fs::read(gap.path("have.json")).unwrap()).unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad.to_string()
    };
    let digest = good["blobs"][0]["digest"].as_str().unwrap().to_owned();
    let twice = serde_json::json!([{"digest": digest, "size": 1}, {"digest": digest, "size": 2}]);
    let wrong = serde_json::Value::Array(
        good["blobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|blob| serde_json::json!({"digest": blob["digest"], "size": 7}))
            .collect(),
    );
    let huge = format!("{{\"larderHave\":1,\"blobs\":[{}", "[".repeat(100_000));
    for (bad, why) in [
        (with("larderHave", 2.into()), "use a newer larder"),
        (with("larderHave", 0.into()), "version 0"),
        (with("store", "\u{1b}[2J".into()), "not plain"),
        (with("blobs", serde_json::json!([{"digest": "sha256:../../x", "size": 1}])), "not a digest"),
        (with("blobs", serde_json::json!([{"digest": digest, "size": -1}])), "no have-list"),
        (with("blobs", twice), "two sizes"),
        (with("blobs", wrong), "by what the target says"),
        ("{}".to_owned(), "no have-list"),
        ("{\"larderHave\":1,\"larderHave\":1}".to_owned(), "twice"),
        (huge, "nested deeper"),
        (String::new(), "no have-list"),
        ("x".repeat(33 << 20), "more than"),
    ] {
        std::fs::write(gap.path("bad.json"), &bad).unwrap();
        let said = gap.fail("out", ["bundle", "create", "ci:1", "--have", "bad.json", "-o", "never"], 1);
        assert!(said.contains(why), "{why}: {said}");
        assert!(!said.contains('\u{1b}'), "{said}");
        assert!(!gap.path("never").exists());
    }
    // Many blobs that nobody has are no reason to fail.
    let many: Vec<_> = (0..200_000u32)
        .map(|at| serde_json::json!({"digest": crate::support::tarball::sha256(&at.to_le_bytes()), "size": at}))
        .collect();
    std::fs::write(gap.path("many.json"), with("blobs", many.into())).unwrap();
    gap.at("out", ["bundle", "create", "ci:1", "--have", "many.json", "-o", "all"]);
    gap.at("empty", ["bundle", "apply", "all"]);
    assert!(index_text(&gap.store("empty")).contains("ci:1"));
}
