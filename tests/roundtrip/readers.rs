//! The store as it stands, read by tools that know nothing of larder.

use std::collections::BTreeSet;

use serde_json::Value;

use super::skopeo::{BOTH, skopeo};
use super::{CLANG, GCC, imported};
use crate::support::store::{assert_sound, blob, index_text, named};
use crate::support::{Sandbox, fixture, need, peer, run};

/// A store with all that there is: two Docker images, an OCI image, an index, and a long name.
fn stocked() -> Sandbox {
    let sandbox = imported("docker20-two.tar");
    for (file, name) in [
        ("skopeo-oci.tar", "registry.example:5000/ci/kept:1"),
        ("multiarch-oci.tar", "capy-debian-12-multi:latest"),
    ] {
        sandbox.ok(["import".as_ref(), fixture(file).as_os_str(), "--name".as_ref(), name.as_ref()]);
    }
    sandbox
}

const NAMES: [&str; 4] = [GCC, CLANG, "registry.example:5000/ci/kept:1", "capy-debian-12-multi:latest"];

#[test]
fn skopeo_inspects_and_copies_every_image() {
    let sandbox = stocked();
    let before = index_text(&sandbox.store());
    for (which, name) in BOTH {
        for reference in NAMES {
            let source = format!("oci:{}:{reference}", sandbox.store().display());
            let mut inspect = need!(skopeo(which, &sandbox), name);
            let raw = run(inspect.args(["inspect", "--raw", &source]));
            let digest = named(&sandbox.store(), reference).unwrap();
            assert_eq!(raw.as_bytes(), blob(&sandbox.store(), &digest), "{which:?} {reference}");
            let mut copy = skopeo(which, &sandbox).unwrap();
            let target = format!("oci:{}:copy", sandbox.path(format!("{which:?}")).display());
            run(copy.args(["copy", "-q", &source, &target]));
        }
        assert_sound(&sandbox.path(format!("{which:?}")));
    }
    assert_eq!(before, index_text(&sandbox.store()));
}

#[test]
fn umoci_lists_and_unpacks() {
    let sandbox = stocked();
    let layout = sandbox.store().display().to_string();
    let distribution = || peer::tool("umoci").map(|umoci| sandbox.enclose(umoci));
    for umoci in [distribution(), peer::forky("umoci", sandbox.root())] {
        let printed = run(need!(umoci, "umoci").args(["ls", "--layout", &layout]));
        assert_eq!(printed.lines().collect::<BTreeSet<_>>(), BTreeSet::from(NAMES));
    }
    // The distribution's umoci is from before zstd layers; gzip it can.
    let (gcc, kept) = (format!("{layout}:{GCC}"), format!("{layout}:{}", NAMES[2]));
    run(need!(distribution(), "umoci").args(["unpack", "--image", &kept, "bundle"]));
    let mut newest = need!(peer::forky("umoci", sandbox.root()), "umoci of forky");
    run(newest.args(["unpack", "--image", &gcc, "newest"]));
    for bundle in ["bundle", "newest"] {
        let rootfs = sandbox.path(bundle).join("rootfs");
        let version = std::fs::read_to_string(rootfs.join("opt/gcc12/version")).unwrap();
        assert_eq!(version, "g++-12 version 12.2.0-14\n", "{bundle}");
        assert!(!rootfs.join("etc/motd").exists(), "{bundle}: the next layer removes it");
    }
}

#[test]
fn oras_lists_and_fetches() {
    let sandbox = stocked();
    let layout = sandbox.store().display().to_string();
    let mut tags = need!(peer::forky("oras", sandbox.root()), "oras of forky");
    let printed = run(tags.args(["repo", "tags", "--oci-layout", &layout]));
    assert_eq!(printed.lines().collect::<BTreeSet<_>>(), BTreeSet::from(NAMES));
    for reference in NAMES {
        let digest = named(&sandbox.store(), reference).unwrap();
        let mut fetch = peer::forky("oras", sandbox.root()).unwrap();
        let by_name = run(fetch.args(["manifest", "fetch", "--oci-layout-path", &layout, reference]));
        let mut fetch = peer::forky("oras", sandbox.root()).unwrap();
        let by_digest = run(fetch.args(["manifest", "fetch", "--oci-layout", &format!("{layout}@{digest}")]));
        assert_eq!(by_name.as_bytes(), blob(&sandbox.store(), &digest), "{reference}");
        assert_eq!(by_name, by_digest, "{reference}");
    }
}

#[test]
fn what_another_tool_adds_to_the_store_is_an_image_like_any_other() {
    let sandbox = imported("docker20.tar");
    std::fs::copy(fixture("skopeo-oci.tar"), sandbox.path("oci.tar")).unwrap();
    for (which, name) in BOTH {
        let mut copy = need!(skopeo(which, &sandbox), name);
        let reference = format!("foreign-{which:?}:1").to_lowercase();
        let target = format!("oci:{}:{reference}", sandbox.store().display());
        run(copy.args(["copy", "-q", "oci-archive:oci.tar", &target]));
    }
    let images = sandbox.json(["images"]);
    let listed: BTreeSet<_> =
        images.as_array().unwrap().iter().filter_map(|image| image["reference"].as_str()).collect();
    assert_eq!(listed, BTreeSet::from([GCC, "foreign-distribution:1", "foreign-newest:1"]));
    let foreign =
        images.as_array().unwrap().iter().find(|image| image["reference"] == "foreign-newest:1").unwrap();
    assert_eq!(foreign["platforms"], serde_json::json!(["linux/amd64"]));
    assert!(foreign["size"].as_u64().unwrap() > 1000 && foreign["image_id"].is_string(), "{foreign}");
    // It exports, can be tagged and removed, and the other entries stay as they were.
    sandbox.ok(["export", "foreign-newest:1", "-o", "foreign.tar"]);
    sandbox.ok(["tag", "foreign-newest:1", "ours:1"]);
    assert_eq!(named(&sandbox.store(), "ours:1").as_deref(), foreign["digest"].as_str());
    sandbox.ok(["rm", "foreign-newest:1"]);
    let left: Vec<Value> = crate::support::store::entries(&sandbox.store());
    assert_eq!(left.len(), 3);
    assert_sound(&sandbox.store());
}
