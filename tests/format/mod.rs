//! Yesterday's stores: what an older larder wrote, today's reads, changes and hands out.
//!
//! `fixtures/stores/format-1.tar.gz` was made by the first larder (import of docker20-two, multiarch-oci, and
//! skopeo-oci over it with --replace; pin, annotate, tag, export). It is never made anew: that is the point of it.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{Sandbox, fixture, run};

const GCC_BEFORE: &str = "sha256:3e6be5e19ea60ce16544e5a05ec0fe5794750098273f546f18a2bc05edf2f036";
const GCC: &str = "sha256:472d8b0b636635b397bbd81427d58df380b67bf32f57d6d1999615c72f45cf0b";
const CLANG: &str = "sha256:8342d75d4a24122333619e9b910521297a172402df3cf257bf6362244f5a86ae";

fn unpacked() -> Sandbox {
    let sandbox = Sandbox::new();
    let archive = fixture("stores/format-1.tar.gz");
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(sandbox.store().parent().unwrap()));
    sandbox
}

#[test]
fn format_1_is_read() {
    let sandbox = unpacked();
    let images = sandbox.json(["images", "--all"]);
    let found: BTreeSet<_> = images
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let name = image["reference"].as_str().or(image["was"].as_str()).unwrap().to_owned();
            (name, image["digest"].as_str().unwrap().to_owned(), image["pinned"] == true)
        })
        .collect();
    for expected in [
        ("capy-debian-12-gcc12:latest", GCC, false),
        ("capy-debian-12-gcc12:latest", GCC_BEFORE, false),
        ("capy-debian-12-clang16:latest", CLANG, true),
        ("alias:1", CLANG, false),
        ("alias:2", CLANG, false),
    ] {
        let expected = (expected.0.to_owned(), expected.1.to_owned(), expected.2);
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
    let clang = &sandbox.json(["inspect", "capy-debian-12-clang16"])[0];
    assert_eq!(clang["annotations"]["dev.larder.project"], "capy");
    assert_eq!(clang["use_count"], 1);
    assert_eq!(sandbox.json(["df"])["unreferenced"], 0);
}

#[test]
fn format_1_is_handed_out_whole() {
    let sandbox = unpacked();
    sandbox.ok(["export", "capy-debian-12-gcc12", "capy-debian-12-clang16", GCC_BEFORE, "-o", "out.tar"]);
    sandbox.ok(["export", "capy-debian-12-multi", "--all-platforms", "-o", "multi.tar"]);
    let other = Sandbox::new();
    let archive = sandbox.path("out.tar");
    other.ok(["import".as_ref(), archive.as_os_str(), "--image".as_ref(), "capy-debian-12-clang16".as_ref()]);
    assert_eq!(other.json(["inspect", "capy-debian-12-clang16"])[0]["digest"], CLANG);
}

#[test]
fn format_1_is_changed_and_stays_format_1() {
    let sandbox = unpacked();
    let import =
        |name: &str| sandbox.json(["import".as_ref(), "--replace".as_ref(), fixture(name).as_os_str()]);
    assert_eq!(import("skopeo-oci.tar")[0]["status"], "unchanged");
    // Its cache is another host's and does not count; what the encoder makes today need not be what it made then.
    assert_eq!(import("docker20.tar")[0]["status"], "replaced");
    let was =
        sandbox.json(["images", "--all"]).as_array().unwrap().iter().any(|image| image["digest"] == GCC);
    assert!(was, "the displaced image is still there");
    sandbox.fail(["rm", "capy-debian-12-clang16"], 1);
    sandbox.ok(["unpin", "capy-debian-12-clang16"]);
    sandbox.ok(["rm", "capy-debian-12-clang16", "alias:1"]);
    assert_eq!(sandbox.json(["images", "alias*"]).as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_to_string(sandbox.store().join(".larder/version")).unwrap(), "1\n");
}
