//! An inventory as an SPDX 2.3 document (<https://spdx.github.io/spdx-spec/v2.3/>), in JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::inventory::{Found, Inventory, Subject};
use super::licence::{Licence, licence, reference, references};
use super::purl::{image_purl, purl};
use super::{identity, time, title};

/// The document; the same inventory and subject give the same bytes.
pub(crate) fn document(subject: &Subject, inventory: &Inventory) -> Value {
    let mut words = BTreeMap::new();
    let packages = inventory
        .found
        .iter()
        .enumerate()
        .map(|(number, found)| package(number, found, inventory, &mut words));
    let packages: Vec<_> = std::iter::once(image(subject)).chain(packages).collect();
    let of_image = |kind: &str, element: String| json!({"spdxElementId": "SPDXRef-Image", "relationshipType": kind, "relatedSpdxElement": element});
    let mut relationships = vec![
        json!({"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Image"}),
    ];
    relationships.extend((0..inventory.found.len()).map(|number| of_image("CONTAINS", id(number))));
    let extracted: Vec<_> = words
        .iter()
        .map(|(reference, words)| json!({"licenseId": reference, "extractedText": words, "name": words}))
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": title(subject),
        "documentNamespace": format!("urn:larder:spdx:{}", identity(subject)),
        "creationInfo": {
            "created": time(subject.created),
            "creators": [format!("Tool: larder-{}", env!("CARGO_PKG_VERSION"))],
            "licenseListVersion": list_version(),
        },
        "packages": packages,
        "relationships": relationships,
    });
    if !extracted.is_empty() {
        document["hasExtractedLicensingInfos"] = extracted.into();
    }
    if !inventory.problems.is_empty() {
        document["comment"] = format!("not complete: {}", inventory.problems.join("; ")).into();
    }
    document
}

/// The version of SPDX's list of licences, in two numbers (SPDX 2.3, 6.7).
fn list_version() -> String {
    spdx::license_version().split('.').take(2).collect::<Vec<_>>().join(".")
}

fn id(number: usize) -> String {
    format!("SPDXRef-Package-{}", number + 1)
}

fn image(subject: &Subject) -> Value {
    let digest = &subject.digest;
    json!({
        "SPDXID": "SPDXRef-Image",
        "name": title(subject),
        "versionInfo": digest,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.hex()}],
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": image_purl(subject),
        }],
    })
}

fn package(
    number: usize,
    found: &Found,
    inventory: &Inventory,
    words: &mut BTreeMap<String, String>,
) -> Value {
    let Found { package, path, layer } = found;
    let os = inventory.os.as_ref().map(|(id, version)| (id.as_str(), version.as_deref()));
    let layer = inventory
        .layers
        .get(*layer)
        .map(|layer| format!(", brought by the layer {layer}"))
        .unwrap_or_default();
    let mut value = json!({
        "SPDXID": id(number),
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "sourceInfo": format!("found in /{path}{layer}"),
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": declared(&package.licences, words),
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl(package, os),
        }],
    });
    if let Some((source, version)) = &package.source {
        let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        value["comment"] = format!("built from the source {source}{version}").into();
    }
    value
}

/// All that a package says of its licences, which all hold.
fn declared(licences: &[String], words: &mut BTreeMap<String, String>) -> String {
    let terms: Vec<_> = licences
        .iter()
        .map(|said| match licence(said) {
            Licence::Id(id) => id.to_owned(),
            Licence::Expression(expression) => {
                for reference in references(&expression) {
                    words.entry(reference.to_owned()).or_insert_with(|| reference.to_owned());
                }
                if licences.len() > 1 { format!("({expression})") } else { expression }
            }
            Licence::Words(said) => {
                let reference = reference(&said);
                words.insert(reference.clone(), said);
                reference
            }
        })
        .collect();
    if terms.is_empty() { "NOASSERTION".to_owned() } else { terms.join(" AND ") }
}
