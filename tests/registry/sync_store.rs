//! `larder sync` to another registry, by way of the store: what lies there already, who else is at it, and how much is open at a time.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::small;
use super::sync_pair::{Pair, size, sum};
use crate::push::taker::Does;
use crate::support::image::{Image, OCI_INDEX, OCI_MANIFEST, descriptor, digest, layer, noise};
use crate::support::store::{assert_sound, blob_path};
use crate::support::wait_for;
use crate::support::web::{self, answer};

/// The layer that only this image has.
fn own(seed: u64) -> String {
    digest(small(seed).blobs().last().unwrap())
}

/// Changes a byte of a stored blob, and nothing of its size.
fn damage(pair: &Pair, digest: &str) {
    let path = blob_path(&pair.sandbox.store(), digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn what_lies_damaged_in_the_store_is_fetched_anew() {
    // Left by a sync that broke, or of an image that has a name.
    for is_named in [false, true] {
        let pair = Pair::of(&["1"]);
        if is_named {
            pair.sandbox.ok(["pull", &format!("{}/a/b:1", pair.web.address)]);
        } else {
            pair.taker.rule(|asked| match asked.kind().as_str() {
                "PUT upload" => Does::Answer(answer("403 Forbidden", &[], b"")),
                _ => Does::Pass,
            });
            pair.sandbox.fail(["sync", "sync.yml", "--jobs", "1"], 1);
            pair.taker.rule(|_| Does::Pass);
        }
        // It sends the largest first.
        damage(&pair, &own(0));
        pair.forget();
        assert_eq!(pair.states(&[]), ["1 new"]);
        assert!(pair.fetched().contains(&own(0)));
        assert_eq!(pair.taker.manifest("m/b", "1").as_deref(), Some(small(0).root()));
        if is_named {
            assert_sound(&pair.sandbox.store());
        }
    }
}

#[test]
fn syncs_at_the_same_time_fetch_a_blob_once_between_them() {
    let pair = Pair::of(&["1"]);
    let text = format!(
        "- {{registry: '{}', repository: a/b, tags: [1], to: '{}/m/c'}}\n",
        pair.web.address, pair.taker.address
    );
    std::fs::write(pair.sandbox.path("other.yml"), text).unwrap();
    let (go_on, wanted) = (Arc::new(AtomicBool::new(false)), own(0));
    let is_time = Arc::clone(&go_on);
    pair.web.rule(move |asked| match asked.is_blob() && asked.path.ends_with(&wanted) {
        true => web::Does::Until(Arc::clone(&is_time), Box::new(web::Does::Pass)),
        false => web::Does::Pass,
    });
    let mut first = pair.sandbox.command(["sync", "sync.yml"]).spawn().unwrap();
    let mut fetched = Vec::new();
    wait_for(|| {
        fetched.extend(pair.fetched());
        fetched.contains(&own(0)).then_some(())
    });
    let mut second = pair.sandbox.command(["sync", "other.yml"]).spawn().unwrap();
    // It has all but this one, and has asked for this one before it is sent.
    let path = format!("/v2/m/c/blobs/{}", own(0));
    let mut asked = 0;
    wait_for(|| {
        asked +=
            pair.taker.take().iter().filter(|asked| asked.method == "HEAD" && asked.path == path).count();
        (asked >= 2 && pair.taker.blobs("m/c").len() == 2).then_some(())
    });
    go_on.store(true, Ordering::SeqCst);
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    fetched.extend(pair.fetched());
    assert_eq!(fetched.iter().filter(|digest| **digest == own(0)).count(), 1, "{fetched:?}");
    for repository in ["m/b", "m/c"] {
        assert_eq!(pair.taker.manifest(repository, "1").as_deref(), Some(small(0).root()));
    }
}

/// The same image, with another size for its last layer.
fn lying(image: &Image) -> Image {
    let mut manifest = image.manifest();
    let last = manifest["layers"].as_array_mut().unwrap().last_mut().unwrap();
    last["size"] = json!(last["size"].as_u64().unwrap() + 7);
    Image::with_manifest(&manifest, image.blobs().to_vec())
}

#[test]
fn a_layer_of_another_size_than_its_manifest_says_goes_nowhere() {
    let pair = Pair::of(&["1"]);
    pair.states(&[]);
    let refused = |words: &str, host: &str| {
        pair.forget();
        let said = pair.sandbox.fail(["sync", "sync.yml"], 5);
        assert!(said.contains(words) && said.contains(host), "{said}");
        let asked = pair.taker.take();
        assert!(asked.iter().all(|asked| asked.method == "HEAD"), "{asked:?}");
        assert!(pair.fetched().is_empty());
    };
    // The destination has it, and sees nothing wrong with it.
    let lie = lying(&small(0));
    pair.web.put("a/b:2", &lie);
    pair.wants(&format!("  tags: [2]\n  to: {}/m/b\n", pair.taker.address));
    let size = small(0).blobs().last().unwrap().len();
    refused(&format!("has {size} bytes of it where {} were announced", size + 7), &pair.taker.address);
    // An index whose images contradict each other.
    let both = Image::index(&[("amd64", small(3)), ("arm64", lying(&small(3)))]);
    pair.web.put("a/b:3", &both);
    pair.wants(&format!("  tags: [3]\n  to: {}/m/b\n", pair.taker.address));
    refused("bytes and with", &pair.web.address);
    // Within one registry nothing of it would be read here.
    pair.taker.put_manifest("m/b", "lie", OCI_MANIFEST, lie.root());
    pair.taker.put_manifest("m/b", &lie.digest(), OCI_MANIFEST, lie.root());
    let text =
        format!("- {{registry: '{0}', repository: m/b, tags: [lie], to: '{0}/other'}}\n", pair.taker.address);
    std::fs::write(pair.sandbox.path("sync.yml"), text).unwrap();
    pair.forget();
    let said = pair.sandbox.fail(["sync", "sync.yml"], 5);
    assert!(said.contains("bytes of it where"), "{said}");
    assert!(pair.taker.manifest("other", "lie").is_none() && pair.taker.blobs("other").is_empty());
}

#[test]
fn sums_are_exact_where_an_image_of_an_index_has_a_tag_of_its_own() {
    let child =
        |name: &str| Image::for_platform(name, &[layer(name, name.as_bytes()), layer("n", &noise(1, 500))]);
    let index = Image::index(&[("amd64", child("amd64")), ("arm64", child("arm64"))]);
    // By name, so that the image comes first, and the other way round.
    for (one, all) in [("a", "b"), ("b", "a")] {
        let pair = Pair::of(&[]);
        pair.web.put(&format!("a/b:{one}"), &child("amd64"));
        pair.web.put(&format!("a/b:{all}"), &index);
        pair.wants(&format!("  tags: [{one}, {all}]\n  to: {}/m/b\n", pair.taker.address));
        let planned = pair.rows(&["--dry-run"]);
        pair.forget();
        assert_eq!(pair.rows(&[]), planned);
        assert_eq!(
            (pair.web.sent(), pair.taken()),
            (sum(&planned, "bytes"), sum(&planned, "send_bytes")),
            "{one}"
        );
        assert_eq!(pair.taker.manifest("m/b", all).as_deref(), Some(index.root()));
    }
}

#[test]
fn sums_are_exact_where_a_signature_is_mounted_from_another_place_than_its_image() {
    let pair = Pair::of(&["1"]);
    let signature = small(0).referrer("application/vnd.example.signature", b"signed");
    pair.web.put("a/b:signature", &signature);
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI_MANIFEST, signature.root())]});
    let path = format!("/v2/a/b/referrers/{}", small(0).digest());
    pair.web.put_document(&path, OCI_INDEX, list.to_string().as_bytes());
    // What the signature is made of is in a repository of its own there.
    pair.web.put("c/d:1", &signature);
    let entry = |from: &str, to: &str| {
        format!(
            "- {{registry: '{}', repository: {from}, tags: [1], to: '{}/{to}'}}\n",
            pair.web.address, pair.taker.address
        )
    };
    std::fs::write(pair.sandbox.path("sync.yml"), entry("a/b", "m/b") + &entry("c/d", "m/d")).unwrap();
    pair.rows(&[]);
    std::fs::write(pair.sandbox.path("sync.yml"), entry("a/b", "third")).unwrap();
    let planned = pair.rows(&["--referrers", "--dry-run"]);
    let documents = small(0).root().len() + signature.root().len();
    assert_eq!(sum(&planned, "send_bytes"), documents as u64, "all else is mounted");
    pair.forget();
    assert_eq!(pair.rows(&["--referrers"]), planned);
    let asked = pair.taker.take();
    assert!(!asked.iter().any(|asked| asked.kind() == "PUT upload") && pair.fetched().is_empty());
    assert_eq!(pair.taker.manifest("third", &signature.digest()).as_deref(), Some(signature.root()));
    assert!(size(&small(0)) > documents as u64);
}

#[test]
fn a_list_of_many_entries_needs_few_open_files() {
    let pair = Pair::of(&["1"]);
    let mut text = String::new();
    for number in 0..50 {
        // Some of them into the store.
        let (from, to) = match number % 5 {
            0 => {
                pair.web.put(&format!("own/{number}:1"), &small(0));
                (format!("own/{number}"), String::new())
            }
            _ => ("a/b".to_owned(), format!(", to: '{}/m/{number}'", pair.taker.address)),
        };
        text += &format!("- {{registry: '{}', repository: {from}, tags: [1]{to}}}\n", pair.web.address);
    }
    std::fs::write(pair.sandbox.path("sync.yml"), text).unwrap();
    let larder = pair.sandbox.command([""; 0]).get_program().to_owned();
    for words in [&["--dry-run"][..], &[], &["--delete"]] {
        let mut command = pair.sandbox.enclose(Command::new("sh"));
        command
            .args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""])
            .arg(&larder)
            .args(["sync", "sync.yml"])
            .args(words);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stdout).unwrap().lines().count()),
            (Some(0), 50),
            "{said}"
        );
    }
}
