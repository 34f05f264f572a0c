//! What a step came to, as a manifest (OCI image spec, manifest.md, "Guidelines for artifact usage"). Pure.

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::ids::DiffId;
use larder_store::manifest::{Document, RawManifest};
use larder_store::media_type::{Compression, OCI_MANIFEST};
use serde_json::{Value, json};

use super::super::client::Which;
use super::Known;

/// What the manifest is of.
const KIND: &str = "application/vnd.dev.larder.step.v1";
/// The config of what has none.
const NO_CONFIG: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY: &[u8] = b"{}";
const KEY: &str = "dev.larder.step.key";
const DIFF_ID: &str = "dev.larder.step.diff-id";
const CREATED: &str = "dev.larder.step.created";

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The layer as it is stored.
    pub(crate) layer: Descriptor,
    pub(super) compression: Compression,
    /// What it unpacks to.
    pub(crate) diff_id: DiffId,
    /// When it was done, seconds since 1970.
    pub(crate) created: i64,
}

/// The tag of a step's record.
pub(super) fn tag(key: &Digest) -> Which {
    Which::Tag(format!("step-{}", key.hex()))
}

pub(super) fn empty() -> Descriptor {
    Descriptor::new(NO_CONFIG, Digest::of(EMPTY), EMPTY.len() as u64)
}

impl Step {
    pub(super) fn of(known: &Known) -> Step {
        let Known { layer, created, .. } = known;
        Step {
            layer: layer.descriptor(),
            compression: layer.compression,
            diff_id: layer.diff_id,
            created: *created,
        }
    }

    /// What a manifest says of this step; `None` where it is no record of it.
    pub(super) fn read(raw: &RawManifest, key: &Digest) -> Option<Step> {
        let Document::Image(image) = &raw.document else { return None };
        let said: Value = serde_json::from_slice(&raw.bytes).ok()?;
        let annotations = raw.annotations()?;
        let is_ours =
            said["artifactType"] == KIND && annotations.get(KEY).is_some_and(|text| *text == key.to_string());
        let [layer] = &image.layers[..] else { return None };
        let compression = Compression::of_layer(&layer.media_type)?;
        // As larder writes it: what may not be passed on, say, is no layer of a step.
        let is_plain = layer.media_type == compression.oci_layer();
        let step = Step {
            layer: Descriptor::new(layer.media_type.clone(), layer.digest, layer.size),
            compression,
            diff_id: DiffId(annotations.get(DIFF_ID)?.parse().ok()?),
            created: annotations.get(CREATED)?.parse().ok()?,
        };
        Some(step).filter(|_| is_ours && is_plain)
    }

    pub(super) fn write(&self, key: &Digest) -> Result<RawManifest> {
        let Step { layer, diff_id, created, .. } = self;
        let text = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": KIND,
            "config": empty(),
            "layers": [layer],
            "annotations": {KEY: key, DIFF_ID: diff_id.to_string(), CREATED: created.to_string()},
        });
        let wrong = |why| Error::invalid(format!("the record of step {key}"), why);
        RawManifest::parse(text.to_string().into_bytes(), OCI_MANIFEST).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_for_its_own_step_alone() {
        let key = Digest::of(b"key");
        let step = Step {
            layer: Descriptor::new(Compression::Zstd.oci_layer(), Digest::of(b"layer"), 5),
            compression: Compression::Zstd,
            diff_id: DiffId(Digest::of(b"plain")),
            created: 1_700_000_000,
        };
        let raw = step.write(&key).expect("a record");
        assert_eq!(Step::read(&raw, &key), Some(step));
        assert_eq!(Step::read(&raw, &Digest::of(b"other")), None);
        let text = String::from_utf8(raw.bytes).expect("text");
        for (from, to) in [
            (KIND, "application/vnd.example"),
            (KEY, "key"),
            (DIFF_ID, "diff-id"),
            (CREATED, "created"),
            ("1700000000", "yesterday"),
            ("+zstd", "+other"),
            ("layer.v1", "layer.nondistributable.v1"),
        ] {
            assert!(text.contains(from), "{from}");
            let raw =
                RawManifest::parse(text.replace(from, to).into_bytes(), OCI_MANIFEST).expect("a manifest");
            assert_eq!(Step::read(&raw, &key), None, "{from} is {to}");
        }
    }
}
