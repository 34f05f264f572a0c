//! `larder sync` to another registry: what is said of it is what is done, and nothing goes or comes that need not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::small;
use super::sync_pair::{Pair, size, state, sum};
use crate::push::taker::Does;
use crate::support::Sandbox;
use crate::support::image::{Image, OCI_INDEX, OCI_MANIFEST, descriptor, digest, layer, noise};
use crate::support::store::{assert_nothing_pending, assert_sound, blob_path, blobs, names};
use crate::support::web::{self, answer};

#[test]
fn a_plan_is_exact_on_both_sides_and_what_is_there_costs_each_one_request() {
    let pair = Pair::of(&["1.0", "1.1"]);
    let planned = pair.rows(&["--dry-run"]);
    assert!(pair.fetched().is_empty());
    assert_eq!(pair.taken(), 0);
    pair.forget();
    assert_eq!(pair.rows(&[]), planned);
    assert_eq!(pair.web.sent(), sum(&planned, "bytes"));
    assert_eq!(pair.taken(), sum(&planned, "send_bytes"));
    let common = layer("base", b"common to all").len() as u64;
    let all = [0, 1].map(|seed| size(&small(seed)));
    assert_eq!(
        planned[0],
        json!({
            "reference": format!("{}/a/b:1.0", pair.web.address), "digest": small(0).digest(), "state": "new",
            "bytes": all[0], "send_bytes": all[0], "to": format!("{}/m/b:1.0", pair.taker.address),
        })
    );
    assert_eq!(planned[1]["send_bytes"], all[1] - common);
    for (seed, tag) in ["1.0", "1.1"].iter().enumerate() {
        assert_eq!(pair.taker.manifest("m/b", tag).as_deref(), Some(small(seed as u64).root()));
    }
    // The store has no name of it, and lets it go.
    let store = pair.sandbox.store();
    assert!(names(&store).is_empty());
    assert_nothing_pending(&store);
    pair.sandbox.ok(["gc"]);
    assert!(blobs(&store).is_empty(), "{:?}", blobs(&store));
    pair.forget();
    assert_eq!(pair.states(&[]), ["1.0 there", "1.1 there"]);
    assert_eq!(pair.web.take(), ["HEAD /v2/a/b/manifests/1.0", "HEAD /v2/a/b/manifests/1.1"]);
    assert_eq!(pair.taker.kinds(), ["HEAD manifest", "HEAD manifest"]);
}

#[test]
fn a_tag_that_moved_moves_and_brings_only_what_is_new() {
    let pair = Pair::of(&["1"]);
    let printed = pair.sandbox.ok(["sync", "sync.yml"]);
    let (digest, size) = (small(0).digest(), size(&small(0)));
    let expected =
        format!("{0}/a/b:1 {digest} new {size} {size} {1}/m/b:1\n", pair.web.address, pair.taker.address);
    assert_eq!(printed, expected);
    pair.web.put("a/b:1", &small(7));
    pair.forget();
    assert_eq!(pair.states(&[]), ["1 moved"]);
    assert!(
        !pair.fetched().contains(&crate::support::image::digest(&small(7).blobs()[1])),
        "a layer that is there"
    );
    assert_eq!(pair.taker.manifest("m/b", "1").as_deref(), Some(small(7).root()));
    // Another tag of it is one more name for what is there.
    pair.web.put("a/b:2", &small(7));
    pair.wants(&format!("  tags: [2]\n  to: {}/m/b\n", pair.taker.address));
    pair.forget();
    let rows = pair.rows(&[]);
    let root = small(7).root().len() as u64;
    assert_eq!((sum(&rows, "bytes"), sum(&rows, "send_bytes")), (root, root));
    assert_eq!((pair.web.sent(), pair.taken()), (root, root));
}

