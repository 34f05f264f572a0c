//! docker-archives whose parts are missing, or are not what manifest.json and config say.

use serde_json::{Value, json};

use super::{Case, case, refuse_all};
use crate::support::store::{assert_nothing_pending, blobs};
use crate::support::tarball::{Tarball, config, hex, layer, members, noise};
use crate::support::{feed, need, peer};

/// A docker-archive that can be spoilt before it is written.
struct Docker {
    manifest: Value,
    config: Value,
    files: Vec<(String, Vec<u8>)>,
}

impl Docker {
    /// Two layers, the first of this many bytes.
    fn new(size: usize) -> Self {
        let layers = [layer("a", &noise(1, size)), layer("b", b"content")];
        let mut files = Vec::new();
        let mut paths = Vec::new();
        for layer in &layers {
            paths.push(format!("{}.tar", hex(layer)));
            files.push((paths[paths.len() - 1].clone(), layer.clone()));
        }
        let manifest = json!([{"Config": "", "RepoTags": ["bad:1"], "Layers": paths}]);
        Self { manifest, config: config("linux", "amd64", &layers), files }
    }

    fn bytes(mut self) -> Vec<u8> {
        let config = self.config.to_string().into_bytes();
        if self.manifest[0]["Config"] == "" {
            self.manifest[0]["Config"] = format!("{}.json", hex(&config)).into();
        }
        if let Some(path) = self.manifest[0]["Config"].as_str() {
            self.files.push((path.to_owned(), config));
        }
        self.files.push(("manifest.json".into(), self.manifest.to_string().into_bytes()));
        pack(&self.files)
    }
}

fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Tarball::new();
    for (path, bytes) in files {
        archive.file(path, bytes);
    }
    archive.bytes()
}

/// A good archive of that size, changed.
fn spoilt(size: usize, spoil: impl Fn(&mut Docker)) -> Vec<u8> {
    let mut docker = Docker::new(size);
    spoil(&mut docker);
    docker.bytes()
}

