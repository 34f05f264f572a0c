//! oci-archives whose blobs are not what their descriptors say.

use serde_json::{Value, json};

use super::{Case, case, refuse_all};
use crate::support::tarball::{Oci, Tarball, hex, layer, noise, sha256};
use crate::support::{feed, need, peer};

const SIZES: [usize; 2] = [1000, 2 << 20];

fn good(size: usize) -> Oci {
    Oci::image("bad:1", &[layer("a", &noise(1, size)), layer("b", b"content")])
}

/// A part of the image by its place in the manifest.
fn digest(oci: &Oci, part: &str) -> String {
    let manifest = oci.manifest();
    let descriptor = match part {
        "manifest" => oci.index["manifests"][0].clone(),
        "config" => manifest["config"].clone(),
        _ => manifest["layers"][0].clone(),
    };
    descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
}

/// The same image with another manifest.
fn with_manifest(size: usize, change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut oci = good(size);
    let mut manifest = oci.manifest();
    oci.blobs.remove(&digest(&oci, "manifest"));
    change(&mut manifest);
    oci.root("bad:1", &manifest);
    oci.archive()
}

/// The same image with another config, which its manifest names rightly.
fn with_config(size: usize, change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut oci = good(size);
    let mut config: Value = serde_json::from_slice(&oci.blobs[&digest(&oci, "config")]).unwrap();
    change(&mut config);
    let bytes = config.to_string().into_bytes();
    let mut manifest = oci.manifest();
    manifest["config"]["digest"] = sha256(&bytes).into();
    manifest["config"]["size"] = bytes.len().into();
    oci.add(&bytes);
    oci.root("bad:1", &manifest);
    oci.archive()
}

fn with_index(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut oci = good(1000);
    change(&mut oci.index);
    oci.archive()
}

#[test]
fn blobs_that_do_not_match() {
    let mut cases: Vec<Case> = Vec::new();
    for size in SIZES {
        for part in ["manifest", "config", "layer"] {
            let hex = digest(&good(size), part);
            let path = format!("blobs/sha256/{hex}");
            let changed = |change: fn(&mut Vec<u8>)| {
                let mut oci = good(size);
                change(oci.blobs.get_mut(&hex).unwrap());
                oci.archive()
            };
            cases.push(case("a flipped bit", changed(|blob| blob[60] ^= 1), 5, &[&path]));
            cases.push(case("a byte too few", changed(|blob| blob.truncate(blob.len() - 1)), 5, &[&path]));
            cases.push(case("a byte too many", changed(|blob| blob.push(b'\n')), 5, &[&path]));
            cases.push(case("nothing", changed(Vec::clear), 5, &[&path]));
            let mut missing = good(size);
            missing.blobs.remove(&hex);
            cases.push(case("missing", missing.archive(), 5, &[&path, "is missing"]));
        }
    }
    refuse_all(cases);
}

#[test]
fn diff_ids_that_do_not_match() {
    let mut cases: Vec<Case> = Vec::new();
    for size in SIZES {
        let zeros = format!("sha256:{}", "0".repeat(64));
        cases.push(case(
            "another diff ID",
            with_config(size, |config| config["rootfs"]["diff_ids"][0] = zeros.clone().into()),
            5,
            &["diff ID mismatch"],
        ));
        cases.push(case(
            "a diff ID too few",
            with_config(size, |config| drop(config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop())),
            5,
            &["1 diff IDs", "2 layers"],
        ));
        cases.push(case(
            "a diff ID too many",
            with_config(size, |config| {
                config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(zeros.clone().into())
            }),
            5,
            &["3 diff IDs", "2 layers"],
        ));
    }
    refuse_all(cases);
}

#[test]
fn compressed_layers_that_do_not_unpack_to_their_diff_id() {
    let mut cases: Vec<Case> = Vec::new();
    for (tool, suffix) in [("gzip", "+gzip"), ("zstd", "+zstd")] {
        for size in SIZES {
            let plain = layer("a", &noise(1, size));
            let packed = feed(need!(peer::tool(tool), tool).arg("-c"), &plain).stdout;
            let with = |bytes: &[u8]| {
                let mut oci = good(size);
                let mut manifest = oci.manifest();
                manifest["layers"][0] = json!({
                    "mediaType": format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
                    "digest": sha256(bytes), "size": bytes.len(),
                });
                oci.add(bytes);
                oci.root("bad:1", &manifest);
                oci.archive()
            };
            let sandbox = crate::support::Sandbox::new();
            assert!(
                feed(&mut sandbox.command(["import", "-"]), &with(&packed)).status.success(),
                "{tool}: the good one"
            );
            let other = feed(peer::tool(tool).unwrap().arg("-c"), &layer("a", b"other")).stdout;
            let path = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
            cases.push(case("another content", with(&other), 5, &[&path(&other), "diff ID mismatch"]));
            let cut = &packed[..packed.len() - 9];
            cases.push(case("cut, with a digest that fits", with(cut), 5, &[&path(cut)]));
            cases.push(case("not compressed at all", with(&plain), 5, &[&path(&plain)]));
        }
    }
    refuse_all(cases);
}

