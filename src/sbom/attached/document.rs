//! What a document by another tool says is in an image: SPDX 2, CycloneDX, and either of them in an in-toto statement (BuildKit),
//! in a DSSE envelope (`cosign attest`) or in a Sigstore bundle. Signatures are not checked here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use larder_store::digest::Digest;
use larder_store::json;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::purl;
use crate::sbom::package::Package;

/// Bytes of a document that is read.
pub(super) const MAX_DOCUMENT: u64 = 64 << 20;
/// Packages of one document.
const MAX_PACKAGES: usize = 200_000;
/// How the names of statements begin that have an inventory in them.
pub(super) const SPDX_PREDICATE: &str = "https://spdx.dev/Document";
pub(super) const CYCLONEDX_PREDICATE: &str = "https://cyclonedx.org/";
/// A bundle around an envelope around a statement.
const MAX_WRAPPERS: usize = 3;
/// Some tools write base64 with padding, some without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a document is by its first look.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "spdxVersion")]
    spdx: Option<IgnoredAny>,
    #[serde(rename = "bomFormat")]
    cyclonedx: Option<IgnoredAny>,
    #[serde(rename = "predicateType")]
    predicate: Option<String>,
    payload: Option<IgnoredAny>,
    #[serde(rename = "dsseEnvelope")]
    envelope: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Spdx {
    packages: Option<Vec<SpdxPackage>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    external_refs: Option<Vec<SpdxReference>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxReference {
    reference_type: Option<String>,
    reference_locator: Option<String>,
}

#[derive(Deserialize)]
struct CycloneDx {
    components: Option<Vec<Component>>,
}

#[derive(Deserialize)]
struct Component {
    purl: Option<String>,
    components: Option<Vec<Component>>,
}

#[derive(Deserialize)]
struct Statement<T> {
    #[serde(default)]
    subject: Vec<Subject>,
    predicate: T,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "dsseEnvelope")]
    envelope: Envelope,
}

/// What an inventory says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The packages that it lists, sorted.
    pub(super) packages: Vec<Package>,
    /// What it says it is about; `None` where it does not say.
    pub(super) about: Option<Vec<Digest>>,
}

/// Why a document cannot be understood, as a phrase without its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// It says itself that it is an inventory.
    Inventory(String),
    /// It may be anything.
    Text(String),
}

/// What a document says; `None` where it is JSON and no inventory.
pub(super) fn said(bytes: &[u8]) -> Result<Option<Said>, Unclear> {
    let Some((urls, about)) = urls(bytes, MAX_WRAPPERS)? else { return Ok(None) };
    let mut packages: Vec<_> = urls.iter().filter_map(|url| purl::package(url)).collect();
    packages.sort();
    packages.dedup();
    if packages.len() > MAX_PACKAGES {
        return Err(Unclear::Inventory(format!("has more than {MAX_PACKAGES} packages")));
    }
    Ok(Some(Said { packages, about }))
}

type Urls = (Vec<String>, Option<Vec<Digest>>);

/// The package URLs of a document, and what it is about.
fn urls(bytes: &[u8], wrappers: usize) -> Result<Option<Urls>, Unclear> {
    let shape: Shape =
        json::parse_within(bytes, MAX_DOCUMENT).map_err(|why| Unclear::Text(why.to_string()))?;
    let unclear = |why: &str| Unclear::Text(why.to_owned());
    let inner = |text: &str| {
        let left = wrappers.checked_sub(1).ok_or_else(|| unclear("is wrapped too often"))?;
        urls(&BASE64.decode(text).map_err(|_| unclear("its payload is not base64"))?, left)
    };
    let predicate = shape.predicate.as_deref().unwrap_or_default();
    match () {
        () if shape.spdx.is_some() => Ok(Some((of_spdx(inventory(bytes)?), None))),
        () if shape.cyclonedx.is_some() => Ok(Some((of_cyclonedx(inventory(bytes)?), None))),
        () if predicate.starts_with(SPDX_PREDICATE) => {
            let Statement { subject, predicate } = inventory(bytes)?;
            Ok(Some((of_spdx(predicate), about(subject))))
        }
        () if predicate.starts_with(CYCLONEDX_PREDICATE) => {
            let Statement { subject, predicate } = inventory(bytes)?;
            Ok(Some((of_cyclonedx(predicate), about(subject))))
        }
        () if shape.envelope.is_some() => {
            inner(&read::<Bundle>(bytes).map_err(Unclear::Text)?.envelope.payload)
        }
        () if shape.payload.is_some() => inner(&read::<Envelope>(bytes).map_err(Unclear::Text)?.payload),
        () => Ok(None),
    }
}

/// The digests of what a statement is about; one of another algorithm is none of ours.
fn about(subjects: Vec<Subject>) -> Option<Vec<Digest>> {
    let digest = |subject: &Subject| format!("sha256:{}", subject.digest.get("sha256")?).parse().ok();
    (!subjects.is_empty()).then(|| subjects.iter().filter_map(digest).collect())
}

fn inventory<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unclear> {
    read(bytes).map_err(Unclear::Inventory)
}

