//! On the way in: an import makes room by the policy, or refuses before it writes.

use super::*;
use crate::badinput::full::{on_disk, text};
use crate::support::need;
use crate::support::tarball::{Tarball, config, sha256};

pub(super) const DISK: &str = "mount -t tmpfs -o size=64m tmpfs store";

/// Archives of 12 MB each on a base of 8 MB: `old-1`, `old-2`, `new` of one repository, and `rebuilt`, which has the layer of
/// `old-1` and one of its own.
pub(super) fn prepare() -> Sandbox {
    let sandbox = Sandbox::new();
    let base = layer("base", &noise(1, 8_000_000));
    let own = |seed| layer("own", &noise(seed, 12_000_000));
    for (name, layers) in [
        ("old-1", vec![base.clone(), own(2)]),
        ("old-2", vec![base.clone(), own(3)]),
        ("new", vec![base.clone(), own(4)]),
        ("rebuilt", vec![base.clone(), own(2), own(5)]),
    ] {
        std::fs::write(sandbox.path(format!("{name}.tar")), docker_archive(&format!("app:{name}"), &layers))
            .unwrap();
    }
    sandbox
}

fn policy(min_free: &str) -> String {
    format!("printf 'min_age = \"0s\"\\nmin_free = \"{min_free}\"\\n' >store/.larder/larder.toml")
}

#[test]
fn an_import_makes_room_and_leaves_what_must_be_free() {
    let sandbox = prepare();
    for (from, how) in [("file", "new.tar"), ("pipe", "- <new.tar")] {
        // 32 MB are taken by two images and their base; what is left is too little for the third beside 24 MB.
        let script = format!(
            "larder import old-1.tar old-2.tar >/dev/null; {}; leave 30000000
            try larder import {how}; echo \"free $(free)\"; try larder verify; larder images",
            policy("24MB")
        );
        let output = need!(on_disk(&sandbox, DISK, &script), "root");
        let said = text(&output);
        let free: u64 = said.lines().find_map(|line| line.strip_prefix("free ")).unwrap().parse().unwrap();
        assert!(said.starts_with("0\n") && free >= 24_000_000, "{from}: {said}");
        assert!(said.contains("made room: app:old-1 (not used for"), "{from}: {said}");
        let names = names(&sandbox.path("after"));
        assert_eq!(names, ["app:new", "app:old-2"].map(String::from).into(), "{from}: {said}");
        assert_sound(&sandbox.path("after"));
    }
}

