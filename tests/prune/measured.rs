//! Free space: what is in the trash is as good as free, and what a sweep did not set free was not freed.

use super::incoming::{DISK, prepare};
use super::*;
use crate::badinput::full::{on_disk, text};
use crate::support::need;

#[test]
fn what_is_in_the_trash_counts_as_free() {
    let sandbox = prepare();
    let script = "larder import old-1.tar old-2.tar >/dev/null
        head -c 12000000 /dev/zero >store/.larder/trash/blob; leave 20000000
        try larder prune --min-free 30MB --min-age 0s --dry-run
        try larder prune --min-free 30MB --min-age 0s; ls store/.larder/trash | wc -l; try larder verify";
    let said = text(&need!(on_disk(&sandbox, DISK, script), "root"));
    assert!(said.starts_with("0\n0 images would go"), "{said}");
    assert!(said.contains("\n0\n0 images gone") && said.contains("\n0\n0\n"), "{said}");
    assert_eq!(names(&sandbox.path("after")), ["app:old-1", "app:old-2"].map(String::from).into());
}

/// Blobs that have a name elsewhere take their space along: the images go, and the limit is not reached.
#[test]
fn a_limit_that_a_sweep_did_not_reach_is_out_of_reach() {
    let sandbox = prepare();
    let script =
        "larder import old-1.tar old-2.tar >/dev/null; mkdir store/other; ln store/blobs/sha256/* store/other
        leave 30000000; try larder prune --min-free 35MB --min-age 0s --dry-run
        try larder prune --min-free 35MB --min-age 0s; rm -r store/other";
    let said = text(&need!(on_disk(&sandbox, DISK, script), "root"));
    assert!(said.starts_with("0\n") && said.contains("1 image would go"), "{said}");
    assert!(said.contains("\n4\n") && said.contains("of free space are missing"), "{said}");
    assert_eq!(names(&sandbox.path("after")), ["app:old-2"].map(String::from).into());
}
