//! Python's `METADATA` and `PKG-INFO` (core metadata specifications, PEP 566, PEP 639).

use super::fields::Fields;
use crate::sbom::kind::Kind;
use crate::sbom::package::Package;

/// Where Python looks for what is installed.
const SITES: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// Whether a path is that of a distribution's metadata. What one carries within itself is a part of it: pip does not list it either.
pub(crate) fn is_metadata(path: &str) -> bool {
    let inside =
        SITES.iter().filter_map(|site| Some(path.rsplit_once(site)?.1)).min_by_key(|rest| rest.len());
    let depth = inside.map_or(0, |rest| rest.trim_end_matches("/EGG-INFO/PKG-INFO").matches('/').count());
    let Some((directory, name)) = path.rsplit_once('/').filter(|_| depth <= 1) else { return false };
    // What pip renames so while it replaces a package, and leaves where it is killed; it ignores it itself.
    let stem = directory.rsplit('/').next();
    if [stem, Some(name)].into_iter().flatten().any(|stem| stem.starts_with('~')) {
        return false;
    }
    match name {
        "METADATA" => directory.ends_with(".dist-info"),
        "PKG-INFO" => directory.ends_with(".egg-info") || directory.ends_with("/EGG-INFO"),
        // distutils wrote one file.
        _ => name.ends_with(".egg-info"),
    }
}

/// Reads a distribution's metadata.
pub(crate) fn distribution(bytes: &[u8]) -> Option<Package> {
    let text = String::from_utf8_lossy(bytes);
    // Behind the first empty line is the description, which may say anything.
    let fields = Fields::groups(&text).next()?;
    let mut package = Package::new(Kind::Pypi, fields.get("Name"), fields.get("Version"))?;
    let expression = fields.get("License-Expression");
    let said = fields.get("License");
    let classified = fields.all("Classifier").filter_map(|classifier| classifier.strip_prefix("License :: "));
    if !expression.is_empty() {
        package.add_licences([expression]);
    } else if !matches!(said, "" | "UNKNOWN") {
        package.add_licences([said]);
    } else {
        package.add_licences(classified.filter_map(|classifier| classifier.rsplit(" :: ").next()));
    }
    Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_lies_in_a_few_places() {
        for (path, is) in [
            ("usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA", true),
            ("usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO", true),
            ("usr/lib/python3/dist-packages/six-1.16.0.egg-info", true),
            ("opt/x/six.egg/EGG-INFO/PKG-INFO", true),
            ("usr/lib/python3/dist-packages/six.egg/EGG-INFO/PKG-INFO", true),
            ("usr/lib/python3/dist-packages/setuptools/_vendor/six-1.16.0.dist-info/METADATA", false),
            ("usr/lib/python3/dist-packages/pkg_resources/tests/six-1.16.0.egg-info", false),
            ("opt/site-packages/x/lib/site-packages/six-1.16.0.egg-info", true),
            ("opt/src/six/six.egg-info/PKG-INFO", true),
            ("usr/lib/python3/dist-packages/six-1.16.0.dist-info/RECORD", false),
            ("usr/lib/python3/dist-packages/~ix-1.16.0.dist-info/METADATA", false),
            ("usr/lib/python3/dist-packages/~ix-1.16.0.egg-info", false),
            ("METADATA", false),
            ("usr/share/METADATA", false),
        ] {
            assert_eq!(is_metadata(path), is, "{path}");
        }
    }

    #[test]
    fn distributions_are_read() {
        let read = |text: &str| distribution(text.as_bytes()).map(|p| (p.name, p.version, p.licences));
        let some = |name: &str, version: &str, licences: &[&str]| {
            Some((name.to_owned(), version.to_owned(), licences.iter().map(|l| (*l).to_owned()).collect()))
        };
        let classifiers = "Classifier: License :: OSI Approved :: MIT License\nClassifier: Topic :: X\n";
        for (text, found) in [
            ("Metadata-Version: 2.4\nName: Six\nVersion: 1.16.0\nLicense-Expression: MIT\nLicense: no\n\nName: other\n".to_owned(), some("Six", "1.16.0", &["MIT"])),
            (format!("Name: six\nVersion: 1\nLicense: UNKNOWN\n{classifiers}"), some("six", "1", &["MIT License"])),
            (format!("Name: six\nVersion: 1\nLicense: BSD\n  and a text\n{classifiers}"), some("six", "1", &["BSD"])),
            ("Name: six\n\nVersion: 1\n".to_owned(), None),
            ("Name: <script>\x1b[2J\nVersion: 1\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&text), found, "{text:?}");
        }
    }
}
