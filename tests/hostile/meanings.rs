//! What an archive says about itself and must not be believed, or must not be shown as it stands: names, dates,
//! annotations, URLs.

use serde_json::{Value, json};

use super::documents::{with_config, with_items};
use super::{Case, NAME, bad, docker, good, layers, oci, tools, try_all};
use crate::roundtrip::GCC;
use crate::support::need;
use crate::support::store::{entries, index_text};
use crate::support::tarball::{Oci, config, docker_archive, layer, members, sha256};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

fn named(key: &str, name: &str) -> Vec<u8> {
    let mut oci = oci();
    oci.index["manifests"][0]["annotations"] = json!({key: name});
    oci.archive()
}

fn tagged(name: &str) -> Vec<u8> {
    let mut items: Value = serde_json::from_slice(&members(&docker())["manifest.json"]).unwrap();
    items[0]["RepoTags"] = json!([name]);
    with_items(items.to_string().as_bytes())
}

#[test]
fn names_that_are_none() {
    need!(tools(), "strace or prlimit");
    let long = "a".repeat(5000);
    let mut cases: Vec<Case> = Vec::new();
    for (what, name) in [
        ("ANSI", "evil\u{1b}[2J\u{1b}[1;31m:1"),
        ("a bell", "evil\u{7}:1"),
        ("a C1 control", "evil\u{9b}2J:1"),
        ("a line's end", "evil:1\nlarder: all is well"),
        ("a carriage return", "evil:1\rgood:1"),
        ("NUL", "evil\0:1"),
        ("text turned round", "evil\u{202e}live:1"),
        ("a path", "../../etc/passwd"),
        ("an absolute path", "/etc/passwd"),
        ("an option", "--replace"),
        ("a URL", "https://reg.example/evil:1"),
        ("5000 letters", &long),
        ("a tag that is a path", "evil:../x"),
        ("what looks like a digest", "sha256:1234567890ab"),
        ("upper case", "EVIL:1"),
    ] {
        cases.push(bad(format!("{what} in RepoTags"), tagged(name), &["entry \"manifest.json\""]));
        cases.push(bad(format!("{what} in ref.name"), named(REF_NAME, name), &[]));
        cases.push(bad(format!("{what} in the full name"), named(FULL_NAME, name), &[]));
    }
    try_all(cases);
}

#[test]
fn names_that_another_image_has() {
    need!(tools(), "strace or prlimit");
    let other = [layer("other", b"image")];
    let full = format!("docker.io/library/{GCC}");
    let mut cases: Vec<Case> = Vec::new();
    for (form, archive) in [
        ("docker", docker_archive(GCC, &other)),
        ("docker, by its full name", docker_archive(&full, &other)),
        ("oci", Oci::image(GCC, &other).archive()),
        ("oci, by its full name", Oci::image(&full, &other).archive()),
    ] {
        cases.push(bad(format!("{form}: a name that is taken"), archive.clone(), &[GCC, "--replace"]));
        let mut replaced = good(format!("{form}: a name that is given up"), archive.clone());
        replaced.args = vec!["--replace"];
        replaced.check = Some(Box::new(|sandbox| assert_eq!(entries(&sandbox.store()).len(), 2)));
        cases.push(replaced);
    }
    // Two images of which the second one has a taken name: neither comes in.
    let mut two = oci();
    let taken = Oci::image(GCC, &other);
    let entry = taken.index["manifests"][0].clone();
    two.blobs.extend(taken.blobs);
    two.index["manifests"].as_array_mut().unwrap().push(entry);
    cases.push(bad("a good image, and one with a name that is taken", two.archive(), &[GCC]));
    // Short, this name would be another registry's.
    let mut foreign = good("a path that looks like a registry", tagged("docker.io/ghcr.io/org/app:1"));
    foreign.check = Some(Box::new(|sandbox| {
        let index = index_text(&sandbox.store());
        assert!(!index.contains("\"ghcr.io/org/app:1\""), "{index}");
    }));
    cases.push(foreign);
    try_all(cases);
}

