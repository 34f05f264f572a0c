//! Forms that are rare and valid: what comes in is what was there, from a file, through a pipe and from a directory.

use serde_json::{Value, json};

use super::unpack;
use crate::support::store::{assert_nothing_pending, assert_sound, blob, document, entries};
use crate::support::tarball::{Oci, Tarball, config, docker_archive_with, hex, layer, sha256};
use crate::support::{Sandbox, describe, feed, need, peer};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Imports bytes from a file and through a pipe, each into a store of its own; both must say the same.
fn both_ways(bytes: &[u8], args: &[&str]) -> (Sandbox, Vec<Value>) {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("image.tar"), bytes).unwrap();
    let rows = sandbox.json(["import", "image.tar"].iter().chain(args));
    let piped = Sandbox::new();
    let mut command = piped.command(["import", "-", "--format", "json"].iter().chain(args));
    let output = feed(&mut command, bytes);
    assert!(output.status.success(), "{}", describe(&command, &output));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), rows);
    for sandbox in [&sandbox, &piped] {
        assert_sound(&sandbox.store());
        assert_nothing_pending(&sandbox.store());
        sandbox.ok(["verify"]);
    }
    (sandbox, rows.as_array().unwrap().clone())
}

/// The same of an OCI image, and from a directory as well. All its blobs must be in the store.
fn three_ways(oci: &Oci, args: &[&str]) -> (Sandbox, Vec<Value>) {
    let (sandbox, rows) = both_ways(&oci.archive(), args);
    let other = Sandbox::new();
    let blobs = other.path("layout/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for (hex, bytes) in &oci.blobs {
        std::fs::write(blobs.join(hex), bytes).unwrap();
        assert_eq!(blob(&sandbox.store(), hex), *bytes, "{hex}: kept as it came");
    }
    std::fs::write(other.path("layout/oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(other.path("layout/index.json"), oci.index.to_string()).unwrap();
    let from_directory = other.json(["import", "layout"].iter().chain(args));
    assert_eq!(from_directory.as_array().unwrap(), &rows);
    assert_sound(&other.store());
    other.ok(["verify"]);
    (sandbox, rows)
}

/// Adds a document, and returns its descriptor.
fn put(oci: &mut Oci, media_type: &str, document: &Value) -> Value {
    let bytes = document.to_string().into_bytes();
    oci.add(&bytes);
    json!({"mediaType": media_type, "digest": sha256(&bytes), "size": bytes.len()})
}

/// An image for a platform among the blobs; its descriptor.
fn image(oci: &mut Oci, architecture: &str) -> Value {
    let one = Oci::image("x", &[layer("etc/arch", architecture.as_bytes())]);
    oci.blobs.extend(one.blobs.clone());
    let mut descriptor = put(oci, MANIFEST, &one.manifest());
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

fn empty() -> Oci {
    Oci { index: Value::Null, blobs: std::collections::BTreeMap::new() }
}

#[test]
fn an_index_in_an_index() {
    let mut oci = empty();
    let (amd64, arm64) = (image(&mut oci, "amd64"), image(&mut oci, "arm64"));
    let inner = put(&mut oci, INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [arm64]}));
    let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [amd64, inner]});
    oci.root("nested:1", &outer);
    let (sandbox, rows) = three_ways(&oci, &[]);
    assert_eq!(rows.len(), 1);
    assert_eq!(document(&sandbox.store(), rows[0]["digest"].as_str().unwrap()), outer);
    sandbox.ok(["export", "nested:1", "--all-platforms", "-o", "out.tar"]);
    let other = Sandbox::new();
    let again = other.json(["import".as_ref(), sandbox.path("out.tar").as_os_str()]);
    assert_eq!(again[0]["digest"], rows[0]["digest"]);
}