#[test]
fn what_the_destination_has_from_elsewhere_is_not_fetched() {
    let pair = Pair::of(&["1"]);
    // A sibling is in the same repository, by another way.
    let other = Sandbox::in_memory();
    let sibling = pair.web.put("a/b:sibling", &small(9));
    other.ok(["pull", &sibling]);
    other.ok(["push", &sibling, &format!("{}/m/b:sibling", pair.taker.address)]);
    pair.forget();
    let planned = pair.rows(&["--dry-run"]);
    pair.forget();
    assert_eq!(pair.rows(&[]), planned);
    let base = layer("base", b"common to all");
    assert_eq!(sum(&planned, "bytes"), size(&small(0)) - base.len() as u64);
    assert_eq!((pair.web.sent(), pair.taken()), (sum(&planned, "bytes"), sum(&planned, "send_bytes")));
    assert!(!pair.fetched().contains(&digest(&base)));
    // Another repository of it takes all from the first one.
    pair.wants(&format!("  tags: [1]\n  to: {}/other\n", pair.taker.address));
    let planned = pair.rows(&["--dry-run"]);
    let root = small(0).root().len() as u64;
    assert_eq!((sum(&planned, "bytes"), sum(&planned, "send_bytes")), (root, root));
    pair.forget();
    assert_eq!(pair.rows(&[]), planned);
    assert_eq!((pair.web.sent(), pair.taken()), (root, root));
    assert_eq!(pair.taker.blobs("other").len(), small(0).blobs().len());
}

#[test]
fn what_the_store_has_is_not_fetched_and_stays() {
    let pair = Pair::of(&["1"]);
    let reference = format!("{}/a/b:1", pair.web.address);
    pair.sandbox.ok(["pull", &reference]);
    pair.forget();
    let rows = pair.rows(&[]);
    assert_eq!((sum(&rows, "bytes"), sum(&rows, "send_bytes")), (0, size(&small(0))));
    assert_eq!((pair.web.sent(), pair.taken()), (0, size(&small(0))));
    pair.sandbox.ok(["gc", "--grace", "0s"]);
    assert_eq!(names(&pair.sandbox.store()), [reference].into());
    assert_sound(&pair.sandbox.store());
}

#[test]
fn repositories_of_several_entries_go_below_a_place() {
    let pair = Pair::of(&["1"]);
    pair.web.put("c/d:1", &small(0));
    let text = format!(
        "- {{registry: '{0}', repository: a/b, tags: [1]}}\n- {{registry: '{0}', repository: c/d, tags: [1]}}\n\
         - {{registry: '{0}', repository: a/b, tags: [1], to: '{1}/own'}}\n",
        pair.web.address, pair.taker.address
    );
    std::fs::write(pair.sandbox.path("sync.yml"), text).unwrap();
    let to = format!("{}/mirror", pair.taker.address);
    let planned = pair.rows(&["--dry-run", "--to", &to]);
    pair.forget();
    assert_eq!(pair.rows(&["--to", &to]), planned);
    // What the first one brought the others mount.
    assert_eq!((pair.web.sent(), pair.taken()), (sum(&planned, "bytes"), sum(&planned, "send_bytes")));
    for repository in ["mirror/a/b", "mirror/c/d", "own"] {
        assert_eq!(pair.taker.manifest(repository, "1").as_deref(), Some(small(0).root()), "{repository}");
    }
    let said = pair.sandbox.fail(["sync", "sync.yml", "--to", "mirror"], 2);
    assert!(said.contains("HOST[:PORT][/PREFIX]"), "{said}");
}

fn index() -> Image {
    let of = |architecture: &str| {
        let name = architecture.as_bytes();
        (Image::for_platform(architecture, &[layer(architecture, name), layer("n", &noise(1, 500))]), ())
    };
    Image::index(&[("amd64", of("amd64").0), ("arm64", of("arm64").0), ("s390x", of("s390x").0)])
}

