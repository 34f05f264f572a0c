//! What refers to an image, in the store and at a registry.

use std::collections::HashSet;

use larder_store::Store;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::index::REF_NAME;
use larder_store::json::MAX_DOCUMENT;
use larder_store::manifest::{Document, RawManifest};
use larder_store::media_type::{OCI_INDEX, document_kind};
use serde_json::{Value, json};

use super::super::client::{Line, Which};
use super::super::error::{Failed, Kind, Result};

/// Referrers of one image that are pushed.
const MOST: usize = 1000;
/// How often the list of a subject is written again where somebody else writes it too.
const TRIES: usize = 5;

/// What the store has that refers to these documents, and what refers to that: entries without a name. What cannot be read is
/// no referrer of anything.
pub(crate) fn stored(store: &Store, subjects: &[Digest]) -> Result<Vec<Descriptor>> {
    let index = store.index()?;
    let nameless = index.entries().iter().filter(|entry| entry.annotation(REF_NAME).is_none());
    let mut left: Vec<(Digest, Descriptor)> = nameless
        .filter(|entry| document_kind(&entry.media_type).is_some())
        .filter_map(|entry| {
            let subject = store.document(entry).ok()??.subject()?.digest;
            Some((subject, entry.clone()))
        })
        .collect();
    let (mut known, mut found): (HashSet<_>, Vec<_>) = (subjects.iter().copied().collect(), Vec::new());
    loop {
        let (fitting, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(subject, _)| known.contains(subject));
        if fitting.is_empty() || found.len() >= MOST {
            return Ok(found);
        }
        for (_, entry) in fitting {
            if known.insert(entry.digest) {
                found.push(entry);
            }
        }
        left = others;
    }
}

/// Adds a referrer to the list that stands under its subject's tag (distribution specification, "Referrers Tag Schema"), where
/// the registry keeps no list itself. What others have in the list stays as it is. Nobody can lock it: whether another one's
/// write came over ours is looked at.
pub(super) fn list(line: &Line, subject: &Digest, referrer: &RawManifest) -> Result<()> {
    let tag = Which::Tag(format!("sha256-{}", subject.hex()));
    for _ in 0..TRIES {
        let there = line.manifest_if_there(&tag)?;
        let Some(new) = with(there.as_ref(), referrer, subject)? else { return Ok(()) };
        line.put_manifest(&new, &tag)?;
        if line.manifest_there(&tag)? == Some(new.digest) {
            return Ok(());
        }
    }
    let failed = Failed {
        side: line.host().to_owned(),
        request: format!("tag sha256-{}", subject.hex()),
        why: "somebody else keeps writing this list of referrers".into(),
        hint: "push again when they have done".into(),
        kind: Kind::Failed,
    };
    Err(failed.into())
}

/// The list with one more referrer; `None` where it is in it.
fn with(
    there: Option<&RawManifest>,
    referrer: &RawManifest,
    subject: &Digest,
) -> Result<Option<RawManifest>> {
    let wrong = |why: String| StoreError::invalid(format!("the list of what refers to {subject}"), why);
    let mut list = match there {
        Some(RawManifest { document: Document::Index(list), bytes, .. }) => {
            if list.manifests.iter().any(|listed| listed.digest == referrer.digest) {
                return Ok(None);
            }
            serde_json::from_slice(bytes).map_err(|why| wrong(why.to_string()))?
        }
        Some(_) => return Err(wrong("its tag is taken by an image".into()).into()),
        None => json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}),
    };
    let listed = described(referrer);
    list["manifests"].as_array_mut().ok_or_else(|| wrong("is no list".into()))?.push(listed);
    let bytes = list.to_string().into_bytes();
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(wrong(format!("would be longer than {MAX_DOCUMENT} bytes")).into());
    }
    Ok(Some(RawManifest::parse(bytes, OCI_INDEX).map_err(wrong)?))
}

/// A referrer's descriptor as lists have it: with its kind and its annotations.
fn described(referrer: &RawManifest) -> Value {
    let said: Value = serde_json::from_slice(&referrer.bytes).unwrap_or_default();
    let kind = match (&said["artifactType"], &said["config"]["mediaType"]) {
        (Value::String(kind), _) if !kind.is_empty() => Some(kind.clone()),
        (_, Value::String(kind)) => Some(kind.clone()),
        _ => None,
    };
    let mut descriptor = json!(referrer.descriptor());
    if let Some(kind) = kind {
        descriptor["artifactType"] = json!(kind);
    }
    if said["annotations"].is_object() {
        descriptor["annotations"] = said["annotations"].clone();
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use larder_store::media_type::OCI_MANIFEST;

    use super::*;

    fn referrer(kind: &str) -> RawManifest {
        let part =
            json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2});
        let text = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "config": part, "layers": [part],
            "subject": {"mediaType": OCI_MANIFEST, "digest": Digest::of(b"s"), "size": 1}, "annotations": {"k": "v"},
        });
        RawManifest::parse(text.to_string().into_bytes(), OCI_MANIFEST).expect("a referrer")
    }

    #[test]
    fn others_entries_stay_as_they_are() {
        let (one, two, subject) = (referrer("a/one"), referrer("a/two"), Digest::of(b"s"));
        let first = with(None, &one, &subject).expect("a list").expect("a new one");
        // What somebody else wrote has more in it than larder knows.
        let mut theirs: Value = serde_json::from_slice(&first.bytes).expect("JSON");
        theirs["manifests"][0]["theirs"] = json!({"a": [1.50]});
        theirs["theirs"] = json!("b");
        let theirs = RawManifest::parse(theirs.to_string().into_bytes(), OCI_INDEX).expect("a list");
        let both = with(Some(&theirs), &two, &subject).expect("a list").expect("a longer one");
        let value: Value = serde_json::from_slice(&both.bytes).expect("JSON");
        assert_eq!((&value["theirs"], &value["manifests"][0]["theirs"]), (&json!("b"), &json!({"a": [1.5]})));
        assert_eq!(value["manifests"][1]["artifactType"], "a/two");
        assert_eq!(value["manifests"][1]["annotations"], json!({"k": "v"}));
        assert!(with(Some(&both), &one, &subject).expect("a list").is_none(), "it is in it");
        assert!(with(Some(&one), &two, &subject).is_err(), "an image under the tag of a list");
    }
}
