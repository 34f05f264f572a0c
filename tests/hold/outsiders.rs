//! `hold --rmi` and what others do behind larder's back: what is theirs stays, also when it comes just before the removal.

use std::process::Command;
use std::sync::mpsc::channel;

use super::rmi::{HOLD, age, desk, rmi};
use super::{Running, WAITS};
use crate::handover::images::{app, store};
use crate::handover::{Desk, on_every_engine};
use crate::support::{Docker, need, peer};

on_every_engine!(
    an_image_that_got_the_name_just_now_stays,
    a_name_that_was_given_just_now_keeps_it,
    what_the_engine_keeps_has_its_names,
    of_several_names_one_that_moved_stays,
    a_hold_that_began_just_now_keeps_it,
    what_was_removed_and_came_again_is_not_larders,
    a_name_that_was_removed_and_came_again_is_not_larders,
    a_name_that_was_somebodys_means_theirs_again,
);

const TWO_NAMES: [&str; 11] =
    ["hold", "base:1", "base:1", "--to-docker", "--as", "a:1", "--as", "b:1", "--rmi", "--", "true"];

/// Somebody's `docker load` of another image under this name.
fn load_other(desk: &Desk, docker: &Docker, name: &str) -> Command {
    store(&desk.sandbox, "app:1", &app());
    desk.sandbox.ok(["export", "app:1", "-o", "other.tar", "--layers", "plain", "--as", name]);
    docker.command(["load".as_ref(), "-i".as_ref(), desk.sandbox.path("other.tar").as_os_str()])
}

/// Somebody's `docker load` of `base:1`, as the engine would have it from larder.
fn load_same(desk: &Desk, docker: &Docker) {
    // Plain layers are other blobs in a containerd store, and so it would be another image.
    let layers = if docker.has_containerd_store() { "stored" } else { "plain" };
    desk.sandbox.ok(["export", "base:1", "-o", "base.tar", "--layers", layers]);
    docker.ok(["load".as_ref(), "-i".as_ref(), desk.sandbox.path("base.tar").as_os_str()]);
}

fn run(mut command: Command) -> impl FnOnce() + Send + 'static {
    move || assert!(command.output().unwrap().status.success(), "{command:?}")
}