#[test]
fn an_index_goes_as_a_whole_and_keeps_its_digest() {
    let pair = Pair::of(&["1"]);
    pair.web.put("a/b:1", &index());
    let to = format!("  to: {}/m/b\n", pair.taker.address);
    // Part of an index is none that a registry takes.
    pair.wants(&format!("  tags: [1]\n  platforms: [linux/arm64, linux/amd64]\n{to}"));
    pair.forget();
    let said = pair.sandbox.fail(["sync", "sync.yml"], 1);
    assert!(
        said.contains("not wanted and not there: linux/s390x") && said.contains("without `platforms`"),
        "{said}"
    );
    assert!(pair.fetched().is_empty() && pair.taken() == 0);
    // One image of it is.
    pair.wants(&format!("  tags: [1]\n  platforms: [linux/arm64]\n{to}"));
    let rows = pair.rows(&[]);
    let child = index().manifest()["manifests"][1]["digest"].as_str().unwrap().to_owned();
    assert_eq!(rows[0]["digest"], child);
    assert_eq!(digest(&pair.taker.manifest("m/b", "1").unwrap()), child);
    assert_eq!(pair.states(&[]), ["1 there"]);
    // Then all of it, without what is there.
    pair.wants(&format!("  tags: [1]\n{to}"));
    let planned = pair.rows(&["--dry-run"]);
    pair.forget();
    assert_eq!(pair.rows(&[]), planned);
    assert_eq!(planned[0]["state"], "moved");
    assert_eq!((pair.web.sent(), pair.taken()), (sum(&planned, "bytes"), sum(&planned, "send_bytes")));
    assert_eq!(pair.taker.manifest("m/b", "1").as_deref(), Some(index().root()));
    // And what is there need not be wanted.
    pair.web.put("a/b:2", &index());
    pair.wants(&format!("  tags: [2]\n  platforms: [linux/arm64, linux/amd64]\n{to}"));
    assert_eq!(pair.states(&[]), ["2 new"]);
    assert_eq!(pair.taker.manifest("m/b", "2").as_deref(), Some(index().root()));
    // A lone image that is for another one is none.
    pair.web.put("a/b:3", &small(1));
    pair.wants(&format!("  tags: [3]\n  platforms: [linux/arm64]\n{to}"));
    let said = pair.sandbox.fail(["sync", "sync.yml"], 1);
    assert!(said.contains("is for linux/amd64"), "{said}");
}

#[test]
fn referrers_go_along_where_they_are_asked_for_and_once() {
    let pair = Pair::of(&["1"]);
    let signature = small(0).referrer("application/vnd.example.signature", b"signed");
    pair.web.put("a/b:signature", &signature);
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI_MANIFEST, signature.root())]});
    pair.web.put_document(
        &format!("/v2/a/b/referrers/{}", small(0).digest()),
        OCI_INDEX,
        list.to_string().as_bytes(),
    );
    assert_eq!(pair.states(&[]), ["1 new"]);
    assert!(pair.taker.manifest("m/b", &signature.digest()).is_none(), "nobody asked for it");
    // The image is there, and what refers to it is not.
    let planned = pair.rows(&["--referrers", "--dry-run"]);
    assert_eq!(
        (state(&planned[0]), &planned[0]["send_bytes"]),
        ("1 new".to_owned(), &json!(size(&signature)))
    );
    pair.forget();
    assert_eq!(pair.rows(&["--referrers"]), planned);
    assert_eq!(pair.taker.manifest("m/b", &signature.digest()).as_deref(), Some(signature.root()));
    let tag = small(0).digest().replace(':', "-");
    let listed = String::from_utf8(pair.taker.manifest("m/b", &tag).unwrap()).unwrap();
    assert!(listed.contains(&signature.digest()), "{listed}");
    assert_eq!(pair.states(&["--referrers"]), ["1 there"]);
    assert!(!blob_path(&pair.sandbox.store(), &small(0).digest()).exists(), "no document stays");
}