#[test]
fn dates_are_data() {
    need!(tools(), "strace or prlimit");
    let mut cases: Vec<Case> = Vec::new();
    for created in [
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "+292277026596-12-04T15:30:08Z",
        "tomorrow",
        "\u{1b}[2J",
        "",
    ] {
        let mut config = config("linux", "amd64", &layers());
        config["created"] = created.into();
        let mut case = good(format!("an image of {created:?}"), with_config(config.to_string().as_bytes()));
        case.check = Some(Box::new(|sandbox| {
            // Every verb that shows an image has something to say of it, and nothing that steers a terminal.
            for verb in [&["images"][..], &["images", "--format", "json"], &["inspect", NAME], &["df"]] {
                let shown = sandbox.ok(verb);
                assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{verb:?}: {shown:?}");
            }
            let image = sandbox.json(["images", NAME])[0].clone();
            assert_eq!((&image["last_used"], &image["use_count"]), (&Value::Null, &json!(0)));
        }));
        cases.push(case);
    }
    for created in [json!(0), json!({}), json!(["2020-01-01T00:00:00Z"])] {
        let mut config = config("linux", "amd64", &layers());
        config["created"] = created.clone();
        cases.push(bad(
            format!("created: {created}"),
            with_config(config.to_string().as_bytes()),
            &["entry \""],
        ));
    }
    try_all(cases);
}

#[test]
fn annotations_are_not_believed() {
    need!(tools(), "strace or prlimit");
    let evil = |key: &str, value: &str| {
        let mut oci = oci();
        oci.index["manifests"][0]["annotations"][key] = value.into();
        oci.archive()
    };
    let mut cases: Vec<Case> = Vec::new();
    for (key, value) in [
        ("dev.larder.pinned", "true"),
        ("dev.larder.was", "evil:1"),
        ("dev.larder.children", "sha256:../../evil"),
        ("dev.larder.image-id", "evil"),
        ("dev.larder.size", "evil"),
        ("dev.larder.last-used", "evil"),
        ("dev.larder.use-count", "evil"),
        ("dev.larder.source-digest", "evil"),
        ("dev.larder.project", "evil"),
        ("dev.larder.", "evil"),
        ("dev.larder.new-in-another-version", "evil"),
    ] {
        let mut case = good(format!("{key}={value}"), evil(key, value));
        case.check = Some(Box::new(|sandbox| {
            let index = index_text(&sandbox.store());
            assert!(!index.contains("evil") && !index.contains("pinned"), "{index}");
            sandbox.ok(["images", "--all"]);
        }));
        cases.push(case);
    }
    for (what, value) in
        [("ANSI", "\u{1b}[2J".to_owned()), ("a line's end", "a\nb".into()), ("100 kB", "x".repeat(100_000))]
    {
        let mut case = good(format!("{what} in an annotation"), evil("org.example.note", &value));
        case.check = Some(Box::new(|sandbox| {
            for verb in [&["images"][..], &["images", "--format", "json"], &["inspect", NAME]] {
                let shown = sandbox.ok(verb);
                assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{verb:?}: {shown:?}");
            }
        }));
        cases.push(case);
    }
    cases.push(bad(
        "annotations that are a list",
        {
            let mut oci = oci();
            oci.index["manifests"][0]["annotations"] = json!(["x"]);
            oci.archive()
        },
        &["index.json"],
    ));
    cases.push(bad(
        "an annotation that is a number",
        {
            let mut oci = oci();
            oci.index["manifests"][0]["annotations"]["x"] = json!(1);
            oci.archive()
        },
        &["index.json"],
    ));
    try_all(cases);
}

#[test]
fn urls_are_not_fetched() {
    need!(tools(), "strace or prlimit");
    // The harness fails where a socket is opened; the listener is there so that fetching would work.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/layer", listener.local_addr().unwrap());
    let without_layer = |media_type: &str| {
        let mut oci = oci();
        let mut manifest = oci.manifest();
        let hex = super::documents::hex_of(&manifest["layers"][1]);
        oci.blobs.remove(&hex);
        manifest["layers"][1]["mediaType"] = media_type.into();
        manifest["layers"][1]["urls"] = json!([url]);
        oci.root(NAME, &manifest);
        oci.archive()
    };
    let with_source = |urls: Value| {
        let mut items: Value = serde_json::from_slice(&members(&docker())["manifest.json"]).unwrap();
        items[0]["LayerSources"] = json!({sha256(&layers()[0]): {"mediaType": "x", "size": 1, "urls": urls}});
        with_items(items.to_string().as_bytes())
    };
    try_all(vec![
        good("a foreign layer", without_layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")),
        good(
            "OCI's foreign layer",
            without_layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        ),
        bad(
            "a layer that is missing, with a URL",
            without_layer("application/vnd.oci.image.layer.v1.tar"),
            &["is missing"],
        ),
        good("a layer that is there, with a URL", {
            let mut oci = oci();
            let mut manifest = oci.manifest();
            manifest["layers"][0]["urls"] = json!([url, "file:///etc/passwd"]);
            oci.root(NAME, &manifest);
            oci.archive()
        }),
        good("docker's layer sources", with_source(json!([url]))),
    ]);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody came");
}
