//! What is listed, of which layer, and how it is asked for.

use serde_json::{Value, json};

use super::{document, import, names, stanza};
use crate::support::Sandbox;
use crate::support::store::entries as entries_of;
use crate::support::tarball::Tarball;

const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
    Files: *\nCopyright: x\nLicense: GPL-2+\n\nFiles: debian/*\nCopyright: x\nLicense: Expat\n";

/// A base, a layer that changes one package and brings one, and a layer of other ecosystems.
pub(super) fn layers() -> Vec<Vec<u8>> {
    let status = |rows: &[String]| rows.concat().into_bytes();
    let mut base = Tarball::new();
    base.file("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\n")
        .file("usr/share/doc/bash/copyright", COPYRIGHT.as_bytes())
        .link("usr/share/doc/libssl3", "bash")
        .file(
            "var/lib/dpkg/status",
            &status(&[
                stanza("bash", "5.2.15-2", "Installed-Size: 7000\n"),
                stanza("libssl3", "3.0.9-1", ""),
            ]),
        );
    let mut upper = Tarball::new();
    upper.file(
        "var/lib/dpkg/status",
        &status(&[
            stanza("bash", "5.2.15-2", "Installed-Size: 7000\n"),
            stanza("libssl3", "3.0.11-1~deb12u2", "Source: openssl (3.0.11-1~deb12u2)\n"),
            stanza("curl", "7.88.1-10", ""),
        ]),
    );
    let mut others = Tarball::new();
    others
        .file(
            "usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA",
            b"Name: requests\nVersion: 2.28.1\nLicense: Apache 2.0\n\nx\n",
        )
        .file(
            "usr/lib/node_modules/lodash/package.json",
            br#"{"name":"lodash","version":"4.17.20","license":"MIT"}"#,
        )
        .file("usr/lib/node_modules/lodash/test/package.json", br#"{"name":"no package","version":"1"}"#);
    vec![base.bytes(), upper.bytes(), others.bytes()]
}

fn found<'a>(spdx: &'a Value, name: &str) -> &'a Value {
    spdx["packages"].as_array().unwrap().iter().find(|package| package["name"] == name).unwrap()
}

#[test]
fn packages_have_versions_licences_and_the_layer_that_brought_them() {
    let sandbox = Sandbox::new();
    import(&sandbox, "app:1", &layers());
    let (spdx, code, said) = document(&sandbox, &["app:1"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        names(&spdx),
        ["bash 5.2.15-2", "curl 7.88.1-10", "libssl3 3.0.11-1~deb12u2", "lodash 4.17.20", "requests 2.28.1"]
    );
    let inspected = sandbox.json(["inspect", "app:1"]);
    for (name, layer, path) in [
        ("bash", 0, "var/lib/dpkg/status"),
        ("libssl3", 1, "var/lib/dpkg/status"),
        ("curl", 1, "var/lib/dpkg/status"),
        ("lodash", 2, "usr/lib/node_modules/lodash/package.json"),
        ("requests", 2, "usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA"),
    ] {
        let diff_id = inspected[0]["layers"][layer]["diff_id"].as_str().unwrap();
        assert_eq!(
            found(&spdx, name)["sourceInfo"],
            format!("found in /{path}, brought by the layer {diff_id}"),
            "{name}"
        );
    }
    for (name, licence) in [
        ("bash", "MIT AND GPL-2.0-or-later"),
        ("libssl3", "MIT AND GPL-2.0-or-later"),
        ("curl", "NOASSERTION"),
        ("lodash", "MIT"),
    ] {
        assert_eq!(found(&spdx, name)["licenseDeclared"], licence, "{name}");
    }
    let purl = "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1~deb12u2";
    assert_eq!(found(&spdx, "libssl3")["externalRefs"][0]["referenceLocator"], purl);
    let (cyclonedx, ..) = document(&sandbox, &["--spec", "cyclonedx", "app:1"]);
    let components = cyclonedx["components"].as_array().unwrap();
    assert_eq!(components.len(), 5);
    let ssl = components.iter().find(|component| component["name"] == "libssl3").unwrap();
    let licences = json!([{"expression": "MIT AND GPL-2.0-or-later", "acknowledgement": "declared"}]);
    assert_eq!((&ssl["purl"], &ssl["licenses"]), (&json!(purl), &licences));

    // Whether it is read or kept, into whichever store it came: the same bytes.
    let first = sandbox.ok(["sbom", "app:1"]);
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
    assert_eq!(sandbox.ok(["sbom", "app:1"]), first);
    let other = Sandbox::new();
    import(&other, "app:1", &layers());
    assert_eq!(other.ok(["sbom", "app:1"]), first);
    sandbox.ok(["sbom", "app:1", "-o", "app.json"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("app.json")).unwrap(), first);
    // A device is written to, and nothing takes its place.
    for verb in [["sbom", "app:1"].as_slice(), &["report"]] {
        let said = sandbox.fail([verb, &["-o", "/dev/full"]].concat(), 1);
        assert!(said.contains("No space left"), "{said}");
    }
    assert!(!std::fs::metadata("/dev/full").unwrap().is_file());
}

#[test]
fn a_document_is_attached_once_and_goes_with_its_image() {
    let sandbox = Sandbox::new();
    import(&sandbox, "app:1", &layers());
    let image = sandbox.json(["inspect", "app:1"])[0]["digest"].clone();
    let digest = sandbox.ok(["sbom", "--attach", "app:1"]);
    let entries = || entries_of(&sandbox.store());
    let before = entries();
    assert_eq!(before.len(), 2);
    assert_eq!(before[1]["digest"], digest.trim());
    assert_eq!(sandbox.ok(["sbom", "--attach", "app:1"]), digest);
    assert_eq!(entries(), before, "the same document is there already");
    sandbox.ok(["sbom", "--attach", "--spec", "cyclonedx", "app:1"]);
    assert_eq!(entries().len(), 3);
    let path = crate::support::store::blob_path(&sandbox.store(), digest.trim());
    let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        (&manifest["artifactType"], &manifest["subject"]["digest"]),
        (&json!("application/spdx+json"), &image)
    );
    let blob =
        crate::support::store::blob_path(&sandbox.store(), manifest["layers"][0]["digest"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(&blob).unwrap(), sandbox.ok(["sbom", "app:1"]));
    sandbox.ok(["gc"]);
    sandbox.ok(["verify"]);
    assert!(path.exists() && blob.exists(), "it lives as long as its image");
    sandbox.ok(["rm", "app:1"]);
    sandbox.ok(["gc"]);
    assert!(!path.exists() && !blob.exists());
}

#[test]
fn images_are_found_by_their_packages() {
    let sandbox = Sandbox::new();
    import(&sandbox, "app:1", &layers());
    import(&sandbox, "old:1", &layers()[..1]);
    let with = |asked: &[&str]| {
        let arguments = asked.iter().flat_map(|package| ["--with-package", package]);
        let rows = sandbox.json(["images"].into_iter().chain(arguments));
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["reference"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (asked, images) in [
        (&["libssl3"][..], &["app:1", "old:1"][..]),
        (&["libssl3<3.0.10"], &["old:1"]),
        (&["libssl3>=3.0.10"], &["app:1"]),
        (&["libssl3=3.0.11"], &["app:1"]),
        (&["deb:libssl*>3,<3.0.14"], &["app:1", "old:1"]),
        (&["src:openssl"], &["app:1"]),
        (&["pypi:libssl3"], &[]),
        (&["pypi:requests<2.30", "npm:lodash<4.17.21"], &["app:1"]),
        (&["requests", "nothing"], &[]),
    ] {
        assert_eq!(with(asked), images, "{asked:?}");
    }
    let shown = sandbox.ok(["images", "--with-package", "libssl3"]);
    assert!(shown.contains("PACKAGES") && shown.contains("libssl3 3.0.11-1~deb12u2"), "{shown}");
    let row = &sandbox.json(["images", "--with-package", "lodash"])[0];
    assert_eq!(
        row["with_packages"],
        json!([{"kind": "npm", "name": "lodash", "version": "4.17.20", "comparable": true, "said_by": null}])
    );
    let output = sandbox.command(["images", "--with-package", "gem:rails"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
