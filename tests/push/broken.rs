//! Connections that break, and registries that die: it goes on where it stopped, or says what failed, and no tag means what is
//! not there.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::taker::{Does, Taker};
use super::{small, with};
use crate::support::image::{Image, layer, noise};
use crate::support::store::{assert_nothing_pending, blob_path};
use crate::support::wait_for;
use crate::support::web::answer;

#[test]
fn a_broken_upload_goes_on_where_it_stopped() {
    let image = Image::of(&[layer("large", &noise(1, 3 << 20))]);
    let (sandbox, name, taker) = with(&image);
    taker.rule(|asked| match asked.kind().as_str() {
        "PUT upload" => Does::Cut(700_000),
        _ => Does::Pass,
    });
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
    let asked = taker.take();
    let ranges: Vec<_> = asked.iter().filter_map(|asked| asked.headers.get("content-range")).collect();
    assert!(ranges.len() >= 4, "{ranges:?}");
    assert!(ranges[0].starts_with("700000-"), "{ranges:?}");
}

#[test]
fn where_nothing_is_kept_it_begins_anew() {
    let image = Image::of(&[layer("large", &noise(1, 1 << 20))]);
    let (sandbox, name, taker) = with(&image);
    let cut = AtomicUsize::new(0);
    taker.rule(move |asked| match asked.kind().as_str() {
        "PUT upload" if cut.fetch_add(1, Ordering::Relaxed) < 2 => Does::Cut(300_000),
        "GET upload" => Does::Answer(answer("404 Not Found", &[], b"")),
        _ => Does::Pass,
    });
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
    assert!(taker.take().iter().all(|asked| !asked.headers.contains_key("content-range")));
}

#[test]
fn a_registry_that_has_more_and_less_of_it_by_turns_is_given_up() {
    let image = Image::of(&[layer("large", &noise(1, 300_000))]);
    let (sandbox, name, taker) = with(&image);
    let large = image.blobs().iter().map(Vec::len).max().unwrap();
    let (put, asked_for) = (AtomicUsize::new(0), AtomicUsize::new(0));
    taker.rule(move |asked| match asked.kind().as_str() {
        "PUT upload" if asked.headers["content-length"].parse::<usize>().unwrap() + 200_000 > large => {
            // Somebody has to end it.
            match put.fetch_add(1, Ordering::Relaxed) < 40 {
                true => Does::Cut(0),
                false => Does::Pass,
            }
        }
        "GET upload" => {
            let range = ["0-0", "0-99999"][asked_for.fetch_add(1, Ordering::Relaxed) % 2];
            Does::Answer(answer("204 No Content", &[("Range", range), ("Location", &asked.path)], b""))
        }
        _ => Does::Pass,
    });
    sandbox.fail(["push", &name, &format!("{}/c", taker.address)], 1);
    let puts = taker.take().iter().filter(|asked| asked.kind() == "PUT upload").count();
    assert!(puts < 20, "{puts}");
}

#[test]
fn an_answer_that_is_lost_is_looked_for() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    taker.rule(|asked| match asked.kind().as_str() {
        "PUT upload" | "PUT manifest" if asked.nth == 0 => Does::Mute,
        _ => Does::Pass,
    });
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    assert_eq!(taker.kinds().iter().filter(|kind| *kind == "PUT upload").count(), image.blobs().len());
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
}

#[test]
fn a_registry_that_dies_in_a_phase() {
    let image = small(1);
    let (sandbox, name) = super::stored(&image);
    for phase in ["HEAD manifest", "HEAD blob", "POST upload", "PUT upload", "PUT manifest"] {
        let taker = Taker::new();
        taker.rule(move |asked| if asked.kind() == phase { Does::Cut(0) } else { Does::Pass });
        let place = format!("{}/c", taker.address);
        let error = sandbox.fail(["push", &name, &place], 1);
        let method = phase.split(' ').next().unwrap();
        assert!(
            error.contains(&format!("{place}:1: {}: {method} /v2/c/", taker.address)),
            "{phase}: {error}"
        );
        assert_eq!(taker.manifest("c", "1"), None, "{phase}");
        assert_nothing_pending(&sandbox.store());
        // What came before stays, and is not sent again.
        let had = taker.blobs("c").len();
        taker.rule(|_| Does::Pass);
        let pushed = &sandbox.json(["push", &name, &place])[0];
        // What was on its way may have arrived since.
        assert!(pushed["there_blobs"].as_u64() >= Some(had as u64), "{phase}: {pushed}");
        assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()), "{phase}");
    }
}

#[test]
fn a_registry_with_a_problem_is_asked_again() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    taker.rule(|asked| match asked.nth {
        0 if asked.kind() == "PUT manifest" => {
            Does::Answer(answer("429 Too Many Requests", &[("Retry-After", "1")], b""))
        }
        0 => Does::Answer(answer("503 Service Unavailable", &[], b"")),
        _ => Does::Pass,
    });
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
}

#[test]
fn a_flipped_bit_does_not_leave_the_store() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    let path = blob_path(&sandbox.store(), &crate::support::image::digest(&image.blobs()[2]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2000] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let error = sandbox.fail(["push", &name, &format!("{}/c", taker.address)], 5);
    assert!(error.contains("digest mismatch"), "{error}");
    assert_eq!(taker.manifest("c", "1"), None);
}

#[test]
fn a_signal_ends_it_at_once_and_what_arrived_stays() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    taker.rule(|asked| match asked.kind().as_str() {
        "PUT upload" if asked.nth > 0 => Does::Hang,
        _ => Does::Pass,
    });
    let place = format!("{}/c", taker.address);
    let mut push = sandbox.command(["push", "--jobs", "1", &name, &place]);
    let child = push.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(|| (taker.blobs("c").len() == 1).then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_nothing_pending(&sandbox.store());
    taker.rule(|_| Does::Pass);
    assert_eq!(sandbox.json(["push", &name, &place])[0]["there_blobs"], 1);
}
