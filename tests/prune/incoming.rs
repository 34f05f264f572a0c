//! On the way in: an import makes room by the policy, or refuses before it writes.

use super::*;
use crate::badinput::full::{on_disk, text};
use crate::support::need;

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
        assert!(said.contains("min_free") && said.contains("prune --explain"), "{said}");
        assert_eq!(names(&sandbox.path("after")), ["app:old-1", "app:old-2"].map(String::from).into());
    }
    // Without a policy the disk alone counts.
    let script = "larder import old-1.tar old-2.tar >/dev/null; leave 30000000; try larder import new.tar";
    assert!(text(&need!(on_disk(&sandbox, DISK, script), "root")).starts_with("0\n"));
}
