//! Bundles that are damaged, or lie.

use super::{Gap, files};
use crate::support::store::{assert_sound, entries};

/// A small bundle.
fn small() -> (Gap, Vec<u8>) {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1], 1_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    gap.at("in", ["init"]);
    let bytes = std::fs::read(gap.path("bundle")).unwrap();
    assert!(bytes.len() <= 16 << 10, "{}", bytes.len());
    (gap, bytes)
}

/// No bit of a file can be another one: nothing is written then. A bit of every byte of headers and text, and the rest in steps.
#[test]
fn every_flipped_bit_is_refused() {
    let (gap, bytes) = small();
    for at in (0..bytes.len()).step_by(37) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(gap.path("bad"), &bad).unwrap();
        let output = gap.sandbox.larder(["--store", "in", "bundle", "apply", "bad"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(1 | 5)), "byte {at}: {:?} {said}", output.status);
        assert!(said.lines().count() <= 3, "byte {at}: {said}");
        assert_eq!(entries(&gap.store("in")).len(), 0, "byte {at}");
        assert!(
            crate::support::store::blobs(&gap.store("in")).is_empty(),
            "byte {at}: something was written"
        );
    }
    assert_eq!((files(&gap.store("in"), "ingest"), files(&gap.store("in"), "leases")), (0, 0));
    // Through a pipe nothing has a name before the end.
    for at in (0..bytes.len()).step_by(701) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        let (code, said) = gap.apply_stdin(&bad, &[]);
        assert!(matches!(code, Some(1 | 5)), "byte {at}: {said}");
        assert_eq!(entries(&gap.store("in")).len(), 0, "byte {at}");
    }
    gap.at("in", ["bundle", "apply", "bundle"]);
    assert_sound(&gap.store("in"));
}

#[test]
fn what_is_cut_or_longer_is_refused() {
    let (gap, bytes) = small();
    for length in [0, 1, 511, 512, 1024, 1536, 2000, bytes.len() - 1025, bytes.len() - 512, bytes.len() - 1] {
        std::fs::write(gap.path("bad"), &bytes[..length]).unwrap();
        let output = gap.sandbox.larder(["--store", "in", "bundle", "apply", "bad"]);
        assert!(matches!(output.status.code(), Some(1 | 5)), "{length}");
        let output = gap.sandbox.larder(["--store", "none", "bundle", "apply", "bad"]);
        assert!(matches!(output.status.code(), Some(1 | 5)) && !gap.store("none").exists(), "{length}");
        let (code, said) = gap.apply_stdin(&bytes[..length], &[]);
        assert!(matches!(code, Some(1 | 5)), "{length}: {said}");
    }
    for more in [&b"x"[..], &[0; 512], &bytes[..512]] {
        std::fs::write(gap.path("bad"), [&bytes, more].concat()).unwrap();
        gap.fail("in", ["bundle", "apply", "bad"], 5);
    }
    assert_eq!(entries(&gap.store("in")).len(), 0);
}

/// The manifest of a bundle, changed, with a header that fits.
fn with_manifest(bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    const START: usize = 3 * 512;
    let end = START + bytes[START..].iter().position(|byte| *byte == b'\n').unwrap();
    let padded = (end + 1).next_multiple_of(512);
    // Order matters: taken apart by hand, not by a map.
    let text = std::str::from_utf8(&bytes[START..end]).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
    change(&mut value);
    let order = ["larderBundle", "encoder", "for", "images", "blobs", "presumes", "documents", "parts"];
    let keys = order.iter().filter(|key| !value[**key].is_null());
    let fields: Vec<_> = keys.map(|key| format!("{key:?}:{}", in_order(&value[*key]))).collect();
    let text = format!("{{{}}}\n", fields.join(","));
    let check = crate::support::tarball::sha256(text.as_bytes());
    let manifest = format!("{{{},\"check\":\"{check}\"}}\n", fields.join(","));
    let mut header = tar::Header::from_byte_slice(&bytes[1024..START]).clone();
    header.set_size(manifest.len() as u64);
    header.set_cksum();
    let mut all = bytes[..1024].to_vec();
    all.extend(header.as_bytes());
    all.extend(manifest.as_bytes());
    all.resize(all.len().next_multiple_of(512), 0);
    all.extend(&bytes[padded..]);
    all
}

