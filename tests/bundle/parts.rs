//! Parts: each is checked by itself, they come in any order, and one that was lost is made again.

use super::{Gap, files};
use crate::support::store::{assert_nothing_pending, assert_sound, blobs, entries, named};

/// An image with layers of 300 and 30 kB, in parts of 100 kB.
fn cut() -> (Gap, Vec<String>) {
    let gap = Gap::new();
    gap.image_of("out", "large:1", &[1], 300_000, &[]);
    gap.image_of("out", "small:1", &[2, 3], 30_000, &[]);
    let made = gap.json("out", ["bundle", "create", "--all", "--split", "150kB", "-o", "b"]);
    let parts = made["parts"].as_array().unwrap();
    let files: Vec<_> = parts.iter().map(|part| part["file"].as_str().unwrap().to_owned()).collect();
    assert!(files.len() >= 3, "{files:?}");
    assert_eq!(files[0], format!("b.1of{}", files.len()));
    for (file, part) in files.iter().zip(parts) {
        let size = gap.path(file).metadata().unwrap().len();
        assert!(size <= 150_000 && part["size"].as_u64() == Some(size), "{file}: {size}");
    }
    (gap, files)
}

fn apply<'a>(files: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    ["bundle", "apply"].into_iter().chain(files.into_iter().map(String::as_str)).collect()
}

fn assert_complete(gap: &Gap) {
    for name in ["large:1", "small:1"] {
        assert_eq!(named(&gap.store("in"), name), named(&gap.store("out"), name));
    }
    assert_eq!(blobs(&gap.store("in")), blobs(&gap.store("out")));
    assert_sound(&gap.store("in"));
    assert_nothing_pending(&gap.store("in"));
    assert_eq!((files(&gap.store("in"), "journals"), files(&gap.store("in"), "partial")), (0, 0));
}

#[test]
fn in_any_order() {
    let (gap, files) = cut();
    gap.at("in", apply(files.iter().rev()));
    assert_complete(&gap);
}

#[test]
fn one_by_one_and_each_is_read_once() {
    let (gap, files) = cut();
    let mut read = 0;
    for (at, file) in files.iter().rev().enumerate() {
        let words = ["--store", "in", "bundle", "apply", file.as_str(), "--format", "json"];
        let output = gap.sandbox.larder(words);
        let is_last = at + 1 == files.len();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(if is_last { 0 } else { 1 }), "{said}");
        assert!(is_last || said.contains(&format!("part 1 of {} is missing", files.len())), "{said}");
        assert!(is_last || said.contains("large:1"), "the images that wait are named: {said}");
        let applied: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        read += applied["read_bytes"].as_u64().unwrap();
        // What is there in part is kept.
        gap.at("in", ["gc", "--grace", "0s"]);
    }
    assert_eq!(read, blobs(&gap.store("out")).values().sum::<u64>());
    assert_complete(&gap);
}

#[test]
fn through_a_pipe_one_behind_the_other() {
    let (gap, files) = cut();
    let all: Vec<u8> = files.iter().flat_map(|file| std::fs::read(gap.path(file)).unwrap()).collect();
    let (code, said) = gap.apply_stdin(&all, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_complete(&gap);
    let first = std::fs::read(gap.path(&files[0])).unwrap();
    let other = Gap::new();
    let (code, said) = other.apply_stdin(&first, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("part 2 of"), "{said}");
}

#[test]
fn a_lost_part_is_made_again() {
    let (gap, files) = cut();
    let whole = std::fs::read(gap.path(&files[1])).unwrap();
    std::fs::remove_file(gap.path(&files[1])).unwrap();
    gap.at("out", ["bundle", "create", "--all", "--split", "150kB", "-o", "b", "--part", "2"]);
    assert!(std::fs::read(gap.path(&files[1])).unwrap() == whole);
    let words = ["--store", "out", "bundle", "create", "--all", "--split", "150kB", "-o", "-", "--part", "2"];
    assert!(gap.sandbox.larder(words).stdout == whole);
    gap.fail("out", ["bundle", "create", "--all", "--split", "150kB", "-o", "b", "--part", "99"], 2);
    let said = gap.fail("out", ["bundle", "create", "--all", "--split", "2kB", "-o", "tiny"], 1);
    assert!(said.contains("too small"), "{said}");
}

#[test]
fn a_part_that_is_doubled_swapped_cut_or_flipped_is_named() {
    let (gap, files) = cut();
    std::fs::copy(gap.path(&files[1]), gap.path("copy")).unwrap();
    // Another bundle's part in the place of one.
    gap.image_of("elsewhere", "other:1", &[9], 300_000, &[]);
    gap.at("elsewhere", ["bundle", "create", "other:1", "--split", "150kB", "-o", "o"]);
    let said = gap.fail("in", ["bundle", "apply", &files[0], "o.2of3"], 1);
    assert!(said.contains("o.2of3: is of another bundle"), "{said}");
    let whole = std::fs::read(gap.path(&files[1])).unwrap();
    std::fs::write(gap.path("cut"), &whole[..whole.len() - 700]).unwrap();
    let said = gap.fail("in", ["bundle", "apply", &files[0], "cut"], 5);
    assert!(said.contains("cut: ") && said.contains("is cut off"), "{said}");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    std::fs::write(gap.path("flipped"), flipped).unwrap();
    let said = gap.fail("in", ["bundle", "apply", "flipped"], 5);
    assert!(said.contains("flipped: ") && said.contains("digest mismatch"), "{said}");
    assert!(!gap.store("in").join(".larder/journals").exists(), "nothing was begun");
    // Twice the same is said, and what is missing then.
    let said = gap.fail("in", ["bundle", "apply", &files[1], "copy", &files[2]], 1);
    assert!(said.contains("copy: is part 2 of") && said.contains("part 1 of"), "{said}");
    assert!(entries(&gap.store("in")).len() < 2);
    gap.at("in", apply(&files));
    assert_complete(&gap);
}
