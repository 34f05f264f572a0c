//! Mirrors and blobs that do not come: the next one is asked, and nobody waits for what does not come any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{small, with};
use crate::support::image::{Image, digest, layer, noise};
use crate::support::store::{assert_sound, named};
use crate::support::web::{Asked, Does, Web, answer};
use crate::support::{Sandbox, wait_for};

/// A registry and its mirrors, all with an image.
fn mirrored(image: &Image, mirrors: usize) -> (Sandbox, Web, Vec<Web>) {
    let (sandbox, origin) = (Sandbox::in_memory(), Web::new());
    let mirrors: Vec<_> = (0..mirrors).map(|_| Web::new()).collect();
    for web in mirrors.iter().chain([&origin]) {
        web.put("a/b:1", image);
    }
    let hosts: Vec<_> = mirrors.iter().map(|mirror| &mirror.address).collect();
    let dir = sandbox.path("home/.config/larder");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("larder.toml"), format!("[mirrors]\n\"{}\" = {hosts:?}\n", origin.address))
        .unwrap();
    (sandbox, origin, mirrors)
}

#[test]
fn a_blob_that_a_mirror_cannot_give_comes_from_the_registry() {
    let image = small(1);
    let bad = image.blobs().iter().max_by_key(|blob| blob.len()).unwrap().clone();
    let path = format!("/v2/a/b/blobs/{}", digest(&bad));
    for how in ["is another one", "is missing", "is longer", "is cut"] {
        let (sandbox, origin, mirrors) = mirrored(&image, 1);
        let (bad, at) = (bad.clone(), path.clone());
        mirrors[0].rule(move |asked| match (asked.path == at, how) {
            (false, _) => Does::Pass,
            (_, "is another one") => Does::Answer(answer("200 OK", &[], &vec![7; bad.len()])),
            (_, "is missing") => Does::Answer(answer("404 Not Found", &[], b"")),
            (_, "is longer") => Does::Answer(answer("200 OK", &[], &vec![7; bad.len() + 1])),
            _ if asked.header("range").is_none() => Does::Cut(1000),
            _ => Does::Close,
        });
        let reference = format!("{}/a/b:1", origin.address);
        let output = sandbox.larder(["pull", &reference]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{how}: {said}");
        assert!(
            said.contains(&format!("{}: GET {path}", mirrors[0].address))
                && said.contains(&format!("{} is asked for it", origin.address)),
            "{how}: {said}"
        );
        assert_sound(&sandbox.store());
        assert_eq!(named(&sandbox.store(), &reference), Some(image.digest()));
        let asked = origin.take_all();
        let of_it: Vec<_> = asked.iter().filter(|asked| asked.path == path).collect();
        assert_eq!(of_it.len(), 1, "{how}: {asked:?}");
        // What came of it before is not fetched again.
        let range = (how == "is cut").then_some("bytes=1000-");
        assert_eq!(of_it[0].header("range"), range, "{how}");
    }
}

#[test]
fn what_two_mirrors_cannot_give_the_registry_can() {
    let image = Image::of(&[layer("noise", &noise(1, 200_000))]);
    let (sandbox, origin, mirrors) = mirrored(&image, 2);
    let bad = image.blobs().iter().max_by_key(|blob| blob.len()).unwrap();
    let (length, path) = (bad.len(), format!("/v2/a/b/blobs/{}", digest(bad)));
    // The first one gives a wrong beginning, the second one the end that belongs to another beginning.
    for (web, is_first) in mirrors.iter().zip([true, false]) {
        let path = path.clone();
        web.rule(move |asked| match (asked.path == path, is_first, asked.header("range")) {
            (false, ..) => Does::Pass,
            (_, true, None) => {
                let mut said = answer("200 OK", &[], &vec![7; length]);
                said.truncate(said.len() - 50_000);
                Does::Answer(said)
            }
            (_, true, Some(_)) => Does::Close,
            (_, false, Some(_)) => Does::Pass,
            (_, false, None) => Does::Answer(answer("404 Not Found", &[], b"")),
        });
    }
    sandbox.ok(["pull", &format!("{}/a/b:1", origin.address)]);
    assert_sound(&sandbox.store());
    assert!(origin.take().contains(&format!("GET {path}")));
}

#[test]
fn a_blob_that_stalls_does_not_hold_up_the_failure_of_another_one() {
    let (one, other) = (layer("one", &noise(1, 1 << 20)), layer("other", b"other"));
    let image = Image::of(&[one.clone(), other.clone()]);
    let (sandbox, web, reference) = with(&image);
    let is_time = Arc::new(AtomicBool::new(false));
    let (stalls, fails) = (digest(&one), digest(&other));
    let then = Arc::clone(&is_time);
    web.rule(move |asked: &Asked| match asked.path.rsplit('/').next().unwrap() {
        name if name == stalls => Does::Stall(512 << 10),
        name if name == fails => {
            Does::Until(Arc::clone(&then), Box::new(Does::Answer(answer("403 Forbidden", &[], b""))))
        }
        _ => Does::Pass,
    });
    let mut child = sandbox.command(["pull", &reference]).spawn().unwrap();
    wait_for(|| (written(&sandbox, &digest(&one)) == 512 << 10).then_some(()));
    is_time.store(true, Ordering::SeqCst);
    // Long before anybody loses patience with the one that stalls.
    let begun = std::time::Instant::now();
    let status = wait_for(|| child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    assert!(begun.elapsed() < std::time::Duration::from_secs(40), "{:?}", begun.elapsed());
    // What came of it is not fetched again.
    web.rule(|_| Does::Pass);
    web.take();
    sandbox.ok(["pull", &reference]);
    let asked = web.take_all();
    let ranges: Vec<_> = asked.iter().filter_map(|asked| asked.header("range")).collect();
    assert_eq!(ranges, ["bytes=524288-"]);
    assert_sound(&sandbox.store());
}

/// How much of a blob there is in ingests.
pub(super) fn written(sandbox: &Sandbox, digest: &str) -> u64 {
    let hex = digest.split_once(':').unwrap().1;
    let ingests = std::fs::read_dir(sandbox.store().join(".larder/ingest"));
    let files = ingests.into_iter().flatten().flatten().map(|dir| dir.path().join(hex));
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}
