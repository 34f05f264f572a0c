//! `hold --to-docker`: the images are handed over before the command begins.

use std::process::Stdio;
use std::sync::mpsc::channel;

use rustix::process::{Pid, Signal};

use super::{Running, WAITS, swept};
use crate::handover::images::{app, base, store};
use crate::handover::proxy::{Verdict, answer};
use crate::handover::{Desk, on_every_engine};
use crate::support::Docker;
use crate::support::store::assert_nothing_pending;

on_every_engine!(
    a_container_runs_while_its_image_is_held,
    without_the_image_nothing_runs,
    a_signal_before_the_command_is_larders,
);

fn a_container_runs_while_its_image_is_held(docker: &Docker) {
    let desk = Desk::new(docker);
    let sandbox = &desk.sandbox;
    store(sandbox, "base:1", &base());
    store(sandbox, "app:1", &app());
    let run = "docker run --rm --pull=never --network=host x/app:2 /bin/hello held";
    let args = ["hold", "app:1", "base:1", "--to-docker", "--as", "x/app:2", "--as", "x/base:2", "--"];
    let mut running =
        Running::start(sandbox.command(args.iter().chain(&["sh", "-c", &format!("{WAITS}; {run}")])));
    assert!(docker.image_id("x/base:2").is_some(), "both are there before the command begins");
    sandbox.ok(["rm", "app:1", "base:1"]);
    assert_eq!(swept(sandbox), 0);
    drop(running.stdin.take());
    assert_eq!(running.line(), "hello from larder held", "stdout is the command's alone");
    let output = running.child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("x/app:2: ") && said.contains("x/base:2: "), "{said}");
    assert!(docker.image_id("x/app:2").is_some(), "without --rmi it stays there");
    assert!(swept(sandbox) > 0);
    desk.take();
}

fn without_the_image_nothing_runs(docker: &Docker) {
    let desk = Desk::new(docker);
    let sandbox = &desk.sandbox;
    store(sandbox, "base:1", &base());
    desk.proxy.before_load(|| {
        let answer = answer("500 Internal Server Error", r#"{"message":"no room"}"#);
        Verdict::Answer(answer)
    });
    let said = sandbox.fail(["hold", "base:1", "--to-docker", "--", "touch", "ran"], 125);
    assert!(said.contains("no room") && !sandbox.path("ran").exists(), "{said}");
    assert_nothing_pending(&sandbox.store());
}

fn a_signal_before_the_command_is_larders(docker: &Docker) {
    let desk = Desk::new(docker);
    let sandbox = &desk.sandbox;
    store(sandbox, "base:1", &base());
    let (reached, at_load) = channel();
    let (tell, told) = channel::<()>();
    desk.proxy.before_load(move || {
        reached.send(()).unwrap();
        let _ = told.recv();
        Verdict::Break
    });
    let mut command = sandbox.command(["hold", "base:1", "--to-docker", "--rmi", "--", "touch", "ran"]);
    let larder = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    at_load.recv().unwrap();
    rustix::process::kill_process(Pid::from_child(&larder), Signal::TERM).unwrap();
    let output = larder.wait_with_output().unwrap();
    drop(tell);
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "larder: interrupted\n");
    assert!(!sandbox.path("ran").exists());
    assert_nothing_pending(&sandbox.store());
}
