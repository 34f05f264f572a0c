//! `hold --rmi` when all did not go well: what was handed over is taken out all the same, or it is said why not.

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::Running;
use super::WAITS;
use super::rmi::{HOLD, desk, handovers, rmi};
use crate::handover::images::{app, store};
use crate::handover::on_every_engine;
use crate::handover::proxy::{Verdict, answer};
use crate::support::{Docker, need, peer};

on_every_engine!(
    a_command_that_did_not_start_leaves_nothing,
    a_later_hand_over_that_failed_leaves_nothing,
    a_signal_between_leaves_nothing,
    a_broken_policy_keeps_it,
    what_is_not_noted_stays,
);

fn a_command_that_did_not_start_leaves_nothing(docker: &Docker) {
    let desk = desk(docker);
    std::fs::write(desk.sandbox.path("data"), "no program").unwrap();
    for (command, code) in [("no-such-command", 127), ("./data", 126)] {
        let said = desk.sandbox.fail(HOLD.iter().chain(&[command]), code);
        assert!(said.contains("base:1: taken out of Docker") && said.contains("cannot run"), "{said}");
        assert_eq!(docker.ok(["image", "ls", "--all", "--quiet"]), "", "{said}");
    }
}

const TWO: [&str; 8] = ["hold", "base:1", "app:1", "--to-docker", "--rmi", "--", "touch", "ran"];

fn a_later_hand_over_that_failed_leaves_nothing(docker: &Docker) {
    let desk = desk(docker);
    store(&desk.sandbox, "app:1", &app());
    let no_room = || Verdict::Answer(answer("500 Internal Server Error", r#"{"message":"no room"}"#));
    desk.proxy.before_load(|| Verdict::Pass);
    // Without the layers that the engine has, and whole.
    desk.proxy.before_load(no_room);
    desk.proxy.before_load(no_room);
    let said = desk.sandbox.fail(TWO, 125);
    assert!(said.contains("no room") && said.contains("base:1: taken out of Docker"), "{said}");
    assert_eq!(docker.ok(["image", "ls", "--all", "--quiet"]), "", "{said}");
    assert!(!desk.sandbox.path("ran").exists());
}

fn a_signal_between_leaves_nothing(docker: &Docker) {
    let desk = desk(docker);
    store(&desk.sandbox, "app:1", &app());
    let (reached, at_load) = channel();
    let (tell, told) = channel::<()>();
    desk.proxy.before_load(|| Verdict::Pass);
    desk.proxy.before_load(move || {
        reached.send(()).unwrap();
        let _ = told.recv();
        Verdict::Break
    });
    let mut command = desk.sandbox.command(TWO);
    let larder = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    at_load.recv().unwrap();
    rustix::process::kill_process(Pid::from_child(&larder), Signal::TERM).unwrap();
    let output = larder.wait_with_output().unwrap();
    drop(tell);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(said.contains("taken out of Docker") && said.ends_with("larder: interrupted\n"), "{said}");
    assert_eq!(docker.ok(["image", "ls", "--all", "--quiet"]), "", "{said}");
}

fn a_broken_policy_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    let policy = desk.sandbox.store().join(".larder/larder.toml");
    let said = rmi(&desk, &format!("printf 'min_age = \"1d\"\nmin_agee = 5\n' >'{}'", policy.display()), 0);
    assert!(said.contains("the images stay") && said.contains("larder.toml"), "{said}");
    assert!(said.contains("line 2"), "{said}");
    assert!(docker.image_id("base:1").is_some());
}

fn what_is_not_noted_stays(docker: &Docker) {
    let desk = desk(docker);
    rmi(&desk, "true", 0);
    let script = format!("rm '{}'", handovers(&desk, "").display());
    let said = rmi(&desk, &script, 0);
    assert!(said.contains("base:1: stays in Docker"), "{said}");
    assert!(said.contains("it is not noted that larder brought it"), "{said}");
    assert!(docker.image_id("base:1").is_some());
}

/// Ten seconds, on one engine: the others would hang no other way.
#[test]
fn an_engine_that_hangs_does_not_keep_the_code_for_long() {
    let docker = need!(peer::docker28(), "Docker 28");
    let desk = desk(&docker);
    let args = HOLD.iter().copied().chain(["sh", "-c"]).map(str::to_owned);
    let script = format!("{WAITS}; exit 9");
    let running = Running::start(desk.sandbox.command(args.chain([script])));
    desk.proxy.hang();
    let begun = Instant::now();
    assert_eq!(running.end(), Some(9));
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(30), "{took:?}");
}
