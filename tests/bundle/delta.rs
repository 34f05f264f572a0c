//! Layers that travel as differences.

use larder_store::codec::parse_table;

use super::Gap;
use crate::support::store::{assert_nothing_pending, assert_sound, blob, blobs, entries, named};
use crate::support::tarball::{Oci, docker_archive, layer, noise, sha256};
use crate::support::{need, peer, run};

/// The layers of two months: one that stays, and one of which a few bytes are others.
fn month(second: bool) -> Vec<Vec<u8>> {
    let mut changed = noise(2, 400_000);
    if second {
        for at in (10_000..400_000).step_by(90_000) {
            changed[at..at + 20].fill(7);
        }
    }
    vec![layer("stays", &noise(1, 50_000)), layer("changes", &changed)]
}

fn import(gap: &Gap, store: &str, name: &str, layers: &[Vec<u8>], args: &[&str]) {
    std::fs::write(gap.path("image.tar"), docker_archive(name, layers)).unwrap();
    gap.at(store, ["import", "image.tar", "--replace"].into_iter().chain(args.iter().copied()));
}

/// `in` has the first month, `out` has both, and the second is in the file `bundle` as a difference.
fn gap() -> Gap {
    let gap = Gap::new();
    import(&gap, "out", "ci:1", &month(false), &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "january"]);
    gap.at("in", ["bundle", "apply", "january"]);
    gap.have("have.json", &["--keep", "45d"]);
    import(&gap, "out", "ci:1", &month(true), &[]);
    gap.at("out", ["bundle", "create", "--all", "--have", "have.json", "-o", "whole"]);
    gap.at("out", ["bundle", "create", "--all", "--have", "have.json", "--delta", "-o", "bundle"]);
    gap
}

fn size(gap: &Gap, file: &str) -> u64 {
    gap.path(file).metadata().unwrap().len()
}

fn assert_arrived(gap: &Gap) {
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    gap.at("in", ["verify"]);
    assert_sound(&gap.store("in"));
    assert_nothing_pending(&gap.store("in"));
}

#[test]
fn a_layer_that_changed_a_little_is_a_difference_and_arrives_as_it_was() {
    let gap = gap();
    let (whole, delta) = (size(&gap, "whole"), size(&gap, "bundle"));
    assert!(whole > 400_000 && delta < whole / 5, "{delta} of {whole} bytes");
    let inspected = gap.json("in", ["bundle", "inspect", "bundle"]);
    let ways: Vec<_> =
        inspected["blobs"].as_array().unwrap().iter().map(|blob| blob["as"].as_str().unwrap()).collect();
    assert_eq!(ways.iter().filter(|way| **way == "delta").count(), 1, "{inspected}");
    // The same again is the same.
    gap.at(
        "out",
        ["bundle", "create", "--all", "--have", "have.json", "--delta", "--jobs", "1", "-o", "again"],
    );
    assert!(std::fs::read(gap.path("again")).unwrap() == std::fs::read(gap.path("bundle")).unwrap());
    let planned = ["bundle", "create", "--all", "--have", "have.json", "--delta", "--dry-run"];
    assert_eq!(gap.json("out", planned)["size"], delta);
    gap.at("in", ["bundle", "apply", "bundle"]);
    assert_arrived(&gap);
    // Again, it is known.
    gap.at("in", ["bundle", "apply", "bundle"]);
}

#[test]
fn a_difference_comes_through_a_pipe_and_in_parts() {
    let gap = gap();
    let bytes = std::fs::read(gap.path("bundle")).unwrap();
    let (code, told) = gap.apply_stdin(&bytes, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert_arrived(&gap);

    let gap = self::gap();
    gap.at("out", ["tag", "ci:1", "other:1"]);
    std::fs::write(gap.path("image.tar"), docker_archive("large:1", &[layer("large", &noise(9, 200_000))]))
        .unwrap();
    gap.at("out", ["import", "image.tar"]);
    let create =
        ["bundle", "create", "--all", "--have", "have.json", "--delta", "--split", "120kB", "-o", "p"];
    let parts = gap.json("out", create);
    let files: Vec<_> =
        parts["parts"].as_array().unwrap().iter().map(|part| part["file"].as_str().unwrap()).collect();
    assert!(files.len() > 1, "{parts}");
    gap.at("in", ["bundle", "apply"].into_iter().chain(files.iter().rev().copied()));
    assert_arrived(&gap);
}

/// What has no member is in no part.
#[test]
fn what_the_target_makes_itself_is_in_no_part() {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1]);
    gap.image_of("out", "large:1", &[5], 300_000, &[]);
    gap.image_of("in", "same:1", &[1], 100_000, &["--compression", "gzip"]);
    gap.have("have.json", &[]);
    let parts =
        gap.json("out", ["bundle", "create", "--all", "--have", "have.json", "--split", "150kB", "-o", "p"]);
    let files: Vec<_> =
        parts["parts"].as_array().unwrap().iter().map(|part| part["file"].as_str().unwrap()).collect();
    assert!(files.len() > 1, "{parts}");
    gap.at("in", ["bundle", "apply"].into_iter().chain(files.iter().copied()));
    assert_eq!(named(&gap.store("in"), "ci:1"), named(&gap.store("out"), "ci:1"));
    assert_sound(&gap.store("in"));
}

