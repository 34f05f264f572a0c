//! `larder tag`.

use serde_json::Value;

use super::{CLANG, GCC, two_images};
use crate::support::store::{REF_NAME, entries, index_text, named};

#[test]
fn an_image_gets_another_name_in_its_full_form() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    for (source, target, name, full) in [
        (GCC, "gcc", "gcc:latest", "docker.io/library/gcc:latest"),
        ("capy-debian-12-gcc12", "me/gcc:2", "me/gcc:2", "docker.io/me/gcc:2"),
        (&digest, "docker.io/library/gcc:3", "gcc:3", "docker.io/library/gcc:3"),
        (&digest[7..19], "reg.example:5000/x/y:T_1", "reg.example:5000/x/y:T_1", "reg.example:5000/x/y:T_1"),
    ] {
        assert_eq!(sandbox.ok(["tag", source, target]), format!("{name}\n"));
        assert_eq!(named(&sandbox.store(), name).as_deref(), Some(digest.as_str()), "{target}");
        let entries = entries(&sandbox.store());
        let entry = entries
            .iter()
            .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name)
            .unwrap();
        assert_eq!(entry["annotations"]["io.containerd.image.name"], full);
    }
    assert!(named(&sandbox.store(), GCC).is_some(), "the old name stays");
    let before = entries(&sandbox.store());
    sandbox.ok(["tag", GCC, "gcc"]);
    let after = entries(&sandbox.store());
    assert!(
        after.len() == before.len() && after.iter().all(|entry| before.contains(entry)),
        "it had this name: {after:?}"
    );
}

#[test]
fn a_name_moves_and_what_had_it_stays() {
    let sandbox = two_images();
    let (gcc, clang) = (named(&sandbox.store(), GCC).unwrap(), named(&sandbox.store(), CLANG).unwrap());
    sandbox.ok(["pin", CLANG]);
    let output = sandbox.larder(["tag", GCC, CLANG]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{CLANG}\n"));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&clang), "people are told");
    assert_eq!(named(&sandbox.store(), CLANG), Some(gcc));
    let all = sandbox.json(["images", "--all"]);
    let row = |digest: &str, reference: Value| {
        let rows = all.as_array().unwrap();
        rows.iter().find(|row| row["digest"] == digest && row["reference"] == reference).unwrap().clone()
    };
    let displaced = row(&clang, Value::Null);
    assert_eq!((&displaced["was"], &displaced["pinned"]), (&CLANG.into(), &false.into()));
    let moved = all.as_array().unwrap().iter().find(|row| row["reference"] == CLANG).unwrap();
    assert_eq!(moved["pinned"], true, "the pin belongs to the name");
    let source = all.as_array().unwrap().iter().find(|row| row["reference"] == GCC).unwrap();
    assert_eq!(source["pinned"], false, "and not to the image");
    // There is a way back.
    sandbox.ok(["tag", &clang, CLANG]);
    assert_eq!(named(&sandbox.store(), CLANG), Some(clang));
}

#[test]
fn a_pin_does_not_follow_to_another_name() {
    let sandbox = two_images();
    sandbox.ok(["pin", GCC]);
    sandbox.ok(["tag", GCC, "copy:1"]);
    let images = sandbox.json(["images"]);
    let pins: Vec<_> = images
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["reference"].as_str().unwrap(), row["pinned"] == true))
        .collect();
    assert_eq!(pins, [(CLANG, false), (GCC, true), ("copy:1", false)]);
}

#[test]
fn what_is_no_name_is_refused() {
    let sandbox = two_images();
    let before = index_text(&sandbox.store());
    let digest = named(&sandbox.store(), GCC).unwrap();
    for target in
        ["", "A", "a b", "a:", "../a", "a//b", "a:b:c", &format!("x@{digest}"), &digest, "a\u{1b}[2J"]
    {
        let said = sandbox.fail(["tag", GCC, target], 2);
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    assert!(sandbox.fail(["tag", "missing", "new:1"], 3).contains("missing"));
    sandbox.fail(["tag", GCC], 2);
    assert_eq!(before, index_text(&sandbox.store()));
}

#[test]
fn a_name_that_another_tool_gave_is_its_own() {
    // `umoci tag` copies all annotations, the full name of the old one among them.
    let sandbox = two_images();
    let mut index: serde_json::Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    let mut copy = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["annotations"][REF_NAME] == GCC)
        .unwrap()
        .clone();
    copy["annotations"][REF_NAME] = "ut".into();
    index["manifests"].as_array_mut().unwrap().push(copy);
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    let listed = sandbox.ok(["images"]);
    assert!(listed.lines().any(|line| line.starts_with("ut ")), "{listed}");
    for query in ["ut", "ut:latest"] {
        assert_eq!(sandbox.json(["inspect", query])[0]["reference"], "ut", "{query}");
    }
    sandbox.ok(["export", "ut", "-o", "ut.tar"]);
    let manifest = &crate::support::tarball::members_of(&sandbox.path("ut.tar"))["manifest.json"];
    assert!(String::from_utf8_lossy(manifest).contains("\"ut:latest\""));
    sandbox.ok(["rm", GCC]);
    assert!(!sandbox.ok(["images"]).contains(GCC) && sandbox.ok(["images"]).contains("ut "));
}
