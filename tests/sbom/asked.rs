//! `images --with-package` asks what is attached to images, too.

use serde_json::{Value, json};

use super::stanza;
use crate::support::store::entries;
use crate::support::tarball::{Oci, Tarball, sha256};
use crate::support::{Sandbox, need, peer, run};

pub(super) const SPDX: &str = "application/spdx+json";
pub(super) const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
pub(super) const STATEMENT: &str = "application/vnd.in-toto+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(super) fn spdx(urls: &[&str]) -> Value {
    let package = |url: &&str| json!({"name": "x", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}]});
    json!({"spdxVersion": "SPDX-2.3", "packages": urls.iter().map(package).collect::<Vec<_>>()})
}

fn cyclonedx(urls: &[&str]) -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": urls.iter().map(|url| json!({"purl": url})).collect::<Vec<_>>()})
}

pub(super) fn statement(spdx: &Value) -> Value {
    json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": spdx})
}

/// An image with bash of Debian in its layers.
pub(super) fn image() -> Oci {
    let mut layer = Tarball::new();
    layer.file("var/lib/dpkg/status", stanza("bash", "5.2-1", "").as_bytes());
    Oci::image("app:1", &[layer.bytes()])
}

/// As `oras attach --artifact-type TYPE FILE` does it.
pub(super) fn attach_as_layer(oci: &mut Oci, artifact: &str, document: &[u8]) {
    let subject = oci.index["manifests"][0].clone();
    let described =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": subject["mediaType"], "artifactType": artifact,
        "config": described("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described(LAYER, document)],
        "subject": {"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]},
    });
    let manifest = manifest.to_string().into_bytes();
    for blob in [b"{}", document, &manifest] {
        oci.add(blob);
    }
    let mut entry = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["artifactType"] = json!(artifact);
    oci.index["manifests"].as_array_mut().unwrap().push(entry);
}