fn said(desk: &Desk, args: &[&str]) -> String {
    let output = desk.sandbox.larder(args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn an_image_that_got_the_name_just_now_stays(docker: &Docker) {
    let desk = desk(docker);
    desk.proxy.before("DELETE ", "/images/", run(load_other(&desk, docker, "base:1")));
    let said = rmi(&desk, "true", 0);
    assert_eq!(docker.run("base:1", &["/bin/hello", "other"]), "hello from larder other\n", "{said}");
    let ids = docker.ok(["image", "ls", "--all", "--quiet", "--no-trunc"]);
    assert_eq!(ids.lines().count(), 1, "the copy went without a name: {said}");
}

fn a_name_that_was_given_just_now_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    desk.proxy.before("DELETE ", "/images/", run(docker.command(["tag", "base:1", "mine:1"])));
    let said = rmi(&desk, "true", 0);
    assert!(said.contains("stays in Docker") && said.contains("multiple repositories"), "{said}");
    assert!(docker.image_id("base:1").is_some() && docker.image_id("mine:1").is_some());
}

fn what_the_engine_keeps_has_its_names(docker: &Docker) {
    let desk = desk(docker);
    let create = docker.command(["create", "--name", "user", "--network=host", "b:1", "/bin/hello"]);
    desk.proxy.before("DELETE ", "/images/", run(create));
    let kept = said(&desk, &TWO_NAMES);
    assert!(kept.contains("a:1, b:1: stays in Docker"), "{kept}");
    let id = docker.image_id("b:1");
    assert!(id.is_some() && docker.image_id("a:1") == id, "{kept}");
    // And larder knows the name again as its own.
    docker.ok(["rm", "user"]);
    let taken = said(&desk, &TWO_NAMES);
    assert!(taken.contains("taken out") && docker.image_id("a:1").is_none(), "{taken}");
}

fn of_several_names_one_that_moved_stays(docker: &Docker) {
    let desk = desk(docker);
    // Two looks belong to the hand-over; the third comes just before the name goes. What is moved within the request after
    // it is lost (docs/guarantees.md).
    let load = load_other(&desk, docker, "a:1");
    desk.proxy.before("GET ", "/images/a:1/json", || ());
    desk.proxy.before("GET ", "/images/a:1/json", || ());
    desk.proxy.before("GET ", "/images/a:1/json", run(load));
    let taken = said(&desk, &TWO_NAMES);
    assert_eq!(docker.run("a:1", &["/bin/hello", "other"]), "hello from larder other\n", "{taken}");
    assert_eq!(docker.image_id("b:1"), None, "{taken}");
}

/// It holds without handing over, and so it takes no lock that a removal has.
fn a_hold_that_began_just_now_keeps_it(docker: &Docker) {
    let desk = desk(docker);
    let other = desk.sandbox.command(["hold", "base:1", "--", "sh", "-c", WAITS]);
    let (send, begun) = channel();
    // One look at the ID belongs to the hand-over, one to the decision; the third comes just before the image goes.
    desk.proxy.before("GET ", "/images/sha256", || ());
    desk.proxy.before("GET ", "/images/sha256", || ());
    desk.proxy.before("GET ", "/images/sha256", move || send.send(Running::start(other)).unwrap());
    let kept = rmi(&desk, "true", 0);
    assert!(kept.contains("another hold uses it: sh"), "{kept}");
    assert!(docker.image_id("base:1").is_some());
    assert_eq!(begun.recv().unwrap().end(), Some(0));
}

fn what_was_removed_and_came_again_is_not_larders(docker: &Docker) {
    let desk = desk(docker);
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    age(&desk);
    docker.ok(["image", "rm", "base:1"]);
    // Larder sees that it is gone, and only then it comes again; a containerd store tells the one from the other itself.
    if !docker.has_containerd_store() {
        assert_eq!(desk.sandbox.json(["prune", "--docker"])["docker"], serde_json::json!([]));
    }
    load_same(&desk, docker);
    let kept = rmi(&desk, "true", 0);
    let why = if docker.has_containerd_store() { "tagged again since" } else { "before larder came" };
    assert!(kept.contains(why) && docker.image_id("base:1").is_some(), "{kept}");
}

fn a_name_that_was_removed_and_came_again_is_not_larders(docker: &Docker) {
    let desk = desk(docker);
    desk.sandbox.ok(["export", "--to-docker", "base:1"]);
    docker.ok(["image", "rm", "base:1"]);
    desk.sandbox.ok(["export", "--to-docker", "base:1", "--as", "ours:1"]);
    docker.ok(["tag", "ours:1", "base:1"]);
    age(&desk);
    let args = ["hold", "base:1", "--to-docker", "--as", "ours:1", "--rmi", "--", "true"];
    let kept = said(&desk, &args);
    assert!(kept.contains("a name that larder did not give, base:1"), "{kept}");
    assert!(docker.image_id("base:1").is_some() && docker.image_id("ours:1").is_some());
}

/// A graph driver knows a pull by its digest; a containerd store has one of every image, and is told by the time.
#[test]
fn what_docker20_pulled_again_stays() {
    what_was_pulled_again_stays(&need!(peer::docker20(), "Docker 20.10"));
}

#[test]
fn what_docker28_pulled_again_stays() {
    what_was_pulled_again_stays(&need!(peer::docker28(), "Docker 28"));
}

fn what_was_pulled_again_stays(docker: &Docker) {
    let registry = need!(peer::registry(), "a registry");
    let desk = desk(docker);
    let name = format!("{}/again/base:1", registry.address);
    desk.sandbox.ok(["export", "--to-docker", "base:1", "--as", &name]);
    age(&desk);
    docker.ok(["push", "--quiet", &name]);
    docker.ok(["image", "rm", &name]);
    docker.ok(["pull", "--quiet", &name]);
    let kept = said(&desk, &["hold", "base:1", "--to-docker", "--as", &name, "--rmi", "--", "true"]);
    assert!(kept.contains("stays in Docker") && docker.image_id(&name).is_some(), "{kept}");
}

fn a_name_that_was_somebodys_means_theirs_again(docker: &Docker) {
    let desk = desk(docker);
    run(load_other(&desk, docker, "base:1"))();
    let theirs = docker.image_id("base:1").unwrap();
    let script = "docker image inspect --format '{{.Id}}' base:1 >&2";
    let args = HOLD.iter().copied().chain(["sh", "-c", script]).collect::<Vec<_>>();
    let told = said(&desk, &args);
    assert!(told.contains(&format!("base:1: takes the name from {theirs}")), "{told}");
    assert!(told.contains("taken out") && told.contains(&format!("base:1: means {theirs} again")), "{told}");
    assert_eq!(docker.image_id("base:1"), Some(theirs));
    assert_eq!(docker.run("base:1", &["/bin/hello", "theirs"]), "hello from larder theirs\n");
}