#[test]
fn descriptors_that_are_none() {
    let digest = |text: &str| {
        let text = text.to_owned();
        with_index(move |index| index["manifests"][0]["digest"] = text.clone().into())
    };
    let hex = "0123456789abcdef".repeat(4);
    let layer = |key: &'static str, value: Value| {
        with_manifest(1000, move |manifest| manifest["layers"][0][key] = value.clone())
    };
    refuse_all(vec![
        case("a path", digest("sha256:../../../../etc/passwd"), 1, &["index.json"]),
        case("upper case", digest(&format!("sha256:{}", hex.to_uppercase())), 1, &["index.json"]),
        case("too short", digest("sha256:0123"), 1, &["index.json"]),
        case("too long", digest(&format!("sha256:{hex}00")), 1, &["index.json"]),
        case("no colon", digest(&hex), 1, &["index.json"]),
        case("another algorithm", digest(&format!("md5:{}", &hex[..32])), 1, &["index.json"]),
        case("sha512", digest(&format!("sha512:{hex}{hex}")), 1, &["index.json"]),
        case("a layer's path", layer("digest", "sha256:../x".into()), 1, &["blobs/sha256/"]),
        case("a negative size", layer("size", json!(-1)), 1, &["blobs/sha256/"]),
        case("a size that is no number", layer("size", "many".into()), 1, &["blobs/sha256/"]),
        case("a size of exabytes", layer("size", json!(1u64 << 62)), 5, &["blobs/sha256/"]),
    ]);
}

/// The index's one name, in the form that containerd reads.
fn named(name: String) -> Vec<u8> {
    with_index(move |index| {
        index["manifests"][0]["annotations"] = json!({"io.containerd.image.name": name});
    })
}

/// The same beside the name that it has.
fn named_too(name: String) -> Vec<u8> {
    with_index(move |index| {
        index["manifests"][0]["annotations"]["io.containerd.image.name"] = name.clone().into();
    })
}

#[test]
fn a_name_with_a_digest_is_the_image_of_that_digest() {
    let zeros = "0".repeat(64);
    refuse_all(vec![
        case(
            "another digest",
            named(format!("docker.io/library/bad@sha256:{zeros}")),
            1,
            &["index.json", &zeros],
        ),
        case("a tag and another digest", named(format!("bad:1@sha256:{zeros}")), 1, &["index.json", &zeros]),
        case("beside a name", named_too(format!("other@sha256:{zeros}")), 1, &["index.json", &zeros]),
    ]);
    let root = digest(&good(1000), "manifest");
    let sandbox = crate::support::Sandbox::new();
    std::fs::write(sandbox.path("good.tar"), named(format!("docker.io/library/bad:1@sha256:{root}")))
        .unwrap();
    assert_eq!(sandbox.json(["import", "good.tar"])[0]["reference"], "bad:1");
    // Without a tag it says nothing that the digest does not say: no name.
    std::fs::write(sandbox.path("bare.tar"), named(format!("bad@sha256:{root}"))).unwrap();
    assert!(sandbox.fail(["import", "bare.tar"], 1).contains("--name"));
    sandbox.ok(["import", "bare.tar", "--name", "bare:1"]);
}