/// The written archive, without a file or with it changed.
fn edited(size: usize, edit: impl Fn(&mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let mut files: Vec<_> = members(&Docker::new(size).bytes()).into_iter().collect();
    edit(&mut files);
    pack(&files)
}

fn layer_path(size: usize) -> String {
    Docker::new(size).files[0].0.clone()
}

/// Small layers stay in memory when they come through a pipe; large ones go through the ingest.
const SIZES: [usize; 2] = [1000, 2 << 20];

#[test]
fn the_archive_that_is_spoilt_here_is_good() {
    for size in SIZES {
        let sandbox = crate::support::Sandbox::new();
        std::fs::write(sandbox.path("good.tar"), Docker::new(size).bytes()).unwrap();
        sandbox.ok(["import", "good.tar"]);
    }
}

#[test]
fn content_that_is_not_what_it_is_called() {
    let mut cases: Vec<Case> = Vec::new();
    for size in SIZES {
        let path = layer_path(size);
        let flip = |ending: &'static str| {
            move |files: &mut Vec<(String, Vec<u8>)>| {
                let is_it = |(path, bytes): &&mut (String, Vec<u8>)| {
                    path.ends_with(ending)
                        && path != "manifest.json"
                        && (ending == ".json" || bytes.len() > 1024)
                };
                let (_, bytes) =
                    files.iter_mut().filter(|file| is_it(file)).max_by_key(|(_, bytes)| bytes.len()).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
        };
        cases.push(case(
            "a layer with a flipped bit",
            edited(size, flip(".tar")),
            5,
            &[&path, "diff ID mismatch"],
        ));
        let config = Docker::new(size).config.to_string();
        let config_path = format!("{}.json", hex(config.as_bytes()));
        cases.push(case("a config with a flipped bit", edited(size, flip(".json")), 5, &[&config_path]));
        cases.push(case(
            "a layer that is cut",
            edited(size, |files| {
                files.iter_mut().filter(|(name, _)| *name == path).for_each(|(_, bytes)| bytes.truncate(900))
            }),
            5,
            &[&path, "diff ID mismatch"],
        ));
        cases.push(case(
            "the wrong diff ID",
            spoilt(size, |docker| {
                docker.config["rootfs"]["diff_ids"][0] = format!("sha256:{}", "0".repeat(64)).into()
            }),
            5,
            &[&path, "diff ID mismatch"],
        ));
        cases.push(case(
            "two diff IDs the other way round",
            spoilt(size, |docker| docker.config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse()),
            5,
            &["diff ID mismatch"],
        ));
    }
    refuse_all(cases);
}

#[test]
fn what_was_finished_before_a_failure_stays() {
    let mut gzip = need!(peer::tool("gzip"), "gzip");
    let second = layer("b", &noise(2, 6 << 20));
    let packed = feed(gzip.arg("-c"), &second).stdout;
    let docker = |second: &[u8]| {
        let layers = [layer("a", &noise(1, 6 << 20)), layer("b", &noise(2, 6 << 20))];
        let paths = ["first.tar", "second.tar"];
        let manifest = json!([{"Config": "", "RepoTags": ["half:1"], "Layers": paths}]);
        let files = vec![("first.tar".into(), layers[0].clone()), ("second.tar".into(), second.to_vec())];
        Docker { manifest, config: config("linux", "amd64", &layers), files }.bytes()
    };
    for jobs in ["1", "3"] {
        let sandbox = crate::support::Sandbox::new();
        std::fs::write(sandbox.path("half.tar"), docker(&packed[..packed.len() / 2])).unwrap();
        assert!(sandbox.fail(["import", "half.tar", "--jobs", jobs], 1).contains("second.tar"));
        assert_eq!(blobs(&sandbox.store()).len(), 1, "{jobs} jobs: the first layer was done");
        assert_nothing_pending(&sandbox.store());
        std::fs::write(sandbox.path("whole.tar"), docker(&packed)).unwrap();
        assert!(sandbox.json(["import", "whole.tar"])[0]["reused_bytes"].as_u64().unwrap() > 6 << 20);
    }
}

#[test]
fn parts_that_are_missing() {
    let mut cases = Vec::new();
    for size in SIZES {
        let path = layer_path(size);
        let without = |ending: &str| {
            let ending = ending.to_owned();
            edited(size, move |files| {
                files.retain(|(path, _)| path == "manifest.json" || !path.ends_with(&ending))
            })
        };
        cases.push(case("no layer", without(&path), 5, &[&path, "is missing"]));
        cases.push(case("no config", without(".json"), 5, &[".json", "is missing"]));
        cases.push(case(
            "no manifest.json",
            edited(size, |files| files.retain(|(path, _)| path != "manifest.json")),
            1,
            &["neither manifest.json nor index.json"],
        ));
        cases.push(case(
            "a diff ID too few",
            spoilt(size, |docker| drop(docker.config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop())),
            5,
            &["1 diff IDs", "2 layers"],
        ));
        cases.push(case(
            "a layer too few",
            spoilt(size, |docker| drop(docker.manifest[0]["Layers"].as_array_mut().unwrap().pop())),
            5,
            &["2 diff IDs", "1 layers"],
        ));
    }
    refuse_all(cases);
}

#[test]
fn documents_that_say_nothing_or_too_much() {
    let manifest = |value: Value| {
        edited(1000, move |files| replace(files, "manifest.json", value.to_string().into_bytes()))
    };
    let text = |bytes: Vec<u8>| edited(1000, move |files| replace(files, "manifest.json", bytes.clone()));
    let good = members(&Docker::new(1000).bytes())["manifest.json"].clone();
    let item: Value = serde_json::from_slice::<Value>(&good).unwrap()[0].clone();
    let nested = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let tagged = |tags: Value| {
        let mut item = item.clone();
        item["RepoTags"] = tags;
        manifest(json!([item]))
    };
    let other_case = |key: &str| {
        let mut item = item.clone();
        item[key] = json!([]);
        manifest(json!([item]))
    };
    let many: Vec<_> = (0..10_001).map(|number| json!(format!("a:{number}"))).collect();
    refuse_all(vec![
        case("no JSON", text(b"not JSON".to_vec()), 1, &["manifest.json"]),
        case("empty", text(Vec::new()), 1, &["manifest.json"]),
        case("cut JSON", text(good[..good.len() - 2].to_vec()), 1, &["manifest.json"]),
        case("trailing text", text([&good[..], b" x"].concat()), 1, &["manifest.json"]),
        case("deep nesting", text(nested), 1, &["manifest.json"]),
        case("over 4 MiB", text([&good[..], &vec![b' '; 4 << 20]].concat()), 1, &["manifest.json"]),
        case("another shape", manifest(json!({"Config": "x"})), 1, &["manifest.json"]),
        case("no image", manifest(json!([])), 1, &["holds no image"]),
        case("no name", tagged(json!([])), 1, &["--name"]),
        case("a name that is none", tagged(json!(["A B"])), 1, &["manifest.json", "A B"]),
        case("a name with control characters", tagged(json!(["a\u{1b}[2J:1"])), 1, &["manifest.json"]),
        case(
            "a tag with a digest",
            tagged(json!([format!("a:1@sha256:{}", "0".repeat(64))])),
            1,
            &["manifest.json", "a:1@sha256:", "digest"],
        ),
        case(
            "a key that others take for RepoTags",
            other_case("repoTags"),
            1,
            &["manifest.json", "repoTags"],
        ),
        case("a key that others take for Layers", other_case("LAYERS"), 1, &["manifest.json", "LAYERS"]),
        case("more names than any image has", tagged(many.into()), 1, &["more than 10000 names"]),
        case(
            "more images than any archive has",
            manifest(vec![item.clone(); 10_001].into()),
            1,
            &["10001 images"],
        ),
        case(
            "a digest for a name",
            tagged(json!([format!("a@sha256:{}", "0".repeat(64))])),
            1,
            &["manifest.json"],
        ),
    ]);
}

fn replace(files: &mut [(String, Vec<u8>)], path: &str, bytes: Vec<u8>) {
    files.iter_mut().find(|(name, _)| name == path).unwrap().1 = bytes;
}

#[test]
fn two_images_of_one_name() {
    let (one, two) = (Docker::new(1000), Docker::new(2000));
    let mut files: Vec<_> = [one, two].into_iter().flat_map(|docker| members(&docker.bytes())).collect();
    let items: Vec<Value> = files
        .iter()
        .filter(|(path, _)| path == "manifest.json")
        .map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).unwrap()[0].clone())
        .collect();
    files.retain(|(path, _)| path != "manifest.json");
    files.sort();
    files.dedup();
    files.push(("manifest.json".into(), json!(items).to_string().into_bytes()));
    refuse_all(vec![case("two images of one name", pack(&files), 1, &["bad:1", "two images"])]);
}

#[test]
fn paths_that_lead_out_of_the_archive() {
    let mut cases = Vec::new();
    for path in ["../evil.tar", "/etc/passwd", "a/../../evil", "..", "", "a\\b"] {
        let layer = spoilt(1000, |docker| docker.manifest[0]["Layers"][0] = path.into());
        cases.push(case("a layer's path", layer, 1, &["manifest.json", &format!("{path:?}")]));
        let mut docker = Docker::new(1000);
        docker.manifest[0]["Config"] = path.into();
        docker.files.push(("manifest.json".into(), docker.manifest.to_string().into_bytes()));
        cases.push(case("a config's path", pack(&docker.files), 1, &["manifest.json", &format!("{path:?}")]));
    }
    refuse_all(cases);
}
