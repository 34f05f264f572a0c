//! `larder sync` to another registry, where something breaks.

use super::small;
use super::sync_pair::Pair;
use crate::badinput::full::on_disk;
use crate::push::taker;
use crate::support::image::{Image, digest, layer, noise};
use crate::support::store::{assert_blobs_match, blob_path, names};
use crate::support::web::{Does, answer};
use crate::support::{need, wait_for};

/// The layer that only this image has.
fn own(seed: u64) -> String {
    digest(small(seed).blobs().last().unwrap())
}

#[test]
fn one_image_that_cannot_be_had_does_not_stop_the_others() {
    let pair = Pair::of(&["1", "2", "3"]);
    let bad = own(1);
    pair.web.rule(move |asked| match asked.path.ends_with(&bad) {
        true => Does::Answer(answer("404 Not Found", &[], b"")),
        false => Does::Pass,
    });
    let said = pair.sandbox.fail(["sync", "sync.yml", "--delete"], 7);
    assert!(said.contains("a/b:2: ") && said.contains("1 thing of the list"), "{said}");
    assert!(said.contains("/m/b: not all could be looked at, so that nothing is taken away"), "{said}");
    for (seed, tag) in [(0, "1"), (2, "3")] {
        assert_eq!(pair.taker.manifest("m/b", tag).as_deref(), Some(small(seed).root()));
    }
    assert!(pair.taker.manifest("m/b", "2").is_none());
    assert!(!pair.taker.take().iter().any(|asked| asked.method == "DELETE"));
    // What was had by then is not fetched again.
    pair.web.rule(|_| Does::Pass);
    pair.fetched();
    assert_eq!(pair.states(&[]), ["1 there", "2 new", "3 there"]);
    assert!(pair.fetched().contains(&own(1)));
    assert_eq!(pair.taker.manifest("m/b", "2").as_deref(), Some(small(1).root()));
}