/// A store with the image and what is attached to it.
pub(super) fn store(documents: &[(&str, &[u8])]) -> Sandbox {
    let (sandbox, mut oci) = (Sandbox::new(), image());
    for (kind, document) in documents {
        match *kind {
            LAYER => attach_as_layer(&mut oci, "application/vnd.unknown.artifact.v1", document),
            kind => drop(oci.refer(kind, document)),
        }
    }
    std::fs::write(sandbox.path("image.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "image.tar"]);
    sandbox
}

/// What the rows say they have, with who says so.
fn with(sandbox: &Sandbox, package: &str) -> Vec<(String, Option<String>)> {
    let rows = sandbox.json(["images", "--with-package", package]);
    let found = rows.as_array().unwrap().iter().flat_map(|row| row["with_packages"].as_array().unwrap());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    found
        .map(|one| {
            (
                format!("{} {}", text(&one["name"]).unwrap(), text(&one["version"]).unwrap()),
                text(&one["said_by"]),
            )
        })
        .collect()
}

#[test]
fn what_only_a_document_says_is_found_and_whose_word_it_is() {
    let url = "pkg:npm/%40babel/core@7.1.0";
    for (kind, document) in [
        (SPDX, spdx(&[url])),
        (CYCLONEDX, cyclonedx(&[url])),
        (STATEMENT, statement(&spdx(&[url]))),
        ("application/json", cyclonedx(&[url])),
        ("application/vnd.cyclonedx+json; version=1.5", cyclonedx(&[url])),
        // What `oras attach FILE` says of a file of which it is told nothing better.
        (LAYER, spdx(&[url])),
    ] {
        let document = document.to_string();
        let sandbox = store(&[(kind, document.as_bytes())]);
        let said = |name: &str| vec![(name.to_owned(), Some(sha256(document.as_bytes())))];
        assert_eq!(with(&sandbox, "npm:@babel/core<8"), said("@babel/core 7.1.0"), "{kind}");
        assert_eq!(with(&sandbox, "@babel/core>=8"), [], "{kind}");
        assert_eq!(with(&sandbox, "bash"), [("bash 5.2-1".to_owned(), None)], "{kind}");
        // Kept or read, it is the same; and it is forgotten with its blob.
        assert_eq!(with(&sandbox, "npm:@babel/core<8"), said("@babel/core 7.1.0"), "{kind}");
        let kept = sandbox.store().join(".larder/cache/inventories").join(&sha256(document.as_bytes())[7..]);
        assert!(kept.exists());
        sandbox.ok(["rm", "app:1"]);
        sandbox.ok(["gc", "--grace", "0s"]);
        assert!(!kept.exists());
    }
}

#[test]
fn the_layers_come_first_and_all_questions_may_be_answered_by_different_ones() {
    let document =
        spdx(&["pkg:deb/debian/bash@5.2-1?arch=amd64", "pkg:deb/debian/bash@5.1-1", "pkg:pypi/PyYAML@6.0"])
            .to_string();
    let sandbox = store(&[
        (SPDX, document.as_bytes()),
        (CYCLONEDX, cyclonedx(&["pkg:pypi/pyyaml@6.0"]).to_string().as_bytes()),
    ]);
    let said = sha256(document.as_bytes());
    assert_eq!(
        with(&sandbox, "bash"),
        [("bash 5.1-1".to_owned(), Some(said.clone())), ("bash 5.2-1".to_owned(), None)]
    );
    assert_eq!(with(&sandbox, "PyYAML").len(), 1, "it is one package, however its name is written");
    let alone = store(&[(SPDX, document.as_bytes())]);
    for one in ["PyYAML", "pyyaml", "src:pyyaml", "src:PyYAML"] {
        assert_eq!(with(&alone, one).len(), 1, "{one}");
    }
    let both = sandbox.json(["images", "--with-package", "bash>=5.1", "--with-package", "pypi:pyyaml>=6"]);
    assert_eq!(both[0]["with_packages"].as_array().unwrap().len(), 3, "{both}");
    let shown = sandbox.ok(["images", "--with-package", "bash<5.2"]);
    assert!(shown.contains(&format!("bash 5.1-1 (says {})", &said["sha256:".len()..][..12])), "{shown}");
    // What larder attaches itself says what the layers say.
    sandbox.ok(["sbom", "--attach", "app:1"]);
    assert_eq!(with(&sandbox, "bash").len(), 2);
}

/// BuildKit puts its attestations beside the image, into its index.
#[test]
fn attestations_of_buildkit_are_asked() {
    let (sandbox, mut oci) = (Sandbox::new(), image());
    let document = statement(&spdx(&["pkg:deb/debian/openssl@3.0.11-1"])).to_string().into_bytes();
    let image = oci.index["manifests"][0].clone();
    let config = json!({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": [sha256(&document)]}}).to_string().into_bytes();
    let described =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described(STATEMENT, &document)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut attestation = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]});
    let child = json!({"mediaType": image["mediaType"], "digest": image["digest"], "size": image["size"], "platform": {"os": "linux", "architecture": "amd64"}});
    for blob in [&document, &config, &manifest] {
        oci.add(blob);
    }
    oci.root("app:1", &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [child, attestation]}));
    std::fs::write(sandbox.path("image.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "image.tar"]);
    assert_eq!(with(&sandbox, "openssl<3.0.14"), [("openssl 3.0.11-1".to_owned(), Some(sha256(&document)))]);
    assert_eq!(with(&sandbox, "bash"), [("bash 5.2-1".to_owned(), None)]);
    let attested = Sandbox::new();
    attested.ok(["import".as_ref(), crate::support::fixture("attest-oci.tar").as_os_str()]);
    assert_eq!(with(&attested, "nothing"), [], "an attestation is no image");
}

#[test]
fn what_oras_attaches_is_asked() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = store(&[]);
    let place = format!("{}/sbom/asked-{}:1", registry.address, std::process::id());
    let mut oras = need!(peer::forky("oras", sandbox.root()), "oras of forky");
    sandbox.ok(["push", "app:1", &place]);
    std::fs::write(sandbox.path("spdx.json"), spdx(&["pkg:deb/debian/openssl@3.0.11-1"]).to_string())
        .unwrap();
    std::fs::write(sandbox.path("cdx.json"), cyclonedx(&["pkg:npm/lodash@4.17.20"]).to_string()).unwrap();
    run(oras.args(["attach", "--plain-http", "--artifact-type", SPDX, &place, &format!("spdx.json:{SPDX}")]));
    let mut oras = peer::forky("oras", sandbox.root()).unwrap();
    run(oras.args([
        "attach",
        "--plain-http",
        "--artifact-type",
        CYCLONEDX,
        &place,
        &format!("cdx.json:{CYCLONEDX}"),
    ]));
    // Without a word of the file's type.
    std::fs::write(sandbox.path("plain.json"), spdx(&["pkg:pypi/requests@2.31"]).to_string()).unwrap();
    let mut oras = peer::forky("oras", sandbox.root()).unwrap();
    run(oras.args(["attach", "--plain-http", "--artifact-type", SPDX, &place, "plain.json"]));
    let other = Sandbox::new();
    other.ok(["pull", "--referrers", "--name", "app:1", &place]);
    assert_eq!(entries(&other.store()).len(), 4);
    for (asked, found) in [
        ("openssl<3.0.14", "openssl 3.0.11-1"),
        ("npm:lodash<4.17.21", "lodash 4.17.20"),
        ("requests", "requests 2.31"),
    ] {
        let rows = with(&other, asked);
        assert!(matches!(&rows[..], [(name, Some(_))] if name == found), "{rows:?}");
    }
    assert_eq!(with(&other, "bash"), [("bash 5.2-1".to_owned(), None)]);
}