/// JSON with the keys of objects in the order in which a manifest has them.
fn in_order(value: &serde_json::Value) -> String {
    const ORDER: [&str; 10] =
        ["name", "mediaType", "digest", "path", "size", "sha256", "as", "images", "pieces", "annotations"];
    match value {
        serde_json::Value::Array(all) => {
            format!("[{}]", all.iter().map(in_order).collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_by_key(|key| ORDER.iter().position(|known| known == key).unwrap_or(99));
            let fields: Vec<_> = keys.iter().map(|key| format!("{key:?}:{}", in_order(&map[*key]))).collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let (gap, bytes) = small();
    assert!(with_manifest(&bytes, |_| {}) == bytes, "the test writes as larder does");
    let zeros = format!("sha256:{}", "0".repeat(64));
    type Change<'a> = Box<dyn Fn(&mut serde_json::Value) + 'a>;
    let cases: Vec<(&str, Change<'_>)> = vec![
        ("use a newer larder", Box::new(|m| m["larderBundle"] = 2.into())),
        (
            "twice",
            Box::new(|m| {
                let blob = m["blobs"][0].clone();
                m["blobs"].as_array_mut().unwrap().push(blob)
            }),
        ),
        ("which images", Box::new(|m| m["blobs"][0]["images"] = serde_json::json!([7]))),
        ("which images", Box::new(|m| m["blobs"][0]["images"] = serde_json::json!([]))),
        ("which images", Box::new(|m| m["blobs"][0]["images"] = serde_json::json!([0, 0]))),
        ("impossible size", Box::new(|m| m["blobs"][1]["size"] = u64::MAX.into())),
        ("neither carries nor presumes", Box::new(|m| m["images"][0]["digest"] = zeros.clone().into())),
        ("not a full name", Box::new(|m| m["images"][0]["name"] = "ci:1".into())),
        ("image", Box::new(|m| m["images"][0]["name"] = "../../x".into())),
        ("which member is in which part", Box::new(|m| m["parts"] = serde_json::json!([1]))),
        ("which member is in which part", Box::new(|m| m["parts"] = serde_json::json!([0, 6]))),
        ("two ways", Box::new(|m| m["blobs"][0]["as"] = "pieces".into())),
        ("two ways", Box::new(|m| m["blobs"][0]["as"] = "delta".into())),
        ("no manifest of a bundle", Box::new(|m| m["blobs"][0]["as"] = "magic".into())),
        ("documents", Box::new(|m| m["documents"][0]["path"] = "../oci-layout".into())),
        ("no manifest of a bundle", Box::new(|m| m["images"][0]["digest"] = "sha256:../../x".into())),
        ("which none of images", Box::new(|m| m["images"][0]["mediaType"] = "text/plain".into())),
        ("not plain", Box::new(|m| m["encoder"] = "\u{1b}[2J".into())),
    ];
    for (why, change) in cases {
        std::fs::write(gap.path("bad"), with_manifest(&bytes, change)).unwrap();
        let said = gap.fail("in", ["bundle", "apply", "bad"], 1);
        let why = why.strip_prefix("which none").map_or(why, |_| "none of images");
        assert!(said.contains(why), "{why}: {said}");
        gap.fail("in", ["bundle", "inspect", "bad"], 1);
    }
    // One that names what it does not bring: found when the image is put together.
    let liar = with_manifest(&bytes, |m| {
        let layer = m["blobs"].as_array_mut().unwrap().pop().unwrap();
        m["blobs"].as_array_mut().unwrap().retain(|blob| *blob != layer);
        m["parts"] = serde_json::json!([m["parts"][0].as_u64().unwrap() - 1]);
    });
    std::fs::write(gap.path("bad"), liar).unwrap();
    let output = gap.sandbox.larder(["--store", "in", "bundle", "apply", "bad"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(entries(&gap.store("in")).is_empty());
    assert!(crate::support::store::blobs(&gap.store("in")).is_empty());
}

/// A list that would take for ever to go through.
#[test]
fn pieces_of_a_byte_are_refused() {
    let (gap, bytes) = small();
    let bad = with_manifest(&bytes, |manifest| {
        let blob = &mut manifest["blobs"][2];
        let size = blob["size"].as_u64().unwrap();
        let piece = serde_json::json!({"size": 1, "sha256": blob["digest"]});
        blob["as"] = "pieces".into();
        blob["pieces"] = vec![piece; size as usize].into();
        manifest["parts"] = vec![1; size as usize + 5].into();
    });
    let (code, said) = gap.apply_stdin(&bad, &[]);
    assert!(code == Some(1) && said.contains("pieces of less than"), "{said}");
    let bad = with_manifest(&bytes, |manifest| {
        manifest["presumes"] = serde_json::json!([{"digest": format!("sha256:{}", "1".repeat(64)), "size": 1, "images": [0], "base": true}]);
    });
    let (code, said) = gap.apply_stdin(&bad, &[]);
    assert!(code == Some(1) && said.contains("makes none of it"), "{said}");
}

#[test]
fn pipes_are_read_once_and_silent_ones_can_be_left() {
    let (gap, bytes) = small();
    let pipe = gap.path("pipe");
    crate::support::run(std::process::Command::new("mkfifo").arg(&pipe));
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&pipe, &bytes).unwrap());
        gap.at("in", ["bundle", "apply", "pipe"]);
    });
    assert_eq!(entries(&gap.store("in")).len(), 1);
    for args in
        [&["bundle", "apply", "pipe"][..], &["bundle", "create", "--all", "--have", "pipe", "-o", "b"]]
    {
        let larder = gap.sandbox.command(["--store", "in"].into_iter().chain(args.iter().copied()));
        let mut timeout =
            gap.sandbox.enclose(crate::support::need!(crate::support::peer::tool("timeout"), "timeout"));
        timeout.args(["--preserve-status", "-s", "INT", "-k", "60", "1"]);
        timeout.arg(larder.get_program()).args(larder.get_args());
        assert_eq!(timeout.output().unwrap().status.code(), Some(130), "{args:?}");
    }
}

#[test]
fn what_is_no_bundle_is_refused() {
    let (gap, _) = small();
    std::fs::copy(crate::support::fixture("docker20.tar"), gap.path("archive.tar")).unwrap();
    for file in ["archive.tar", "out/index.json"] {
        let said = gap.fail("in", ["bundle", "apply", file], 1);
        assert!(said.contains("is no bundle"), "{said}");
        gap.fail("in", ["bundle", "inspect", file], 1);
    }
    gap.fail("in", ["bundle", "apply", "nowhere"], 1);
    gap.fail("in", ["bundle", "apply", "bundle", "-"], 1);
}

/// A host that demands signatures takes no bundle without one.
#[test]
fn a_host_that_demands_signatures_gets_one() {
    let (gap, _) = small();
    let config = gap.path("home/.config/larder");
    std::fs::create_dir_all(&config).unwrap();
    let key = "untrusted comment: minisign public key E7620F1842B4E81F\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
    std::fs::write(config.join("key.pub"), key).unwrap();
    let text = format!("trusted_keys = [{:?}]\nrequire_signature = true\n", config.join("key.pub"));
    std::fs::write(config.join("larder.toml"), text).unwrap();
    let said = gap.fail("in", ["bundle", "apply", "bundle"], 5);
    assert!(said.contains("sign"), "{said}");
    assert!(crate::support::store::blobs(&gap.store("in")).is_empty());
}
