//! Documents that are missing, unclear, too many or about something else: they are named, and hide nothing.

use serde_json::json;

use super::asked::{CYCLONEDX, LAYER, SPDX, STATEMENT, attach_as_layer, image, spdx, statement, store};
use super::stanza;
use crate::support::Sandbox;
use crate::support::store::blob_path;
use crate::support::tarball::{Oci, Tarball, sha256};

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

/// No row would mean that the image has no such package.
#[test]
fn an_inventory_of_a_kind_that_is_not_read_is_named() {
    let newer = br#"{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}"#;
    for (kind, document, code) in
        [(SPDX, &newer[..], 7), (CYCLONEDX, b"{}", 7), ("application/json", newer, 0), (LAYER, b"{}", 0)]
    {
        let sandbox = store(&[(kind, document)]);
        for _ in 0..2 {
            let (found, _, said) = asked(&sandbox, "bash");
            assert_eq!((found, said.contains("none that is read")), (code, code == 7), "{kind}: {said}");
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
