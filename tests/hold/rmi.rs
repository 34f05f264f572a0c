//! `hold --rmi`: what larder gave an engine goes out of it again, unless somebody uses it.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::mpsc::channel;

use serde_json::Value;

use super::{Running, WAITS};
use crate::handover::images::{app, base, store};
use crate::handover::proxy::Verdict;
use crate::handover::{Desk, on_every_engine};
use crate::support::{Docker, wait_for};

on_every_engine!(
    a_copy_that_nobody_uses_goes_and_can_come_again,
    a_container_keeps_it,
    another_hold_keeps_it,
    a_young_hand_over_keeps_it,
    a_name_of_somebody_elses_keeps_it,
    what_the_engine_had_before_stays,
    layers_of_others_stay,
    a_copy_that_lost_its_name_goes_as_well,
    a_hand_over_waits_for_a_removal,
    a_removal_waits_for_a_hand_over,
    holds_that_come_and_go_never_miss_their_image,
);

pub(super) const HOLD: [&str; 5] = ["hold", "base:1", "--to-docker", "--rmi", "--"];

pub(super) fn desk(docker: &Docker) -> Desk {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    desk
}

/// Holds `base:1` for a shell script, which ends with this code: what larder says.
pub(super) fn rmi(desk: &Desk, script: &str, code: i32) -> String {
    let output = desk.sandbox.larder(HOLD.iter().chain(&["sh", "-c", script]));
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The records of the engine, or its lock.
pub(super) fn handovers(desk: &Desk, end: &str) -> PathBuf {
    let dir = std::fs::read_dir(desk.sandbox.store().join(".larder/handovers")).unwrap();
    let is_it = |path: &PathBuf| path.extension().map_or("", |found| found.to_str().unwrap()) == end;
    dir.map(|entry| entry.unwrap().path()).find(is_it).unwrap()
}

/// Makes all hand-overs so far an hour older.
pub(crate) fn age(desk: &Desk) {
    let path = handovers(desk, "");
    let mut aged = String::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record["at"] = (record["at"].as_i64().unwrap() - 3600).into();
        aged += &format!("{record}\n");
    }
    std::fs::write(path, aged).unwrap();
}

fn a_copy_that_nobody_uses_goes_and_can_come_again(docker: &Docker) {
    let desk = desk(docker);
    for _ in 0..2 {
        let script = "docker run --rm --pull=never --network=host base:1 /bin/hello once; exit 5";
        let said = rmi(&desk, script, 5);
        assert!(said.contains("base:1: taken out of Docker"), "{said}");
        assert_eq!(docker.ok(["image", "ls", "--all", "--quiet"]), "");
        assert_eq!(desk.take().loads, 1, "nobody believes that it is there");
    }
    // Under two names, both larder's.
    let args =
        ["hold", "base:1", "base:1", "--to-docker", "--as", "a:1", "--as", "b:1", "--rmi", "--", "true"];
    let output = desk.sandbox.larder(args);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(docker.ok(["image", "ls", "--all", "--quiet"]), "", "{output:?}");
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    assert_eq!(docker.run("base:1", &["/bin/hello", "again"]), "hello from larder again\n");
    assert_eq!(desk.take().loads, 2);
}

fn a_container_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    let said = rmi(&desk, "docker create --name user --network=host base:1 >/dev/null; exit 3", 3);
    assert!(said.contains("base:1: stays in Docker") && said.contains("container user uses it"), "{said}");
    assert!(docker.image_id("base:1").is_some());
    docker.ok(["rm", "user"]);
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("taken out") && docker.image_id("base:1").is_none(), "{said}");
}

fn another_hold_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    // It hands nothing over: what it leases counts.
    let other = Running::hold(&desk.sandbox, "base:1", WAITS);
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("stays in Docker") && said.contains("another hold uses it: sh\n"), "{said}");
    assert!(docker.image_id("base:1").is_some());
    assert_eq!(other.end(), Some(0));
    // What a command leaves running is a user as well.
    let args = HOLD.iter().chain(&["sh", "-c", "exec 3<&0; cat <&3 >/dev/null 2>&1 & echo ready"]);
    let mut running = Running::start(desk.sandbox.command(args));
    assert!(running.child.wait().unwrap().success());
    assert!(docker.image_id("base:1").is_some());
    let mut said = String::new();
    running.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("what CMD left running uses it"), "{said}");
    drop(running.stdin.take());
    wait_for(|| super::holds(&desk.sandbox).is_empty().then_some(()));
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("taken out") && docker.image_id("base:1").is_none(), "{said}");
}

fn a_young_hand_over_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("stays in Docker") && said.contains("handed over"), "{said}");
    assert_eq!(docker.run("base:1", &["/bin/hello", "x"]), "hello from larder x\n");
    // Once it is old it keeps nothing, and neither does a hold that has ended.
    age(&desk);
    desk.sandbox.ok(["hold", "base:1", "--to-docker", "--", "true"]);
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("taken out") && docker.image_id("base:1").is_none(), "{said}");
}

fn a_name_of_somebody_elses_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    let said = rmi(&desk, "docker tag base:1 mine:1", 0);
    assert!(said.contains("a name that larder did not give, mine:1"), "{said}");
    assert!(docker.image_id("base:1").is_some() && docker.image_id("mine:1").is_some());
    docker.ok(["image", "rm", "mine:1"]);
    assert!(rmi(&desk, "true", 0).contains("taken out"));
    // Under that name alone it is theirs.
    let said = rmi(&desk, "docker tag base:1 kept:1; docker image rm base:1 >/dev/null", 0);
    assert!(said.contains("larder did not give, kept:1"), "{said}");
    assert!(docker.image_id("kept:1").is_some());
    assert_eq!(docker.image_id("base:1"), None);
}

