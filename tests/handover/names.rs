//! The name that is printed is the name to use, and it means the right image, whatever it meant before.

use serde_json::Value;

use super::images::{app, base, store};
use super::{Desk, assert_sent, expected_id, on_every_engine};
use crate::support::Docker;

on_every_engine!(
    the_name_is_printed_alone,
    other_names,
    a_name_that_somebody_moved_is_corrected,
    a_use_is_recorded
);

fn the_name_is_printed_alone(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "registry.example:5000/ci/base:1", &base());
    for (query, more, name) in [
        ("registry.example:5000/ci/base:1", &[][..], "registry.example:5000/ci/base:1"),
        ("registry.example:5000/ci/base:1", &["--as", "gcc"], "gcc:latest"),
        ("registry.example:5000/ci/base:1", &["--as", "docker.io/library/gcc:2"], "gcc:2"),
    ] {
        let (output, _) = desk.try_hand_over([query].iter().chain(more));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{name}\n"));
        assert_eq!(docker.image_id(name), expected_id(docker, &desk.sandbox, query), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains(name) && said.lines().count() == 1,
            "what was sent and spared, in one line: {said}"
        );
    }
    // By digest, the name is the one that the image has.
    let digest = desk.sandbox.json(["images"])[0]["digest"].as_str().unwrap().to_owned();
    for query in [&digest, &digest["sha256:".len()..][..12]] {
        let (output, traffic) = desk.try_hand_over([query]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "registry.example:5000/ci/base:1\n", "{query}");
        assert_eq!(traffic.loads, 0);
    }
}

fn other_names(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    let args = ["app:1", "base:1", "--as", "x/app:2", "--as", "x/base:2"];
    let (output, traffic) = desk.try_hand_over(args);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "x/app:2\nx/base:2\n",
        "in the order of the images"
    );
    assert!(traffic.loads >= 1);
    for (query, name) in [("app:1", "x/app:2"), ("base:1", "x/base:2")] {
        assert_eq!(docker.image_id(name), expected_id(docker, &desk.sandbox, query), "{name}");
        assert_eq!(docker.image_id(query), None, "the name in the store is not the name in the engine");
        assert_eq!(docker.run(name, &["/bin/hello", name]), format!("hello from larder {name}\n"));
    }
    let (rows, traffic) = desk.hand_over(args);
    assert_eq!(traffic.loads, 0, "{rows:?}");
    for wrong in [&["app:1", "base:1", "--as", "one"][..], &["app:1", "--as", "a", "--as", "b"]] {
        let (output, traffic) = desk.try_hand_over(wrong);
        assert_eq!((output.status.code(), traffic.sent), (Some(2), 0), "{wrong:?}: {output:?}");
        assert!(output.stdout.is_empty());
    }
}

fn a_name_that_somebody_moved_is_corrected(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    desk.hand_over(["base:1", "app:1"]);
    let right = expected_id(docker, &desk.sandbox, "app:1");
    docker.ok(["tag", "base:1", "app:1"]);
    // On containerd an image without a name is gone; another name keeps it.
    if docker.has_containerd_store() {
        docker.ok(["tag", right.as_deref().unwrap(), "kept:1"]);
    }
    assert_ne!(docker.image_id("app:1"), right);
    let (rows, traffic) = desk.hand_over(["app:1"]);
    assert_eq!(docker.image_id("app:1"), right, "{rows:?}");
    if !docker.has_containerd_store() {
        assert_sent(&rows[0], &traffic, 0, 3);
    }
    assert_eq!(
        docker.image_id("base:1"),
        expected_id(docker, &desk.sandbox, "base:1"),
        "the other name stays"
    );
    // And one that somebody removed is there again.
    docker.ok(["image", "rm", "--force", "app:1"]);
    desk.hand_over(["app:1"]);
    assert_eq!(docker.image_id("app:1"), right);
}

fn a_use_is_recorded(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base()[..1]);
    store(&desk.sandbox, "never:1", &app()[..1]);
    desk.sandbox.ok(["tag", "base:1", "alias:1"]);
    let image = || {
        let images = desk.sandbox.json(["images"]);
        images.as_array().unwrap().iter().find(|image| image["reference"] == "base:1").unwrap().clone()
    };
    assert_eq!((&image()["last_used"], &image()["use_count"]), (&Value::Null, &0.into()));
    desk.hand_over(["base:1"]);
    desk.hand_over(["base:1"]);
    let used = image();
    assert_eq!(used["use_count"], 2);
    let last = used["last_used"].as_str().unwrap();
    assert!(last.len() == 20 && last.ends_with('Z') && last >= used["imported"].as_str().unwrap(), "{last}");
    // Folded into the index with the next change, and the same in another order of things.
    desk.sandbox.ok(["tag", "base:1", "third:1"]);
    assert_eq!((&image()["use_count"], &image()["last_used"]), (&2.into(), &used["last_used"]));
    let entry = &crate::support::store::entries(&desk.sandbox.store())[0];
    assert_eq!(entry["annotations"]["dev.larder.use-count"], "2", "{entry}");
    let (output, _) = desk.try_hand_over(["missing:1"]);
    assert_eq!(output.status.code(), Some(3));
}