/// Artifacts as ORAS and OCI 1.1 make them: with the empty config, with and without layers.
#[test]
fn artifacts() {
    for layers in [json!([]), json!([{"mediaType": "text/plain", "digest": sha256(b"hello"), "size": 5}])] {
        let mut oci = empty();
        oci.add(b"{}");
        if layers != json!([]) {
            oci.add(b"hello");
        }
        let artifact = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.thing",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2, "data": "e30="},
            "layers": layers, "annotations": {"org.example": "kept"},
        });
        oci.root("thing:1", &artifact);
        let (sandbox, rows) = three_ways(&oci, &[]);
        assert_eq!(document(&sandbox.store(), rows[0]["digest"].as_str().unwrap()), artifact);
        assert_eq!(sandbox.json(["images"])[0]["reference"], "thing:1");
        sandbox.ok(["inspect", "thing:1"]);
        sandbox.ok(["export", "thing:1", "--archive", "oci", "-o", "out.tar"]);
    }
}

/// A signature that stands beside its image in the layout's index, without a name.
#[test]
fn a_referrer_comes_with_its_subject() {
    let mut oci = Oci::image("signed:1", &[layer("etc/x", b"x")]);
    oci.add(b"{}");
    oci.add(b"signature");
    let subject = oci.index["manifests"][0].clone();
    let referrer = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": sha256(b"signature"), "size": 9}],
        "subject": {"mediaType": MANIFEST, "digest": subject["digest"], "size": subject["size"]},
    });
    let mut descriptor = put(&mut oci, MANIFEST, &referrer);
    descriptor["artifactType"] = json!("application/vnd.example.signature");
    oci.index["manifests"].as_array_mut().unwrap().push(descriptor.clone());
    let (sandbox, _) = three_ways(&oci, &[]);
    let kept = entries(&sandbox.store());
    let kept: Vec<_> = kept.iter().map(|entry| &entry["digest"]).collect();
    assert!(kept.contains(&&subject["digest"]) && kept.contains(&&descriptor["digest"]), "{kept:?}");
}

