//! `larder rm`: names go, content stays for the next `gc`.

use super::{CLANG, GCC, two_images};
use crate::support::store::{assert_sound, blobs, entries, index_text, named, names};

#[test]
fn names_go_and_blobs_stay() {
    let sandbox = two_images();
    sandbox.ok(["tag", GCC, "alias:1"]);
    let stored = blobs(&sandbox.store());
    assert_eq!(sandbox.ok(["rm", "capy-debian-12-gcc12", "alias:1"]), format!("{GCC}\nalias:1\n"));
    assert_eq!(names(&sandbox.store()).into_iter().collect::<Vec<_>>(), [CLANG]);
    assert_eq!(entries(&sandbox.store()).len(), 1);
    assert_eq!(stored, blobs(&sandbox.store()));
    sandbox.fail(["inspect", GCC], 3);
    sandbox.fail(["rm", GCC], 3);
    assert_sound(&sandbox.store());
}

#[test]
fn what_was_let_go_is_noted_for_the_next_gc() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    sandbox.ok(["rm", GCC]);
    let released = std::fs::read_to_string(sandbox.store().join(".larder/released")).unwrap();
    assert_eq!(released, format!("{digest}\n"));
}

#[test]
fn a_pinned_name_is_refused_with_all_that_was_asked_for_with_it() {
    let sandbox = two_images();
    sandbox.ok(["pin", GCC]);
    let before = index_text(&sandbox.store());
    let output = sandbox.larder(["rm", CLANG, GCC]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(GCC) && said.contains("pinned") && said.contains("unpin"), "{said}");
    assert_eq!(before, index_text(&sandbox.store()), "all or nothing");
    sandbox.ok(["unpin", GCC]);
    sandbox.ok(["rm", CLANG, GCC]);
    assert!(entries(&sandbox.store()).is_empty());
}

#[test]
fn one_that_is_missing_keeps_the_others() {
    let sandbox = two_images();
    let before = index_text(&sandbox.store());
    let output = sandbox.larder(["rm", GCC, "missing:1", CLANG]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{output:?}");
    assert_eq!(before, index_text(&sandbox.store()));
    sandbox.fail::<&str>(["rm"], 2);
}

#[test]
fn a_digest_means_images_without_a_name() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    sandbox.ok(["tag", GCC, "alias:1"]);
    let before = index_text(&sandbox.store());
    let id = sandbox.json(["inspect", GCC])[0]["image_id"].as_str().unwrap().to_owned();
    for query in [&digest, &digest[..19], &digest[7..19], &id, &id[7..]] {
        let said = sandbox.fail(["rm", query], 1);
        assert!(
            said.contains(GCC) && said.contains("alias:1"),
            "{query}: the names to remove are told: {said}"
        );
        assert_eq!(before, index_text(&sandbox.store()), "{query}");
    }
    sandbox.ok(["tag", CLANG, GCC]);
    sandbox.ok(["tag", CLANG, "alias:1"]);
    let all = sandbox.json(["images", "--all"]);
    assert!(all.as_array().unwrap().iter().any(|image| image["digest"] == digest));
    assert_eq!(sandbox.ok(["rm", &digest]), format!("{digest}\n"));
    let all = sandbox.json(["images", "--all"]);
    assert!(!all.as_array().unwrap().iter().any(|image| image["digest"] == digest), "{all}");
    assert_eq!(names(&sandbox.store()).len(), 3, "no name was lost");
    sandbox.fail(["rm", &digest], 3);
}
