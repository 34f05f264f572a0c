//! `bundle apply --consume`: the bundle's space goes where the images come.

use std::os::unix::fs::MetadataExt;

use super::{Gap, files};
use crate::badinput::full::{DISKS, on_disk, text};
use crate::support::store::{assert_nothing_pending, assert_sound, named};
use crate::support::{Sandbox, need};

#[test]
fn the_files_are_gone_and_the_image_is_there() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1, 2], 2_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    gap.at("in", ["bundle", "apply", "bundle", "--consume"]);
    assert!(!gap.path("bundle").exists());
    assert_sound(&gap.store("in"));
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    // In parts: the first one is freed, and stays until the others came.
    gap.at("out", ["bundle", "create", "--all", "--split", "1MB", "-o", "b"]);
    let parts = std::fs::read_dir(gap.path(""))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("b."));
    let parts = parts.count();
    let path = |part: usize| format!("b.{part}of{parts}");
    let before = gap.path(&path(1)).metadata().unwrap().blocks();
    gap.fail("other", ["bundle", "apply", &path(1), "--consume"], 1);
    assert!(gap.path(&path(1)).metadata().unwrap().blocks() < before / 2, "its space is freed");
    let said = gap.fail("third", ["bundle", "apply", &path(1)], 5);
    assert!(said.contains("was consumed in part") && said.contains("--consume again"), "{said}");
    assert!(!gap.store("third").exists());
    let rest: Vec<_> = (1..=parts).map(path).collect();
    gap.at("other", ["bundle", "apply", "--consume"].into_iter().chain(rest.iter().map(String::as_str)));
    assert!(rest.iter().all(|part| !gap.path(part).exists()));
    assert_sound(&gap.store("other"));
    assert_nothing_pending(&gap.store("other"));
    assert_eq!((files(&gap.store("other"), "journals"), files(&gap.store("other"), "partial")), (0, 0));
}

/// What another bundle brings of the same blob comes over nothing that is there.
#[test]
fn another_bundle_does_no_harm_to_what_was_eaten() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1], 400_000, &[]);
    let parts = |size: &str, name: &str| -> Vec<String> {
        let made = gap.json("out", ["bundle", "create", "--all", "--split", size, "-o", name]);
        let parts = made["parts"].as_array().unwrap().iter();
        parts.map(|part| part["file"].as_str().unwrap().to_owned()).collect()
    };
    let (own, others) = (parts("250kB", "a"), parts("300kB", "b"));
    assert!(own.len() > 1 && others.len() > 1);
    gap.fail("in", ["bundle", "apply", "--consume", &own[0]], 1);
    let mut bad = std::fs::read(gap.path(&others[0])).unwrap();
    let at = bad.len() - 4096;
    bad[at] ^= 1;
    let (code, said) = gap.apply_stdin(&bad, &[]);
    assert_eq!(code, Some(5), "{said}");
    gap.at("in", ["bundle", "apply", "--consume"].into_iter().chain(own.iter().map(String::as_str)));
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    assert_sound(&gap.store("in"));
    // What is left of the other one goes with its journal.
    for journal in std::fs::read_dir(gap.store("in").join(".larder/journals")).unwrap() {
        std::fs::remove_file(journal.unwrap().path()).unwrap();
    }
    gap.at("in", ["gc", "--grace", "0s"]);
    assert_eq!(files(&gap.store("in"), "partial"), 0);
}

/// A bundle of 40 MB on a disk of 64, which could not hold both.
#[test]
fn a_disk_that_could_not_hold_both_holds_what_is_left() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1, 2, 3, 4], 10_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    for (name, disk) in DISKS {
        let sandbox = Sandbox::new();
        std::fs::copy(gap.path("bundle"), sandbox.path("bundle")).unwrap();
        let script = "larder init >/dev/null; cp bundle store/bundle; leave 13000000
            try larder bundle apply store/bundle; ls store/blobs/sha256 | wc -l
            try larder bundle apply store/bundle --consume; ls store/bundle 2>/dev/null || true; larder verify >/dev/null";
        let output = need!(on_disk(&sandbox, disk, script), "root");
        let said = text(&output);
        assert!(said.starts_with("1\n") && said.contains("bytes are needed"), "{name}: {said}");
        assert!(said.contains("\n0\n0\nci:1 "), "{name}: refused before anything was written: {said}");
        assert!(!said.contains("store/bundle\n"), "{name}: the bundle is gone: {said}");
        assert_sound(&sandbox.path("after"));
        assert_nothing_pending(&sandbox.path("after"));
    }
}
