//! `larder prune`: what the policy says, and never more.
//!
//! Which images go is decided by a pure function with tests of its own (`store/src/policy/`); here is what stands around it.

mod busy;
mod docker;
mod incoming;
mod limits;
mod measured;
mod refused;
mod tree;
mod uses;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::store::{self, REF_NAME, assert_sound, blobs, index_text, named, names};
use crate::support::tarball::{docker_archive, layer, noise};

const DAY: i64 = 86_400;
/// What an image has for itself, bytes.
const OWN: u64 = 100_000;
/// What all images share.
const BASE: u64 = 300_000;

/// A store with versions of one repository, oldest first, on one base; none was ever used.
fn versions(tags: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (at, tag) in tags.iter().enumerate() {
        add(&sandbox, &format!("app:{tag}"), at as u64);
        let days = (10 * (tags.len() - at)) as i64;
        edit(&sandbox, &format!("app:{tag}"), |entry| imported(entry, days));
    }
    records_began(&sandbox, 365);
    sandbox
}

/// Makes the records of uses so old.
fn records_began(sandbox: &Sandbox, days_ago: i64) {
    let begun =
        std::fs::File::options().write(true).open(sandbox.store().join(".larder/usage/since")).unwrap();
    begun.set_modified(std::time::SystemTime::now() - Duration::from_secs((days_ago * DAY) as u64)).unwrap();
}

/// Imports an image with a layer of its own.
fn add(sandbox: &Sandbox, name: &str, seed: u64) {
    let archive = docker_archive(name, &[base(), layer("own", &noise(100 + seed, OWN as usize))]);
    std::fs::write(sandbox.path("image.tar"), archive).unwrap();
    sandbox.ok(["import", "image.tar", "--replace", "--compression", "none"]);
}

fn base() -> Vec<u8> {
    layer("base", &noise(1, BASE as usize))
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Changes the entry of a name.
fn edit(sandbox: &Sandbox, name: &str, change: impl Fn(&mut Value)) {
    let mut index: Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        if entry["annotations"][REF_NAME] == name {
            change(entry);
        }
    }
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
}

fn imported(entry: &mut Value, days_ago: i64) {
    entry["annotations"]["dev.larder.imported"] = json!(time(days_ago));
}

fn used(entry: &mut Value, days_ago: i64) {
    entry["annotations"]["dev.larder.last-used"] = json!((now() - days_ago * DAY).to_string());
}

fn time(days_ago: i64) -> String {
    larder_store::index::timestamp(now() - days_ago * DAY)
}

fn prune(sandbox: &Sandbox, args: &[&str]) -> Value {
    sandbox.json(["prune"].iter().chain(args))
}

/// The code that a verdict has, by the name of the image.
fn code(pruned: &Value, name: &str) -> String {
    let images = pruned["images"].as_array().unwrap();
    let has = |image: &&Value, key: &str| image[key].as_array().unwrap().iter().any(|other| other == name);
    let image = images
        .iter()
        .find(|image| has(image, "references"))
        .or(images.iter().find(|image| has(image, "was")));
    image.unwrap_or_else(|| panic!("{name}: {pruned}"))["code"].as_str().unwrap().to_owned()
}

/// The names of what goes.
fn dropped(pruned: &Value) -> BTreeSet<String> {
    let images = pruned["images"].as_array().unwrap();
    let dropped = images.iter().filter(|image| image["verdict"] == "drop");
    dropped
        .flat_map(|image| image["references"].as_array().unwrap())
        .map(|n| n.as_str().unwrap().to_owned())
        .collect()
}

fn stored(store: &Path) -> u64 {
    blobs(store).values().sum()
}

#[test]
fn without_limits_nothing_goes() {
    let sandbox = versions(&["1", "2", "3"]);
    let before = (index_text(&sandbox.store()), blobs(&sandbox.store()));
    let pruned = prune(&sandbox, &[]);
    assert_eq!(pruned["freed_bytes"], 0);
    assert_eq!((index_text(&sandbox.store()), blobs(&sandbox.store())), before);
    assert!(sandbox.fail(["prune", "--max-size", "1kB"], 4).contains("limit cannot be reached"));
}