fn of_spdx(document: Spdx) -> Vec<String> {
    let references = document.packages.into_iter().flatten().flat_map(|package| package.external_refs);
    let urls = references.flatten().filter(|reference| reference.reference_type.as_deref() == Some("purl"));
    urls.filter_map(|reference| reference.reference_locator).collect()
}

fn of_cyclonedx(document: CycloneDx) -> Vec<String> {
    let (mut left, mut urls) = (document.components.unwrap_or_default(), Vec::new());
    while let Some(component) = left.pop() {
        urls.extend(component.purl);
        left.extend(component.components.into_iter().flatten());
    }
    urls
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn spdx() -> Value {
        let package = |url: &str| json!({"name": "x", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}]});
        json!({"spdxVersion": "SPDX-2.3", "packages": [
            package("pkg:deb/debian/bash@5.2.15-2"), package("pkg:golang/stdlib@1.22"), {"name": "no reference"},
            {"externalRefs": [{"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:x:x:1:*:*:*:*:*:*:*"}]},
        ]})
    }

    fn cyclonedx() -> Value {
        json!({"bomFormat": "CycloneDX", "metadata": {"component": {"purl": "pkg:npm/image@1"}}, "components": [
            {"name": "app", "components": [{"purl": "pkg:npm/left-pad@1.3.0", "components": [{"purl": "pkg:pypi/requests@2"}]}]},
        ]})
    }

    fn names(document: &Value) -> Result<Option<Vec<String>>, Unclear> {
        let said = said(document.to_string().as_bytes())?;
        let shown = |package: &Package| format!("{} {}", package.name, package.version);
        Ok(said.map(|said| said.packages.iter().map(shown).collect()))
    }

    fn statement(kind: &str, predicate: Value) -> Value {
        json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind, "predicate": predicate})
    }

    fn envelope(payload: &Value) -> Value {
        json!({"payloadType": "application/vnd.in-toto+json", "payload": BASE64.encode(payload.to_string()), "signatures": []})
    }

    #[test]
    fn documents_of_each_kind_are_read() {
        let bash = Ok(Some(vec!["bash 5.2.15-2".to_owned()]));
        assert_eq!(names(&spdx()), bash);
        let statement_ = statement("https://spdx.dev/Document", spdx());
        assert_eq!(names(&statement_), bash);
        assert_eq!(names(&envelope(&statement_)), bash);
        assert_eq!(names(&json!({"mediaType": "x", "dsseEnvelope": envelope(&statement_)})), bash);
        let two = Ok(Some(vec!["requests 2".to_owned(), "left-pad 1.3.0".to_owned()]));
        assert_eq!(names(&cyclonedx()), two);
        assert_eq!(names(&statement("https://cyclonedx.org/bom", cyclonedx())), two);
    }

    #[test]
    fn what_is_no_inventory_says_nothing() {
        for other in [
            json!({}),
            json!({"packages": {"a": 1}}),
            statement("https://slsa.dev/provenance/v0.2", json!({"builder": {}})),
            envelope(&statement("https://slsa.dev/provenance/v1", json!({}))),
        ] {
            assert_eq!(names(&other), Ok(None), "{other}");
        }
        let mut wrapped = statement("https://spdx.dev/Document", spdx());
        for _ in 0..10 {
            wrapped = envelope(&wrapped);
        }
        for bad in [json!({"payload": "?"}), json!([1]), wrapped] {
            assert!(matches!(names(&bad), Err(Unclear::Text(_))), "{bad}");
        }
        let many = json!({"spdxVersion": "SPDX-2.3", "packages": "many"});
        for bad in [
            many.clone(),
            json!({"bomFormat": "CycloneDX", "components": [{"purl": 5}]}),
            statement("https://spdx.dev/Document/v2.3", many.clone()),
            envelope(&statement("https://cyclonedx.org/bom", json!({"components": 1}))),
        ] {
            assert!(matches!(names(&bad), Err(Unclear::Inventory(_))), "{bad}");
        }
        for text in
            [r#"{"spdxVersion":"#, r#"{"spdxVersion":1,"spdxVersion":2}"#, &"[".repeat(100_000), "\u{feff}{}"]
        {
            assert!(said(text.as_bytes()).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn a_statement_says_what_it_is_about() {
        let about = |subject: Value| {
            let mut statement = statement("https://spdx.dev/Document", spdx());
            statement["subject"] = subject;
            said(statement.to_string().as_bytes()).unwrap().unwrap().about
        };
        let digest = Digest::of(b"an image");
        assert_eq!(about(json!([])), None);
        assert_eq!(about(json!([{"name": "a", "digest": {"sha256": digest.hex()}}])), Some(vec![digest]));
        assert_eq!(about(json!([{"name": "a", "digest": {"gitCommit": "abc"}}, {}])), Some(vec![]));
    }

    proptest! {
        #[test]
        fn a_byte_that_is_changed_breaks_nothing(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..4usize) {
            let documents = [spdx(), cyclonedx(), statement("https://spdx.dev/Document", spdx()), envelope(&statement("https://cyclonedx.org/bom", cyclonedx()))];
            let mut bytes = documents[which].to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [&bytes[..], &bytes[..at]] {
                if let Ok(Some(said)) = said(bytes) {
                    prop_assert!(said.packages.iter().all(|package| crate::sbom::package::is_word(&package.name)));
                }
            }
        }
    }
}