#[test]
fn what_is_asked_before_the_source_is_not_the_destination() {
    let pair = Pair::of(&["1"]);
    pair.states(&[]);
    pair.web.put("a/b:1", &small(5));
    // Else it would say itself what the source has.
    let settings = format!("[mirrors]\n\"{}\" = [\"{}/m\"]\n", pair.web.address, pair.taker.address);
    let file = pair.sandbox.path("home/.config/larder/larder.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, settings).unwrap();
    pair.wants(&format!("  tags: [1]\n  to: {}/m/a/b\n", pair.taker.address));
    pair.states(&[]);
    pair.web.put("a/b:1", &small(6));
    assert_eq!(pair.states(&[]), ["1 moved"]);
}

#[test]
fn offline_lets_no_request_leave() {
    let pair = Pair::of(&["1"]);
    let file = pair.sandbox.path("home/.config/larder/larder.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "offline = true\n").unwrap();
    let said = pair.sandbox.fail(["sync", "sync.yml"], 1);
    assert!(said.contains("offline") && said.contains(file.to_str().unwrap()), "{said}");
    assert!(pair.web.take().is_empty() && pair.taker.take().is_empty());
}

#[test]
fn a_registry_that_takes_nothing_away_says_so() {
    let pair = Pair::of(&["1"]);
    pair.states(&[]);
    pair.taker.put_manifest("m/b", "old", OCI_MANIFEST, small(3).root());
    let gone = Arc::new(AtomicBool::new(false));
    let list = |tags: &'static [&str], delete: &'static str| {
        let gone = Arc::clone(&gone);
        pair.taker.rule(move |asked| match (asked.method.as_str(), asked.path.contains("/tags/list")) {
            (_, true) => Does::Answer(answer(
                "200 OK",
                &[],
                json!({"name": "m/b", "tags": tags}).to_string().as_bytes(),
            )),
            ("DELETE", _) => {
                gone.store(delete.starts_with("202"), Ordering::Relaxed);
                Does::Answer(answer(delete, &[], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#))
            }
            ("HEAD", _) if asked.path.ends_with("/manifests/old") && gone.load(Ordering::Relaxed) => {
                Does::Answer(answer("404 Not Found", &[], b""))
            }
            _ => Does::Pass,
        });
    };
    list(&["1", "old"], "405 Method Not Allowed");
    assert_eq!(pair.states(&["--delete", "--dry-run"]), ["1 there", "old gone"]);
    let said = pair.sandbox.fail(["sync", "sync.yml", "--delete"], 7);
    assert!(said.contains("405") && said.contains("storage.delete.enabled"), "{said}");
    // One that knows tags is asked for them alone.
    list(&["1", "old"], "202 Accepted");
    pair.forget();
    assert_eq!(pair.states(&["--delete"]), ["1 there", "old gone"]);
    let asked = pair.taker.take();
    let gone: Vec<_> =
        asked.iter().filter(|asked| asked.method == "DELETE").map(|asked| asked.path.as_str()).collect();
    assert_eq!(gone, ["/v2/m/b/manifests/old"]);
}

#[test]
fn a_list_that_cannot_be_whole_takes_nothing_away() {
    let pair = Pair::of(&["latest", "1.0"]);
    pair.wants(&format!("  tags: [latest, '1.*']\n  to: {}/m/b\n", pair.taker.address));
    let list = |tags: &'static str, links: &'static [&'static str]| {
        let links: Vec<_> = links.iter().map(|link| ("Link", *link)).collect();
        let answered = answer("200 OK", &links, format!(r#"{{"name":"a/b","tags":{tags}}}"#).as_bytes());
        pair.web.rule(move |asked| match asked.path.contains("/tags/list") {
            true => web::Does::Answer(answered.clone()),
            false => web::Does::Pass,
        });
    };
    list(r#"["1.0","latest"]"#, &[]);
    assert_eq!(pair.states(&[]), ["latest new", "1.0 new"]);
    pair.taker.rule(|asked| match asked.path.contains("/tags/list") {
        true => Does::Answer(answer("200 OK", &[], br#"{"name":"m/b","tags":["1.0","latest"]}"#)),
        false => Does::Pass,
    });
    pair.forget();
    // The name that is there is not in the list; patterns mean nothing at all of it.
    for tags in ["null", r#"["1.0"]"#, r#"["latest"]"#] {
        list(tags, &[]);
        assert!(!pair.states(&["--delete"]).iter().any(|state| state.ends_with("gone")), "{tags}");
    }
    // It goes on, wherever.
    for links in [&["<?last=1.0&n=1000>; rel=\"next\""][..], &["</x>; rel=\"first\"", "<?n=1>; rel=next"]] {
        list(r#"["latest"]"#, links);
        let said = pair.sandbox.fail(["sync", "sync.yml", "--delete"], 1);
        assert!(said.contains("its list of tags goes on where that cannot be read"), "{said}");
    }
    assert!(pair.taker.take().iter().all(|asked| asked.method != "DELETE"));
    list(r#"["latest","1.1"]"#, &[]);
    pair.web.put("a/b:1.1", &small(7));
    let states = pair.states(&["--delete", "--dry-run"]);
    assert_eq!(states, ["latest there", "1.1 new", "1.0 gone"], "one that is whole is believed");
}
