//! An engine that says what is not so: the hand-over fails, and no name is printed that act would use.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::images::{base, store};
use super::proxy::{Verdict, answer};
use super::{Desk, expected_id, on_every_engine};
use crate::support::tarball::{layer, noise};
use crate::support::{Docker, run};

on_every_engine!(
    a_name_that_is_not_right_after_the_load_is_an_error,
    an_error_without_details_is_an_error,
    an_answer_before_the_end_of_the_archive_is_an_error,
    a_signal_ends_a_hand_over_to_an_engine_that_hangs,
);

/// More than what fits between larder and an engine that reads nothing.
const LARGE: usize = 32 << 20;

fn assert_failed(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "no name that act would use: {output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// With the whole image loaded, and again when the image is there and would only get a name.
fn a_name_that_is_not_right_after_the_load_is_an_error(docker: &Docker) {
    let other = format!("sha256:{}", "0".repeat(64));
    let inspected = |id: &str, os: &str, arch: &str| {
        let rootfs = json!({"Type": "layers", "Layers": []});
        let body = json!({"Id": id, "Os": os, "Architecture": arch, "RootFS": rootfs}).to_string();
        answer("200 OK", &body)
    };
    for case in ["right", "id", "os", "arch", "none"] {
        let desk = Desk::new(docker);
        store(&desk.sandbox, "base:1", &base());
        let id = expected_id(docker, &desk.sandbox, "base:1").unwrap();
        let (lie, words) = match case {
            "right" => (inspected(&id, "linux", "amd64"), vec![]),
            "id" => (inspected(&other, "linux", "amd64"), vec![other.as_str(), id.as_str()]),
            "os" => (inspected(&id, "windows", "amd64"), vec!["windows/amd64", "linux/amd64"]),
            "arch" => (inspected(&id, "linux", "arm64"), vec!["linux/arm64", "linux/amd64"]),
            _ => (
                answer("404 Not Found", r#"{"message":"No such image: base:1"}"#),
                vec!["does not know the name"],
            ),
        };
        desk.proxy.after_load("/images/base:1/json", lie);
        for round in 0..2 {
            let (output, traffic) = desk.try_hand_over(["base:1"]);
            if case == "right" {
                assert!(output.status.success(), "what the others differ from: {output:?}");
                continue;
            }
            assert_failed(&output, &["base:1", "the Docker engine took it, but"]);
            assert_failed(&output, &words);
            assert!(round > 0 || traffic.loads == 1, "{case}: {traffic:?}");
        }
        let image = &desk.sandbox.json(["images"])[0];
        assert_eq!(image["use_count"], if case == "right" { 2 } else { 0 }, "{case}");
        docker.empty();
    }
}

/// Has the engine take the image by another way before a load is answered so: the name alone then proves nothing.
fn hand_over_beside(desk: &Desk, docker: &Docker, verdict: Verdict) -> Output {
    desk.sandbox.ok(["export", "large:1", "-o", "large.tar", "--layers", "plain"]);
    let archive = desk.sandbox.path("large.tar");
    let mut load = docker.command(["load".as_ref(), "-i".as_ref(), archive.as_os_str()]);
    desk.proxy.before_load(move || {
        run(&mut load);
        verdict
    });
    let output = in_time(start(desk));
    assert_eq!(desk.take().loads, 1, "{output:?}");
    if !docker.has_containerd_store() {
        assert_eq!(docker.image_id("large:1"), expected_id(docker, &desk.sandbox, "large:1"));
    }
    output
}

fn store_large(desk: &Desk, size: usize) {
    store(&desk.sandbox, "large:1", &[base()[0].clone(), layer("opt/large", &noise(5, size))]);
}

fn start(desk: &Desk) -> Child {
    let mut command = desk.sandbox.command(["export", "--to-docker", "large:1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its output, or a failure when it hangs.
fn in_time(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn an_error_without_details_is_an_error(docker: &Docker) {
    for body in
        [r#"{"error":"no space left on device"}"#, "{\"stream\":\"half\"}\r\n{\"error\":\"no space\"}\r\n"]
    {
        let desk = Desk::new(docker);
        store_large(&desk, LARGE);
        let output = hand_over_beside(&desk, docker, Verdict::Answer(answer("200 OK", body)));
        assert_failed(&output, &["cannot load the image"]);
        docker.empty();
    }
}

fn an_answer_before_the_end_of_the_archive_is_an_error(docker: &Docker) {
    // The rest of it was packed already, or waits to be.
    for size in [4 << 20, LARGE] {
        let desk = Desk::new(docker);
        store_large(&desk, size);
        let early = answer("200 OK", "{\"stream\":\"Loaded image: large:1\"}\n");
        let output = hand_over_beside(&desk, docker, Verdict::AnswerEarly(early));
        assert_failed(&output, &["cannot load the image", "before it had the whole archive"]);
        docker.empty();
    }
}

fn a_signal_ends_a_hand_over_to_an_engine_that_hangs(docker: &Docker) {
    let desk = Desk::new(docker);
    store_large(&desk, LARGE);
    let (started, has_started) = std::sync::mpsc::channel();
    desk.proxy.before_load(move || {
        started.send(()).unwrap();
        Verdict::AnswerEarly(Vec::new())
    });
    let child = start(&desk);
    has_started.recv().unwrap();
    // Everything between larder and the engine is full by then.
    std::thread::sleep(Duration::from_secs(1));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let output = in_time(child);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(143), 0), "{output:?}");
}
