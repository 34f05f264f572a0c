//! Every blob, every harm, every kind of source: afterwards all is as it was.

use std::path::PathBuf;
use std::process::Command;

use super::{HARMS, Harm, column, quarantine, repair, state};
use crate::import::GCC;
use crate::roundtrip::imported;
use crate::support::store::{assert_sound, blob_path, blobs, document, named, names};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, fixture, run};

/// The sources that have all of a fixture's image, each of another kind.
fn sources(sandbox: &Sandbox, file: &str) -> Vec<PathBuf> {
    let other = sandbox.path("other");
    run(sandbox.command(["import".as_ref(), fixture(file).as_os_str()]).env("LARDER_STORE", &other));
    let unpacked = sandbox.path("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    run(Command::new("tar").arg("-C").arg(&unpacked).arg("-xf").arg(fixture(file)));
    vec![fixture(file), unpacked, other]
}

/// Harms each blob in each way, and repairs it.
fn is_repaired(file: &str, more: &[&str]) {
    let sandbox = imported(file);
    let store = sandbox.store();
    let from: Vec<_> =
        sources(&sandbox, file).into_iter().chain(more.iter().map(|file| fixture(file))).collect();
    let before = state(&store);
    let (mut put_aside, mut stepped_aside) = (0, 0);
    for (number, digest) in blobs(&store).into_keys().enumerate() {
        for (turn, harm) in HARMS.into_iter().enumerate() {
            // Every source for every blob, and for every harm, if not all three at once.
            for source in from.iter().skip((number + turn) % 2).step_by(2) {
                let case = format!("{file}: {harm:?} of {digest} from {}", source.display());
                let damaged = harm.befall(&blob_path(&store, &digest));
                let (code, done) = repair(&sandbox, std::slice::from_ref(source), &[]);
                assert_eq!(code, 0, "{case}: {done}");
                assert_eq!(column(&done, "repaired", "digest"), [format!("sha256:{digest}")], "{case}");
                assert_eq!(column(&done, "repaired", "from"), [source.display().to_string()], "{case}");
                assert!(state(&store) == before, "{case}: all is as it was");
                put_aside += usize::from(damaged.is_some());
                stepped_aside += usize::from(harm == Harm::Directory);
                let aside = quarantine(&store);
                assert_eq!(aside.len(), put_aside, "{case}");
                assert_eq!(done["quarantine"]["blobs"], put_aside, "{case}");
                if let Some(damaged) = damaged {
                    let name = &column(&done, "set_aside", "name")[0];
                    assert!(name.starts_with(&digest) && aside[name] == damaged, "{case}: {name}");
                }
                let strangers = column(&done, "findings", "problem");
                assert_eq!(strangers, vec!["stranger"; stepped_aside], "{case}");
            }
        }
    }
    sandbox.ok(["verify"]);
    for name in names(&store) {
        sandbox.ok(["export", &name, "--all-platforms", "-o", "out.tar"]);
    }
}

#[test]
fn of_an_image_that_docker_20_saved() {
    is_repaired("docker20.tar", &["docker20-two.tar"]);
}

#[test]
fn of_an_image_that_docker_28_saved() {
    is_repaired("docker28.tar", &["docker20.tar"]);
}

#[test]
fn of_an_image_that_a_containerd_store_saved() {
    is_repaired("docker28c.tar", &[]);
}

#[test]
fn of_an_image_that_was_kept() {
    is_repaired("skopeo-oci.tar", &["podman-oci.tar"]);
}

#[test]
fn of_an_index_and_its_children() {
    is_repaired("multiarch-oci.tar", &[]);
}

#[test]
fn everything_at_once_and_without_the_cache() {
    for compression in ["zstd", "gzip", "none"] {
        let sandbox = Sandbox::new();
        let archive = fixture("docker20-two.tar");
        sandbox.ok(["import".as_ref(), archive.as_os_str(), "--compression".as_ref(), compression.as_ref()]);
        let store = sandbox.store();
        let before = state(&store);
        for digest in blobs(&store).into_keys() {
            Harm::Flip.befall(&blob_path(&store, &digest));
        }
        std::fs::remove_dir_all(store.join(".larder/cache")).unwrap();
        let (code, done) = repair(&sandbox, std::slice::from_ref(&archive), &[]);
        assert_eq!(code, 0, "{compression}: {done}");
        assert!(state(&store) == before, "{compression}");
        assert_eq!(quarantine(&store).len(), before.0.len(), "{compression}");
        let (code, done) = repair(&sandbox, &[archive], &[]);
        assert_eq!((code, column(&done, "repaired", "digest").len()), (0, 0), "{compression}: a second time");
    }
}

#[test]
fn sources_are_asked_in_their_order_and_each_gives_what_it_has() {
    let sandbox = Sandbox::new();
    let mut archives = Vec::new();
    for seed in 1..4 {
        let path = sandbox.path(format!("{seed}.tar"));
        let layers = [layer("noise", &noise(seed, 3000))];
        std::fs::write(&path, docker_archive(&format!("image:{seed}"), &layers)).unwrap();
        sandbox.ok(["import".as_ref(), path.as_os_str()]);
        archives.push(path);
    }
    let before = state(&sandbox.store());
    for digest in blobs(&sandbox.store()).into_keys() {
        Harm::Cut.befall(&blob_path(&sandbox.store(), &digest));
    }
    // Only what is asked for.
    let (code, done) = repair(&sandbox, &archives, &["image:2"]);
    assert_eq!(code, 0, "{done}");
    let from = column(&done, "repaired", "from");
    assert_eq!(from, vec![archives[1].display().to_string(); 3], "manifest, config and layer of this image");
    assert_eq!(quarantine(&sandbox.store()).len(), 3);
    let (code, done) = repair(&sandbox, &archives, &[]);
    assert_eq!((code, column(&done, "repaired", "from").len()), (0, 6), "{done}");
    assert!(state(&sandbox.store()) == before);
}

#[test]
fn without_reading_all_what_is_missing_comes_back() {
    let sandbox = imported("docker20.tar");
    let before = state(&sandbox.store());
    let manifest = named(&sandbox.store(), GCC).unwrap();
    let layer = document(&sandbox.store(), &manifest)["layers"][0]["digest"].as_str().unwrap().to_owned();
    Harm::Remove.befall(&blob_path(&sandbox.store(), &layer));
    let (code, done) = repair(&sandbox, &[fixture("docker20.tar")], &["--quick"]);
    assert_eq!((code, column(&done, "repaired", "digest")), (0, vec![layer]), "{done}");
    assert!(state(&sandbox.store()) == before);
}

#[test]
fn people_are_told_what_was_done() {
    let sandbox = imported("docker20.tar");
    let config = {
        let manifest = named(&sandbox.store(), GCC).unwrap();
        document(&sandbox.store(), &manifest)["config"]["digest"].as_str().unwrap().to_owned()
    };
    Harm::Flip.befall(&blob_path(&sandbox.store(), &config));
    let hex = config.trim_start_matches("sha256:");
    let archive = fixture("docker20.tar");
    let output = sandbox.larder([
        "verify".as_ref(),
        "--repair".as_ref(),
        "--from".as_ref(),
        archive.as_os_str(),
        "--jobs".as_ref(),
        "1".as_ref(),
    ]);
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "repaired config {config} from {}\nput aside config {config} as .larder/quarantine/{hex}\n",
        archive.display()
    );
    assert_eq!((said, output.status.code()), (expected, Some(0)));
    for args in [&["verify"][..], &["doctor"]] {
        let output = sandbox.larder(args);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("1 damaged blob") && output.status.success(), "{args:?}: {said}");
    }
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_eq!(quarantine(&sandbox.store()).len(), 1, "gc leaves it to people");
    assert_sound(&sandbox.store());
}
