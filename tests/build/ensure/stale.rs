//! Images that are too old, or whose base has moved: they are made anew, and stay until that is done.

use super::*;
use crate::support::need;
use crate::support::store::named;

fn settings(sandbox: &Sandbox, text: &str) {
    std::fs::write(sandbox.store().join(".larder/larder.toml"), text).unwrap();
}

#[test]
fn an_old_image_is_made_anew_with_all_that_it_had_and_without_old_steps() {
    let sandbox = need!(desk(), "root, runc and busybox");
    ensured(&sandbox, &["--package=zlib1g-dev"]);
    let first = named(&sandbox.store(), NAME).unwrap();
    settings(&sandbox, "rebuild_after = '30d'\n");
    assert_eq!(ensured(&sandbox, &[]).1, "");
    settings(&sandbox, "rebuild_after = '0s'\n");
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!(out, format!("{NAME}\n"));
    assert!(said.contains("is stale (made") && said.contains("built on debian:12"), "{said}");
    assert_eq!(ran(&said), 1, "a step of before is as old: {said}");
    let second = named(&sandbox.store(), NAME).unwrap();
    assert_ne!(first, second);
    let was = entries(&sandbox.store()).into_iter().find(|entry| entry["digest"] == first.as_str()).unwrap();
    assert_eq!(was["annotations"]["dev.larder.was"], NAME);
    // What another job asked for is still there.
    settings(&sandbox, "rebuild_after = '30d'\n");
    assert_eq!(ensured(&sandbox, &["--package=zlib1g-dev"]).1, "");
    // With the step that is young enough nothing runs.
    sandbox.ok(["rm", NAME]);
    let (_, said) = ensured(&sandbox, &["--package=zlib1g-dev"]);
    assert!(ran(&said) == 0 && said.contains("(cached)"), "{said}");
}

#[test]
fn a_base_that_moved_makes_its_images_anew() {
    let sandbox = need!(desk(), "root, runc and busybox");
    ensured(&sandbox, &[]);
    ensured(&sandbox, &["--variant=cov"]);
    debian(&sandbox, "second", &["--replace"]).unwrap();
    let (_, said) = ensured(&sandbox, &[]);
    assert!(said.contains("its base debian:12 is another image by now") && ran(&said) == 1, "{said}");
    assert!(said.contains("is built on debian:12, which lacks gcc-12"), "{said}");
    let shown = sandbox.json(["inspect", NAME]);
    assert_eq!(shown[0]["base"]["digest"], named(&sandbox.store(), "debian:12").unwrap());
    assert_eq!(ensured(&sandbox, &[]).1, "");
}

#[test]
fn while_the_new_one_cannot_be_made_the_old_one_has_its_name() {
    let sandbox = need!(desk(), "root, runc and busybox");
    ensured(&sandbox, &[]);
    let first = named(&sandbox.store(), NAME).unwrap();
    own(&sandbox, "FROM debian:12\nRUN echo this is how it ends && false\n");
    debian(&sandbox, "second", &["--replace"]).unwrap();
    let said = sandbox.fail(JOB, 1);
    assert!(said.contains("this is how it ends"), "{said}");
    assert_eq!(named(&sandbox.store(), NAME).unwrap(), first);
    // Where nothing can be built at all it is used as it is, and that is said.
    std::fs::remove_dir_all(sandbox.path("images")).unwrap();
    sandbox.ok(["rm", "debian:12"]);
    settings(&sandbox, "rebuild_after = '0s'\n");
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!(out, format!("{NAME}\n"));
    assert!(said.contains("is stale") && said.contains("nothing can be built in its place"), "{said}");
}
