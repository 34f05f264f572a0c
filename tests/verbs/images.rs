//! `larder images`.

use super::{CLANG, GCC, column, redact, two_images};
use crate::support::{Sandbox, fixture};

/// Several names, one of which has lost its image.
fn stocked() -> Sandbox {
    let sandbox = two_images();
    sandbox.ok([
        "import".as_ref(),
        fixture("multiarch-oci.tar").as_os_str(),
        "--name".as_ref(),
        "ci/multi:2".as_ref(),
    ]);
    sandbox.ok(["tag", GCC, "registry.example:5000/ci/gcc:12"]);
    sandbox.ok(["tag", GCC, "moving:1"]);
    sandbox.ok(["tag", CLANG, "moving:1"]);
    sandbox.ok(["pin", CLANG]);
    sandbox
}

#[test]
fn the_table_is_for_people() {
    let sandbox = stocked();
    insta::assert_snapshot!(redact(&sandbox.ok(["images", "--all"])), @r"
    REFERENCE                        DIGEST        PLATFORM                   SIZE  IMPORTED             LAST USED  PINNED
    capy-debian-12-clang16:latest    digest-1----  linux/amd64              5.3 kB  0000-00-00 00:00:00  never      yes
    capy-debian-12-gcc12:latest      digest-2----  linux/amd64              5.2 kB  0000-00-00 00:00:00  never
    ci/multi:2                       digest-3----  linux/amd64,linux/arm64  5.3 kB  0000-00-00 00:00:00  never
    moving:1                         digest-1----  linux/amd64              5.3 kB  0000-00-00 00:00:00  never
    registry.example:5000/ci/gcc:12  digest-2----  linux/amd64              5.2 kB  0000-00-00 00:00:00  never
    (was moving:1)                   digest-2----  linux/amd64              5.2 kB  0000-00-00 00:00:00  never
    ");
    assert_eq!(sandbox.ok(["ls", "--all"]), sandbox.ok(["images", "--all"]), "ls is another name for it");
    assert_eq!(Sandbox::new().ok(["images"]).lines().count(), 1, "a new store has nothing but the headings");
}

#[test]
fn a_pattern_means_the_whole_name_with_or_without_its_tag() {
    let sandbox = stocked();
    for (pattern, expected) in [
        ("*", &[CLANG, GCC, "ci/multi:2", "moving:1", "registry.example:5000/ci/gcc:12"][..]),
        ("capy-debian-12-gcc12", &[GCC]),
        ("capy-debian-12-gcc12:latest", &[GCC]),
        ("capy-*", &[CLANG, GCC]),
        ("capy-debian-12-???12", &[GCC]),
        ("*gcc*", &[GCC, "registry.example:5000/ci/gcc:12"]),
        ("*/gcc", &["registry.example:5000/ci/gcc:12"]),
        ("registry.example:5000/*", &["registry.example:5000/ci/gcc:12"]),
        ("*:2", &["ci/multi:2"]),
        ("gcc", &[]),
        ("ci", &[]),
        ("", &[]),
    ] {
        assert_eq!(column(&sandbox.json(["images", pattern]), "reference"), expected, "{pattern}");
    }
    assert!(sandbox.fail(["images", "[z-"], 2).contains("[z-"));
}

#[test]
fn images_are_sorted_as_asked() {
    let sandbox = stocked();
    sandbox.ok(["export", "ci/multi:2", "-o", "used.tar"]);
    let by = |key: &str| sandbox.json(["images", "--sort", key]);
    let names = column(&by("name"), "reference").iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(by("name"), sandbox.json(["images"]), "by name unless something else is asked for");
    let sizes: Vec<_> =
        by("size").as_array().unwrap().iter().map(|image| image["size"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] > sizes[sizes.len() - 1], "{sizes:?}");
    assert_eq!(column(&by("used"), "reference")[0], "ci/multi:2");
    let imported = by("imported");
    assert!(column(&imported, "imported").is_sorted_by(|a, b| a >= b), "{imported}");
    sandbox.fail(["images", "--sort", "colour"], 2);
}

#[test]
fn nameless_images_are_listed_when_asked_for() {
    let sandbox = two_images();
    let old = crate::support::store::named(&sandbox.store(), GCC).unwrap();
    sandbox.ok(["tag", CLANG, GCC]);
    assert_eq!(column(&sandbox.json(["images"]), "reference"), [CLANG, GCC]);
    let all = sandbox.json(["images", "-a"]);
    let nameless: Vec<_> =
        all.as_array().unwrap().iter().filter(|image| image["reference"].is_null()).collect();
    assert_eq!(nameless.len(), 1);
    assert_eq!(
        (nameless[0]["digest"].as_str(), nameless[0]["was"].as_str()),
        (Some(old.as_str()), Some(GCC))
    );
    assert_eq!(
        column(&sandbox.json(["images", "-a", "*gcc12"]), "was").len(),
        2,
        "found by the name that it had"
    );
    assert!(sandbox.ok(["images", "-a"]).contains(&format!("(was {GCC})")));
    assert!(!sandbox.ok(["images"]).contains("(was"));
}

#[test]
fn the_json_has_these_fields() {
    let sandbox = two_images();
    sandbox.ok(["export", GCC, "-o", "used.tar"]);
    let images = sandbox.json(["images", GCC]);
    insta::assert_snapshot!(redact(&serde_json::to_string_pretty(&images).unwrap()), @r#"
    [
      {
        "arch": null,
        "base": null,
        "compilers": [],
        "digest": "sha256:digest-1------------",
        "image_id": "sha256:digest-2------------",
        "imported": "0000-00-00T00:00:00Z",
        "last_used": "0000-00-00T00:00:00Z",
        "os": null,
        "packages": [],
        "pinned": false,
        "platforms": [
          "linux/amd64"
        ],
        "project": null,
        "reference": "capy-debian-12-gcc12:latest",
        "size": 5224,
        "tools": [],
        "use_count": 1,
        "variant": null,
        "was": null
      }
    ]
    "#);
    assert_eq!(Sandbox::new().json(["images"]), serde_json::json!([]));
}
