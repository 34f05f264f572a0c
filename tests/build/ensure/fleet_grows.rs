//! Hosts that ask for different things under one name: the image that they share grows.

use super::fleet::{REPOSITORY, join, two};
use super::*;
use crate::support::need;

/// What is asked for of the name, beside the package.
const OF: [&str; 8] =
    ["ensure", "--project", "p", "--os", "debian:12", "--compiler", "gcc-12", "--arch=amd64"];

fn with(host: &Sandbox, packages: &[&str]) -> (String, String) {
    let packages: Vec<_> = packages.iter().map(|package| format!("--package={package}")).collect();
    let output = host.larder(OF.iter().copied().chain(packages.iter().map(String::as_str)));
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_hosts_ask_for_in_turn_comes_to_one_image_that_serves_all() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    let [third, fourth] = [(), ()].map(|()| Sandbox::new());
    for host in [&third, &fourth] {
        join(host, &taker.address, "");
    }
    debian(&second, "first", &[]).unwrap();
    debian(&third, "first", &[]).unwrap();
    for (host, package) in [(&first, "cmake"), (&second, "curl"), (&third, "rsync")] {
        let (out, said) = with(host, &[package]);
        assert_eq!((out, ran(&said)), (format!("{NAME}\n"), 1), "{said}");
    }
    // It has no base to build on.
    let (_, said) = with(&fourth, &["cmake", "curl", "rsync"]);
    assert!(said.contains("is fetched from"), "{said}");
}

#[test]
fn what_nobody_can_have_costs_no_job() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    with(&first, &["cmake"]);
    std::fs::create_dir(first.path("context")).unwrap();
    let lie = format!("FROM {NAME}\nLABEL dev.larder.packages=missing,--option,cmake\n");
    std::fs::write(first.path("context/Dockerfile"), lie).unwrap();
    first.ok(["build", "context", "-t", "lie:1"]);
    first.ok(["push", "lie:1", &format!("{}/{REPOSITORY}:latest", taker.address)]);
    let (out, said) = with(&second, &["curl"]);
    assert!(out.starts_with("p-debian-12-gcc12:apart-"), "{out}: {said}");
    assert!(said.contains("missing") && !said.contains("--option \\"), "{said}");
}