/// What registries still give, and `skopeo copy --preserve-digests` and containerd keep in a layout.
#[test]
fn the_media_types_of_docker_schema_2() {
    let docker = |kind: &str| format!("application/vnd.docker.{kind}");
    let mut oci = Oci::image("x", &[layer("etc/x", b"x")]);
    let mut manifest = oci.manifest();
    oci.blobs.remove(oci.index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    manifest["mediaType"] = docker("distribution.manifest.v2+json").into();
    manifest["config"]["mediaType"] = docker("container.image.v1+json").into();
    let plain = layer("etc/x", b"x");
    let gzip = feed(need!(peer::tool("gzip"), "gzip").arg("-nc"), &plain).stdout;
    oci.blobs.remove(&hex(&plain));
    oci.add(&gzip);
    manifest["layers"] = json!([{"mediaType": docker("image.rootfs.diff.tar.gzip"), "digest": sha256(&gzip), "size": gzip.len()}]);
    let mut list = oci.index.clone();
    oci.root("schema2:1", &manifest);
    let (sandbox, rows) = three_ways(&oci, &[]);
    assert_eq!(rows[0]["image_id"], manifest["config"]["digest"]);
    sandbox.ok(["export", "schema2:1", "-o", "out.tar"]);

    let mut child = oci.index["manifests"][0].clone();
    child["annotations"].take();
    child.as_object_mut().unwrap().remove("annotations");
    child["platform"] = json!({"os": "linux", "architecture": "amd64"});
    list["mediaType"] = docker("distribution.manifest.list.v2+json").into();
    list["manifests"] = json!([child]);
    oci.root("list:1", &list);
    let (sandbox, rows) = three_ways(&oci, &[]);
    assert_eq!(rows[0]["image_id"], Value::Null);
    sandbox.ok(["export", "list:1", "--platform", "linux/amd64", "-o", "out.tar"]);
}

/// Docker-archives with layers that have nothing in them, with no layers, and with configs of few words.
#[test]
fn images_with_little_in_them() {
    let nothing = vec![0; 1024];
    let base = layer("etc/x", b"x");
    let with_history = |history: Value, layers: &[Vec<u8>]| {
        let mut config = config("linux", "amd64", layers);
        config["history"] = history;
        config.to_string()
    };
    let plain = |layers: &[Vec<u8>]| config("linux", "amd64", layers).to_string();
    let few = |layers: &[Vec<u8>]| {
        let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
            .to_string()
    };
    let step = json!({"created_by": "ENV X=1", "empty_layer": true});
    let cases: [(&str, Vec<Vec<u8>>, String); 6] = [
        ("an empty layer", vec![nothing.clone()], plain(std::slice::from_ref(&nothing))),
        (
            "the same empty layer twice",
            vec![base.clone(), nothing.clone(), nothing.clone()],
            plain(&[base.clone(), nothing.clone(), nothing.clone()]),
        ),
        ("no layer", vec![], plain(&[])),
        ("a config without history and config", vec![base.clone()], few(std::slice::from_ref(&base))),
        (
            "history of an empty step",
            vec![base.clone()],
            with_history(json!([{"created_by": "ADD"}, step]), std::slice::from_ref(&base)),
        ),
        ("history that is null", vec![base.clone()], with_history(Value::Null, std::slice::from_ref(&base))),
    ];
    for (what, layers, config) in cases {
        let (sandbox, rows) = both_ways(&docker_archive_with(&config, &["little:1"], &layers), &[]);
        assert_eq!(rows[0]["image_id"], sha256(config.as_bytes()), "{what}");
        assert_eq!(
            blob(&sandbox.store(), rows[0]["image_id"].as_str().unwrap()),
            config.as_bytes(),
            "{what}"
        );
        let manifest = document(&sandbox.store(), rows[0]["digest"].as_str().unwrap());
        assert_eq!(manifest["layers"].as_array().unwrap().len(), layers.len(), "{what}");
        sandbox.ok(["export", "little:1", "--layers", "plain", "-o", "out.tar"]);
    }
}

/// As kaniko (and all that writes with go-containerregistry) does: layers in gzip by the digest of what is compressed,
/// a config whose path begins with `sha256:`.
#[test]
fn a_docker_archive_with_gzip_layers() {
    let layers = [layer("etc/x", b"x"), layer("etc/y", b"y")];
    let config = config("linux", "amd64", &layers).to_string();
    let mut archive = Tarball::new();
    let config_path = sha256(config.as_bytes());
    archive.file(&config_path, config.as_bytes());
    let mut paths = Vec::new();
    for layer in &layers {
        let gzip = feed(need!(peer::tool("gzip"), "gzip").arg("-nc"), layer).stdout;
        paths.push(format!("{}.tar.gz", hex(&gzip)));
        archive.file(paths.last().unwrap(), &gzip);
    }
    let manifest = json!([{"Config": config_path, "RepoTags": ["kaniko:1"], "Layers": paths}]);
    archive.file("manifest.json", manifest.to_string().as_bytes());
    let (sandbox, rows) = both_ways(&archive.bytes(), &[]);
    assert_eq!(rows[0]["image_id"], config_path);
    let manifest = document(&sandbox.store(), rows[0]["digest"].as_str().unwrap());
    for (descriptor, layer) in manifest["layers"].as_array().unwrap().iter().zip(&layers) {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = crate::support::store::blob_path(&sandbox.store(), digest);
        let plain = need!(unpack(&path, descriptor["mediaType"].as_str().unwrap()), "zstd");
        assert_eq!(plain, *layer);
    }
}

/// 125 layers are the most that a graph driver of Docker takes, 127 what a file system once did.
#[test]
fn an_image_of_127_layers() {
    let mut last = None;
    for count in [125, 127] {
        let layers: Vec<_> =
            (0..count).map(|number: u8| layer(&format!("layer/{number}"), &[number])).collect();
        let config = config("linux", "amd64", &layers).to_string();
        let (sandbox, rows) = both_ways(&docker_archive_with(&config, &["many:1"], &layers), &[]);
        let inspected = sandbox.json(["inspect", "many:1"]);
        assert_eq!(inspected[0]["layers"].as_array().unwrap().len(), usize::from(count));
        sandbox.ok(["export", "many:1", "-o", "out.tar"]);
        last = last.or(Some((sandbox, rows)));
    }
    let (sandbox, rows) = last.unwrap();
    let docker = need!(peer::docker28(), "Docker 28");
    docker.ok(["load".as_ref(), "-i".as_ref(), sandbox.path("out.tar").as_os_str()]);
    assert_eq!(docker.image_id("many:1").as_deref(), rows[0]["image_id"].as_str());
}
