//! One damaged image does not hide the others.

use super::two_images;
use crate::import::{CLANG, GCC};
use crate::support::Sandbox;
use crate::support::store::{blob_path, index_text, named};

/// Two images, one of which lost its manifest, and a third entry, another tool's, whose manifest never was there.
pub(super) fn damaged() -> (Sandbox, String) {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    std::fs::remove_file(blob_path(&sandbox.store(), &digest)).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    index["manifests"].as_array_mut().unwrap().push(serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "digest": format!("sha256:{}", "0".repeat(64)),
        "annotations": {"org.opencontainers.image.ref.name": "foreign:1"},
    }));
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    (sandbox, digest)
}

#[test]
fn lists_show_the_good_ones_and_end_with_5() {
    let (sandbox, digest) = damaged();
    for verb in ["df", "images"] {
        for format in ["table", "json"] {
            let output = sandbox.larder([verb, "--format", format]);
            let (data, said) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert_eq!(output.status.code(), Some(5), "{verb}: {said}");
            for name in [GCC, CLANG, "foreign:1"] {
                assert!(data.contains(name), "{verb} {format}: {name} is not in\n{data}");
            }
            let named = if verb == "df" { digest.as_str() } else { "000000000000" };
            assert!(said.contains(named) && said.contains("larder verify"), "{verb}: {said}");
        }
    }
}

#[test]
fn what_was_asked_for_is_all_that_counts() {
    let (sandbox, digest) = damaged();
    assert_eq!(sandbox.json(["inspect", CLANG])[0]["reference"], CLANG);
    assert!(sandbox.fail(["inspect", GCC], 5).contains(&digest));
    sandbox.ok(["export", CLANG, "-o", "clang.tar"]);
    sandbox.ok(["verify", CLANG]);
}
