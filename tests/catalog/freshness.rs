//! What images were made on, and which are stale.
//!
//! When an image is stale is decided by a pure function with tests of its own (`store/src/freshness/`); here is what it is told.

use serde_json::{Value, json};

use super::settings;
use crate::support::store::{REF_NAME, blobs, entries, index_text, named};
use crate::support::tarball::{Oci, config, docker_archive_with, layer, sha256};
use crate::support::{Sandbox, fixture};

const BASE: &str = "ubuntu:25.04";
const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";
const DAY: i64 = 86_400;

/// A file in a layer of its own.
fn part(text: &str) -> Vec<u8> {
    layer("part", text.as_bytes())
}

/// Imports an image with layers of these texts, and a config that was changed.
fn add(sandbox: &Sandbox, name: &str, parts: &[&str], change: impl Fn(&mut Value), more: &[&str]) {
    let layers: Vec<_> = parts.iter().map(|text| part(text)).collect();
    let mut config = config("linux", "amd64", &layers);
    change(&mut config);
    std::fs::write(sandbox.path("image.tar"), docker_archive_with(&config.to_string(), &[name], &layers))
        .unwrap();
    sandbox.ok(["import", "image.tar"].iter().chain(more));
}

/// A store with a base.
fn with_base() -> Sandbox {
    let sandbox = Sandbox::new();
    add(&sandbox, BASE, &["a", "b"], |_| (), &[]);
    sandbox
}

fn annotations(sandbox: &Sandbox, name: &str) -> Value {
    let entries = entries(&sandbox.store());
    let entry = entries.iter().find(|entry| entry["annotations"][REF_NAME] == name);
    entry.unwrap_or_else(|| panic!("no {name}"))["annotations"].clone()
}

/// Changes the entry of a name.
fn edit(sandbox: &Sandbox, name: &str, key: &str, value: Value) {
    let mut index: Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|entry| entry["annotations"][REF_NAME] == name).unwrap();
    entry["annotations"][key] = value;
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
}

fn days_ago(days: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    larder_store::index::timestamp(now - days * DAY)
}

/// Names of what is stale, and why.
fn stale(sandbox: &Sandbox) -> Vec<(String, String)> {
    let images = sandbox.json(["images", "--stale"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let images = images.as_array().unwrap();
    images.iter().map(|image| (text(&image["reference"]), text(&image["stale"]))).collect()
}

fn moved(name: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), format!("its base {BASE} is another image by now"))]
}

