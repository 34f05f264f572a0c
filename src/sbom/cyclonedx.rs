//! An inventory as a CycloneDX 1.6 document (<https://cyclonedx.org/docs/1.6/json/>), in JSON.

use serde_json::{Value, json};

use super::inventory::{Found, Inventory, Subject};
use super::licence::{Licence, licence};
use super::purl::purl;
use super::{identity, time, title};

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
        "serialNumber": format!("urn:uuid:{}", uuid(&identity(subject).hex())),
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

/// One expression, or a list of names where something is none: the schema has no list of expressions, and knows only those identifiers of
/// licences that were there when it was written.
fn licences(said: &[String]) -> Value {
    let known: Vec<_> = said.iter().map(|said| licence(said)).collect();
    if let Some(expression) = conjunction(&known) {
        return json!([{"expression": expression, "acknowledgement": "declared"}]);
    }
    let names = known.iter().map(|licence| match licence {
        Licence::Id(id) => id,
        Licence::Expression(words) | Licence::Words(words) => words.as_str(),
    });
    names.map(|name| json!({"license": {"name": name, "acknowledgement": "declared"}})).collect()
}

/// All of them as one expression, where each is one.
fn conjunction(licences: &[Licence]) -> Option<String> {
    let terms = licences.iter().map(|licence| match licence {
        Licence::Id(id) => Some((*id).to_owned()),
        Licence::Expression(expression) if licences.len() > 1 => Some(format!("({expression})")),
        Licence::Expression(expression) => Some(expression.clone()),
        Licence::Words(_) => None,
    });
    Some(terms.collect::<Option<Vec<_>>>()?.join(" AND "))
}

/// A UUID of a digest (RFC 9562, version 8: what it is made of is the maker's business).
fn uuid(hex: &str) -> String {
    let variant = ['8', '9', 'a', 'b'][hex.as_bytes()[16] as usize % 4];
    format!("{}-{}-8{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
