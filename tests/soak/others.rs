//! Who collects, reads, exports and hands over.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::{Soak, WRITERS};
use crate::import::GCC;
use crate::support::tarball::members_of;
use crate::support::{Docker, Sandbox, fixture};

/// An image whose name stays all the time.
pub(super) fn keep_one(sandbox: &Sandbox) {
    sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
}

pub(super) fn collect(soak: &Soak, command: &[&str]) {
    let args: Vec<_> = command.iter().copied().chain(["--format", "json"]).collect();
    let (_, stdout) = soak.runs(&args, &[0]);
    let collected: Value = serde_json::from_slice(&stdout).unwrap();
    let has_freed = collected["freed_bytes"].as_u64() > Some(0);
    soak.freeing.fetch_add(usize::from(has_freed), Ordering::Relaxed);
}

/// A name that may be there at the moment.
fn somebodys(turn: u64) -> String {
    format!("w{}:{}", turn % WRITERS, 1 + turn / WRITERS % 2)
}

/// What is listed is there; a name that is not there is no such image, and nothing worse.
pub(super) fn look(soak: &Soak, turn: u64) {
    let (_, listed) = soak.runs(&["images", "--format", "json"], &[0]);
    assert!(String::from_utf8(listed).unwrap().contains(GCC));
    soak.runs(&["inspect", &somebodys(turn)], &[0, 3]);
    soak.runs(&["df"], &[0]);
}

pub(super) fn check(soak: &Soak, turn: u64) {
    soak.runs(&["verify"], &[0]);
    soak.runs(&["verify", &somebodys(turn)], &[0, 3]);
}

/// An archive is whole, or there is none.
pub(super) fn export(soak: &Soak, turn: u64) {
    let out = soak.sandbox.path("exported.tar");
    let (code, _) = soak.runs(&["export", &somebodys(turn), GCC, "-o", out.to_str().unwrap()], &[0, 3]);
    assert_eq!(out.exists(), code == 0);
    if code == 0 {
        assert!(members_of(&out).contains_key("manifest.json"));
        std::fs::remove_file(out).unwrap();
    }
}

/// An image that is built on one that stays, on what an earlier turn left in the cache or anew, is whole while it has its name.
pub(super) fn build(soak: &Soak, turn: u64) {
    let context = soak.sandbox.path("context");
    std::fs::create_dir_all(&context).unwrap();
    let dockerfile = format!("FROM {GCC}\nCOPY Dockerfile /from/\nWORKDIR /work/{}\n", turn % 3);
    std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    soak.runs(&["build", "context", "-t", "built:1"], &[0]);
    soak.runs(&["verify", "built:1"], &[0]);
    soak.runs(&["rm", "built:1"], &[0]);
}

pub(super) fn hand_over(soak: &Soak, docker: &Docker) {
    let (_, said) = soak.runs(&["export", "--to-docker", GCC], &[0]);
    assert_eq!(String::from_utf8(said).unwrap().trim(), GCC);
    assert!(docker.image_id(GCC).is_some());
    docker.ok(["image", "rm", "--force", GCC]);
}
