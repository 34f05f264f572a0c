//! Several processes that pull at once: what one fetches the others do not.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::mirrors::written;
use super::with;
use crate::support::image::{Image, digest, layer, noise};
use crate::support::store::{assert_nothing_pending, assert_sound, named};
use crate::support::web::{Does, answer};
use crate::support::{Sandbox, wait_for};

/// Starts a pull, and comes back when it waits for another one.
fn waiting(sandbox: &Sandbox, args: &[&str]) -> Child {
    let mut child = sandbox.command(args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.by_ref().map(Result::unwrap).find(|line| line.contains("another larder is fetching it"));
    assert!(said.is_some(), "it waits for nobody");
    // Nobody reads the rest; there must be somebody who could.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

#[test]
fn two_pulls_fetch_each_blob_once_between_them() {
    let (large, small) = (layer("large", &noise(1, 300_000)), layer("small", &noise(2, 200_000)));
    let image = Image::of(&[large.clone(), small.clone()]);
    for jobs in ["1", "4"] {
        let (sandbox, web, reference) = with(&image);
        let is_time = Arc::new(AtomicBool::new(false));
        let then = Arc::clone(&is_time);
        web.rule(move |asked| match asked.is_blob() {
            true => Does::Until(Arc::clone(&then), Box::new(Does::Pass)),
            false => Does::Pass,
        });
        let pull = ["pull", &reference, "--jobs", jobs];
        let mut asked = Vec::new();
        let mut first = sandbox.command(pull).spawn().unwrap();
        let begun = |asked: &mut Vec<String>, blob: &[u8]| {
            asked.extend(web.take());
            asked.iter().any(|asked| asked.ends_with(&digest(blob))).then_some(())
        };
        wait_for(|| begun(&mut asked, &large));
        // With one at a time the second one has begun the second blob by now, and each wants what the other one has.
        let mut second = waiting(&sandbox, &pull);
        wait_for(|| begun(&mut asked, &small));
        is_time.store(true, Ordering::SeqCst);
        for child in [&mut first, &mut second] {
            assert!(child.wait().unwrap().success(), "{jobs}");
        }
        asked.extend(web.take());
        for blob in image.blobs() {
            let times = asked.iter().filter(|asked| asked.ends_with(&digest(blob))).count();
            assert_eq!(times, 1, "{jobs}: {asked:?}");
        }
        assert_eq!(named(&sandbox.store(), &reference), Some(image.digest()));
        assert_sound(&sandbox.store());
        assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn what_a_dead_one_left_the_one_that_waits_takes_over() {
    let image = Image::of(&[layer("noise", &noise(1, 4 << 20))]);
    let (sandbox, web, reference) = with(&image);
    let large = image.blobs().iter().max_by_key(|blob| blob.len()).map(|blob| digest(blob)).unwrap();
    let stalls = large.clone();
    web.rule(move |asked| match (asked.path.ends_with(&stalls), asked.header("range")) {
        (true, None) => Does::Stall(3 << 20),
        _ => Does::Pass,
    });
    let mut first = sandbox.command(["pull", &reference]).spawn().unwrap();
    wait_for(|| (written(&sandbox, &large) == 3 << 20).then_some(()));
    let mut second = waiting(&sandbox, &["pull", &reference]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(second.wait().unwrap().success());
    let asked = web.take_all();
    let of_it: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path.ends_with(&large))
        .map(|asked| asked.header("range"))
        .collect();
    assert_eq!(of_it, [None, Some("bytes=3145728-")]);
    assert_sound(&sandbox.store());
    // The lease of the dead one.
    sandbox.ok(["gc"]);
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn who_fails_leaves_the_blob_to_the_one_that_waits() {
    let image = Image::of(&[layer("noise", &noise(1, 100_000))]);
    let (sandbox, web, reference) = with(&image);
    let large = image.blobs().iter().max_by_key(|blob| blob.len()).map(|blob| digest(blob)).unwrap();
    let is_time = Arc::new(AtomicBool::new(false));
    let (then, wanted) = (Arc::clone(&is_time), large.clone());
    web.rule(move |asked| match asked.path.ends_with(&wanted) && asked.nth == 0 {
        true => Does::Until(Arc::clone(&then), Box::new(Does::Answer(answer("403 Forbidden", &[], b"")))),
        false => Does::Pass,
    });
    let mut first = sandbox.command(["pull", &reference]).stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| (written_anywhere(&sandbox, &large)).then_some(()));
    let mut second = waiting(&sandbox, &["pull", &reference]);
    is_time.store(true, Ordering::SeqCst);
    assert_eq!(first.wait().unwrap().code(), Some(1));
    assert!(second.wait().unwrap().success());
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
}

/// Whether somebody has begun a blob.
fn written_anywhere(sandbox: &Sandbox, digest: &str) -> bool {
    let hex = digest.split_once(':').unwrap().1;
    let ingests = std::fs::read_dir(sandbox.store().join(".larder/ingest"));
    ingests.into_iter().flatten().flatten().any(|dir| dir.path().join(hex).exists())
}