/// G10: for many policies, what a dry run says is what a run does, to the byte; and it changes nothing.
#[test]
fn a_dry_run_predicts_exactly() {
    for args in [
        &["--max-size", "650kB"][..],
        &["--max-size", "1kB"],
        &["--unused-for", "15d"],
        &["--max-age", "25d", "--keep-last", "2"],
        &["--max-size", "650kB", "--protect", "app:2"],
        &["--min-free", "100%"],
        &["--min-free", "100%", "--reserve", "500kB"],
    ] {
        let sandbox = versions(&["1", "2", "3", "4"]);
        // Something that nothing needs as well, and something that died.
        sandbox.ok(["tag", "app:4", "other:1"]);
        add(&sandbox, "gone:1", 50);
        sandbox.ok(["rm", "gone:1"]);
        std::fs::write(sandbox.store().join(".larder/leases/fedcba9876543210"), "# import\n").unwrap();
        let json = |more: &[&str]| {
            let output = sandbox.larder(["prune", "--format", "json"].iter().chain(args).chain(more));
            assert!(matches!(output.status.code(), Some(0 | 4)), "{args:?}: {output:?}");
            (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
        };
        let (whole, size) = (store::tree(&sandbox.store()), stored(&sandbox.store()));
        let (planned_code, planned) = json(&["--dry-run"]);
        let changed: Vec<_> = store::tree(&sandbox.store())
            .into_iter()
            .filter(|(path, facts)| whole.get(path) != Some(facts))
            .collect();
        assert!(changed.iter().all(|(path, _)| path.is_dir()), "{args:?}: {changed:?}");
        let (code, done) = json(&[]);
        assert_eq!(code, planned_code, "{args:?}");
        for key in ["images", "swept", "freed_bytes", "freed_by_images", "stored_bytes", "over_size"] {
            assert_eq!(done[key], planned[key], "{args:?}: {key}");
        }
        let blob_bytes: u64 =
            done["swept"].as_object().unwrap().values().map(|size| size.as_u64().unwrap()).sum();
        assert_eq!(size - stored(&sandbox.store()), blob_bytes, "{args:?}");
        assert_eq!(done["stored_bytes"], stored(&sandbox.store()), "{args:?}");
        for name in dropped(&done) {
            assert_eq!(named(&sandbox.store(), &name), None, "{args:?}: {name}");
        }
        assert!(blob_bytes > OWN && names(&sandbox.store()).contains("app:4"), "{args:?}: {done}");
        assert_sound(&sandbox.store());
        sandbox.ok(["verify"]);
        assert_eq!(prune(&sandbox, &["--when-busy", "evict"])["freed_bytes"], 0, "{args:?}: and that is all");
    }
}

#[test]
fn a_referrer_goes_with_its_subject_and_its_bytes_are_counted() {
    use crate::support::tarball::Oci;
    let mut oci = Oci::image("app:0", &[layer("hello", b"hello")]);
    let referrer = oci.refer("application/vnd.example.sbom", &noise(3, 50_000));
    let sandbox = versions(&["1", "2"]);
    std::fs::write(sandbox.path("oci.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "oci.tar"]);
    edit(&sandbox, "app:0", |entry| imported(entry, 99));
    let before = stored(&sandbox.store());
    let pruned = prune(&sandbox, &["--max-age", "50d"]);
    assert_eq!(dropped(&pruned), BTreeSet::from(["app:0".to_owned()]));
    assert!(pruned["freed_by_images"].as_u64().unwrap() > 50_000, "{pruned}");
    assert_eq!(before - stored(&sandbox.store()), pruned["freed_by_images"].as_u64().unwrap());
    assert!(!index_text(&sandbox.store()).contains(&referrer), "and nothing is said of it any more");
    assert_sound(&sandbox.store());
}

/// What a lease protects is in use, and it does not matter which larder has it.
#[test]
fn what_is_in_use_stays() {
    let sandbox = versions(&["1", "2", "3"]);
    let store = larder_store::Store::open(&sandbox.store(), Duration::from_secs(5)).unwrap();
    let (protection, _) = store.protect(&["app:1".to_owned()], "export").unwrap();
    let pruned = prune(&sandbox, &["--unused-for", "1d"]);
    assert_eq!((code(&pruned, "app:1"), code(&pruned, "app:2")), ("in-use".into(), "unused".into()));
    assert!(pruned["images"].to_string().contains("in use by export"), "{pruned}");
    drop(protection);
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "1d"])), BTreeSet::from(["app:1".to_owned()]));
}