fn what_the_engine_had_before_stays(docker: &Docker) {
    let desk = desk(docker);
    desk.sandbox.ok(["export", "base:1", "-o", "base.tar", "--layers", "plain"]);
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    // The very same image, this time by somebody else.
    age(&desk);
    assert!(rmi(&desk, "true", 0).contains("taken out"));
    let id = |name| docker.image_id(name);
    if docker.has_containerd_store() {
        // Plain layers are other blobs there, and so it is another image.
        desk.sandbox.ok(["export", "base:1", "-o", "base.tar"]);
    }
    docker.ok(["load".as_ref(), "-i".as_ref(), desk.sandbox.path("base.tar").as_os_str()]);
    let before = id("base:1");
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("the engine had it before larder came"), "{said}");
    assert_eq!(id("base:1"), before);
    // A name that larder adds does not make it larder's.
    let args = ["hold", "base:1", "--to-docker", "--as", "ours:1", "--rmi", "--", "true"];
    let output = desk.sandbox.larder(args);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(id("base:1"), before, "{output:?}");
}

fn layers_of_others_stay(docker: &Docker) {
    let desk = desk(docker);
    store(&desk.sandbox, "app:1", &app());
    desk.sandbox.ok(["export", "--to-docker", "app:1"]);
    assert!(rmi(&desk, "true", 0).contains("taken out"));
    assert_eq!(docker.image_id("base:1"), None);
    assert_eq!(docker.run("app:1", &["/bin/hello", "whole"]), "hello from larder whole\n");
}

fn a_copy_that_lost_its_name_goes_as_well(docker: &Docker) {
    let desk = desk(docker);
    store(&desk.sandbox, "app:1", &app());
    let larder = desk.sandbox.command::<&str>([]).get_program().display().to_string();
    rmi(&desk, &format!("{larder} export --to-docker app:1 --as base:1 >/dev/null"), 0);
    let ids = docker.ok(["image", "ls", "--all", "--quiet", "--no-trunc"]);
    assert_eq!(ids.lines().collect::<Vec<_>>(), [docker.image_id("base:1").unwrap()]);
    assert_eq!(docker.run("base:1", &["/bin/hello", "app"]), "hello from larder app\n");
}

/// The lock of hand-overs, held as a removal holds it: whoever hands over asks the engine only afterwards.
fn a_hand_over_waits_for_a_removal(docker: &Docker) {
    let desk = desk(docker);
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    let lock = File::open(handovers(&desk, "lock")).unwrap();
    lock.lock().unwrap();
    let mut command = desk.sandbox.command(["export", "--to-docker", "base:1"]);
    let mut export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(export.try_wait().unwrap().is_none(), "it waits");
    docker.ok(["image", "rm", "base:1"]);
    drop(lock);
    let output = export.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(docker.run("base:1", &["/bin/hello", "there"]), "hello from larder there\n");
}

/// A hand-over in its middle, held up on the socket: until it is over nothing is taken, and afterwards it is young.
fn a_removal_waits_for_a_hand_over(docker: &Docker) {
    let desk = desk(docker);
    store(&desk.sandbox, "app:1", &app());
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    age(&desk);
    let (tell, told) = channel::<()>();
    let (reached, at_load) = channel();
    desk.proxy.before_load(move || {
        reached.send(()).unwrap();
        told.recv().unwrap();
        Verdict::Pass
    });
    let mut command = desk.sandbox.command(["export", "--to-docker", "app:1"]);
    let export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    at_load.recv().unwrap();
    // It does not get the lock in time: nothing is removed, and the code is the command's.
    let args = ["--lock-timeout", "1"].iter().chain(&HOLD).chain(&["sh", "-c", "exit 6"]);
    let output: Output = desk.sandbox.larder(args);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("hand-over lock was not free") && said.contains("hint: wait for"), "{said}");
    assert!(docker.image_id("base:1").is_some());
    // And now it waits as long as it takes.
    let mut command = desk.sandbox.command(HOLD.iter().chain(&["true"]));
    let mut hold = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(hold.try_wait().unwrap().is_none(), "it waits");
    assert!(docker.image_id("base:1").is_some());
    tell.send(()).unwrap();
    let (export, hold) = (export.wait_with_output().unwrap(), hold.wait_with_output().unwrap());
    assert!(export.status.success() && hold.status.success(), "{export:?} {hold:?}");
    assert_eq!(docker.run("app:1", &["/bin/hello", "whole"]), "hello from larder whole\n");
}

/// Each of them may take the copy just when the next one counts on it.
fn holds_that_come_and_go_never_miss_their_image(docker: &Docker) {
    let desk = desk(docker);
    let round =
        || (0..6).map(|_| rmi(&desk, "exec docker image inspect base:1 >/dev/null", 0)).collect::<String>();
    let said = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(round)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<String>()
    });
    // The last one at the least takes it; of two that end at once, one may find it gone.
    assert!(said.contains("base:1: taken out"), "{said}");
    assert_eq!(docker.image_id("base:1"), None, "{said}");
    assert!(desk.take().loads > 0);
}