#[test]
fn a_registry_that_does_not_answer_is_not_asked_for_every_image() {
    let tags = ["1", "2", "3", "4", "5", "6"];
    let down = || answer("503 Service Unavailable", &[("Retry-After", "0")], b"");
    // When it is looked at.
    let pair = Pair::of(&tags);
    pair.web.rule(move |asked| if asked.is_manifest() { Does::Answer(down()) } else { Does::Pass });
    let said = pair.sandbox.fail(["sync", "sync.yml"], 1);
    assert!(
        said.contains("a/b: no answer; no more of it is asked for") && said.contains("3 things"),
        "{said}"
    );
    let asked: std::collections::BTreeSet<_> = pair.web.take().into_iter().collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    // When it is brought; what is there is said all the same.
    let pair = Pair::of(&tags);
    pair.wants(&format!("  tags: [6]\n  to: {}/m/b\n", pair.taker.address));
    pair.states(&[]);
    pair.wants(&format!("  tags: {tags:?}\n  to: {}/m/b\n", pair.taker.address));
    pair.taker.rule(move |asked| match asked.kind().as_str() {
        "PUT manifest" => taker::Does::Answer(down()),
        _ => taker::Does::Pass,
    });
    let output = pair.sandbox.command(["sync", "sync.yml"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("a/b: no answer; no more of it is brought") && said.contains("3 things"), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("a/b:6 "));
    // What answers, and says no, is asked for all.
    pair.taker.rule(|asked| match asked.kind().as_str() {
        "PUT manifest" => taker::Does::Answer(answer("409 Conflict", &[], b"")),
        _ => taker::Does::Pass,
    });
    let said = pair.sandbox.fail(["sync", "sync.yml"], 7);
    assert!(said.contains("5 things"), "{said}");
}

#[test]
fn a_destination_that_refuses_leaves_nothing_half_there() {
    let pair = Pair::of(&["1"]);
    pair.taker.rule(|asked| match asked.kind().as_str() {
        "PUT manifest" => taker::Does::Answer(answer("403 Forbidden", &[], b"")),
        _ => taker::Does::Pass,
    });
    let said = pair.sandbox.fail(["sync", "sync.yml"], 1);
    assert!(said.contains("403") && said.contains("PUT /v2/m/b/manifests/1"), "{said}");
    assert!(names(&pair.sandbox.store()).is_empty());
    assert_blobs_match(&pair.sandbox.store());
    pair.taker.rule(|_| taker::Does::Pass);
    pair.fetched();
    assert_eq!(pair.states(&[]), ["1 new"]);
    assert!(pair.fetched().is_empty(), "its blobs arrived before");
}

#[test]
fn what_comes_wrong_goes_nowhere() {
    let pair = Pair::of(&["1"]);
    let (bad, size) = (own(0), small(0).blobs().last().unwrap().len());
    pair.web.rule(move |asked| match asked.path.ends_with(&bad) {
        true => Does::Answer(answer("200 OK", &[], &vec![b'x'; size])),
        false => Does::Pass,
    });
    let said = pair.sandbox.fail(["sync", "sync.yml"], 5);
    assert!(said.contains("digest mismatch") && said.contains(&pair.web.address), "{said}");
    assert!(!pair.taker.blobs("m/b").contains(&own(0)));
    assert!(pair.taker.manifest("m/b", "1").is_none());
}

#[test]
fn a_signal_ends_it_and_the_next_run_goes_on() {
    for is_source in [true, false] {
        let pair = Pair::of(&["1"]);
        let image = Image::of(&[layer("base", b"common to all"), layer("large", &noise(1, 300_000))]);
        pair.web.put("a/b:1", &image);
        let large = digest(image.blobs().last().unwrap());
        let wanted = large.clone();
        if is_source {
            pair.web.rule(move |asked| match asked.is_blob() && asked.path.ends_with(&wanted) {
                true => Does::Hang,
                false => Does::Pass,
            });
        } else {
            pair.taker.rule(|asked| match asked.kind().as_str() {
                "PUT upload" => taker::Does::Hang,
                _ => taker::Does::Pass,
            });
        }
        // All of its blobs are in hand, and wait for an end.
        let mut child = pair.sandbox.command(["sync", "sync.yml"]).spawn().unwrap();
        let (mut asked, mut sent) = (Vec::new(), 0);
        wait_for(|| {
            asked.extend(pair.fetched());
            sent += pair.taker.kinds().iter().filter(|kind| *kind == "PUT upload").count();
            let arrived = pair.taker.blobs("m/b").len();
            (if is_source { asked.contains(&large) && arrived == 2 } else { sent == 3 }).then_some(())
        });
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(names(&pair.sandbox.store()).is_empty() && pair.taker.manifest("m/b", "1").is_none());
        assert_eq!(blob_path(&pair.sandbox.store(), &large).exists(), !is_source);
        pair.web.rule(|_| Does::Pass);
        pair.taker.rule(|_| taker::Does::Pass);
        pair.fetched();
        assert_eq!(pair.states(&[]), ["1 new"]);
        let again = pair.fetched();
        assert_eq!(
            again,
            if is_source { vec![large] } else { Vec::new() },
            "what is here or there is not fetched"
        );
        assert_eq!(pair.taker.manifest("m/b", "1").as_deref(), Some(image.root()));
    }
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_stopped() {
    let pair = Pair::of(&["1"]);
    let image = Image::of(&[layer("large", &noise(1, 1 << 20))]);
    pair.web.put("a/b:1", &image);
    pair.web.rule(|asked| if asked.is_blob() { Does::Cut(300 << 10) } else { Does::Pass });
    let planned = pair.rows(&["--dry-run"]);
    pair.web.sent();
    pair.web.take();
    assert_eq!(pair.rows(&[]), planned);
    assert_eq!(pair.web.sent(), planned[0]["bytes"].as_u64().unwrap());
    assert_eq!(pair.taker.manifest("m/b", "1").as_deref(), Some(image.root()));
}

#[test]
fn it_takes_the_room_of_one_image_at_a_time() {
    let pair = Pair::of(&["1", "2", "3"]);
    let images = [1, 2, 3].map(|seed| Image::of(&[layer("large", &noise(seed, 14 << 20))]));
    for (tag, image) in ["1", "2", "3"].iter().zip(&images) {
        pair.web.put(&format!("a/b:{tag}"), image);
    }
    let disk = "mount -t tmpfs -o size=24m tmpfs store";
    let output = need!(on_disk(&pair.sandbox, disk, "try larder sync sync.yml; try larder gc"), "root");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("0\n"), "{said}");
    for (tag, image) in ["1", "2", "3"].iter().zip(&images) {
        assert_eq!(pair.taker.manifest("m/b", tag).as_deref(), Some(image.root()), "{said}");
    }
    assert!(crate::support::store::blobs(&pair.sandbox.path("after")).is_empty());
}
