//! Networks and registries that break: transfers go on where they stopped, and what cannot go on ends.

use std::time::Duration;

use super::{assert_empty, only, small, with};
use crate::support::image::{Image, layer, noise};
use crate::support::store::{assert_nothing_pending, assert_sound, entries};
use crate::support::web::{Asked, Does, Web, answer};
use crate::support::{Sandbox, need, peer, wait_for};

/// Pulls an image of so many MiB whose connections are all cut after so many bytes; how many bytes were sent, for each of its own.
fn cut_after(bytes: u64, mebibytes: usize) -> f64 {
    let layers = [noise(1, mebibytes << 19), noise(2, mebibytes << 18), noise(3, mebibytes << 18)];
    let image = Image::of(&layers.map(|content| layer("noise", &content)));
    let (sandbox, web, reference) = with(&image);
    web.rule(move |asked| if asked.is_blob() { Does::Cut(bytes) } else { Does::Pass });
    sandbox.ok(["pull", &reference]);
    assert_eq!(only(&sandbox.store()), image.digest());
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
    let size: usize = image.blobs().iter().map(Vec::len).sum();
    let asked = web.take_all();
    let restarts = asked.iter().filter(|asked| asked.is_blob() && asked.header("range").is_none()).count();
    assert_eq!(restarts, image.blobs().len(), "each blob is begun once");
    web.sent() as f64 / size as f64
}

#[test]
fn every_connection_is_cut_after_256_kib() {
    let sent = cut_after(256 << 10, 12);
    assert!(sent <= 1.05, "{sent}");
}

#[test]
fn every_connection_is_cut_after_1_mib() {
    let sent = cut_after(1 << 20, 24);
    assert!(sent <= 1.05, "{sent}");
}

#[test]
fn every_connection_is_cut_after_16_mib() {
    let sent = cut_after(16 << 20, 48);
    assert!(sent <= 1.05, "{sent}");
}

#[test]
#[ignore = "long: 500 MB, three times"]
fn an_image_of_500_mb_over_a_network_that_breaks() {
    for bytes in [256 << 10, 1 << 20, 16 << 20] {
        let sent = cut_after(bytes, 500);
        crate::support::say(format_args!("cut after {bytes}: {sent:.4} of the image's bytes were sent"));
        assert!(sent <= 1.05, "{sent}");
    }
}

#[test]
fn the_registry_of_debian_over_a_network_that_breaks() {
    let registry = need!(peer::registry(), "docker-registry");
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    let image = Image::of(&[layer("noise", &noise(9, 9 << 20))]);
    let (sandbox, web, reference) = with(&image);
    let store = format!("oci:{}:{reference}", sandbox.store().display());
    sandbox.ok(["pull", &reference]);
    drop(web);
    let to = format!("docker://{}/broken/a:1", registry.address);
    crate::support::run(skopeo.args(["--insecure-policy", "copy", "--dest-tls-verify=false", &store, &to]));
    let proxy = Web::in_front_of(&registry.address);
    proxy.rule(|asked| if asked.is_blob() { Does::Cut(1 << 20) } else { Does::Pass });
    let other = Sandbox::in_memory();
    other.ok(["pull", &format!("{}/broken/a:1", proxy.address)]);
    assert_sound(&other.store());
    let asked = proxy.take_all();
    assert!(asked.iter().any(|asked| asked.header("range").is_some()), "it was cut");
}

#[test]
fn a_registry_that_knows_no_ranges_is_read_on() {
    let image = Image::of(&[layer("noise", &noise(1, 1 << 20))]);
    let (sandbox, web, reference) = with(&image);
    let blob = image.blobs()[1].clone();
    web.rule(move |asked| match (asked.is_blob(), asked.header("range")) {
        (true, None) => Does::Cut(600 << 10),
        (true, Some(_)) => Does::Answer(answer("200 OK", &[], &blob)),
        _ => Does::Pass,
    });
    sandbox.ok(["pull", &reference]);
    assert_sound(&sandbox.store());
}

