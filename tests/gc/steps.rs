//! What builds keep for the next one, as `gc`, `prune`, `df` and `verify` see it. No verb makes it here: the records are written by the library.

use larder_store::digest::Digest;
use larder_store::layers::LayerFacts;
use larder_store::steps::{StepRecord, Steps};
use serde_json::json;

use super::{CLANG, GCC, gc, swept, two};
use crate::support::Sandbox;
use crate::support::store::{assert_sound, blob_path, blobs, names};

const DAY: i64 = 86_400;

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Remembers, as of a step, the layer that this image alone has; its digest.
fn step_of(sandbox: &Sandbox, image: &str, ago: i64) -> String {
    let shown = &sandbox.json(["inspect", image])[0];
    let layers = shown["layers"].as_array().unwrap();
    let own = layers.iter().find(|layer| layer["shared_with"].as_array().unwrap().is_empty()).unwrap();
    let digest = own["digest"].as_str().unwrap().to_owned();
    remember(sandbox, &digest.parse().unwrap(), ago);
    digest
}

fn remember(sandbox: &Sandbox, blob: &Digest, ago: i64) {
    let store = larder_store::Store::open(&sandbox.store(), std::time::Duration::from_secs(60)).unwrap();
    let facts: LayerFacts = store.layers().unwrap().by_blob(blob).unwrap();
    let record = StepRecord { layer: Some(facts), created: now() - ago, from: None };
    Steps::open(&store).unwrap().put(&Digest::of(blob.to_string().as_bytes()), &record, now() - ago).unwrap();
}

#[test]
fn a_step_keeps_the_layer_of_an_image_that_went() {
    let sandbox = two();
    let layer = step_of(&sandbox, GCC, 0);
    let size = std::fs::metadata(blob_path(&sandbox.store(), &layer)).unwrap().len();
    let df = sandbox.json(["df"]);
    assert_eq!((&df["steps"], &df["step_bytes"]), (&json!(1), &json!(0)), "the image has it as well");
    sandbox.ok(["rm", GCC]);
    let planned = gc(&sandbox, &["--dry-run"]);
    let done = gc(&sandbox, &[]);
    assert_eq!((&done["swept"], &done["steps"]), (&planned["swept"], &json!(0)));
    assert!(swept(&done) > 0 && !done["swept"].as_object().unwrap().contains_key(&layer), "{done}");
    let df = sandbox.json(["df"]);
    assert_eq!((&df["steps"], &df["step_bytes"]), (&json!(1), &json!(size)));
    assert_eq!(df["unreferenced"], 0, "it has its line");
    sandbox.ok(["verify"]);
    assert_sound(&sandbox.store());
    // Once the step is over the limit it goes, and nothing waits for a grace.
    std::fs::write(sandbox.store().join(".larder/larder.toml"), "[build]\nsteps_max_size = \"0\"\n").unwrap();
    assert!(sandbox.ok(["gc", "--dry-run"]).contains("1 step of builds would go"));
    let done = gc(&sandbox, &[]);
    assert_eq!((&done["steps"], &done["swept"]), (&json!(1), &json!({ layer: size })));
    assert_eq!(sandbox.json(["df"])["steps"], 0);
    // And the image can come again.
    sandbox.ok(["import".as_ref(), crate::support::fixture("docker20-two.tar").as_os_str()]);
    assert_sound(&sandbox.store());
}

#[test]
fn steps_go_before_images_and_it_is_said() {
    let sandbox = two();
    let layer = step_of(&sandbox, GCC, 3 * DAY);
    let size = std::fs::metadata(blob_path(&sandbox.store(), &layer)).unwrap().len();
    sandbox.ok(["rm", GCC]);
    gc(&sandbox, &[]);
    let stored: u64 = blobs(&sandbox.store()).values().sum();
    let most = format!("{}B", stored - 1);
    let planned = sandbox.json(["prune", "--max-size", &most, "--min-age", "0s", "--dry-run"]);
    let cache = json!({ "snapshots": 0, "snapshot_bytes": 0, "steps": 1, "step_bytes": size });
    assert_eq!((&planned["cache"], &planned["freed_by_images"]), (&cache, &json!(0)));
    assert_eq!(planned["step_reasons"], json!([{ "code": "size", "steps": 1 }]));
    let said = sandbox.ok(["prune", "--max-size", &most, "--min-age", "0s", "--dry-run", "--explain"]);
    assert!(said.contains("1 step of builds would go"), "{said}");
    assert!(said.contains("the store was larger than max_size (1)"), "{said}");
    assert!(said.contains("0 images would go"), "{said}");
    let done = sandbox.json(["prune", "--max-size", &most, "--min-age", "0s"]);
    for key in ["cache", "swept", "freed_bytes", "stored_bytes", "over_size"] {
        assert_eq!(done[key], planned[key], "{key}");
    }
    assert!(names(&sandbox.store()).contains(CLANG));
    assert_eq!(stored - blobs(&sandbox.store()).values().sum::<u64>(), size);
}

#[test]
fn limits_that_cannot_be_read_are_said() {
    let sandbox = two();
    std::fs::write(sandbox.store().join(".larder/larder.toml"), "[build]\nsteps_max = \"5GB\"\n").unwrap();
    let said = sandbox.fail(["gc"], 1);
    assert!(said.contains("line 2") && said.contains("steps_max_size"), "{said}");
}
