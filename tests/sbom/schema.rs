//! Documents are held against the schemas that SPDX and CycloneDX publish (`fixtures/schemas`), by Debian's python3-jsonschema.

use std::process::Command;

use super::packages;
use super::{import, stanza};
use crate::support::tarball::Tarball;
use crate::support::{Sandbox, describe, feed, fixture, need, peer};

const SPDX: &[&str] = &["spdx-2.3.schema.json"];
const CYCLONEDX: &[&str] = &["bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schema.json"];

/// Debian's Python, where it has what validates.
pub(super) fn python() -> Option<Command> {
    let mut probe = peer::tool("python3")?;
    let output = probe.args(["-c", "import jsonschema"]).output().ok()?;
    output.status.success().then(|| peer::tool("python3")).flatten()
}

/// Holds both documents of an image against their schemas.
pub(super) fn validate(sandbox: &Sandbox, image: &str) {
    for (spec, schemas) in [("spdx", SPDX), ("cyclonedx", CYCLONEDX)] {
        let document = sandbox.command(["sbom", "--spec", spec, image]).output().unwrap().stdout;
        let said = errors(schemas, &document).unwrap_or_else(|said| panic!("{image} as {spec}: {said}"));
        assert_eq!(said, "", "{image} as {spec}");
    }
}

/// What of a document is not as its schema has it; `Err` where it cannot be said.
fn errors(schemas: &[&str], document: &[u8]) -> Result<String, String> {
    let mut command = python().expect("asked for before");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sbom/validate.py"));
    command.args(schemas.iter().map(|name| fixture(&format!("schemas/{name}"))));
    let output = feed(&mut command, document);
    match output.status.code() {
        Some(0 | 1) if output.stderr.is_empty() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Err(describe(&command, &output)),
    }
}

#[test]
fn every_kind_of_document_is_as_its_standard_has_it() {
    need!(python(), "python3-jsonschema");
    let sandbox = Sandbox::new();
    import(&sandbox, "app:1", &packages::layers());
    // Nothing at all, what is damaged, and names and licences that mean harm.
    import(&sandbox, "nothing:1", &[Tarball::new().bytes()]);
    let mut bad = Tarball::new();
    let harm = "</script>\"'&\\";
    bad.file("var/lib/dpkg/status", (stanza(harm, harm, "") + "Package: broken\n\n").as_bytes())
        .file(
            "usr/lib/node_modules/a/package.json",
            br#"{"name":"a","version":"1","license":"SEE LICENSE IN <\"x\">"}"#,
        )
        .file(
            "usr/lib/node_modules/b/package.json",
            br#"{"name":"b","version":"1","licenses":["MIT","(MIT OR ISC)","GPL-2.0-or-later WITH Classpath-exception-2.0","\u00fc"]}"#,
        )
        .file(
            "usr/lib/node_modules/c/package.json",
            br#"{"name":"c","version":"1","licenses":[{"type":"MIT"},{"type":"(MIT OR ISC)"},{"type":"SMAIL-GPL"}]}"#,
        );
    import(&sandbox, "bad:1", &[bad.bytes()]);
    for root in ["apk", "pacman"] {
        let layer = std::fs::read(fixture(&format!("roots/{root}.tar"))).unwrap();
        import(&sandbox, &format!("{root}:1"), &[layer]);
    }
    for image in ["app:1", "nothing:1", "bad:1", "apk:1", "pacman:1"] {
        validate(&sandbox, image);
    }
}

#[test]
fn the_schemas_find_what_is_wrong() {
    need!(python(), "python3-jsonschema");
    let sandbox = Sandbox::new();
    import(&sandbox, "app:1", &packages::layers());
    for (spec, schemas, right, wrong) in [
        ("spdx", SPDX, "\"SPDXRef-DOCUMENT\"", "7"),
        ("cyclonedx", CYCLONEDX, "\"library\"", "\"no such type\""),
        ("cyclonedx", CYCLONEDX, "\"expression\": \"MIT\"", "\"license\": {\"id\": \"none\"}"),
    ] {
        let document = sandbox.ok(["sbom", "--spec", spec, "app:1"]);
        assert!(document.contains(right), "{right}: {document}");
        let said = errors(schemas, document.replace(right, wrong).as_bytes()).unwrap();
        assert!(!said.is_empty(), "{spec}: {wrong} is not found");
    }
}
