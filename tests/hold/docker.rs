//! `hold --to-docker`: the images are handed over before the command begins.

use super::{Running, WAITS, swept};
use crate::handover::images::{app, base, store};
use crate::handover::{Desk, on_every_engine};
use crate::support::Docker;

on_every_engine!(a_container_runs_while_its_image_is_held, without_the_image_nothing_runs);

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
        let answer = crate::handover::proxy::answer("500 Internal Server Error", r#"{"message":"no room"}"#);
        crate::handover::proxy::Verdict::Answer(answer)
    });
    let said = sandbox.fail(["hold", "base:1", "--to-docker", "--", "touch", "ran"], 125);
    assert!(said.contains("no room") && !sandbox.path("ran").exists(), "{said}");
    crate::support::store::assert_nothing_pending(&sandbox.store());
}
