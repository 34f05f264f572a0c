//! `larder pin` and `larder unpin`.

use super::{CLANG, GCC, two_images};
use crate::support::Sandbox;
use crate::support::store::{index_text, named};

fn pinned(sandbox: &Sandbox) -> Vec<String> {
    let images = sandbox.json(["images", "--all"]);
    let pinned = images.as_array().unwrap().iter().filter(|image| image["pinned"] == true);
    pinned.map(|image| image["reference"].as_str().unwrap_or("nameless").to_owned()).collect()
}

#[test]
fn names_are_pinned_one_by_one() {
    let sandbox = two_images();
    sandbox.ok(["tag", GCC, "alias:1"]);
    assert_eq!(sandbox.ok(["pin", "alias:1"]), "alias:1\n");
    assert_eq!(pinned(&sandbox), ["alias:1"], "the other name of the image is not pinned");
    let before = index_text(&sandbox.store());
    sandbox.ok(["pin", "alias:1"]);
    assert_eq!(before, index_text(&sandbox.store()), "it was pinned");
    assert_eq!(sandbox.ok(["pin", CLANG, "capy-debian-12-gcc12"]), format!("{CLANG}\n{GCC}\n"));
    assert_eq!(pinned(&sandbox), ["alias:1", CLANG, GCC]);
    assert!(sandbox.ok(["images", CLANG]).contains("yes"));
    sandbox.ok(["unpin", CLANG, "alias:1"]);
    assert_eq!(pinned(&sandbox), [GCC]);
    sandbox.ok(["unpin", CLANG]);
}

#[test]
fn what_has_no_name_cannot_be_pinned() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    sandbox.ok(["tag", CLANG, GCC]);
    let before = index_text(&sandbox.store());
    let said = sandbox.fail(["pin", CLANG, &digest], 1);
    assert!(said.contains(&digest) && said.contains("no name"), "{said}");
    sandbox.fail(["pin", CLANG, "missing"], 3);
    sandbox.fail(["unpin", "missing"], 3);
    sandbox.fail::<&str>(["pin"], 2);
    assert_eq!(before, index_text(&sandbox.store()), "all or nothing");
}