#[test]
fn what_resembles_nothing_is_sent_whole() {
    let gap = gap();
    std::fs::write(gap.path("image.tar"), docker_archive("new:1", &[layer("other", &noise(7, 100_000))]))
        .unwrap();
    gap.at("out", ["import", "image.tar"]);
    gap.at("out", ["bundle", "create", "new:1", "--have", "have.json", "--delta", "-o", "new"]);
    let inspected = gap.json("in", ["bundle", "inspect", "new"]);
    assert!(inspected["blobs"].as_array().unwrap().iter().all(|blob| blob["as"] == "whole"), "{inspected}");
    gap.at("in", ["bundle", "apply", "new"]);
    assert_sound(&gap.store("in"));
}

/// One that is cut, because it does not fit into a part, is not made of anything.
#[test]
fn a_difference_that_fits_into_no_part_presumes_nothing() {
    let gap = Gap::new();
    let mut changed = noise(2, 400_000);
    import(&gap, "out", "ci:1", &[layer("changes", &changed)], &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "january"]);
    gap.at("in", ["bundle", "apply", "january"]);
    gap.have("have.json", &[]);
    changed[..200_000].copy_from_slice(&noise(3, 200_000));
    import(&gap, "out", "ci:1", &[layer("changes", &changed)], &[]);
    let create = ["bundle", "create", "--all", "--have", "have.json", "--delta", "-o", "p"];
    let made = gap.json("out", create.into_iter().chain(["--split", "120kB"]));
    assert_eq!(made["presumed_blobs"], 0, "{made}");
    let made = gap.json("out", create.into_iter().chain(["--split", "300kB"]));
    assert_eq!(made["presumed_blobs"], 1, "{made}");
}

/// What a layer was made of is not needed any more when it is there, and not counted on by the next bundle.
#[test]
fn a_base_may_go_when_what_was_made_of_it_is_there() {
    let gap = gap();
    gap.at("in", ["bundle", "apply", "bundle"]);
    std::fs::remove_dir_all(gap.store("in").join(".larder/have")).unwrap();
    let now = named(&gap.store("in"), "ci:1").unwrap();
    for entry in entries(&gap.store("in")) {
        let digest = entry["digest"].as_str().unwrap();
        if digest != now {
            gap.at("in", ["rm", digest]);
        }
    }
    gap.at("in", ["gc", "--grace", "0s"]);
    gap.at("in", ["bundle", "apply", "bundle"]);
    assert_arrived(&gap);
    // January's image again, for a target that has applied February's bundle: its layer is not there any more.
    import(&gap, "out", "old:1", &month(false), &[]);
    gap.at("out", ["bundle", "create", "old:1", "--since", "bundle", "-o", "back"]);
    gap.at("in", ["bundle", "apply", "back"]);
    assert_sound(&gap.store("in"));
}

#[test]
fn what_is_presumed_and_damaged_is_found_by_verify() {
    let gap = gap();
    let inspected = gap.json("in", ["bundle", "inspect", "bundle"]);
    let presumed =
        inspected["presumes"].as_array().unwrap().iter().max_by_key(|blob| blob["size"].as_u64()).unwrap();
    let path = gap.store("in").join("blobs").join(presumed["digest"].as_str().unwrap().replace(':', "/"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let before = named(&gap.store("in"), "ci:1");
    let told = gap.fail("in", ["bundle", "apply", "bundle", "--verify"], 5);
    assert!(told.contains("is damaged here, and ci:1 needs it"), "{told}");
    assert_eq!(named(&gap.store("in"), "ci:1"), before);
}

#[test]
fn many_differences_need_few_open_files() {
    let gap = Gap::new();
    let layers = |last: u8| -> Vec<_> {
        let content = |seed| [noise(seed, 20_000), vec![last; 40]].concat();
        (0..70).map(|seed| layer(&format!("{seed}"), &content(seed))).collect()
    };
    import(&gap, "out", "ci:1", &layers(1), &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "january"]);
    gap.at("in", ["bundle", "apply", "january"]);
    gap.have("have.json", &[]);
    import(&gap, "out", "ci:1", &layers(2), &[]);
    let create =
        ["--store", "out", "bundle", "create", "--all", "--have", "have.json", "--delta", "-o", "bundle"];
    let larder = gap.sandbox.command(create);
    let mut limited = gap.sandbox.enclose(need!(peer::tool("prlimit"), "prlimit"));
    run(limited.arg("--nofile=64:64").arg(larder.get_program()).args(larder.get_args()));
    assert!(size(&gap, "bundle") < size(&gap, "january") / 4);
    gap.at("in", ["bundle", "apply", "bundle"]);
    assert_arrived(&gap);
}

#[test]
fn delta_without_a_list_is_told_what_it_needs() {
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1]);
    let told = gap.fail("out", ["bundle", "create", "--all", "--delta", "-o", "bundle"], 2);
    assert!(
        told.contains("nothing is known of what the target has") && told.contains("bundle have"),
        "{told}"
    );
}