/// What the archive needs of the store is leased before room is made: the layer stays although its image goes.
#[test]
fn known_layers_do_not_go_to_make_room() {
    let sandbox = prepare();
    let script = format!(
        "for i in old-1 old-2 new; do larder import $i.tar >/dev/null; sleep 1; done; {}; leave 15000000
        try larder import rebuilt.tar",
        policy("8MB")
    );
    let output = need!(on_disk(&sandbox, DISK, &script), "root");
    let said = text(&output);
    assert!(said.starts_with("0\n"), "{said}");
    // Only its own layer was written.
    let new: u64 =
        said.split("new=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    assert!((12_000_000..13_000_000).contains(&new), "{said}");
    let names = names(&sandbox.path("after"));
    assert_eq!(names, ["app:new", "app:rebuilt"].map(String::from).into(), "{said}");
    assert_sound(&sandbox.path("after"));
}

#[test]
fn where_no_room_can_be_made_it_refuses_and_nothing_is_changed() {
    let sandbox = prepare();
    for how in ["new.tar", "- <new.tar"] {
        let script = format!(
            "larder import old-1.tar old-2.tar >/dev/null; larder pin app:old-1 >/dev/null; {}; leave 30000000
            cp store/index.json index; ls store/blobs/sha256 >a
            try larder import {how}; ls store/blobs/sha256 >b; cmp a b && cmp index store/index.json && echo unchanged",
            policy("24MB")
        );
        let output = need!(on_disk(&sandbox, DISK, &script), "root");
        let said = text(&output);
        assert!(said.starts_with("1\n") && said.contains("unchanged"), "{said}");
        assert!(said.contains("min_free") && said.contains("prune --dry-run --explain"), "{said}");
        assert_eq!(names(&sandbox.path("after")), ["app:old-1", "app:old-2"].map(String::from).into());
    }
    // Without a policy the disk alone counts.
    let script = "larder import old-1.tar old-2.tar >/dev/null; leave 30000000; try larder import new.tar";
    assert!(text(&need!(on_disk(&sandbox, DISK, script), "root")).starts_with("0\n"));
}

/// What an import says is there already does not go to make room for the rest of the same archive.
#[test]
fn what_is_reported_as_unchanged_stays() {
    let sandbox = prepare();
    let own = |seed| layer("own", &noise(seed, 12_000_000));
    let (one, four) = ([own(11)], [own(14)]);
    std::fs::write(sandbox.path("1.tar"), docker_archive("app:1", &one)).unwrap();
    std::fs::write(sandbox.path("3.tar"), docker_archive("app:3", &[own(13)])).unwrap();
    let mut both = Tarball::new();
    let mut manifests = Vec::new();
    for (name, layers) in [("app:1", &one), ("other:4", &four)] {
        let config = config("linux", "amd64", layers).to_string();
        let path = |of: &[u8], end: &str| format!("{}.{end}", sha256(of).replace("sha256:", ""));
        both.file(&path(&layers[0], "tar"), &layers[0])
            .file(&path(config.as_bytes(), "json"), config.as_bytes());
        manifests.push(json!({"Config": path(config.as_bytes(), "json"), "RepoTags": [name], "Layers": [path(&layers[0], "tar")]}));
    }
    both.file("manifest.json", json!(manifests).to_string().as_bytes());
    std::fs::write(sandbox.path("both.tar"), both.bytes()).unwrap();
    for how in ["both.tar", "- <both.tar"] {
        let script = format!(
            "larder import 1.tar >/dev/null; sleep 1; larder import 3.tar >/dev/null; {}
            try larder import {how}; try larder import 1.tar; try larder verify",
            policy("35MB")
        );
        let said = text(&need!(on_disk(&sandbox, DISK, &script), "root"));
        // Only app:1 could go, and the archive has it: that is said before anything is written.
        assert!(said.starts_with("1\n") && said.contains("min_free"), "{how}: {said}");
        assert_eq!(
            names(&sandbox.path("after")),
            ["app:1", "app:3"].map(String::from).into(),
            "{how}: {said}"
        );
    }
}

/// Each sees what the others are about to write: some come in, the others are refused, and the disk never fills up.
#[test]
fn imports_at_the_same_time_count_each_other() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        let layers = [layer("own", &noise(u64::from(name.as_bytes()[0]), 24_000_000))];
        std::fs::write(sandbox.path(format!("{name}.tar")), docker_archive(&format!("{name}:1"), &layers))
            .unwrap();
    }
    for (min_free, how, most) in
        [("30MB", "$i.tar", 1), ("30MB", "- <$i.tar", 1), ("0", "$i.tar", 2), ("0", "- <$i.tar", 2)]
    {
        let policy = if min_free == "0" { ":".to_owned() } else { policy(min_free) };
        let script = format!(
            "larder init >/dev/null; {policy}
            for i in a b c; do larder import {how} >$i.out 2>&1 & done; wait
            cat *.out; larder images; try larder verify"
        );
        let said = text(&need!(on_disk(&sandbox, DISK, &script), "root"));
        assert!(!said.contains("No space left"), "{min_free} {how}: {said}");
        assert!(said.contains("bytes are needed"), "{min_free} {how}: {said}");
        let count = names(&sandbox.path("after")).len();
        assert!(count <= most && count > 0, "{min_free} {how}: {said}");
        crate::support::store::assert_nothing_pending(&sandbox.path("after"));
    }
}

/// What a header says is no reason for anything to go: a cut archive leaves the store as it was.
#[test]
fn a_cut_stream_lets_nothing_go() {
    let sandbox = prepare();
    let layers = [layer("own", &noise(9, 20_000_000))];
    std::fs::write(sandbox.path("large.tar"), docker_archive("large:1", &layers)).unwrap();
    let script = format!(
        "larder import old-1.tar old-2.tar >/dev/null; {}; leave 30000000; cp store/index.json index
        head -c 70000 large.tar >cut.tar; try larder import - <cut.tar; try larder import cut.tar
        cmp index store/index.json && echo unchanged; try larder import - <large.tar",
        policy("18MB")
    );
    let said = text(&need!(on_disk(&sandbox, DISK, &script), "root"));
    let (cut, whole) = said.split_once("unchanged\n").unwrap_or_else(|| panic!("{said}"));
    assert!(!cut.contains("made room") && !cut.contains("min_free"), "{said}");
    // The whole one makes its room, and says so.
    assert!(whole.starts_with("0\n") && whole.contains("made room: app:old-1 (not used for"), "{said}");
    assert_eq!(names(&sandbox.path("after")), ["app:old-2", "large:1"].map(String::from).into(), "{said}");
    assert_sound(&sandbox.path("after"));
}

/// An archive on another disk that is eaten frees nothing for the store: all of it must fit.
#[test]
fn what_is_consumed_elsewhere_makes_no_room_here() {
    let sandbox = prepare();
    let script = "larder init >/dev/null; leave 15000000; cp rebuilt.tar eaten.tar
        try larder import --consume eaten.tar; ls eaten.tar; ls store/blobs/sha256 | wc -l";
    let said = text(&need!(on_disk(&sandbox, DISK, script), "root"));
    assert!(said.starts_with("1\n") && said.contains("bytes are needed"), "{said}");
    assert!(said.contains("eaten.tar\n0\n"), "{said}");
}
