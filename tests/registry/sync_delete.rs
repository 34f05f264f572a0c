//! `larder sync --delete` in another registry: what goes, and what stays whatever the registry says.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::small;
use super::sync_pair::{Pair, state};
use crate::push::taker::{Asked, Does};
use crate::support::image::OCI_MANIFEST;
use crate::support::web::answer;

/// A mirror of tag 1, with tags of others beside it, each an image of its own.
fn with(others: &[&str]) -> Pair {
    let pair = Pair::of(&["1"]);
    assert_eq!(pair.states(&[]), ["1 new"]);
    for (seed, tag) in others.iter().enumerate() {
        put(&pair, tag, 10 + seed as u64);
    }
    pair.forget();
    pair
}

/// Puts an image there, as somebody else would.
fn put(pair: &Pair, tag: &str, seed: u64) {
    for which in [tag, &small(seed).digest()] {
        pair.taker.put_manifest("m/b", which, OCI_MANIFEST, small(seed).root());
    }
}

fn has(pair: &Pair, tag: &str) -> bool {
    pair.taker.manifest("m/b", tag).is_some()
}

/// Which tags went, and what was said, with this exit code.
fn deletes(pair: &Pair, code: i32) -> (Vec<String>, String) {
    let output = pair.sandbox.command(["sync", "sync.yml", "--delete", "--format", "json"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let gone = rows.iter().map(state).filter_map(|state| Some(state.strip_suffix(" gone")?.to_owned()));
    (gone.collect(), said)
}

fn deleted(asked: &Asked, what: &str) -> bool {
    asked.method == "DELETE" && asked.path.ends_with(&format!("/manifests/{what}"))
}

#[test]
fn tags_that_a_registry_keeps_are_told_and_the_others_go() {
    // As one does that protects tags (Harbor says 412), and as one does that takes manifests away alone.
    for by_digest in [false, true] {
        let pair = with(&["a", "kept", "locked", "z"]);
        let digests = [11, 12].map(|seed| small(seed).digest());
        pair.taker.rule(move |asked| {
            let is = |tag: &str, at: usize| deleted(asked, tag) || deleted(asked, &digests[at]);
            match asked.method == "DELETE" {
                true if by_digest && !asked.path.contains("sha256:") => {
                    Does::Answer(answer("405 Method Not Allowed", &[], b""))
                }
                true if is("kept", 0) => Does::Answer(answer("403 Forbidden", &[], b"")),
                true if is("locked", 1) => Does::Answer(answer("412 Precondition Failed", &[], b"")),
                _ => Does::Pass,
            }
        });
        let (mut gone, said) = deletes(&pair, 7);
        gone.sort();
        assert_eq!(gone, ["a", "z"], "{said}");
        assert!(said.contains("m/b:kept stays: ") && said.contains("403"), "{said}");
        assert!(said.contains("m/b:locked stays: ") && said.contains("412"), "{said}");
        assert!(said.contains("2 things of the list"), "{said}");
        assert_eq!(
            ["1", "a", "kept", "locked", "z"].map(|tag| has(&pair, tag)),
            [true, false, true, true, false]
        );
    }
}

#[test]
fn a_tag_of_which_nothing_is_said_stays_and_the_others_go() {
    let pair = with(&["a", "withheld", "z"]);
    // Of an older schema; and withheld by a rule of the registry's (Harbor: images with known holes).
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    pair.taker.put_manifest("m/b", "ancient", old, b"{}");
    pair.taker.rule(|asked| match asked.method == "HEAD" && asked.path.ends_with("/manifests/withheld") {
        true => Does::Answer(answer("412 Precondition Failed", &[], b"")),
        false => Does::Pass,
    });
    let (gone, said) = deletes(&pair, 7);
    assert_eq!(gone.iter().collect::<std::collections::BTreeSet<_>>().len(), 2, "{gone:?} {said}");
    assert!(said.contains("m/b:ancient stays: ") && said.contains("m/b:withheld stays: "), "{said}");
    assert!(said.contains("2 things of the list"), "{said}");
    assert_eq!(
        ["1", "a", "withheld", "ancient", "z"].map(|tag| has(&pair, tag)),
        [true, false, true, true, false]
    );
}

#[test]
fn a_registry_that_fails_is_not_asked_for_every_tag() {
    let pair = with(&["a", "b", "c", "d", "e"]);
    pair.taker.rule(|asked| match asked.method.as_str() {
        "DELETE" => Does::Answer(answer("503 Service Unavailable", &[("Retry-After", "0")], b"")),
        _ => Does::Pass,
    });
    let (gone, said) = deletes(&pair, 7);
    assert!(gone.is_empty() && said.contains("503"), "{gone:?} {said}");
    let asked: std::collections::BTreeSet<_> = pair
        .taker
        .take()
        .into_iter()
        .filter(|asked| asked.method == "DELETE")
        .map(|asked| asked.path)
        .collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[test]
fn a_tag_that_moved_since_the_plan_stays() {
    let pair = with(&["old", "moving"]);
    let (looked, taker) = (AtomicUsize::new(0), pair.taker.again());
    pair.taker.rule(move |asked| {
        // The first list is the plan's; somebody is there before the second one.
        if asked.path.contains("/tags/list") && looked.fetch_add(1, Ordering::SeqCst) == 1 {
            for which in ["moving", &small(5).digest()] {
                taker.put_manifest("m/b", which, OCI_MANIFEST, small(5).root());
            }
            taker.put_manifest("m/b", "late", OCI_MANIFEST, small(5).root());
        }
        Does::Pass
    });
    let (gone, said) = deletes(&pair, 0);
    assert_eq!(gone, ["old"], "{said}");
    assert_eq!(pair.taker.manifest("m/b", "moving").as_deref(), Some(small(5).root()));
    assert!(has(&pair, "late") && !has(&pair, "old"));
}

#[test]
fn a_manifest_that_got_another_tag_since_the_plan_stays() {
    let pair = with(&["old", "other"]);
    let (looked, taker) = (AtomicUsize::new(0), pair.taker.again());
    pair.taker.rule(move |asked| {
        if asked.path.contains("/tags/list") && looked.fetch_add(1, Ordering::SeqCst) == 1 {
            taker.put_manifest("m/b", "late", OCI_MANIFEST, small(10).root());
        }
        match asked.method == "DELETE" && !asked.path.contains("sha256:") {
            true => Does::Answer(answer("405 Method Not Allowed", &[], b"")),
            false => Does::Pass,
        }
    });
    let (gone, said) = deletes(&pair, 0);
    assert_eq!(gone, ["other"], "{said}");
    assert!(said.contains("m/b:old is not wanted any more, and stays"), "{said}");
    assert!(has(&pair, "late") && has(&pair, &small(10).digest()));
}

#[test]
fn where_what_is_wanted_is_not_there_nothing_goes() {
    // The tag is gone when something is to go; or the tag says that it is there, and its manifest is not.
    for path in ["/manifests/1", &format!("/manifests/{}", small(0).digest())] {
        let (pair, path, looked) = (with(&["old"]), path.to_owned(), AtomicUsize::new(0));
        pair.taker.rule(move |asked| {
            if asked.path.contains("/tags/list") {
                looked.fetch_add(1, Ordering::SeqCst);
            }
            match asked.path.ends_with(&path) && looked.load(Ordering::SeqCst) > 1 {
                true => Does::Answer(answer("404 Not Found", &[], b"")),
                false => Does::Pass,
            }
        });
        let (gone, said) = deletes(&pair, 7);
        assert!(gone.is_empty() && has(&pair, "old"), "{gone:?} {said}");
        assert!(
            said.contains("is wanted, and not there") && said.contains("nothing is taken away"),
            "{said}"
        );
        assert!(!pair.taker.take().iter().any(|asked| asked.method == "DELETE"));
    }
}

#[test]
fn what_refers_to_what_stays_is_kept() {
    let pair = with(&["old"]);
    let signature = small(0).referrer("application/vnd.example.signature", b"signed");
    for which in ["signature", &signature.digest()] {
        pair.taker.put_manifest("m/b", which, OCI_MANIFEST, signature.root());
    }
    let list = serde_json::json!({"schemaVersion": 2, "mediaType": crate::support::image::OCI_INDEX,
        "manifests": [crate::support::image::descriptor(OCI_MANIFEST, signature.root())]});
    let subject = format!("/referrers/{}", small(0).digest());
    // It takes manifests away alone, and keeps lists of referrers.
    pair.taker.rule(move |asked| match asked.method.as_str() {
        "DELETE" if !asked.path.contains("sha256:") => {
            Does::Answer(answer("405 Method Not Allowed", &[], b""))
        }
        "GET" if asked.path.ends_with(&subject) => {
            let headers = [("Content-Type", crate::support::image::OCI_INDEX)];
            Does::Answer(answer("200 OK", &headers, list.to_string().as_bytes()))
        }
        _ => Does::Pass,
    });
    let (gone, said) = deletes(&pair, 0);
    assert_eq!(gone, ["old"], "{said}");
    assert!(said.contains("m/b:signature is not wanted any more, and stays"), "{said}");
    assert!(has(&pair, &signature.digest()));
}

#[test]
fn what_is_said_to_be_gone_and_is_not_is_not_told_to_be_gone() {
    // It knows no tags, and says it in another way: that there is none, or that it is done. By digest it is asked then.
    for status in ["404 Not Found", "202 Accepted"] {
        let pair = with(&["old"]);
        pair.taker.rule(move |asked| match asked.method == "DELETE" && !asked.path.contains("sha256:") {
            true => Does::Answer(answer(status, &[], b"")),
            false => Does::Pass,
        });
        let (gone, said) = deletes(&pair, 0);
        assert_eq!(gone, ["old"], "{said}");
        assert!(!has(&pair, "old") && has(&pair, "1"));
    }
    // And one that knows neither.
    let pair = with(&["old"]);
    pair.taker.rule(|asked| match asked.method.as_str() {
        "DELETE" => Does::Answer(answer("404 Not Found", &[], b"")),
        _ => Does::Pass,
    });
    let (gone, said) = deletes(&pair, 7);
    assert!(gone.is_empty() && has(&pair, "old"), "{gone:?}");
    assert!(said.contains("m/b:old stays: ") && said.contains("still what the tag means"), "{said}");
}

#[test]
fn what_another_entry_wants_from_there_does_not_go() {
    let pair = with(&["old", "other"]);
    let (web, taker) = (&pair.web.address, &pair.taker.address);
    let chain = |tags: &str, to: &str| {
        let text = format!(
            "- {{registry: '{web}', repository: a/b, tags: [1], to: '{taker}/m/b'}}\n\
             - {{registry: '{}', repository: m/b, tags: {tags}{to}}}\n",
            taker.replace("127.0.0.1", "localhost")
        );
        std::fs::write(pair.sandbox.path("sync.yml"), text).unwrap();
    };
    // On to a third repository, or into the store; in a dry run too.
    for (to, dry) in [(format!(", to: '{taker}/third'"), "--dry-run"), (String::new(), "--referrers")] {
        chain("['*']", &to);
        pair.forget();
        let said = pair.sandbox.fail(["sync", "sync.yml", "--delete", dry], 2);
        assert!(
            said.contains(&format!("entry 1 ({web}/a/b) takes {taker}/m/b:old away, which entry 2 (")),
            "{said}"
        );
        assert!(said.contains("/m/b) wants from there"), "{said}");
        let asked = pair.taker.take();
        assert!(asked.iter().all(|asked| matches!(asked.method.as_str(), "GET" | "HEAD")), "{asked:?}");
        assert!(crate::support::store::names(&pair.sandbox.store()).is_empty());
    }
    // What it could not look at may be anything.
    chain("[1, nothing]", "");
    let (gone, said) = deletes(&pair, 7);
    assert!(gone.is_empty() && said.contains("/m/b: not all could be looked at"), "{said}");
    // What nobody wants goes.
    chain("[1, old]", "");
    put(&pair, "1", 0);
    let said = pair.sandbox.fail(["sync", "sync.yml", "--delete"], 2);
    assert!(said.contains("m/b:old away"), "{said}");
    chain("[1]", "");
    assert_eq!(deletes(&pair, 0).0.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
}
