//! What is inside of images: `sbom`, `images --with-package`, `report`, `df --tree`.

mod asked;
mod attach;
mod bad;
mod browser;
mod compared;
mod ecosystems;
mod kept;
mod layers;
mod packages;
mod page;
mod page_access;
mod page_extremes;
mod real;
mod report;
mod root;
mod rpm;
mod schema;
mod stores;
mod unclear;
mod versions;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::tarball::docker_archive;

fn import(sandbox: &Sandbox, name: &str, layers: &[Vec<u8>]) {
    std::fs::write(sandbox.path("image.tar"), docker_archive(name, layers)).unwrap();
    sandbox.ok(["import", "--replace", "image.tar"]);
}

fn stanza(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n{more}\n"
    )
}

/// A document, whatever the exit code.
fn document(sandbox: &Sandbox, arguments: &[&str]) -> (Value, i32, String) {
    let output = sandbox.command(["sbom"].iter().chain(arguments)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (value, output.status.code().unwrap(), said)
}

/// `name version` of each package of an SPDX document but for the image itself, sorted.
fn names(spdx: &Value) -> Vec<String> {
    let packages = spdx["packages"].as_array().unwrap().iter();
    let packages = packages.filter(|package| package["SPDXID"] != "SPDXRef-Image");
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let mut names: Vec<_> =
        packages.map(|p| format!("{} {}", text(p, "name"), text(p, "versionInfo"))).collect();
    names.sort();
    names
}

/// A package as an SPDX document has it.
struct Listed {
    kind: String,
    name: String,
    version: String,
    architecture: Option<String>,
    path: String,
    layer: String,
}

/// All packages of an SPDX document but for the image itself.
fn listed(spdx: &Value) -> Vec<Listed> {
    let packages = spdx["packages"].as_array().unwrap().iter();
    let packages = packages.filter(|package| package["SPDXID"] != "SPDXRef-Image");
    let read = |package: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let purl = text(&package["externalRefs"][0]["referenceLocator"]);
        let (start, qualifiers) = purl.split_once('?').unwrap_or((&purl, ""));
        let said = text(&package["sourceInfo"]);
        let (path, layer) =
            said.strip_prefix("found in ").unwrap().split_once(", brought by the layer ").unwrap();
        Listed {
            kind: start.strip_prefix("pkg:").unwrap().split('/').next().unwrap().to_owned(),
            name: text(&package["name"]),
            version: text(&package["versionInfo"]),
            architecture: qualifiers
                .split('&')
                .find_map(|part| part.strip_prefix("arch="))
                .map(str::to_owned),
            path: path.to_owned(),
            layer: layer.to_owned(),
        }
    };
    packages.map(read).collect()
}

/// Says what only one of the two has.
fn assert_same(larder: &BTreeSet<String>, other: &BTreeSet<String>) {
    let only = |one: &BTreeSet<String>, two| one.difference(two).cloned().collect::<Vec<_>>();
    assert_eq!((only(larder, other), only(other, larder)), (vec![], vec![]), "only larder; only the others");
    assert!(!larder.is_empty());
}
