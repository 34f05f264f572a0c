//! Descriptors and diff IDs that are none, or that do not say what is there; and indexes that lead on and on.

use serde_json::{Value, json};

use super::documents::{hex_of, with_config};
use super::{Case, NAME, bad, good, layers, oci, tools, try_all};
use crate::support::need;
use crate::support::tarball::{Oci, config, sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A good oci-archive whose manifest was changed.
fn manifest(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut oci = oci();
    let mut manifest = oci.manifest();
    oci.blobs.remove(&hex_of(&oci.index["manifests"][0]));
    change(&mut manifest);
    oci.root(NAME, &manifest);
    oci.archive()
}

/// The same where the index's entry was changed.
fn entry(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut oci = oci();
    change(&mut oci.index["manifests"][0]);
    oci.archive()
}

/// The image below an index, whose descriptor of it was changed.
fn child(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut oci = oci();
    let mut child = oci.index["manifests"][0].clone();
    child.as_object_mut().unwrap().remove("annotations");
    change(&mut child);
    oci.root(NAME, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}));
    oci.archive()
}

/// An archive in which this field of some descriptor has this value.
type Spoil = fn(&str, Value) -> Vec<u8>;

#[test]
fn digests_and_sizes_that_are_none() {
    need!(tools(), "strace or prlimit");
    let zeros = "0".repeat(64);
    let mut cases: Vec<Case> = Vec::new();
    let places: [(&str, Spoil); 4] = [
        ("a layer", |key, value| manifest(|manifest| manifest["layers"][0][key] = value.clone())),
        ("a config", |key, value| manifest(|manifest| manifest["config"][key] = value.clone())),
        ("an image", |key, value| entry(|entry| entry[key] = value.clone())),
        ("a child", |key, value| child(|child| child[key] = value.clone())),
    ];
    for (what, with) in places {
        for (how, digest) in [
            ("nothing", json!("")),
            ("an algorithm alone", json!("sha256:")),
            ("a path", json!("sha256:../../x")),
            ("a path that is long enough", json!(format!("sha256:{}", "../".repeat(21) + "x"))),
            ("upper case", json!(format!("sha256:{}", "AB".repeat(32)))),
            ("63 digits", json!(format!("sha256:{}", &zeros[1..]))),
            ("a space before", json!(format!(" sha256:{zeros}"))),
            ("a line's end", json!(format!("sha256:{zeros}\n"))),
            ("no colon", json!(format!("sha256{zeros}"))),
            ("an upper-case algorithm", json!(format!("SHA256:{zeros}"))),
            ("blake3", json!(format!("blake3:{zeros}"))),
            ("sha512", json!(format!("sha512:{zeros}{zeros}"))),
            ("a number", json!(5)),
            ("a list", json!([zeros])),
            ("null", Value::Null),
        ] {
            cases.push(bad(format!("the digest of {what} is {how}"), with("digest", digest), &["entry \""]));
        }
        for (how, size) in [
            ("one more than there is", json!(100_000)),
            ("nothing", json!(0)),
            ("2^63", json!(1u64 << 63)),
            ("2^64 - 1", json!(u64::MAX)),
            ("beyond 64 bits", json!(1e30)),
            ("a fraction", json!(10.5)),
            ("negative", json!(-1)),
            ("text", json!("1000")),
            ("null", Value::Null),
        ] {
            cases.push(bad(format!("the size of {what} is {how}"), with("size", size), &["entry \""]));
        }
    }
    try_all(cases);
}

#[test]
fn types_and_data_that_contradict() {
    need!(tools(), "strace or prlimit");
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let mut cases: Vec<Case> = Vec::new();
    for (what, archive) in [
        ("layers and manifests", manifest(|it| it["manifests"] = json!([it["config"]]))),
        (
            "an index with a config",
            manifest(|it| {
                let config = it["config"].clone();
                *it = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "config": config});
            }),
        ),
        ("a manifest without layers", manifest(|it| drop(it.as_object_mut().unwrap().remove("layers")))),
        ("a manifest without a config", manifest(|it| drop(it.as_object_mut().unwrap().remove("config")))),
        ("layers that are an object", manifest(|it| it["layers"] = json!({}))),
        ("another schema", manifest(|it| it["schemaVersion"] = json!(1))),
        ("OCI's manifest called Docker's", entry(|entry| entry["mediaType"] = json!(docker))),
        ("a manifest called an index", entry(|entry| entry["mediaType"] = json!(INDEX))),
        (
            "a manifest called a layer",
            entry(|entry| {
                entry["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar");
            }),
        ),
        ("a child called an index", child(|child| child["mediaType"] = json!(INDEX))),
        ("a child called Docker's", child(|child| child["mediaType"] = json!(docker))),
        ("a manifest that calls itself a page", manifest(|it| it["mediaType"] = json!("text/html"))),
        ("a manifest that calls itself an index", manifest(|it| it["mediaType"] = json!(INDEX))),
        ("a type with ANSI", entry(|entry| entry["mediaType"] = json!("\u{1b}[2J"))),
    ] {
        cases.push(bad(what, archive, &["entry \""]));
    }
    // Embedded content is not believed: the blob is read, and it is what its digest says, or missing.
    let data = json!("ZXZpbA==");
    cases.push(bad(
        "data instead of a config",
        {
            let mut oci = oci();
            let mut manifest = oci.manifest();
            oci.blobs.remove(&hex_of(&manifest["config"]));
            manifest["config"]["data"] = data.clone();
            oci.root(NAME, &manifest);
            oci.archive()
        },
        &["embedded"],
    ));
    cases.push(bad(
        "data instead of a manifest",
        {
            let mut oci = oci();
            oci.blobs.remove(&hex_of(&oci.index["manifests"][0]));
            oci.index["manifests"][0]["data"] = data.clone();
            oci.archive()
        },
        &["embedded"],
    ));
    for (what, archive) in [
        ("data of an image that differs", entry(|entry| entry["data"] = data.clone())),
        ("data of a config that differs", manifest(|it| it["config"]["data"] = data.clone())),
        ("data of a layer that differs", manifest(|it| it["layers"][0]["data"] = data.clone())),
        ("data of a child that differs", child(|child| child["data"] = data.clone())),
    ] {
        // Whoever reads `data` would see another image than whoever reads the blob.
        cases.push(bad(what, archive, &[]));
    }
    try_all(cases);
}

