//! No engine, the wrong engine, the wrong image: exit 1, a reason, what to do, and nothing on stdout.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Output;

use super::Desk;
use super::images::{base, store, store_config};
use crate::support::sandbox::NOBODY;
use crate::support::store::assert_nothing_pending;
use crate::support::tarball::config;
use crate::support::{Sandbox, describe, need, peer};

/// The refusal has a message with these words and a hint, and says nothing on stdout.
fn assert_refused(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    for word in words.iter().chain(&["larder: "]) {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn without_an_engine_the_reason_is_said() {
    let mut sandbox = Sandbox::new();
    store(&sandbox, "base:1", &base()[..1]);
    let dead = sandbox.path("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let file = sandbox.path("file.sock");
    std::fs::write(&file, "").unwrap();
    for (host, words) in [
        (
            format!("unix://{}", sandbox.path("none.sock").display()),
            &["none.sock", "hint: ", "DOCKER_HOST"][..],
        ),
        (format!("unix://{}", dead.display()), &["dead.sock", "hint: ", "not running"]),
        (format!("unix://{}", file.display()), &["file.sock", "hint: "]),
        ("tcp://127.0.0.1:1".to_owned(), &["127.0.0.1:1", "hint: "]),
        ("nonsense".to_owned(), &["nonsense", "hint: ", "unix://"]),
        ("ssh://somewhere".to_owned(), &["ssh://somewhere", "hint: "]),
        ("unix://".to_owned(), &["hint: "]),
    ] {
        sandbox.set("DOCKER_HOST", &host);
        let output = sandbox.larder(["export", "--to-docker", "base:1"]);
        assert_refused(&output, words);
        assert_nothing_pending(&sandbox.store());
        // An image that is not there is said first: no engine is needed to know.
        sandbox.fail(["export", "--to-docker", "none:1"], 3);
    }
    assert_eq!(sandbox.json(["images"])[0]["use_count"], 0);
}

#[test]
fn a_socket_that_is_no_docker_engine() {
    let mut sandbox = Sandbox::new();
    store(&sandbox, "base:1", &base()[..1]);
    let path = sandbox.path("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = std::io::Write::write_all(&mut client, b"220 mail.example ESMTP\r\n");
        }
    });
    sandbox.set("DOCKER_HOST", format!("unix://{}", path.display()));
    let output = sandbox.larder(["export", "--to-docker", "base:1"]);
    assert_refused(&output, &["other.sock", "hint: "]);
}

#[test]
fn a_user_who_may_not_use_the_socket_is_told_so() {
    let docker = need!(peer::docker28(), "Docker 28");
    let desk = Desk::new(&docker);
    store(&desk.sandbox, "base:1", &base()[..1]);
    std::fs::set_permissions(desk.sandbox.path("proxy.sock"), std::fs::Permissions::from_mode(0o660))
        .unwrap();
    let args = ["export", "--to-docker", "base:1"];
    let mut command = need!(desk.sandbox.command_as(NOBODY, &[], args), "setpriv and root");
    let output = command.output().unwrap();
    assert_refused(&output, &["proxy.sock", "ermission denied", "hint: ", "docker"]);
    assert_eq!(desk.proxy.take().sent, 0, "{}", describe(&command, &output));
}

#[test]
fn an_image_for_another_system_is_refused_before_anything_is_sent() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    let desk = Desk::new(&docker);
    let layers = base();
    for (os, arch, name, word) in [
        ("windows", "amd64", "win:1", "windows"),
        ("", "amd64", "noos:1", "os"),
        ("linux", "", "noarch:1", "arch"),
        ("linux", "arm64", "arm:1", "--platform linux/arm64"),
    ] {
        store_config(&desk.sandbox, name, &config(os, arch, &layers), &layers, &[]);
        let (output, traffic) = desk.try_hand_over([name]);
        assert_refused(&output, &[name, word]);
        assert_eq!(traffic.loads, 0, "{name}");
        assert_eq!(docker.image_id(name), None);
    }
    // An engine may have an emulator: who says the platform gets it.
    let (rows, _) = desk.hand_over(["arm:1", "--platform", "linux/arm64"]);
    assert_eq!(rows[0]["name"], "arm:1");
    assert!(docker.image_id("arm:1").is_some());
}

#[test]
fn an_image_without_a_name_needs_one_to_be_handed_over() {
    let docker = need!(peer::docker28(), "Docker 28");
    let desk = Desk::new(&docker);
    store(&desk.sandbox, "base:1", &base()[..1]);
    let old = desk.sandbox.json(["images"])[0]["digest"].as_str().unwrap().to_owned();
    store_config(&desk.sandbox, "base:1", &config("linux", "amd64", &base()), &base(), &["--replace"]);
    let (output, traffic) = desk.try_hand_over([&old]);
    assert_refused(&output, &["no name", "--as"]);
    assert_eq!(traffic.loads, 0);
    let (rows, _) = desk.hand_over([&old, "--as", "back:1"]);
    assert_eq!(rows[0]["digest"], old);
    assert!(docker.image_id("back:1").is_some());
}
