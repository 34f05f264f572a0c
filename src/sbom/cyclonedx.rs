//! An inventory as a CycloneDX 1.6 document (<https://cyclonedx.org/docs/1.6/json/>), in JSON.

use serde_json::{Value, json};

use super::inventory::{Found, Inventory, Subject};
use super::licence::{Licence, licence};
use super::purl::purl;
use super::{time, title};

/// The document; the same inventory and subject give the same bytes.
pub(crate) fn document(subject: &Subject, inventory: &Inventory) -> Value {
    let components: Vec<_> = inventory
        .found
        .iter()
        .enumerate()
        .map(|(number, found)| component(number, found, inventory))
        .collect();
    let references: Vec<_> = (0..components.len()).map(id).collect();
    let mut properties = vec![json!({"name": "larder:architecture", "value": subject.architecture})];
    properties
        .extend(inventory.problems.iter().map(|problem| json!({"name": "larder:problem", "value": problem})));
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&subject.digest.hex())),
        "version": 1,
        "metadata": {
            "timestamp": time(subject.created),
            "tools": {"components": [{"type": "application", "name": "larder", "version": env!("CARGO_PKG_VERSION")}]},
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": title(subject),
                "version": subject.digest,
                "hashes": [{"alg": "SHA-256", "content": subject.digest.hex()}],
            },
            "properties": properties,
        },
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": references}],
    });
    if !inventory.problems.is_empty() {
        document["compositions"] = json!([{"aggregate": "incomplete", "assemblies": ["image"]}]);
    }
    document
}

fn id(number: usize) -> String {
    format!("package-{}", number + 1)
}

fn component(number: usize, found: &Found, inventory: &Inventory) -> Value {
    let Found { package, path, layer } = found;
    let os = inventory.os.as_ref().map(|(id, version)| (id.as_str(), version.as_deref()));
    let mut properties = vec![json!({"name": "larder:path", "value": format!("/{path}")})];
    properties
        .extend(inventory.layers.get(*layer).map(|layer| json!({"name": "larder:layer", "value": layer})));
    if let Some((source, version)) = &package.source {
        let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        properties.push(json!({"name": "larder:source", "value": format!("{source}{version}")}));
    }
    let mut component = json!({
        "type": "library",
        "bom-ref": id(number),
        "name": package.name,
        "version": package.version,
        "purl": purl(package, os),
        "properties": properties,
    });
    if !package.licences.is_empty() {
        component["licenses"] = licences(&package.licences);
    }
    component
}

/// Either one expression, or a list of names: the schema has no list of expressions.
fn licences(said: &[String]) -> Value {
    if let [one] = said
        && let Licence::Expression(expression) = licence(one)
    {
        return json!([{"expression": expression, "acknowledgement": "declared"}]);
    }
    let each = |said: &String| match licence(said) {
        Licence::Id(id) => json!({"license": {"id": id, "acknowledgement": "declared"}}),
        Licence::Expression(words) | Licence::Words(words) => {
            json!({"license": {"name": words, "acknowledgement": "declared"}})
        }
    };
    said.iter().map(each).collect()
}

/// A UUID of a digest (RFC 9562, version 8: what it is made of is the maker's business).
fn uuid(hex: &str) -> String {
    let variant = ['8', '9', 'a', 'b'][hex.as_bytes()[16] as usize % 4];
    format!("{}-{}-8{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
