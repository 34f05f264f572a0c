//! `bundle create`: the same images give the same bytes, and what it says before is what comes.

use super::Gap;
use crate::support::image::{Image, OCI_INDEX};
use crate::support::tarball::{layer, members_of};

fn two() -> Gap {
    let gap = Gap::new();
    gap.image("out", "ci-a:1", &[1, 2]);
    gap.image("out", "ci-b:1", &[1, 3]);
    gap
}

#[test]
fn the_same_images_give_the_same_bytes() {
    let gap = two();
    gap.at("out", ["bundle", "create", "ci-a:1", "ci-b:1", "-o", "one", "--jobs", "1"]);
    gap.at("out", ["bundle", "create", "ci-b:1", "ci-a:1", "ci-b:1", "-o", "two", "--jobs", "4"]);
    gap.at("out", ["bundle", "create", "--match", "ci-*", "-o", "three"]);
    let one = std::fs::read(gap.path("one")).unwrap();
    assert!(one == std::fs::read(gap.path("two")).unwrap(), "by another order");
    assert!(one == std::fs::read(gap.path("three")).unwrap(), "by a pattern");
    // The store that took it in gives the same again.
    gap.at("in", ["bundle", "apply", "one"]);
    gap.at("in", ["bundle", "create", "--all", "-o", "four"]);
    assert!(one == std::fs::read(gap.path("four")).unwrap(), "by another store");
    let output = gap.sandbox.larder(["--store", "out", "bundle", "create", "--all", "-o", "-"]);
    assert!(output.status.success() && one == output.stdout, "through a pipe");
}

#[test]
fn a_dry_run_says_every_byte_and_writes_none() {
    let gap = two();
    let planned = gap.json("out", ["bundle", "create", "--all", "--dry-run", "-o", "bundle"]);
    assert!(!gap.path("bundle").exists());
    let made = gap.json("out", ["bundle", "create", "--all", "-o", "bundle"]);
    let size = gap.path("bundle").metadata().unwrap().len();
    assert_eq!((planned["size"].as_u64(), made["size"].as_u64()), (Some(size), Some(size)));
    assert_eq!(planned["images"], made["images"]);
    assert_eq!(planned["bundle"], made["bundle"]);
    let inspected = gap.json("out", ["bundle", "inspect", "bundle"]);
    assert_eq!(inspected["images"], made["images"]);
    assert_eq!(inspected["bundle"], made["bundle"]);
    let images = made["images"].as_array().unwrap();
    let blobs = crate::support::store::blobs(&gap.store("out"));
    let carried: u64 = images.iter().map(|image| image["carried_bytes"].as_u64().unwrap()).sum();
    assert_eq!(carried, blobs.values().sum::<u64>(), "each blob is counted once");
    assert!(images[1]["shared_bytes"].as_u64().unwrap() > 100_000, "the layer that both have");
}

#[test]
fn a_damaged_blob_ends_the_bundle_before_it_is_one() {
    let gap = two();
    let layer =
        crate::support::store::blobs(&gap.store("out")).into_iter().max_by_key(|(_, size)| *size).unwrap().0;
    let path = gap.store("out").join("blobs/sha256").join(layer);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50_000] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let said = gap.fail("out", ["bundle", "create", "--all", "-o", "bundle"], 5);
    assert!(said.contains("digest mismatch"), "{said}");
    assert!(!gap.path("bundle").exists());
    // What is cut is read for its pieces before.
    gap.fail("out", ["bundle", "create", "--all", "-o", "bundle", "--split", "100kB"], 5);
    assert!(
        std::fs::read_dir(gap.path(""))
            .unwrap()
            .flatten()
            .all(|file| !file.file_name().to_string_lossy().contains("bundle"))
    );
}

#[test]
fn one_platform_and_what_refers_to_it() {
    let gap = Gap::new();
    let of = |word: &str| Image::for_platform(word, &[layer("arch", word.as_bytes())]);
    let (amd, arm) = (of("amd64"), of("arm64"));
    let signature = amd.referrer("application/vnd.test.signature", b"signed");
    let index = Image::index(&[("amd64", amd.clone()), ("arm64", arm.clone())]);
    let web = crate::support::web::Web::new();
    web.put("a/b:1", &index);
    let name = format!("{}/a/b:1", web.address);
    gap.at("out", ["pull", &name, "--all-platforms"]);
    gap.at("out", ["bundle", "create", &name, "-o", "both"]);
    gap.at("out", ["bundle", "create", &name, "--platform", "linux/arm64", "-o", "one"]);
    let has = |file: &str, image: &Image| {
        let path = format!("blobs/sha256/{}", image.digest().trim_start_matches("sha256:"));
        members_of(&gap.path(file)).contains_key(&path)
    };
    assert!(has("both", &amd) && has("both", &arm) && has("both", &index));
    assert!(!has("one", &amd) && has("one", &arm) && !has("one", &index));
    gap.at("in", ["bundle", "apply", "both"]);
    let inspected = gap.json("in", ["inspect", &name]);
    assert_eq!(inspected[0]["media_type"], OCI_INDEX);
    // A signature as a pull brings it: an entry without a name.
    let listed = signature.documents().next().unwrap();
    let mut archive = crate::support::tarball::Tarball::new();
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    for blob in amd.blobs().iter().chain(signature.blobs()).map(Vec::as_slice).chain([amd.root(), listed.1]) {
        archive.file(&format!("blobs/sha256/{}", crate::support::tarball::hex(blob)), blob);
    }
    let mut entry = crate::support::image::descriptor(listed.0, amd.root());
    entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "signed:1"});
    let entries = [entry, crate::support::image::descriptor(listed.0, listed.1)];
    let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
    archive.file("index.json", index.to_string().as_bytes());
    std::fs::write(gap.path("signed.tar"), archive.bytes()).unwrap();
    gap.at("out", ["import", "signed.tar"]);
    gap.at("out", ["bundle", "create", "signed:1", "-o", "without"]);
    gap.at("out", ["bundle", "create", "signed:1", "--referrers", "-o", "with"]);
    assert!(!has("without", &signature) && has("with", &signature));
    gap.at("in", ["bundle", "apply", "with"]);
    assert!(crate::support::store::blob_path(&gap.store("in"), &signature.digest()).exists());
    gap.at("in", ["gc", "--grace", "0s"]);
    assert!(
        crate::support::store::blob_path(&gap.store("in"), &signature.digest()).exists(),
        "it belongs to its subject"
    );
}

#[test]
fn a_device_that_takes_no_more_is_not_the_store() {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1]);
    for verb in
        [&["bundle", "create", "--all", "-o", "/dev/full"][..], &["export", "ci:1", "-o", "/dev/full"]]
    {
        let said = gap.fail("out", verb.iter().copied(), 1);
        assert!(said.contains("/dev/full") && said.contains("give -o another place"), "{said}");
        assert!(said.contains("No space left") && !said.contains("store"), "{said}");
    }
}
