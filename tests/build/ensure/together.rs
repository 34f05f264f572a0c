//! Several jobs at once that need the same image.

use std::net::TcpListener;
use std::time::{Instant, SystemTime};

use super::*;
use crate::support::store::{assert_nothing_pending, assert_sound};
use crate::support::tarball::noise;
use crate::support::{need, wait_for};

#[test]
fn four_at_once_build_once() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let children: Vec<_> = (0..4).map(|_| begin(&sandbox, &[])).collect();
    let mut builds = 0;
    for child in children {
        let (output, out, said) = end(child);
        assert!(output.status.success() && out == format!("{NAME}\n"), "{out} {said}");
        builds += ran(&said);
    }
    assert_eq!(builds, 1);
    assert_sound(&sandbox.store());
}

/// Whatever is left of one that is killed, the next makes the image, and the name never means half of one.
#[test]
fn one_that_is_killed_at_any_of_10_moments_costs_the_next_one_nothing() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let begun = Instant::now();
    ensured(&sandbox, &["--no-cache"]);
    let took = begun.elapsed();
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    for random in noise(seed.into(), 10) {
        sandbox.command(["rm", NAME]).output().unwrap();
        let mut child = begin(&sandbox, &["--no-cache"]);
        std::thread::sleep(took.mul_f64(f64::from(random) / 256.0));
        child.kill().unwrap();
        let (_, out, _) = end(child);
        let is_there = names(&sandbox.store()).contains(NAME);
        assert!(out.is_empty() || is_there, "seed {seed}: {out}");
        assert_sound(&sandbox.store());
        let (out, said) = ensured(&sandbox, &[]);
        assert_eq!(out, format!("{NAME}\n"), "seed {seed}");
        assert!(!is_there || said.is_empty(), "seed {seed}: {said}");
    }
    sandbox.ok(["gc"]);
    sandbox.ok(["verify"]);
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn who_waits_says_for_whom_and_the_build_protects_what_it_needs() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let package = format!("--package=wait-{}", listener.local_addr().unwrap().port());
    let mut first = begin(&sandbox, &[&package]);
    // Its command runs now.
    listener.set_nonblocking(true).unwrap();
    let running = wait_for(|| {
        assert_eq!(first.try_wait().unwrap(), None, "it runs until somebody hangs up");
        listener.accept().ok().map(|(running, _)| running)
    });
    let log = sandbox.path("second.log");
    let mut second = sandbox.command(JOB.iter().chain(&[package.as_str()]));
    second.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let second = second.spawn().unwrap();
    let said = wait_for(|| {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("waiting for it").then_some(said)
    });
    assert!(said.contains(&format!("is built by process {}", first.id())), "{said}");
    let holds = sandbox.json(["holds"]);
    assert!(holds.as_array().unwrap().iter().any(|hold| hold["purpose"] == "build"), "{holds}");
    // Nobody sees it before it is whole; the base is safe.
    assert_eq!(names(&sandbox.store()), ["debian:12".to_owned()].into());
    sandbox.ok(["gc"]);
    // Another name is built meanwhile.
    assert_eq!(ensured(&sandbox, &["--variant=cov"]).0, "p-debian-12-gcc12-cov:latest\n");
    drop(running);
    let (output, out, whole) = end(first);
    assert!(output.status.success() && out == format!("{NAME}\n"), "{whole}");
    let (output, out, _) = end(second);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(output.status.success() && out == format!("{NAME}\n") && ran(&said) == 0, "{said}");
}
