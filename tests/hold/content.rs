//! A hold protects content: names move as ever, and nothing is lost while it lives.

use super::{Running, WAITS, swept};
use crate::roundtrip::{CLANG, GCC, imported};
use crate::support::Sandbox;
use crate::support::store::{assert_sound, blob_path, named, reachable};
use crate::support::tarball::{docker_archive, layer};

/// While GCC is held the name loses its image in this way; nothing of it goes before the hold ends, and then it does.
fn held(change: impl FnOnce(&Sandbox)) {
    let sandbox = imported("docker20-two.tar");
    let store = sandbox.store();
    let digest = named(&store, GCC).unwrap();
    let content = reachable(&store, &digest);
    let running = Running::hold(&sandbox, GCC, WAITS);
    change(&sandbox);
    assert_ne!(named(&store, GCC), Some(digest.clone()), "the name has moved");
    assert!(
        !sandbox.json(["images", "--all"]).to_string().contains(&digest),
        "no entry keeps it: the hold is all that does"
    );
    assert_eq!(swept(&sandbox), 0);
    assert!(content.iter().all(|part| blob_path(&store, part).exists()));
    assert_eq!(running.end(), Some(0));
    assert!(swept(&sandbox) > 0);
    assert!(!blob_path(&store, &digest).exists());
    assert_sound(&store);
}

/// Takes the entry that a displaced image keeps.
fn forget_displaced(sandbox: &Sandbox) {
    let images = sandbox.json(["images", "--all"]);
    let displaced = images.as_array().unwrap().iter().find(|image| image["was"] == GCC).unwrap();
    sandbox.ok(["rm", displaced["digest"].as_str().unwrap()]);
}

#[test]
fn the_name_is_removed() {
    held(|sandbox| drop(sandbox.ok(["rm", GCC])));
}

#[test]
fn another_image_is_imported_under_the_name() {
    held(|sandbox| {
        std::fs::write(sandbox.path("other.tar"), docker_archive(GCC, &[layer("other", b"other")])).unwrap();
        sandbox.ok(["import", "other.tar", "--replace"]);
        forget_displaced(sandbox);
    });
}

#[test]
fn the_name_is_given_to_another_image() {
    held(|sandbox| {
        sandbox.ok(["tag", CLANG, GCC]);
        forget_displaced(sandbox);
    });
}