#[test]
fn keys_that_others_take_for_another_and_data_that_is_other_content() {
    let manifest =
        |key: &'static str, value: Value| with_manifest(1000, move |manifest| manifest[key] = value.clone());
    let layer = |key: &'static str, value: Value| {
        with_manifest(1000, move |manifest| manifest["layers"][0][key] = value.clone())
    };
    let entry =
        |key: &'static str, value: Value| with_index(move |index| index["manifests"][0][key] = value.clone());
    let config = |key: &'static str| with_config(1000, move |config| config[key] = json!({"diff_ids": []}));
    let diff_ids = with_config(1000, |config| config["rootfs"]["Diff_IDs"] = json!([]));
    refuse_all(vec![
        case("a manifest's layers", manifest("Layers", json!([])), 1, &["blobs/sha256/", "Layers"]),
        case("a manifest's config", manifest("CONFIG", json!({})), 1, &["blobs/sha256/", "CONFIG"]),
        case(
            "in a manifest: manifests",
            manifest("Manifests", json!([])),
            1,
            &["blobs/sha256/", "Manifests"],
        ),
        case("a letter that Unicode folds", manifest("layer\u{17f}", json!([])), 1, &["blobs/sha256/"]),
        case("a layer's digest", layer("Digest", json!("x")), 1, &["blobs/sha256/", "Digest"]),
        case(
            "an index's manifests",
            with_index(|index| index["Manifests"] = json!([])),
            1,
            &["index.json", "Manifests"],
        ),
        case("an entry's size", entry("Size", json!(1)), 1, &["index.json", "Size"]),
        case("a config's rootfs", config("RootFS"), 1, &["blobs/sha256/", "RootFS"]),
        case("a config's diff IDs", diff_ids, 1, &["blobs/sha256/", "Diff_IDs"]),
        case("a layer's data", layer("data", json!("eA==")), 1, &["blobs/sha256/", "data"]),
        case("data that is no base64", layer("data", json!("?")), 1, &["blobs/sha256/", "base64"]),
        case("an entry's data", entry("data", json!("eA==")), 1, &["index.json", "data"]),
    ]);
}

/// An oci-archive and a docker-archive in one, whose halves need not agree.
fn hybrid(oci: &Oci, item: &Value, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Tarball::new();
    archive.file("manifest.json", json!([item]).to_string().as_bytes());
    for (path, bytes) in files {
        archive.file(path, bytes);
    }
    let mut bytes = archive.bytes();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(oci.archive());
    bytes
}

#[test]
fn an_image_that_only_manifest_json_has_is_an_image() {
    let layer = layer("other", b"content");
    let config = crate::support::tarball::config("linux", "amd64", std::slice::from_ref(&layer)).to_string();
    let files = [("c.json".to_owned(), config.into_bytes()), ("l.tar".to_owned(), layer)];
    let item = |name: &str| json!({"Config": "c.json", "RepoTags": [name], "Layers": ["l.tar"]});
    refuse_all(vec![case(
        "one name, two configs",
        hybrid(&good(1000), &item("bad:1"), &files),
        1,
        &["bad:1", "two images"],
    )]);
    let sandbox = crate::support::Sandbox::new();
    std::fs::write(sandbox.path("both.tar"), hybrid(&good(1000), &item("only:1"), &files)).unwrap();
    let rows = sandbox.json(["import", "both.tar"]);
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["reference"].clone()).collect();
    assert_eq!(names, ["bad:1", "only:1"]);
    crate::support::store::assert_sound(&sandbox.store());
}

#[test]
fn documents_that_contradict_themselves() {
    let mut oci = good(1000);
    oci.index["manifests"][0]["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
    let both = with_manifest(1000, |manifest| manifest["manifests"] = json!([]));
    let text = |bytes: &[u8]| {
        let mut archive = Tarball::new();
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", bytes);
        archive.bytes()
    };
    let mut twice = good(1000);
    let mut other = twice.manifest();
    other["annotations"] = json!({"org.example": "other"});
    let bytes = other.to_string().into_bytes();
    twice.add(&bytes);
    let mut entry = twice.index["manifests"][0].clone();
    entry["digest"] = sha256(&bytes).into();
    entry["size"] = bytes.len().into();
    twice.index["manifests"].as_array_mut().unwrap().push(entry);
    let unnamed =
        with_index(|index| drop(index["manifests"][0].as_object_mut().unwrap().remove("annotations")));
    let mut linked = Tarball::new();
    for (hex, bytes) in &good(1000).blobs {
        linked.file(&format!("blobs/sha256/{hex}"), bytes);
    }
    linked.file("real.json", good(1000).index.to_string().as_bytes()).link("index.json", "real.json");
    refuse_all(vec![
        case("a manifest that is called an index", oci.archive(), 1, &["blobs/sha256/"]),
        case("a manifest with layers and manifests", both, 1, &["blobs/sha256/"]),
        case("no JSON", text(b"{"), 1, &["index.json"]),
        case("trailing text", text(br#"{"schemaVersion":2,"manifests":[]} x"#), 1, &["index.json"]),
        case("another schema", text(br#"{"schemaVersion":1,"manifests":[]}"#), 1, &["index.json"]),
        case("no image", text(br#"{"schemaVersion":2,"manifests":[]}"#), 1, &["no image"]),
        case("two images of one name", twice.archive(), 1, &["bad:1", "two images"]),
        case("no name", unnamed, 1, &["--name"]),
        case("index.json is a link", linked.bytes(), 1, &["index.json", "link"]),
    ]);
}
