//! A command that fills the disk: it fails, its space comes back, and the store is as it was.

use crate::badinput::full::{DISKS, on_disk, text};
use crate::support::need;
use crate::support::store::{assert_nothing_pending, assert_sound, names};
use crate::support::tarball::{config, docker_archive, docker_archive_with, layer, noise};

use super::Builder;

/// Dockerfile, and what is told.
const CASES: [(&str, &str); 3] = [
    // By itself.
    (
        "FROM busybox:1\nRUN dd if=/dev/zero of=/big bs=65536\n",
        "ended with exit code 1; the disk of the store is full",
    ),
    // With a layer that finds no room beside its files.
    ("FROM busybox:1\nRUN dd if=/dev/urandom of=/big bs=1M count=36\n", "No space left on device"),
    // In the step after one that was kept.
    (
        "FROM busybox:1\nRUN echo kept > /kept\nRUN dd if=/dev/urandom of=/big bs=65536 || true\n",
        "No space left on device",
    ),
];

#[test]
fn a_disk_that_a_command_fills_is_free_again_afterwards() {
    for (name, disk) in DISKS {
        for (number, (dockerfile, says)) in CASES.iter().enumerate() {
            let builder = need!(Builder::new(), "root, runc and busybox");
            std::fs::remove_dir_all(builder.sandbox.store()).unwrap();
            std::fs::write(builder.context().join("Dockerfile"), dockerfile).unwrap();
            std::fs::write(builder.sandbox.path("small"), "FROM busybox:1\nRUN echo fits > /file\n").unwrap();
            let script = "larder import import.tar >/dev/null
                larder build context -f small -t old:1 >/dev/null 2>&1; larder tag old:1 made:1 >/dev/null
                larder gc >/dev/null 2>&1; before=$(free)
                try larder build context -t made:1
                after=$(free); echo \"$before $after\" >space; ls -A store/.larder/snapshots store/.larder/building/run >left
                try larder verify; try larder gc; try larder build context -f small -t small:1 --no-cache";
            let output = need!(on_disk(&builder.sandbox, disk, script), "a disk of its own");
            let said = text(&output);
            let what = format!("{name}, case {number}: {said}");
            let codes: Vec<_> = said.lines().filter_map(|line| line.parse::<u8>().ok()).collect();
            assert_eq!(codes, [1, 0, 0, 0], "{what}");
            let error = said.lines().find(|line| line.starts_with("  larder: ")).unwrap();
            assert!(error.contains(says) && error.contains("context/Dockerfile:"), "{what}");
            assert!(said.contains("  hint: free space"), "{what}");
            let space = std::fs::read_to_string(builder.sandbox.path("space")).unwrap();
            let space: Vec<u64> = space.split_whitespace().map(|bytes| bytes.parse().unwrap()).collect();
            assert!(space[1] + (1 << 20) > space[0], "{what}: {space:?}");
            let left = std::fs::read_to_string(builder.sandbox.path("left")).unwrap();
            assert!(!left.contains("new.") && !left.contains("larder-"), "{what}: {left}");
            let after = builder.sandbox.path("after");
            assert_sound(&after);
            assert_nothing_pending(&after);
            let expected = ["busybox:1", "made:1", "old:1", "small:1"].map(String::from);
            assert_eq!(names(&after), expected.into(), "{what}");
        }
    }
}

#[test]
fn a_disk_without_inodes_is_told_to_be_full() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::remove_dir_all(builder.sandbox.store()).unwrap();
    let dockerfile = "FROM busybox:1\nRUN i=0; while : > /tmp/$i; do i=$((i+1)); done\n";
    std::fs::write(builder.context().join("Dockerfile"), dockerfile).unwrap();
    let script = "larder import import.tar >/dev/null; try larder build context -t made:1; try larder verify; try larder gc";
    let disk = "mount -t tmpfs -o size=64m,nr_inodes=500 tmpfs store";
    let output = need!(on_disk(&builder.sandbox, disk, script), "a disk of its own");
    let said = text(&output);
    assert!(said.starts_with("1\n") && said.contains("; the disk of the store is full"), "{said}");
    let codes: Vec<_> = said.lines().filter_map(|line| line.parse::<u8>().ok()).collect();
    assert_eq!(codes, [1, 0, 0], "{said}");
    assert_nothing_pending(&builder.sandbox.path("after"));
}

/// An older image, the base, and a Dockerfile that needs the base unpacked; `RUN` is left to the test.
const TOGETHER: &str =
    "larder import old.tar >/dev/null; sleep 1; larder import base.tar >/dev/null; before=$(free)
    printf 'min_age = \"0s\"\\nmin_free = \"%s\"\\n' $((before - 5000000)) >store/.larder/larder.toml; ";

fn prepare() -> Option<Builder> {
    let builder = Builder::new()?;
    std::fs::remove_dir_all(builder.sandbox.store()).unwrap();
    let layers = [builder.layer("base"), layer("noise", &noise(1, 8 << 20))];
    let archive = docker_archive_with(&config("linux", "amd64", &layers).to_string(), &["base:1"], &layers);
    std::fs::write(builder.sandbox.path("base.tar"), archive).unwrap();
    let old = docker_archive("base:old", &[layer("old", &noise(2, 16 << 20))]);
    std::fs::write(builder.sandbox.path("old.tar"), old).unwrap();
    std::fs::write(builder.context().join("Dockerfile"), "FROM base:1\nRUN echo ran\n").unwrap();
    Some(builder)
}

#[test]
fn room_for_what_is_unpacked_is_made_before_as_the_policy_says() {
    let builder = need!(prepare(), "root, runc and busybox");
    let script = format!("{TOGETHER} try larder build context -t made:1; try larder verify");
    let said = text(&need!(on_disk(&builder.sandbox, DISKS[0].1, &script), "a disk of its own"));
    assert!(said.starts_with("0\n") && said.contains("made room: base:old (not used for "), "{said}");
    let after = builder.sandbox.path("after");
    assert_sound(&after);
    assert_eq!(names(&after), ["base:1", "made:1"].map(String::from).into());
}

#[test]
fn what_there_is_no_room_to_unpack_is_refused_before_it_is_unpacked() {
    let builder = need!(prepare(), "root, runc and busybox");
    let script = format!(
        "{TOGETHER} larder pin base:old >/dev/null; try larder build context -t made:1
         rm store/.larder/larder.toml; leave 6000000; try larder build context -t made:1
         ls -A store/.larder/snapshots >left; try larder verify; unfill; try larder build context -t made:1"
    );
    let said = text(&need!(on_disk(&builder.sandbox, DISKS[0].1, &script), "a disk of its own"));
    let codes: Vec<_> = said.lines().filter_map(|line| line.parse::<u8>().ok()).collect();
    assert_eq!(codes, [1, 1, 0, 0], "{said}");
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("  larder: ")).collect();
    let [kept_free, full] = errors[..] else { panic!("{said}") };
    for (error, says) in
        [(kept_free, "bytes are needed beside what min_free keeps free"), (full, "bytes are needed and ")]
    {
        assert!(
            error.starts_with("  larder: context/Dockerfile:2: RUN echo ran: ") && error.contains(says),
            "{said}"
        );
    }
    assert!(
        said.contains("  hint: `larder prune --dry-run --explain`") && said.contains("  hint: free space"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(builder.sandbox.path("left")).unwrap(), "");
    assert_eq!(said.matches("\n  ran\n").count(), 1, "{said}");
    assert!(names(&builder.sandbox.path("after")).contains("base:old"));
}
