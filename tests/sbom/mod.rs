//! What is inside of images: `sbom`, `images --with-package`, `report`, `df --tree`.

mod bad;
mod browser;
mod packages;
mod page;
mod page_access;
mod page_extremes;
mod report;
mod root;
mod stores;

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