#[test]
fn a_base_that_is_gone_is_told_before_anything_is_written() {
    let gap = gap();
    std::fs::remove_dir_all(gap.store("in").join(".larder/have")).unwrap();
    gap.at("in", ["rm", "ci:1"]);
    gap.at("in", ["gc", "--grace", "0s"]);
    let told = gap.fail("in", ["bundle", "apply", "bundle"], 1);
    assert!(told.contains("lacks") && told.contains("ci:1: presumes"), "{told}");
    assert!(blobs(&gap.store("in")).is_empty() && entries(&gap.store("in")).is_empty());
}

#[test]
fn a_base_that_is_damaged_is_told_by_its_name_and_the_image_gets_none() {
    let gap = gap();
    let before = named(&gap.store("in"), "ci:1");
    let inspected = gap.json("in", ["bundle", "inspect", "bundle"]);
    let delta = inspected["blobs"].as_array().unwrap().iter().find(|blob| blob["as"] == "delta").unwrap();
    let from = delta["from"].as_str().unwrap();
    let path = gap.store("in").join("blobs").join(from.replace(':', "/"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // As a bad disk does it: the file stays the same one.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let told = gap.fail("in", ["bundle", "apply", "bundle"], 5);
    assert!(told.contains(&from[..20]), "{told}");
    assert_eq!(named(&gap.store("in"), "ci:1"), before);
    // Healed, it goes on.
    gap.at("in", ["bundle", "apply", "january", "--verify"]);
    gap.at("in", ["bundle", "apply", "bundle"]);
    assert_arrived(&gap);
}

#[test]
fn a_base_whose_table_of_frames_lies_gives_the_right_blob() {
    let gap = Gap::new();
    let content = |second: bool| {
        let mut content = noise(3, 9_000_000);
        content[5_000_000..5_000_020].fill(u8::from(second));
        vec![layer("changes", &content)]
    };
    import(&gap, "made", "ci:1", &content(false), &[]);
    let made = gap.store("made");
    let digest = blobs(&made).into_iter().max_by_key(|(_, size)| *size).unwrap().0;
    let mut lying = blob(&made, &format!("sha256:{}", digest.trim_start_matches("sha256:")));
    // Three pairs of sizes and nine bytes are its end: the second frame gives the third some bytes, and the sum stays.
    let table = lying.len() - 9 - 3 * 8;
    for (at, more) in [(8, -100_i32), (16, 100)] {
        let size = &mut lying[table + at..table + at + 4];
        let says = i32::from_le_bytes(size.try_into().unwrap());
        size.copy_from_slice(&(says + more).to_le_bytes());
    }
    // It still looks like one of ours, so that it is believed at first.
    let tail = &lying[table - 8..];
    assert_eq!(parse_table(tail, lying.len() as u64).map(|frames| frames.len()), Some(3));
    let mut image = Oci::image("ci:1", &content(false));
    let mut manifest = image.manifest();
    image.add(&lying);
    manifest["layers"][0] = serde_json::json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": sha256(&lying), "size": lying.len(),
    });
    image.root("ci:1", &manifest);
    std::fs::write(gap.path("lying.tar"), image.archive()).unwrap();
    for store in ["out", "in"] {
        gap.at(store, ["import", "lying.tar"]);
        assert_eq!(blob(&gap.store(store), &sha256(&lying)), lying);
    }
    gap.have("have.json", &[]);
    import(&gap, "out", "ci:1", &content(true), &[]);
    gap.at("out", ["bundle", "create", "--all", "--have", "have.json", "--delta", "-o", "bundle"]);
    let inspected = gap.json("in", ["bundle", "inspect", "bundle"]);
    let delta = inspected["blobs"].as_array().unwrap().iter().find(|blob| blob["as"] == "delta").unwrap();
    assert_eq!(delta["from"], sha256(&lying), "{inspected}");
    gap.at("in", ["bundle", "apply", "bundle", "--replace"]);
    assert_arrived(&gap);
}