#[test]
fn a_base_is_noted_where_the_layers_are_on_it() {
    let sandbox = with_base();
    let digest = named(&sandbox.store(), BASE).unwrap();
    let base = json!({"name": "docker.io/library/ubuntu:25.04", "digest": digest});
    add(&sandbox, "app:1", &["a", "b", "c"], |_| (), &["--base", "ubuntu:25.04"]);
    add(
        &sandbox,
        "same:1",
        &["a", "b"],
        |config| config["config"]["Cmd"] = json!(["x"]),
        &["--base", &digest],
    );
    let oci = Oci::image("oci:1", &[part("a"), part("b"), part("d")]);
    std::fs::write(sandbox.path("oci.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "oci.tar", "--base", BASE]);
    for name in ["app:1", "same:1", "oci:1"] {
        assert_eq!(annotations(&sandbox, name)[NAME], base["name"], "{name}");
        assert_eq!(annotations(&sandbox, name)[DIGEST], base["digest"], "{name}");
        assert_eq!(sandbox.json(["inspect", name])[0]["base"], base, "{name}");
        assert_eq!(sandbox.json(["images", name])[0]["base"], base, "{name}");
    }
    let shown = sandbox.ok(["inspect", "app:1"]);
    assert!(shown.contains(&format!("docker.io/library/ubuntu:25.04 ({digest})")), "{shown}");
    assert_eq!(sandbox.json(["inspect", BASE])[0]["base"], Value::Null);

    // Of what was there already it is noted as well, and it goes as it came.
    add(&sandbox, "late:1", &["a", "b", "e"], |_| (), &[]);
    sandbox.ok(["import", "image.tar", "--base", BASE]);
    assert_eq!(annotations(&sandbox, "late:1")[DIGEST], base["digest"]);
    sandbox.ok(["annotate", "late:1", "base="]);
    assert_eq!(
        (&annotations(&sandbox, "late:1")[NAME], &annotations(&sandbox, "late:1")[DIGEST]),
        (&Value::Null, &Value::Null)
    );
    sandbox.ok(["annotate", "late:1", "project=x", "base=ubuntu:25.04"]);
    assert_eq!(annotations(&sandbox, "late:1")[DIGEST], base["digest"]);

    let before = (index_text(&sandbox.store()), blobs(&sandbox.store()));
    add_to_disk(&sandbox, "odd:1", &["b", "a", "c"]);
    let said = sandbox.fail(["import", "image.tar", "--base", BASE], 1);
    assert!(said.contains("odd:1, which does not begin with the layers of that base"), "{said}");
    sandbox.fail(["import", "image.tar", "--base", "missing:1"], 3);
    std::fs::write(sandbox.path("oci.tar"), Oci::image("odd:2", &[part("a")]).archive()).unwrap();
    sandbox.fail(["import", "oci.tar", "--base", BASE], 1);
    let said = sandbox.fail(["annotate", BASE, "base=app:1"], 1);
    assert!(said.contains("does not begin with the layers of app:1"), "{said}");
    assert_eq!(before, (index_text(&sandbox.store()), blobs(&sandbox.store())), "nothing was changed");
}

fn add_to_disk(sandbox: &Sandbox, name: &str, parts: &[&str]) {
    let layers: Vec<_> = parts.iter().map(|text| part(text)).collect();
    let config = config("linux", "amd64", &layers).to_string();
    std::fs::write(sandbox.path("image.tar"), docker_archive_with(&config, &[name], &layers)).unwrap();
}

#[test]
fn what_an_image_says_of_its_base_is_believed_in_one_order() {
    let sandbox = Sandbox::new();
    let digest = sha256(b"of long ago");
    let base = |name: &str| json!({"name": format!("docker.io/library/{name}:1"), "digest": digest});
    let labels = |config: &mut Value| config["config"]["Labels"] = json!({NAME: "labels:1", DIGEST: digest});
    add(&sandbox, "labels-only:1", &["a"], labels, &[]);
    assert_eq!(annotations(&sandbox, "labels-only:1")[NAME], "docker.io/library/labels:1", "noted on import");
    for (name, in_manifest, in_entry, expected) in [
        ("by-manifest:1", true, false, "manifest"),
        ("by-entry:1", true, true, "entry"),
        ("by-none:1", false, false, ""),
    ] {
        let mut oci = Oci::image(name, &[part(name)]);
        if in_manifest {
            let mut manifest = oci.manifest();
            manifest["annotations"] = json!({NAME: "manifest:1", DIGEST: digest});
            oci.root(name, &manifest);
        }
        if in_entry {
            oci.index["manifests"][0]["annotations"][NAME] = json!("entry:1");
            oci.index["manifests"][0]["annotations"][DIGEST] = json!(digest);
        }
        std::fs::write(sandbox.path("oci.tar"), oci.archive()).unwrap();
        sandbox.ok(["import", "oci.tar"]);
        let expected = if expected.is_empty() { Value::Null } else { base(expected) };
        assert_eq!(sandbox.json(["images", name])[0]["base"], expected, "{name}");
        assert_eq!(sandbox.json(["inspect", name])[0]["base"], expected, "{name}");
    }
    // What is taken away here the image still says.
    sandbox.ok(["annotate", "by-entry:1", "base="]);
    assert_eq!(sandbox.json(["inspect", "by-entry:1"])[0]["base"], base("manifest"));
    // Nothing is known of these names, so nothing is stale.
    assert_eq!(stale(&sandbox), []);
}

#[test]
fn images_are_stale_by_age() {
    let sandbox = Sandbox::new();
    settings(
        &sandbox,
        "rebuild_after = \"30d\"\n[[rule]]\npattern = \"*-asan\"\nrebuild_after = \"5d\"\n[[base]]\nname = \"ubuntu:25.04\"\nrebuild_after = \"90d\"\n",
    );
    let created = |days: i64| move |config: &mut Value| config["created"] = json!(days_ago(days));
    add(&sandbox, BASE, &["a"], created(80), &[]);
    add(&sandbox, "new:1", &["n"], created(29), &[]);
    add(&sandbox, "old:1", &["o"], created(31), &[]);
    add(&sandbox, "capy-asan:1", &["s"], created(6), &[]);
    add(&sandbox, "on-base:1", &["a", "b"], created(80), &["--base", BASE]);
    add(&sandbox, "reproducible:1", &["r"], |config| config["created"] = json!("1970-01-01T00:00:00Z"), &[]);
    add(&sandbox, "undated:1", &["u"], |config| drop(config.as_object_mut().unwrap().remove("created")), &[]);
    add(&sandbox, "imported:1", &["i"], |config| config["created"] = json!("1970-01-01T00:00:00Z"), &[]);
    edit(&sandbox, "imported:1", "dev.larder.imported", json!(days_ago(40)));
    let old = |days: i64, most: i64| format!("made {days}d ago, rebuild_after is {most}d");
    let expected = [
        ("capy-asan:1", old(6, 5)),
        ("imported:1", old(40, 30)),
        ("old:1", old(31, 30)),
        (BASE, old(80, 30)),
    ];
    assert_eq!(stale(&sandbox), expected.clone().map(|(name, why)| (name.to_owned(), why)));
    let shown = sandbox.ok(["images", "--stale"]);
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(shown.lines().next().unwrap().ends_with("STALE") && shown.contains(&old(31, 30)), "{shown}");
    for (name, why) in expected {
        assert_eq!(sandbox.json(["inspect", name])[0]["stale"], why);
        assert!(sandbox.ok(["inspect", name]).contains(&why), "{name}");
    }
    assert_eq!(sandbox.json(["inspect", "new:1"])[0]["stale"], Value::Null);
    // All others are listed without a word of it.
    let all = sandbox.json(["images"]);
    assert_eq!(all.as_array().unwrap().len(), 8);
    assert!(all.as_array().unwrap().iter().all(|image| image.get("stale").is_none()));
    assert_eq!(sandbox.json(["images", "--stale", "old"]).as_array().unwrap().len(), 1, "with a pattern");
    // What lost its name is judged by that.
    add(&sandbox, "old:1", &["o2"], created(1), &["--replace"]);
    let all = sandbox.json(["images", "--stale", "-a", "old"]);
    assert_eq!((&all[0]["was"], &all[0]["stale"]), (&json!("old:1"), &json!(old(31, 30))));
    assert_eq!(sandbox.json(["images", "--stale", "old"]), json!([]), "its successor is new");
}

#[test]
fn an_image_is_stale_when_its_base_moves() {
    let sandbox = with_base();
    add(&sandbox, "app:1", &["a", "b", "c"], |_| (), &["--base", BASE]);
    let first = named(&sandbox.store(), BASE).unwrap();
    assert_eq!(stale(&sandbox), []);
    add(&sandbox, BASE, &["a", "b2"], |_| (), &["--replace"]);
    assert_eq!(stale(&sandbox), moved("app:1"));
    // The same layers with other settings are another image too.
    add(&sandbox, BASE, &["a", "b"], |config| config["config"]["Env"] = json!(["X=1"]), &["--replace"]);
    assert_eq!(stale(&sandbox), moved("app:1"));
    sandbox.ok(["tag", &first, BASE]);
    assert_eq!(stale(&sandbox), []);
    sandbox.ok(["rm", BASE]);
    assert_eq!(stale(&sandbox), [], "nobody can tell");
    assert_eq!(sandbox.json(["inspect", "app:1"])[0]["base"]["digest"], first);
}

/// What was made on the last one of its name has no base that could move.
#[test]
fn an_image_is_no_base_of_itself() {
    let sandbox = with_base();
    let first = named(&sandbox.store(), BASE).unwrap();
    let full = "docker.io/library/ubuntu:25.04";
    let labels = |config: &mut Value| config["config"]["Labels"] = json!({NAME: full, DIGEST: first.clone()});
    add(&sandbox, BASE, &["a", "b", "c"], labels, &["--replace"]);
    assert_eq!(stale(&sandbox), []);
    // Another one that says the same is on a base that moved.
    add(&sandbox, "app:1", &["a", "b", "d"], labels, &[]);
    assert_eq!(stale(&sandbox), moved("app:1"));
    let before = index_text(&sandbox.store());
    let said = sandbox.fail(["annotate", BASE, "base=ubuntu:25.04"], 1);
    assert!(said.contains("its own base") && said.contains("larder tag"), "{said}");
    add_to_disk(&sandbox, BASE, &["a", "b", "c", "e"]);
    let said = sandbox.fail(["import", "image.tar", "--replace", "--base", BASE], 1);
    assert!(said.contains("ubuntu:25.04: cannot be its own base"), "{said}");
    assert_eq!(before, index_text(&sandbox.store()), "nothing was changed");
}

#[test]
fn the_same_base_under_another_digest_is_no_other_base() {
    let sandbox = with_base();
    add(&sandbox, "app:1", &["a", "b", "c"], |_| (), &["--base", BASE]);
    let first = named(&sandbox.store(), BASE).unwrap();
    // As another tool writes the same image: the image ID tells while the first one is there, then the layers.
    let oci = Oci::image(BASE, &[part("a"), part("b")]);
    std::fs::write(sandbox.path("oci.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "oci.tar", "--replace"]);
    assert_ne!(named(&sandbox.store(), BASE).unwrap(), first);
    assert_eq!(stale(&sandbox), []);
    sandbox.ok(["rm", &first]);
    sandbox.ok(["gc"]);
    assert!(!blobs(&sandbox.store()).contains_key(first.trim_start_matches("sha256:")));
    assert_eq!(stale(&sandbox), []);
    add(&sandbox, BASE, &["a", "b2"], |_| (), &["--replace"]);
    assert_eq!(stale(&sandbox), moved("app:1"), "and they tell the other thing too");

    // The manifest that a saved image had where it came from.
    sandbox.ok([
        "import".as_ref(),
        fixture("docker28.tar").as_os_str(),
        "--name".as_ref(),
        BASE.as_ref(),
        "--replace".as_ref(),
    ]);
    let source = annotations(&sandbox, BASE)["dev.larder.source-digest"].as_str().unwrap().to_owned();
    sandbox.ok(["annotate", "app:1", &format!("{DIGEST}={source}")]);
    assert_eq!(stale(&sandbox), []);

    // An index, and one of its manifests.
    sandbox.ok([
        "import".as_ref(),
        fixture("multiarch-oci.tar").as_os_str(),
        "--name".as_ref(),
        BASE.as_ref(),
        "--replace".as_ref(),
    ]);
    let index = named(&sandbox.store(), BASE).unwrap();
    let children = sandbox.json(["inspect", BASE])[0]["children"].clone();
    for digest in
        [index.as_str(), children[0]["digest"].as_str().unwrap(), children[1]["digest"].as_str().unwrap()]
    {
        sandbox.ok(["annotate", "app:1", &format!("{DIGEST}={digest}")]);
        assert_eq!(stale(&sandbox), [], "{digest}");
    }
}

#[test]
fn settings_that_cannot_be_read_stop_only_who_asks_for_them() {
    let sandbox = with_base();
    settings(&sandbox, "max_size = \"1GB\"\nrebuild_after = 30\n");
    sandbox.ok(["images"]);
    let said = sandbox.fail(["images", "--stale"], 1);
    assert!(said.contains("line 2: rebuild_after: "), "{said}");
    let output = sandbox.larder(["inspect", BASE]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("line 2: rebuild_after: "), "{told}");
}

/// What is damaged is named, and the others are judged.
#[test]
fn a_damaged_image_hides_no_stale_one() {
    let sandbox = Sandbox::new();
    settings(&sandbox, "rebuild_after = \"0s\"\n");
    add(&sandbox, "good:1", &["a"], |_| (), &[]);
    add(&sandbox, "bad:1", &["b"], |_| (), &["--no-facts"]);
    let id = sandbox.json(["inspect", "bad:1"])[0]["image_id"].as_str().unwrap().to_owned();
    let path = crate::support::store::blob_path(&sandbox.store(), &id);
    std::fs::remove_file(path).unwrap();
    let output = sandbox.larder(["images", "--stale", "--format", "json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(5) && said.contains(&id), "{said}");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["reference"]), (1, &json!("good:1")));
}