#[test]
fn a_part_that_is_another_one_is_refused() {
    let image = Image::of(&[layer("noise", &noise(1, 1 << 20))]);
    let (sandbox, web, reference) = with(&image);
    web.rule(|asked| match (asked.is_blob(), asked.header("range")) {
        (true, None) => Does::Cut(600 << 10),
        (true, Some(_)) => {
            Does::Answer(answer("206 Partial Content", &[("Content-Range", "bytes 0-9/1050112")], &[0; 10]))
        }
        _ => Does::Pass,
    });
    let said = sandbox.fail(["pull", &reference], 5);
    assert!(said.contains("sends from byte 0 where"), "{said}");
    assert_empty(&sandbox);
}

#[test]
fn what_is_busy_or_broken_for_a_moment_is_asked_again() {
    for status in
        ["429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"]
    {
        let (sandbox, web, reference) = with(&small(1));
        web.rule(move |asked| match asked.nth {
            0 => Does::Answer(answer(status, &[("Retry-After", "0")], b"busy")),
            _ => Does::Pass,
        });
        sandbox.ok(["pull", &reference]);
        assert_eq!(web.take().len(), 2 * (2 + small(1).blobs().len()), "{status}");
        assert_sound(&sandbox.store());
    }
}

#[test]
fn who_asks_to_be_left_alone_is() {
    let (sandbox, web, reference) = with(&small(1));
    web.rule(|asked| match (asked.method.as_str(), asked.nth) {
        ("HEAD", 0) => Does::Answer(answer("429 Too Many Requests", &[("Retry-After", "1")], b"")),
        _ => Does::Pass,
    });
    let begun = std::time::Instant::now();
    sandbox.ok(["pull", &reference]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // For longer than anybody would wait.
    let sandbox = Sandbox::in_memory();
    web.take();
    web.rule(|_| Does::Answer(answer("429 Too Many Requests", &[("Retry-After", "86400")], b"")));
    let said = sandbox.fail(["pull", &reference], 1);
    assert!(said.contains("86400 seconds"), "{said}");
    assert_eq!(web.take().len(), 1);
}

#[test]
fn a_registry_that_dies_in_each_phase() {
    type Phase = fn(&Asked) -> bool;
    let phases: [(&str, Phase); 4] = [
        ("HEAD /v2/a/b/manifests/1", |asked| asked.method == "HEAD"),
        ("GET /v2/a/b/manifests/sha256:", |asked| asked.method == "GET" && asked.is_manifest()),
        ("GET /v2/a/b/blobs/sha256:", Asked::is_blob),
        ("GET /v2/a/b/blobs/sha256:", |asked| {
            asked.is_blob() && asked.path.ends_with(&LAST.with(Clone::clone))
        }),
    ];
    for (request, is_dead) in phases {
        let (sandbox, web, reference) = with(&small(1));
        web.rule(move |asked| if is_dead(asked) { Does::Close } else { Does::Pass });
        let said = sandbox.fail(["pull", &reference], 1);
        assert!(said.contains(&format!("{}: {request}", web.address)), "{said}");
        assert_empty(&sandbox);
        assert_nothing_pending(&sandbox.store());
        // What came stays, and the next pull is no worse for it.
        web.rule(|_| Does::Pass);
        sandbox.ok(["pull", &reference]);
        assert_sound(&sandbox.store());
    }
}

thread_local! {
    /// The last blob of the small image.
    static LAST: String = crate::support::image::digest(small(1).blobs().last().unwrap());
}

#[test]
fn what_a_transfer_left_is_taken_on_by_the_next_process() {
    let image = Image::of(&[layer("noise", &noise(1, 4 << 20))]);
    for ending in ["fails", "is killed", "is stopped"] {
        let (sandbox, web, reference) = with(&image);
        web.rule(move |asked| match (asked.is_blob(), asked.header("range"), ending) {
            (true, None, _) => Does::Cut(3 << 20),
            (true, Some(_), "fails") => Does::Close,
            (true, Some(_), _) => Does::Hang,
            _ => Does::Pass,
        });
        let mut child = sandbox.command(["pull", &reference]).spawn().unwrap();
        if ending != "fails" {
            wait_for(|| web.take_all().iter().any(|asked| asked.header("range").is_some()).then_some(()));
            let pid = rustix::process::Pid::from_child(&child);
            let signal = if ending == "is killed" {
                rustix::process::Signal::KILL
            } else {
                rustix::process::Signal::INT
            };
            rustix::process::kill_process(pid, signal).unwrap();
        }
        assert!(!child.wait().unwrap().success());
        assert!(entries(&sandbox.store()).is_empty());
        // A GC does not take it at once.
        sandbox.ok(["gc"]);
        web.rule(|_| Does::Pass);
        web.take();
        web.sent();
        let printed = sandbox.ok(["pull", &reference]);
        let asked = web.take_all();
        let ranges: Vec<_> = asked.iter().filter_map(|asked| asked.header("range")).collect();
        assert_eq!(ranges, ["bytes=3145728-"], "{ending}: {printed}");
        assert!(web.sent() < 2 << 20, "{ending}");
        assert_sound(&sandbox.store());
        assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn what_a_transfer_left_may_be_rotten() {
    let image = Image::of(&[layer("noise", &noise(1, 2 << 20))]);
    let (sandbox, web, reference) = with(&image);
    web.rule(|asked| match (asked.is_blob(), asked.header("range")) {
        (true, None) => Does::Cut(1 << 20),
        (true, Some(_)) => Does::Close,
        _ => Does::Pass,
    });
    sandbox.fail(["pull", &reference], 1);
    let ingest = sandbox.store().join(".larder/ingest");
    let dir = std::fs::read_dir(&ingest).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    web.rule(|_| Does::Pass);
    sandbox.ok(["pull", &reference]);
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn gc_takes_what_nobody_went_on_with() {
    let image = Image::of(&[layer("noise", &noise(1, 2 << 20))]);
    let (sandbox, web, reference) = with(&image);
    web.rule(|asked| match (asked.is_blob(), asked.header("range")) {
        (true, None) => Does::Cut(1 << 20),
        (true, Some(_)) => Does::Close,
        _ => Does::Pass,
    });
    sandbox.fail(["pull", &reference], 1);
    let count = || std::fs::read_dir(sandbox.store().join(".larder/ingest")).unwrap().count();
    sandbox.ok(["gc"]);
    assert_eq!(count(), 1, "it has its grace");
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_eq!(count(), 0);
}

#[test]
fn a_signal_ends_every_wait_and_keeps_what_is_finished() {
    for is_blob in [false, true] {
        let (sandbox, web, reference) = with(&small(1));
        let last = crate::support::image::digest(small(1).blobs().last().unwrap());
        web.rule(move |asked| match asked.is_blob() {
            true if asked.path.ends_with(&last) => Does::Hang,
            false if !is_blob => Does::Hang,
            _ => Does::Pass,
        });
        let mut child = sandbox.command(["pull", &reference, "--jobs", "1"]).spawn().unwrap();
        let wanted = if is_blob { 2 } else { 1 };
        let mut seen = 0;
        wait_for(|| {
            seen += web.take().len();
            (seen >= wanted).then_some(())
        });
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_empty(&sandbox);
        assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn a_slow_registry_is_asked_for_several_blobs_at_once() {
    let layers: Vec<_> = (0..24).map(|at| layer("own", &noise(at, 100))).collect();
    let (sandbox, web, reference) = with(&Image::of(&layers));
    let late = Duration::from_millis(100);
    web.rule(move |_| Does::After(late, Box::new(Does::Pass)));
    sandbox.ok(["pull", &reference]);
    // 25 blobs, 12 at a time: at no moment more.
    assert_eq!(web.most_at_once(), 12);
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["pull", &reference, "--jobs", "3"]);
    assert_eq!(web.most_at_once(), 3);
}
