//! `images --with-package` asks what is attached to images, too.

use serde_json::{Value, json};

use super::stanza;
use crate::support::store::{blob_path, entries};
use crate::support::tarball::{Oci, Tarball, sha256};
use crate::support::{Sandbox, need, peer, run};

const SPDX: &str = "application/spdx+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn spdx(urls: &[&str]) -> Value {
    let package = |url: &&str| json!({"name": "x", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}]});
    json!({"spdxVersion": "SPDX-2.3", "packages": urls.iter().map(package).collect::<Vec<_>>()})
}

fn cyclonedx(urls: &[&str]) -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": urls.iter().map(|url| json!({"purl": url})).collect::<Vec<_>>()})
}

fn statement(spdx: &Value) -> Value {
    json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": spdx})
}

/// An image with bash of Debian in its layers.
fn image() -> Oci {
    let mut layer = Tarball::new();
    layer.file("var/lib/dpkg/status", stanza("bash", "5.2-1", "").as_bytes());
    Oci::image("app:1", &[layer.bytes()])
}

/// As `oras attach --artifact-type TYPE FILE` does it.
fn attach_as_layer(oci: &mut Oci, artifact: &str, document: &[u8]) {
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
fn store(documents: &[(&str, &[u8])]) -> Sandbox {
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
fn a_document_that_means_harm_is_named_and_stops_nobody() {
    let deep = format!("{{\"spdxVersion\":{}", "[".repeat(200_000));
    let wrong =
        spdx(&["pkg:deb/debian/evil\u{1b}%1b[2J@1", "pkg:deb/debian/a%0ab@1", "pkg:deb/debian/good@1"])
            .to_string();
    for (document, why) in [
        (deep.as_str(), "nested deeper"),
        (r#"{"spdxVersion":"SPDX-2.3","packages":[],"packages":[]}"#, "stands twice"),
        (r#"{"spdxVersion":"SPDX-2.3","packages":"\u001b[2J"}"#, "invalid type"),
        ("not JSON at all", "expected"),
    ] {
        let sandbox = store(&[(SPDX, document.as_bytes()), (CYCLONEDX, wrong.as_bytes())]);
        for _ in 0..2 {
            let output = sandbox.command(["images", "--with-package", "good"]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let shown = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(7), "{said}");
            assert!(shown.contains("good 1"), "{shown}");
            assert!(said.contains(&sha256(document.as_bytes())) && said.contains(why), "{why}: {said}");
            assert!(!said.contains('\u{1b}') && !shown.contains('\u{1b}'));
        }
        // Somebody's text that is called nothing in particular, and does not say what it is, is nobody's inventory.
        for kind in ["application/json", LAYER] {
            let sandbox = store(&[(kind, document.as_bytes())]);
            let code = if why == "invalid type" { 7 } else { 0 };
            assert_eq!(asked(&sandbox, "bash").0, code, "{kind} {why}");
        }
    }
}

#[test]
fn the_type_of_an_artifact_calls_its_file_an_inventory() {
    for (artifact, code) in [(SPDX, 7), ("application/vnd.example.report", 0)] {
        let (sandbox, mut oci) = (Sandbox::new(), image());
        attach_as_layer(&mut oci, artifact, b"not JSON at all");
        std::fs::write(sandbox.path("image.tar"), oci.archive()).unwrap();
        sandbox.ok(["import", "image.tar"]);
        let (found, _, said) = asked(&sandbox, "bash");
        assert_eq!(
            (found, said.contains("attached to it: expected")),
            (code, code == 7),
            "{artifact}: {said}"
        );
    }
}

/// The exit code of a question, its rows and what is said beside them.
fn asked(sandbox: &Sandbox, package: &str) -> (i32, String, String) {
    let output = sandbox.command(["images", "--with-package", package]).output().unwrap();
    let [rows, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), rows, said)
}

#[test]
fn a_document_that_is_missing_hides_nothing() {
    let document = spdx(&["pkg:pypi/requests@2"]).to_string();
    let sandbox = store(&[(SPDX, document.as_bytes())]);
    std::fs::remove_file(blob_path(&sandbox.store(), &sha256(document.as_bytes()))).unwrap();
    let (code, rows, said) = asked(&sandbox, "bash");
    assert!(code == 5 && rows.contains("bash 5.2-1"), "{code}: {rows}{said}");
    let named = format!("app:1: document {}: is missing", sha256(document.as_bytes()));
    assert!(said.contains(&named), "{said}");
}

#[test]
fn one_damaged_image_does_not_silence_the_others() {
    let document = spdx(&["pkg:pypi/requests@2"]).to_string();
    let sandbox = store(&[(SPDX, document.as_bytes())]);
    std::fs::remove_file(blob_path(&sandbox.store(), &sha256(document.as_bytes()))).unwrap();
    let mut layer = Tarball::new();
    layer.file("var/lib/rpm/Packages", b"\0\0");
    super::import(&sandbox, "old:1", &[layer.bytes()]);
    super::import(&sandbox, "odd:1", &[b"no tar archive".to_vec()]);
    let (code, rows, said) = asked(&sandbox, "bash");
    assert!(code == 5 && rows.contains("bash 5.2-1"), "{code}: {rows}{said}");
    for name in ["app:1: document", "old:1: /var/lib/rpm/Packages: is a database", "odd:1: blob"] {
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn what_is_called_an_inventory_is_called_one_wherever_it_is_attached() {
    let (sandbox, document) = (Sandbox::new(), b"not JSON at all");
    for (name, kind) in [("a:1", "application/json"), ("b:1", SPDX)] {
        let mut layer = Tarball::new();
        layer.file("var/lib/dpkg/status", stanza(&name[..1], "5.2-1", "").as_bytes());
        let mut oci = Oci::image(name, &[layer.bytes()]);
        oci.refer(kind, document);
        std::fs::write(sandbox.path("image.tar"), oci.archive()).unwrap();
        sandbox.ok(["import", "image.tar"]);
    }
    // The first one reads it, and what it says is kept.
    for _ in 0..2 {
        let (code, _, said) = asked(&sandbox, "none");
        assert!(code == 7 && said.contains("b:1: the document") && !said.contains("a:1"), "{said}");
    }
}

#[test]
fn a_statement_counts_for_what_it_is_about() {
    let image = image().index["manifests"][0]["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    for (digest, code) in [(image, 0), ("0".repeat(64), 7)] {
        let mut document = statement(&spdx(&["pkg:pypi/requests@2"]));
        document["subject"] = json!([{"name": "app", "digest": {"sha256": digest}}]);
        let sandbox = store(&[(STATEMENT, document.to_string().as_bytes())]);
        for _ in 0..2 {
            let (found, rows, said) = asked(&sandbox, "requests");
            assert_eq!((found, rows.contains("requests 2")), (code, code == 0), "{rows}{said}");
            assert_eq!(said.contains("says that it is about something else"), code == 7, "{said}");
        }
        let (_, rows, said) = asked(&sandbox, "bash");
        assert!(rows.contains("bash 5.2-1"), "{said}");
    }
}

#[test]
fn more_documents_than_are_asked_are_counted() {
    let others: Vec<_> = (0..65).map(|number| json!({"number": number}).to_string()).collect();
    let all: Vec<_> = others.iter().map(|text| ("application/json", text.as_bytes())).collect();
    assert_eq!(asked(&store(&all[..64]), "bash").0, 0);
    let (code, rows, said) = asked(&store(&all), "bash");
    assert!(code == 7 && rows.contains("bash 5.2-1"), "{rows}{said}");
    assert!(said.contains("app:1: 1 document attached to it more than the 64 that are asked"), "{said}");
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
