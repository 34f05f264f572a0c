//! `sbom --attach`: where the document goes with its image.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{import, stanza};
use crate::support::store::{
    assert_nothing_pending, assert_sound, blob_path, blobs, document, entries, tree,
};
use crate::support::tarball::{Tarball, noise};
use crate::support::{Sandbox, fixture, need, peer, run};

const NAME: &str = "org.opencontainers.image.ref.name";
const SPDX: &str = "application/spdx+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer.file("var/lib/dpkg/status", stanza("bash", "5", "").as_bytes());
    import(&sandbox, "app:1", &[layer.bytes()]);
    sandbox
}

/// Digests of the documents about a manifest, with their kinds.
fn attached(sandbox: &Sandbox, subject: &Value) -> Vec<(String, String)> {
    let nameless =
        entries(&sandbox.store()).into_iter().filter(|entry| entry["annotations"].get(NAME).is_none());
    let digests = nameless.map(|entry| entry["digest"].as_str().unwrap().to_owned());
    let about = digests.map(|digest| (document(&sandbox.store(), &digest), digest));
    let about = about.filter(|(manifest, _)| manifest["subject"]["digest"] == *subject);
    about.map(|(manifest, digest)| (digest, manifest["artifactType"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn oras_finds_it_where_the_image_was_pushed() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = store();
    let digests = [
        sandbox.ok(["sbom", "--attach", "app:1"]),
        sandbox.ok(["sbom", "--attach", "--spec", "cyclonedx", "app:1"]),
    ];
    let place = format!("{}/sbom/attached-{}:1", registry.address, std::process::id());
    let mut oras = need!(peer::forky("oras", sandbox.root()), "oras of forky");
    assert_eq!(sandbox.json(["push", "app:1", &place])[0]["referrers"], 2);
    let found = run(oras.args(["discover", "--plain-http", "--format", "json", &place]));
    let found: Value = serde_json::from_str(&found).unwrap();
    let list = ["referrers", "manifests"].iter().find_map(|key| found[key].as_array()).unwrap();
    for (digest, kind) in digests.iter().zip([SPDX, CYCLONEDX]) {
        let one = list.iter().find(|one| one["digest"] == digest.trim());
        assert_eq!(one.unwrap_or_else(|| panic!("{found:#}"))["artifactType"], kind);
    }
    // What is pulled from there is the document, byte for byte.
    let mut oras = peer::forky("oras", sandbox.root()).unwrap();
    let manifest = document(&sandbox.store(), digests[0].trim());
    let (repository, _) = place.rsplit_once(':').unwrap();
    let blob = format!("{repository}@{}", manifest["layers"][0]["digest"].as_str().unwrap());
    let fetched = run(oras.args(["blob", "fetch", "--plain-http", "--output", "-", &blob]));
    assert!(fetched == sandbox.ok(["sbom", "app:1"]));
    let other = Sandbox::new();
    other.ok(["pull", "--referrers", "--name", "app:1", &place]);
    let image = other.json(["inspect", "app:1"])[0]["digest"].clone();
    assert_eq!(attached(&other, &image).len(), 2);
}

#[test]
fn a_bundle_takes_it_along_where_that_is_asked_for() {
    let sandbox = store();
    let digest = sandbox.ok(["sbom", "--attach", "app:1"]);
    sandbox.ok(["bundle", "create", "app:1", "-o", "without"]);
    sandbox.ok(["bundle", "create", "app:1", "--referrers", "-o", "with"]);
    for (bundle, is_there) in [("without", false), ("with", true)] {
        let other = Sandbox::new();
        other.ok(["bundle".as_ref(), "apply".as_ref(), sandbox.path(bundle).as_os_str()]);
        let image = other.json(["inspect", "app:1"])[0]["digest"].clone();
        let found = attached(&other, &image);
        assert_eq!(found.iter().any(|(found, _)| found == digest.trim()), is_there, "{bundle}");
        other.ok(["gc", "--grace", "0s"]);
        assert_eq!(blob_path(&other.store(), digest.trim()).exists(), is_there);
        // It is as if it had been attached here.
        assert_eq!(other.ok(["sbom", "--attach", "app:1"]), digest);
        assert_eq!(attached(&other, &image).len(), 1);
        assert_sound(&other.store());
    }
}

#[test]
fn another_document_of_its_kind_takes_its_place() {
    let sandbox = store();
    let image = sandbox.json(["inspect", "app:1"])[0]["digest"].clone();
    let first = sandbox.ok(["sbom", "--attach", "app:1"]);
    let before = blobs(&sandbox.store());
    assert_eq!(sandbox.ok(["sbom", "--attach", "app:1"]), first);
    assert_eq!(blobs(&sandbox.store()), before, "the same once more: nothing new is stored");
    let cyclonedx = sandbox.ok(["sbom", "--attach", "--spec", "cyclonedx", "app:1"]);
    // By another name the same image has another document.
    sandbox.ok(["tag", "app:1", "other:1"]);
    let second = sandbox.ok(["sbom", "--attach", "other:1"]);
    let mut found = attached(&sandbox, &image);
    found.sort();
    let mut expected = vec![
        (second.trim().to_owned(), SPDX.to_owned()),
        (cyclonedx.trim().to_owned(), CYCLONEDX.to_owned()),
    ];
    expected.sort();
    assert_eq!(found, expected);
    // What was let go is swept at once, and nothing else.
    sandbox.ok(["gc"]);
    assert!(!blob_path(&sandbox.store(), first.trim()).exists());
    assert!(blob_path(&sandbox.store(), second.trim()).exists());
    sandbox.ok(["rm", "app:1"]);
    sandbox.ok(["gc", "--grace", "0s"]);
    assert!(blob_path(&sandbox.store(), second.trim()).exists(), "the image has another name");
    sandbox.ok(["pin", "other:1"]);
    assert_eq!(sandbox.ok(["sbom", "--attach", "other:1"]), second);
    sandbox.ok(["unpin", "other:1"]);
    sandbox.ok(["rm", "other:1"]);
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_eq!(blobs(&sandbox.store()).len(), 0);
}

#[test]
fn of_an_index_the_image_of_a_platform_is_the_subject() {
    let sandbox = Sandbox::new();
    sandbox.ok(["import".as_ref(), fixture("multiarch-oci.tar").as_os_str()]);
    let name = "capy-debian-12-multi:latest";
    let index = document(&sandbox.store(), sandbox.json(["inspect", name])[0]["digest"].as_str().unwrap());
    for platform in ["linux/amd64", "linux/arm64"] {
        let architecture = platform.split_once('/').unwrap().1;
        let children = index["manifests"].as_array().unwrap();
        let child = children.iter().find(|child| child["platform"]["architecture"] == architecture).unwrap();
        let digest = sandbox.ok(["sbom", "--attach", "--platform", platform, name]);
        assert_eq!(attached(&sandbox, &child["digest"]), [(digest.trim().to_owned(), SPDX.to_owned())]);
    }
    // One of a platform is no reason to let go that of another.
    assert_eq!(entries(&sandbox.store()).len(), 3);
    sandbox.ok(["gc", "--grace", "0s"]);
    sandbox.ok(["bundle", "create", name, "--referrers", "-o", "both"]);
    let other = Sandbox::new();
    other.ok(["bundle".as_ref(), "apply".as_ref(), sandbox.path("both").as_os_str()]);
    assert_eq!(entries(&other.store()).len(), 3);
    sandbox.ok(["rm", name]);
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_eq!(blobs(&sandbox.store()).len(), 0);
}

#[test]
fn a_store_that_cannot_be_written_is_told_of_and_read() {
    let sandbox = store();
    let before = tree(&sandbox.store());
    let output = need!(crate::verbs::read_only(&sandbox, &["sbom", "--attach", "app:1"]), "unshare and root");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Read-only file system"), "{output:?}");
    let output = crate::verbs::read_only(&sandbox, &["sbom", "app:1"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == sandbox.ok(["sbom", "app:1"]).into_bytes());
    let output = crate::verbs::read_only(&sandbox, &["images", "--with-package", "bash"]).unwrap();
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("app:1"),
        "{output:?}"
    );
    let after = tree(&sandbox.store()).into_keys().filter(|path| !before.contains_key(path)).count();
    assert_eq!(after, 1, "only what `sbom` keeps where it may");
}

#[test]
fn what_cannot_be_written_is_not_attached() {
    let sandbox = store();
    for (file, code, why) in [("nodir/x", 1, "No such file"), (".", 2, ".: is a directory")] {
        let output = sandbox.command(["sbom", "app:1", "--attach", "-o", file]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(why), "{file}: {said}");
        assert_eq!(entries(&sandbox.store()).len(), 1, "{file}");
    }
    for arguments in
        [&["sbom", "--format", "json", "app:1"][..], &["sbom", "--spec", "spdx", "--diff", "app:1", "app:1"]]
    {
        let output = sandbox.command(arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
}

#[test]
fn many_at_once_attach_one() {
    let sandbox = store();
    let image = sandbox.json(["inspect", "app:1"])[0]["digest"].clone();
    let start = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..8).map(|_| start(&["sbom", "--attach", "app:1"])).collect();
    let printed: Vec<_> = running.into_iter().map(|one| one.wait_with_output().unwrap()).collect();
    assert!(printed.iter().all(|one| one.status.success() && one.stdout == printed[0].stdout), "{printed:?}");
    assert_eq!(attached(&sandbox, &image).len(), 1);
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
}

/// What is attached is whole at every moment, whoever sweeps meanwhile.
#[test]
fn a_gc_meanwhile_takes_nothing_of_it() {
    let sandbox = store();
    let mut other = Tarball::new();
    other.file("filler", &noise(1, 200_000));
    let other = other.bytes();
    for round in 0..4 {
        let name = format!("app:{round}0");
        sandbox.ok(["tag", "app:1", &name]);
        import(&sandbox, "other:1", std::slice::from_ref(&other));
        sandbox.ok(["rm", "other:1"]);
        let mut running: Vec<_> = [
            &["sbom", "--attach", &name][..],
            &["gc", "--grace", "0s"],
            &["sbom", "--attach", "--spec", "cyclonedx", &name],
            &["gc", "--grace", "0s"],
        ]
        .iter()
        .map(|arguments| {
            sandbox.command(*arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
        running.iter_mut().for_each(|one| assert!(one.wait().unwrap().success()));
        sandbox.ok(["verify"]);
        assert_sound(&sandbox.store());
    }
    let image = sandbox.json(["inspect", "app:1"])[0]["digest"].clone();
    let mut kinds: Vec<_> = attached(&sandbox, &image).into_iter().map(|(_, kind)| kind).collect();
    kinds.sort();
    assert_eq!(json!(kinds), json!([SPDX, CYCLONEDX]));
}
