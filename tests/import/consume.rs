//! `import --consume`: the archive's space is freed while it is read, and nothing is freed that is not safe.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::support::store::{assert_nothing_pending, assert_sound, entries, names};
use crate::support::tarball::{config, docker_archive, docker_archive_with, layer, noise};
use crate::support::{Sandbox, describe, feed, fixture, need, peer, run};

const MIB: usize = 1 << 20;

/// An archive with so many layers of 8 MiB that do not compress.
fn large(layers: u64) -> Vec<u8> {
    let layers: Vec<_> = (1..=layers).map(|seed| layer("noise", &noise(seed, 8 * MIB))).collect();
    docker_archive("large:1", &layers)
}

fn journals(store: &Path) -> usize {
    std::fs::read_dir(store.join(".larder/journals")).map_or(0, Iterator::count)
}

#[test]
fn it_gives_the_same_image_and_the_file_is_gone() {
    let (kept, eaten) = (Sandbox::new(), Sandbox::new());
    for (sandbox, more) in [(&kept, None), (&eaten, Some("--consume"))] {
        std::fs::write(sandbox.path("large.tar"), large(2)).unwrap();
        sandbox.ok(["import", "large.tar"].into_iter().chain(more));
    }
    let digest = |sandbox: &Sandbox| sandbox.json(["images"])[0]["digest"].clone();
    assert_eq!(digest(&kept), digest(&eaten));
    assert!(kept.path("large.tar").exists() && !eaten.path("large.tar").exists());
    assert_eq!(journals(&eaten.store()), 0);
    assert_sound(&eaten.store());
    assert_nothing_pending(&eaten.store());
    // What the store has already is eaten as well.
    std::fs::write(eaten.path("again.tar"), large(2)).unwrap();
    assert!(eaten.ok(["import", "again.tar", "--consume"]).contains("new=0"));
    assert!(!eaten.path("again.tar").exists());
}

#[test]
fn a_half_eaten_archive_completes_when_it_is_imported_again() {
    let sandbox = Sandbox::new();
    let good: Vec<_> = (1..=2).map(|seed| layer("noise", &noise(seed, 8 * MIB))).collect();
    let whole = docker_archive("large:1", &good);
    // The second layer is not what its diff ID says, the first time.
    let second = whole.windows(512).position(|block| block == &good[1][512..1024]).unwrap();
    let mut bad = whole.clone();
    bad[second] ^= 1;
    let path = sandbox.path("large.tar");
    std::fs::write(&path, &bad).unwrap();
    let before = path.metadata().unwrap().blocks();
    let said = sandbox.fail(["import", "large.tar", "--consume"], 5);
    assert!(said.contains("diff ID mismatch"), "{said}");
    assert!(entries(&sandbox.store()).is_empty());
    let after = path.metadata().unwrap();
    assert_eq!(after.len(), whole.len() as u64, "its size stays");
    assert!(after.blocks() * 512 + 7 * MIB as u64 <= before * 512, "{} of {before} blocks", after.blocks());
    assert_eq!(journals(&sandbox.store()), 1);
    let said = sandbox.fail(["--store", "other", "import", "large.tar"], 5);
    assert!(said.contains("was consumed in part") && said.contains("--consume again"), "{said}");
    assert_nothing_pending(&sandbox.store());

    // Mended in place: the same headers and documents, and the first layer is still a hole.
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&whole[second..second + 1], second as u64).unwrap();
    // What the store has learned may be lost at any time.
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
    let without = sandbox.fail(["import", "large.tar"], 5);
    assert!(without.contains("diff ID mismatch"), "a hole is not taken for a layer: {without}");
    sandbox.ok(["import", "large.tar", "--consume"]);
    assert_eq!(names(&sandbox.store()).into_iter().collect::<Vec<_>>(), ["large:1"]);
    assert!(!path.exists() && journals(&sandbox.store()) == 0);
    assert_sound(&sandbox.store());
    let other = Sandbox::new();
    std::fs::write(other.path("large.tar"), &whole).unwrap();
    other.ok(["import", "large.tar"]);
    let digest = |sandbox: &Sandbox| sandbox.json(["images"])[0]["digest"].clone();
    assert_eq!(digest(&sandbox), digest(&other));
}

