//! npm's `package.json` of installed packages.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::sbom::kind::Kind;
use crate::sbom::package::Package;

/// Whether a path is that of an installed package: directly in a `node_modules`, or in a scope there.
pub(crate) fn is_manifest(path: &str) -> bool {
    let Some(directory) = path.strip_suffix("/package.json") else { return false };
    let Some((above, name)) = directory.rsplit_once('/') else { return false };
    let parent = match above.rsplit_once('/') {
        Some((above, scope)) if scope.starts_with('@') => above,
        _ => above,
    };
    // Debian puts what npm would put into `node_modules` here.
    !name.starts_with(['.', '@'])
        && (parent.rsplit('/').next() == Some("node_modules") || parent == "usr/share/nodejs")
}

#[derive(Default)]
struct Manifest {
    name: Value,
    version: Value,
    license: Value,
    licenses: Value,
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Manifest, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

/// Of a key that is there twice the last one counts, as it does for npm.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
        let mut manifest = Manifest::default();
        while let Some(key) = map.next_key::<String>()? {
            let field = match key.as_str() {
                "name" => &mut manifest.name,
                "version" => &mut manifest.version,
                "license" => &mut manifest.license,
                "licenses" => &mut manifest.licenses,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = map.next_value()?;
        }
        Ok(manifest)
    }
}

/// Reads an installed package's manifest. An error where it is none, or has no name and no version that is one.
pub(crate) fn package(bytes: &[u8]) -> Result<Package, String> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let (Some(name), Some(version)) = (manifest.name.as_str(), manifest.version.as_str()) else {
        return Err("it names no package with a version".to_owned());
    };
    // A path with empty parts is no name.
    let package =
        Package::new(Kind::Npm, name, version).filter(|package| !package.name.split('/').any(str::is_empty));
    let Some(mut package) = package else {
        return Err("its name or its version is none".to_owned());
    };
    let many = manifest.licenses.as_array().map_or(&[][..], Vec::as_slice);
    let all = [&manifest.license, &manifest.licenses].into_iter().chain(many);
    // Once they were objects with a type.
    package.add_licences(all.filter_map(|licence| licence.get("type").unwrap_or(licence).as_str()));
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_lie_in_node_modules() {
        for (path, is) in [
            ("usr/local/lib/node_modules/npm/package.json", true),
            ("usr/local/lib/node_modules/npm/node_modules/@npmcli/arborist/package.json", true),
            ("usr/share/nodejs/lodash/package.json", true),
            ("usr/local/lib/node_modules/npm/docs/package.json", false),
            ("usr/local/lib/node_modules/npm/test/fixtures/x/package.json", false),
            ("usr/local/lib/node_modules/@scope/package.json", false),
            ("srv/app/package.json", false),
            ("package.json", false),
        ] {
            assert_eq!(is_manifest(path), is, "{path}");
        }
    }

    #[test]
    fn manifests_are_read() {
        let read = |text: &str| package(text.as_bytes()).ok().map(|p| (p.name, p.licences.join("+")));
        let some = |name: &str, licences: &str| Some((name.to_owned(), licences.to_owned()));
        for (text, found) in [
            (r#"{"name":"@a/b","version":"1.0.0","license":"MIT"}"#, some("@a/b", "MIT")),
            (r#"{"name":"b","version":"1","license":{"type":"ISC","url":"x"}}"#, some("b", "ISC")),
            (
                r#"{"name":"b","version":"1","licenses":[{"type":"MIT"},{"type":"BSD"}]}"#,
                some("b", "MIT+BSD"),
            ),
            (r#"{"name":"b","version":"1","license":["MIT"]}"#, some("b", "")),
            (r#"{"name":"b","version":"1","license":"Copyright (c) 2020 A. Body"}"#, some("b", "")),
            ("\u{feff}{\"name\":\"b\",\"version\":\"1\"}", some("b", "")),
            (
                r#"{"name":"a","license":"ISC","name":"b","version":"1","license":"MIT","x":1,"x":2}"#,
                some("b", "MIT"),
            ),
            (r#"{"name":"b"}"#, None),
            (r#"{"version":"1"}"#, None),
            (r#"{"name":"/a//b/","version":"1"}"#, None),
            (r#"{"name":"a b","version":"1"}"#, None),
            (r#"{"name":7,"version":"1"}"#, None),
            ("no json", None),
        ] {
            assert_eq!(read(text), found, "{text}");
        }
    }
}
