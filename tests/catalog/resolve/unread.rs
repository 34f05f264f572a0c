//! Images that say nothing of themselves, are damaged, or are another tool's.

use serde_json::{Value, json};

use super::{JOB, best, import, root, three, ubuntu};
use crate::support::Sandbox;
use crate::support::store::{blob_path, document, entries, index_text, named};
use crate::support::tarball::layer;

#[test]
fn an_image_without_os_release_is_kept_and_never_matches() {
    let sandbox = Sandbox::in_memory();
    import(
        &sandbox,
        &["bare"],
        "amd64",
        layer("bin/sh", b"#!"),
        &["--os", "ubuntu:25.04", "--compiler", "gcc-15"],
    );
    let said = sandbox.fail(JOB.iter().chain(&["--explain"]), 3);
    assert!(said.contains("bare:latest") && said.contains("has no os-release"), "{said}");
    assert_eq!(sandbox.json(["images"])[0]["os"], "ubuntu:25.04");
}

#[test]
fn facts_are_taken_on_first_need() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, &["new"], "amd64", ubuntu(&["libssl-dev"], &["cmake"]), &["--no-facts"]);
    let words = ["--package", "libssl-dev", "--tool", "cmake", "--strict-packages"];
    assert_eq!(best(&sandbox, &words), "new:latest");
    // Now they are known: the layer is not read any more.
    let manifest = document(&sandbox.store(), &named(&sandbox.store(), "new:latest").unwrap());
    let layer = blob_path(&sandbox.store(), manifest["layers"][0]["digest"].as_str().unwrap());
    let size = std::fs::metadata(&layer).unwrap().len();
    std::fs::remove_file(&layer).unwrap();
    std::fs::write(layer, vec![0; size as usize]).unwrap();
    assert_eq!(best(&sandbox, &words), "new:latest");
}

/// What is known of an image does not say that it is still there.
#[test]
fn what_is_gone_from_an_image_that_is_known_is_no_answer() {
    let sandbox = three();
    let words = ["--compiler", "gcc-15", "--tool", "cmake"];
    assert_eq!(best(&sandbox, &words), "full:latest");
    let manifest = |name| named(&sandbox.store(), name).unwrap();
    std::fs::remove_file(blob_path(&sandbox.store(), &manifest("full:latest"))).unwrap();
    let output = sandbox.larder(JOB.iter().chain(&words));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"gcc:latest\n"[..]), "{said}");
    assert!(said.contains("full:latest") && said.contains(&manifest("full:latest")), "{said}");
    let gcc = document(&sandbox.store(), &manifest("gcc:latest"));
    let layer = blob_path(&sandbox.store(), gcc["layers"][0]["digest"].as_str().unwrap());
    std::fs::remove_file(&layer).unwrap();
    std::fs::write(&layer, b"short").unwrap();
    let said = sandbox.fail(JOB.iter().chain(&words), 3);
    assert!(said.contains("gcc:latest") && said.contains("has 5 bytes"), "{said}");
    assert!(said.contains("base:latest is the best base"), "{said}");
}

#[test]
fn a_damaged_package_database_is_named_and_the_rest_counts() {
    let sandbox = Sandbox::in_memory();
    let mut layer = crate::support::tarball::Tarball::new();
    layer.file("etc/os-release", b"ID=ubuntu\nVERSION_ID=25.04\n").file(
        "var/lib/dpkg/status",
        b"Package: broken\nStatus: install ok installed\n\nPackage: good\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n",
    );
    import(&sandbox, &["half"], "amd64", layer.bytes(), &[]);
    let output = sandbox.larder(JOB.iter().chain(&["--package", "good", "--strict-packages"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "half:latest\n", "{said}");
    assert!(said.contains("half:latest: 1 thing in it cannot be read"), "{said}");
    assert!(sandbox.ok(["inspect", "--facts", "half"]).contains("damaged: 1 of its packages"));
}

#[test]
fn damaged_images_are_named_and_the_rest_goes_on() {
    let sandbox = three();
    let layer = ubuntu(&["gcc-15", "only-here"], &["gcc-15"]);
    import(
        &sandbox,
        &["told"],
        "amd64",
        layer,
        &["--no-facts", "--os", "ubuntu:25.04", "--compiler", "gcc-15"],
    );
    import(&sandbox, &["gone"], "amd64", root(Some(("ubuntu", "25.04")), &["x"], &[]), &["--no-facts"]);
    let manifest_of = |name| named(&sandbox.store(), name).unwrap();
    let told = document(&sandbox.store(), &manifest_of("told:latest"));
    std::fs::remove_file(blob_path(&sandbox.store(), told["layers"][0]["digest"].as_str().unwrap())).unwrap();
    std::fs::remove_file(blob_path(&sandbox.store(), &manifest_of("gone:latest"))).unwrap();
    let output = sandbox.larder(JOB.iter().chain(&["--compiler", "gcc-15", "--format", "json"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("gone:latest") && said.contains(&manifest_of("gone:latest")), "{said}");
    assert!(said.contains("the facts of told:latest") && said.contains("is missing"), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut names: Vec<_> =
        answer["candidates"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    // Where nobody can look, what is declared counts.
    assert_eq!(names, ["base:latest", "full:latest", "gcc:latest", "told:latest"]);
    assert_eq!(answer["best_image"], "gcc:latest", "the smallest that could be looked into");
}

#[test]
fn what_another_tool_named_is_looked_up() {
    let sandbox = three();
    let mut index: Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        let annotations = entry["annotations"].as_object_mut().unwrap();
        annotations.retain(|key, _| key == "org.opencontainers.image.ref.name");
        // What it says in our words and is none of them says nothing.
        annotations.insert("dev.larder.os".into(), json!("Ubuntu"));
        annotations.insert("dev.larder.compilers".into(), json!("gcc 15,*"));
        entry.as_object_mut().unwrap().remove("platform");
    }
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    assert!(
        entries(&sandbox.store()).iter().all(|entry| entry["annotations"]["dev.larder.image-id"].is_null())
    );
    assert_eq!(best(&sandbox, &["--compiler", "gcc-15", "--tool", "cmake"]), "full:latest");
}