#[test]
fn what_the_store_has_is_believed_only_after_a_look() {
    // The archive may be the last good copy: one that is damaged in the store is put right before anything is freed.
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("large.tar"), large(2)).unwrap();
    sandbox.ok(["import", "large.tar"]);
    let blobs = crate::support::store::blobs(&sandbox.store());
    let (layer, _) = blobs.iter().max_by_key(|(_, size)| **size).unwrap();
    let path = crate::support::store::blob_path(&sandbox.store(), layer);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4 * MIB] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    sandbox.fail(["verify"], 5);
    sandbox.ok(["import", "large.tar", "--consume"]);
    sandbox.ok(["verify"]);
    assert!(!sandbox.path("large.tar").exists());
}

#[test]
fn it_fits_where_archive_and_store_together_do_not() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("large.tar"), large(5)).unwrap();
    let larder = sandbox.command::<&str>([]);
    let script = "mkdir disk; truncate -s 64M image; mkfs.ext4 -q -m 0 image; mount -o loop image disk
        cp large.tar disk/; sync; export LARDER_STORE=disk/store
        if \"$LARDER\" import disk/large.tar 2>refused; then exit 9; fi; grep -q 'are free' refused
        \"$LARDER\" import disk/large.tar --consume; \"$LARDER\" verify; test ! -e disk/large.tar; umount disk";
    need!(peer::root(), "root");
    let mut unshare: Command = need!(peer::tool("unshare"), "unshare");
    unshare.args(["--mount", "--propagation", "private", "bash", "-euc", script]);
    let mut unshare = sandbox.enclose(unshare);
    run(unshare.env("LARDER", larder.get_program()));
}

#[test]
fn what_cannot_be_eaten_is_refused_and_stays() {
    let sandbox = Sandbox::new();
    let bytes = large(1);
    std::fs::write(sandbox.path("linked.tar"), &bytes).unwrap();
    std::fs::hard_link(sandbox.path("linked.tar"), sandbox.path("other.tar")).unwrap();
    std::fs::copy(fixture("docker20-two.tar"), sandbox.path("two.tar")).unwrap();
    std::fs::write(sandbox.path("alone.tar"), &bytes).unwrap();
    std::os::unix::fs::symlink("alone.tar", sandbox.path("link.tar")).unwrap();
    std::fs::create_dir(sandbox.path("layout")).unwrap();
    let gzip = feed(need!(peer::tool("gzip"), "gzip").arg("-1"), &bytes).stdout;
    std::fs::write(sandbox.path("large.tar.gz"), gzip).unwrap();
    for (args, says) in [
        (&["linked.tar"][..], "hard link"),
        (&["link.tar"], "is a link"),
        (&["large.tar.gz"], "compressed"),
        (&["layout"], "directory"),
        (&["two.tar", "--image", "capy-debian-12-gcc12"], "other images"),
    ] {
        let before = sandbox.path(args[0]).metadata().unwrap();
        let said = sandbox.fail(["import", "--consume"].iter().chain(args), 1);
        assert!(said.contains("cannot be consumed") && said.contains(says), "{args:?}: {said}");
        let after = sandbox.path(args[0]).metadata().unwrap();
        assert_eq!((before.len(), before.blocks()), (after.len(), after.blocks()), "{args:?}");
    }
    let piped = feed(&mut sandbox.command(["import", "-", "--consume"]), &bytes);
    assert_eq!(piped.status.code(), Some(1));
    assert!(entries(&sandbox.store()).is_empty());
}

#[test]
fn a_file_system_without_holes_is_told_at_once() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("large.tar"), large(1)).unwrap();
    need!(peer::root(), "root");
    let mut unshare: Command = need!(peer::tool("unshare"), "unshare");
    let script = "mkdir ram; mount -t ramfs ramfs ram; cp large.tar ram/
        status=0; \"$LARDER\" import ram/large.tar --consume || status=$?; cmp large.tar ram/large.tar; exit $status";
    unshare.args(["--mount", "--propagation", "private", "bash", "-euc", script]);
    let mut unshare = sandbox.enclose(unshare);
    let output = unshare.env("LARDER", sandbox.command::<&str>([]).get_program()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&unshare, &output));
    assert!(said.contains("cannot punch holes"), "{said}");
}

#[test]
fn documents_of_an_archive_are_never_freed() {
    // A config of 3 MiB is more than any hole that would be worth while, and it is needed again.
    let sandbox = Sandbox::new();
    let layers = [layer("noise", &noise(1, 8 * MIB))];
    let mut config = config("linux", "amd64", &layers);
    config["comment"] = "x".repeat(3 * MIB).into();
    std::fs::write(sandbox.path("a.tar"), docker_archive_with(&config.to_string(), &["a:1"], &layers))
        .unwrap();
    sandbox.ok(["import", "a.tar", "--consume"]);
    assert_sound(&sandbox.store());
}
