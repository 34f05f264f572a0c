//! `bundle apply`: what was sent is there, under the names that the bundle says, and nothing is read twice.

use super::{Gap, files};
use crate::support::store::{assert_nothing_pending, assert_sound, entries, index_text, named};

fn annotation(gap: &Gap, name: &str, key: &str) -> Option<String> {
    let entries = entries(&gap.store("in"));
    let entry =
        entries.iter().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name)?;
    entry["annotations"][key].as_str().map(str::to_owned)
}

#[test]
fn what_was_sent_is_there() {
    let gap = Gap::new();
    gap.image("out", "ci-a:1", &[1, 2]);
    gap.image_of("out", "capy-ubuntu-25.04-gcc15:latest", &[1, 3], 5_000_000, &["--project", "capy"]);
    gap.at("out", ["pin", "ci-a:1"]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    let applied = gap.json("in", ["bundle", "apply", "bundle"]);
    let (store, from) = (gap.store("in"), gap.store("out"));
    assert_sound(&store);
    assert_nothing_pending(&store);
    for name in ["ci-a:1", "capy-ubuntu-25.04-gcc15:latest"] {
        assert_eq!(named(&store, name), named(&from, name));
    }
    let blobs = crate::support::store::blobs(&store);
    assert_eq!(blobs, crate::support::store::blobs(&from));
    assert_eq!(applied["new_bytes"].as_u64(), Some(blobs.values().sum()));
    assert_eq!(applied["read_bytes"], applied["new_bytes"]);
    // What was declared travels, what concerns the other host does not.
    let latest = "capy-ubuntu-25.04-gcc15:latest";
    assert_eq!(annotation(&gap, latest, "dev.larder.project").as_deref(), Some("capy"));
    assert_eq!(annotation(&gap, latest, "dev.larder.origin").as_deref(), Some("bundle"));
    assert_eq!(annotation(&gap, "ci-a:1", "dev.larder.pinned"), None);
    assert_eq!((files(&store, "journals"), files(&store, "receipts")), (0, 1));
    gap.at("in", ["verify"]);
}

#[test]
fn the_same_again_reads_nothing_and_still_looks() {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1, 2]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    gap.at("in", ["bundle", "apply", "bundle"]);
    let before = index_text(&gap.store("in"));
    let again = gap.json("in", ["bundle", "apply", "bundle"]);
    assert_eq!((again["read_bytes"].as_u64(), &again["images"][0]["status"]), (Some(0), &"unchanged".into()));
    assert_eq!(index_text(&gap.store("in")), before);
    // A blob that is gone is found, and comes again.
    let (hex, size) =
        crate::support::store::blobs(&gap.store("in")).into_iter().max_by_key(|(_, size)| *size).unwrap();
    std::fs::remove_file(gap.store("in").join("blobs/sha256").join(hex)).unwrap();
    let again = gap.json("in", ["bundle", "apply", "bundle"]);
    assert_eq!(again["read_bytes"].as_u64(), Some(size));
    assert_sound(&gap.store("in"));
    // One that is damaged, of the same size, is found by who asks for it.
    let (hex, _) =
        crate::support::store::blobs(&gap.store("in")).into_iter().max_by_key(|(_, size)| *size).unwrap();
    let path = gap.store("in").join("blobs/sha256").join(hex);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    gap.at("in", ["bundle", "apply", "bundle", "--verify"]);
    assert_sound(&gap.store("in"));
}

#[test]
fn a_stream_brings_the_same() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1, 2], 6_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    let bytes = std::fs::read(gap.path("bundle")).unwrap();
    let (code, said) = gap.apply_stdin(&bytes, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_sound(&gap.store("in"));
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    assert_nothing_pending(&gap.store("in"));
}

#[test]
fn what_was_broken_off_goes_on_and_reads_what_is_missing() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1, 2, 3], 2_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    let bytes = std::fs::read(gap.path("bundle")).unwrap();
    let (code, said) = gap.apply_stdin(&bytes[..bytes.len() * 3 / 4], &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("cut off"), "{said}");
    let store = gap.store("in");
    assert_eq!((entries(&store).len(), files(&store, "journals")), (0, 1), "no name before all is there");
    // What came is nobody's garbage, and people are told of it.
    gap.at("in", ["gc", "--grace", "0s"]);
    let doctor = gap.sandbox.larder(["--store", "in", "doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("of which not all has come"), "{doctor}");
    let there: u64 = crate::support::store::blobs(&store).values().sum();
    assert!(there > 4_000_000, "two of three layers came");
    let applied = gap.json("in", ["bundle", "apply", "bundle"]);
    let all: u64 = crate::support::store::blobs(&store).values().sum();
    assert_eq!(applied["read_bytes"].as_u64(), Some(all - there));
    assert_sound(&store);
    assert_nothing_pending(&store);
    assert_eq!(files(&store, "journals"), 0);
}

#[test]
fn names_move_from_bundle_to_bundle_and_from_others_when_told() {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1]);
    gap.at("out", ["bundle", "create", "--all", "-o", "january"]);
    gap.image_of("out", "ci:1", &[2], 100_000, &["--replace"]);
    gap.at("out", ["bundle", "create", "ci:1", "-o", "february"]);
    gap.at("in", ["bundle", "apply", "january"]);
    let january = named(&gap.store("in"), "ci:1");
    let applied = gap.json("in", ["bundle", "apply", "february"]);
    assert_eq!(applied["images"][0]["status"], "replaced");
    assert_eq!(applied["images"][0]["displaced"].as_str().map(str::to_owned), january);
    // Somebody's own image of this name stays.
    gap.image("other", "ci:1", &[3]);
    let before = index_text(&gap.store("other"));
    let said = gap.fail("other", ["bundle", "apply", "february"], 1);
    assert!(said.contains("another image of this name") && said.contains("--replace"), "{said}");
    assert_eq!((index_text(&gap.store("other")), files(&gap.store("other"), "journals")), (before, 0));
    gap.at("other", ["bundle", "apply", "february", "--replace"]);
    assert_eq!(named(&gap.store("other"), "ci:1"), named(&gap.store("out"), "ci:1"));
}