#[test]
fn diff_ids_that_do_not_fit() {
    need!(tools(), "strace or prlimit");
    let zeros = format!("sha256:{}", "0".repeat(64));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut config = config("linux", "amd64", &layers());
        change(&mut config);
        with_config(config.to_string().as_bytes())
    };
    let ids = |ids: Value| changed(&|config| config["rootfs"]["diff_ids"] = ids.clone());
    let first = sha256(&layers()[0]);
    try_all(vec![
        bad("no diff IDs", ids(json!([])), &["0 diff IDs"]),
        bad("diff IDs that are null", ids(Value::Null), &["0 diff IDs"]),
        bad("diff IDs that are text", ids(json!("x")), &["entry \""]),
        bad("the same diff ID twice", ids(json!([first, first])), &["diff ID mismatch"]),
        bad("diff IDs in another order", ids(json!([sha256(&layers()[1]), first])), &["diff ID mismatch"]),
        bad("a thousand diff IDs", ids(json!(vec![zeros.clone(); 1000])), &["1000 diff IDs"]),
        bad("a diff ID in upper case", ids(json!([first.to_uppercase(), zeros])), &["entry \""]),
        bad("a diff ID without a colon", ids(json!([first.replace(':', ""), zeros])), &["entry \""]),
        bad("a diff ID that is a path", ids(json!([first, "sha256:../../x"])), &["entry \""]),
        bad("a diff ID of md5", ids(json!([first, "md5:00000000000000000000000000000000"])), &["entry \""]),
        bad(
            "no rootfs",
            changed(&|config| drop(config.as_object_mut().unwrap().remove("rootfs"))),
            &["rootfs"],
        ),
        bad("a rootfs that is a list", changed(&|config| config["rootfs"] = json!([])), &["diff IDs"]),
    ]);
}

/// Indexes above the good image, each of which names the one below it so often.
fn tower(floors: usize, times: usize) -> Vec<u8> {
    let mut oci: Oci = oci();
    for _ in 0..floors {
        let mut below = oci.index["manifests"][0].clone();
        below.as_object_mut().unwrap().remove("annotations");
        oci.root(NAME, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![below; times]}));
    }
    oci.archive()
}

#[test]
fn indexes_that_lead_on_and_on() {
    need!(tools(), "strace or prlimit");
    let empty = |manifests: Value| {
        let mut oci = oci();
        oci.root(NAME, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}));
        oci.archive()
    };
    let absent = json!({"mediaType": MANIFEST, "digest": sha256(b"absent"), "size": 6});
    let mut subject = oci();
    let mut referrer = subject.manifest();
    referrer["subject"] = json!({"mediaType": MANIFEST, "digest": sha256(b"absent"), "size": 6});
    subject.root(NAME, &referrer);
    try_all(vec![
        bad("twelve floors of indexes", tower(12, 1), &["nested deeper"]),
        bad("twelve floors, a hundred times each", tower(12, 100), &["nested deeper"]),
        good("seven floors of indexes", tower(7, 1)),
        good("seven floors, a thousand times each", tower(7, 1000)),
        good("one image ten thousand times", tower(1, 10_000)),
        bad("an index of nothing", empty(json!([])), &["none of its images"]),
        bad("an index of what is absent", empty(json!([absent])), &["none of its images"]),
        bad(
            "an index of ten thousand that are absent",
            empty(json!(vec![absent; 10_000])),
            &["none of its images"],
        ),
        bad("an index without a list", empty(json!({})), &["entry \""]),
        good("an image whose subject is absent", subject.archive()),
        good("one image under a hundred names", {
            let mut oci = oci();
            let entry = oci.index["manifests"][0].clone();
            let named = |n: usize| {
                let mut entry = entry.clone();
                entry["annotations"]["org.opencontainers.image.ref.name"] = format!("hostile:{n}").into();
                entry
            };
            oci.index["manifests"] = (0..100).map(named).collect();
            oci.archive()
        }),
    ]);
}
