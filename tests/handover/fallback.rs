//! When the engine is not what it seemed to be: everything is sent, or the failure is said.

use std::process::Output;

use serde_json::Value;

use super::images::{app, base, store};
use super::proxy::{Traffic, Verdict};
use super::{Desk, expected_id, on_every_engine};
use crate::roundtrip::GREETING;
use crate::support::Docker;
use crate::support::store::{assert_nothing_pending, assert_sound};
use crate::support::tarball::noise;

on_every_engine!(
    a_base_that_goes_away_in_between_is_sent,
    a_load_that_breaks_off_is_done_again_with_everything,
    an_emptied_engine_gets_everything,
    a_layer_that_the_engine_cannot_unpack_is_an_error,
    a_failed_load_is_no_success_the_next_time,
    a_signal_ends_a_hand_over,
);

/// The image with the base is removed after larder has seen it and before the load arrives.
fn a_base_that_goes_away_in_between_is_sent(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    desk.hand_over(["base:1"]);
    let mut remove = docker.command(["image", "rm", "--force", "base:1"]);
    desk.proxy.before_load(move || {
        assert!(remove.output().unwrap().status.success());
        Verdict::Pass
    });
    let (output, traffic) = desk.try_hand_over(["app:1", "--format", "json"]);
    let said = assert_sent_all(&output, &traffic);
    // containerd keeps the blobs of an image that is gone until its own collector has run; then nothing is missing.
    assert!(said.is_some() || docker.has_containerd_store(), "{output:?}");
    assert_eq!(docker.image_id("app:1"), expected_id(docker, &desk.sandbox, "app:1"));
    assert_eq!(docker.run("app:1", &[]), GREETING);
}

/// Whatever the reason: the whole image asks nothing of the engine.
fn a_load_that_breaks_off_is_done_again_with_everything(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    desk.hand_over(["base:1"]);
    desk.proxy.before_load(|| Verdict::Break);
    let (output, traffic) = desk.try_hand_over(["app:1", "--format", "json"]);
    assert!(assert_sent_all(&output, &traffic).is_some(), "{output:?}");
    assert_eq!(docker.image_id("app:1"), expected_id(docker, &desk.sandbox, "app:1"));
    assert_eq!(docker.run("app:1", &[]), GREETING);
    // When it was everything that broke off, it has failed.
    docker.empty();
    desk.proxy.before_load(|| Verdict::Break);
    let (output, traffic) = desk.try_hand_over(["app:1"]);
    assert_eq!((output.status.code(), output.stdout.len(), traffic.loads), (Some(1), 0, 1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("load"));
    assert_nothing_pending(&desk.sandbox.store());
}

/// The hand-over succeeded; if it took a second load, that one had everything, and people were told.
fn assert_sent_all(output: &Output, traffic: &Traffic) -> Option<()> {
    assert!(output.status.success(), "{output:?}");
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    if traffic.loads == 1 {
        return None;
    }
    assert_eq!(traffic.loads, 2);
    assert_eq!((&rows[0]["sent_layers"], &rows[0]["spared_layers"]), (&3.into(), &0.into()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("sending all"), "{said}");
    Some(())
}

/// What was noted down of earlier hand-overs is no longer true.
fn an_emptied_engine_gets_everything(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    desk.hand_over(["base:1", "app:1"]);
    docker.empty();
    let (rows, traffic) = desk.hand_over(["app:1"]);
    super::assert_sent(&rows[0], &traffic, 3, 0);
    assert_eq!(docker.run("app:1", &[]), GREETING);
    // Notes that are damaged cost at most a transfer.
    let notes = desk.sandbox.store().join(".larder/handovers");
    for note in std::fs::read_dir(&notes).unwrap() {
        let path = note.unwrap().path();
        if path.extension().is_none() {
            std::fs::write(path, "{\"name\":\0 garbage\n\n{}\n[1,2]\n").unwrap();
        }
    }
    desk.hand_over(["base:1"]);
    assert_eq!(docker.image_id("base:1"), expected_id(docker, &desk.sandbox, "base:1"));
}

fn a_layer_that_the_engine_cannot_unpack_is_an_error(docker: &Docker) {
    let desk = Desk::new(docker);
    // Its diff ID is right; what it holds is opaque to larder, and no tar for the engine.
    let layers = [base()[0].clone(), noise(7, 4096)];
    store(&desk.sandbox, "broken:1", &layers);
    let (output, traffic) = desk.try_hand_over(["broken:1"]);
    assert_eq!((output.status.code(), traffic.loads), (Some(1), 1), "{output:?}");
    assert!(output.stdout.is_empty(), "no name that act would pull: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("broken:1") || said.contains("load"), "{said}");
    assert_nothing_pending(&desk.sandbox.store());
    let image = &desk.sandbox.json(["images"])[0];
    assert_eq!(image["use_count"], 0, "it was not used");
}

/// A containerd store keeps the image that it could not unpack, under its name.
fn a_failed_load_is_no_success_the_next_time(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "broken:1", &[base()[0].clone(), noise(7, 4096)]);
    for _ in 0..2 {
        let (output, _) = desk.try_hand_over(["broken:1"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
    }
}

fn a_signal_ends_a_hand_over(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let mut command = desk.sandbox.command(["export", "--to-docker", "base:1"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let (started, has_started) = std::sync::mpsc::channel();
        let (ended, has_ended) = std::sync::mpsc::channel::<()>();
        desk.proxy.before_load(move || {
            started.send(()).unwrap();
            // The engine does not answer as long as larder runs.
            let _ = has_ended.recv();
            Verdict::Break
        });
        let child = command.spawn().unwrap();
        has_started.recv().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(ended);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stdout.is_empty());
        assert_eq!(docker.image_id("base:1"), None);
        assert_nothing_pending(&desk.sandbox.store());
        assert_sound(&desk.sandbox.store());
    }
    desk.hand_over(["base:1"]);
    assert_eq!(docker.image_id("base:1"), expected_id(docker, &desk.sandbox, "base:1"));
}
