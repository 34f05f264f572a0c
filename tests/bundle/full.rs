//! A disk that fills up while a bundle comes: nothing is lost, and the next apply goes on.

use super::Gap;
use crate::badinput::full::{DISKS, on_disk, text};
use crate::support::store::{assert_nothing_pending, assert_sound, named};
use crate::support::{Sandbox, need};

/// What is there of a blob needs no room again.
#[test]
fn what_was_killed_goes_on_where_there_is_room_for_the_rest_alone() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1], 30_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    for (name, disk) in DISKS {
        let sandbox = Sandbox::new();
        std::fs::copy(gap.path("bundle"), sandbox.path("bundle")).unwrap();
        let script = "larder init >/dev/null; leave 40000000
            \"$LARDER\" bundle apply bundle --jobs 1 >said 2>&1 & pid=$!
            while kill -0 $pid 2>/dev/null && (($(free) > 24000000)); do :; done
            kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
            echo there: $(($(free) < 30000000)); try larder bundle apply bundle; larder verify >/dev/null; larder gc >/dev/null";
        let output = need!(on_disk(&sandbox, disk, script), "root");
        let said = text(&output);
        assert!(said.starts_with("there: 1\n0\n"), "{name}: {said}");
        assert_sound(&sandbox.path("after"));
        assert_nothing_pending(&sandbox.path("after"));
        // Through a pipe what is there is in the way, and goes.
        let script = script.replace("try larder bundle apply bundle", "try larder bundle apply - <bundle");
        let sandbox = Sandbox::new();
        std::fs::copy(gap.path("bundle"), sandbox.path("bundle")).unwrap();
        let said = text(&need!(on_disk(&sandbox, disk, &script), "root"));
        assert!(said.starts_with("there: 1\n0\n"), "{name}, a pipe: {said}");
        assert_sound(&sandbox.path("after"));
    }
}

#[test]
fn with_room_again_it_goes_on() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1, 2, 3, 4], 5_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    gap.at("out", ["bundle", "create", "--all", "--split", "3MB", "-o", "b"]);
    let bundles: [(&str, &str); 3] = [
        ("a file", "larder bundle apply bundle"),
        ("a pipe", "larder bundle apply - <bundle"),
        ("parts", "larder bundle apply b.*"),
    ];
    for (name, disk) in DISKS {
        for (how, apply) in bundles {
            let sandbox = Sandbox::new();
            for file in
                std::fs::read_dir(gap.path("")).unwrap().flatten().filter(|file| file.path().is_file())
            {
                std::fs::copy(file.path(), sandbox.path(file.file_name())).unwrap();
            }
            // Somebody else takes the room that was there when it was asked for.
            let script = format!(
                "larder init >/dev/null; free >room
                leave 21000000; ({apply}) >said 2>&1 & pid=$!
                while kill -0 $pid 2>/dev/null && (($(free) > 12000000)); do :; done
                cat /dev/zero >store/thief 2>/dev/null || true
                wait $pid && echo all || echo broken off
                unfill; rm -f store/thief; larder verify >/dev/null; {apply} >/dev/null; ls store/.larder/journals | wc -l"
            );
            let output = need!(on_disk(&sandbox, disk, &script), "root");
            let said = text(&output);
            assert!(said.ends_with("\n0\n"), "{name}, {how}: {said}");
            assert_sound(&sandbox.path("after"));
            assert_nothing_pending(&sandbox.path("after"));
            assert_eq!(named(&sandbox.path("after"), "ci:1"), named(&gap.store("out"), "ci:1"));
        }
    }
}

/// The disk of a store that does not exist yet is looked at as well.
#[test]
fn no_store_is_made_where_there_is_no_room_for_it() {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1], 10_000_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    for (name, disk) in DISKS {
        let sandbox = Sandbox::new();
        std::fs::copy(gap.path("bundle"), sandbox.path("bundle")).unwrap();
        let script = "leave 9000000; try larder --store store/new/in bundle apply bundle; ls store
            unfill; try larder --store store/new/in bundle apply bundle";
        let said = text(&need!(on_disk(&sandbox, disk, script), "root"));
        assert!(said.starts_with("1\n") && said.contains("bytes are needed"), "{name}: {said}");
        assert!(said.contains("\nfiller\n0\nci:1 "), "{name}: something was made: {said}");
    }
}
