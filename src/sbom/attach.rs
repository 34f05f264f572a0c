//! An SBOM as a referrer: an artifact's manifest whose subject is the image (OCI image spec, manifest.md, "Guidelines for Artifact Usage").

use larder_store::descriptor::{Annotations, Descriptor};
use larder_store::error::Result;
use larder_store::index;
use larder_store::media_type::OCI_MANIFEST;
use larder_store::store::Store;
use serde_json::json;

use super::Spec;

/// The config of an artifact that has none.
const NO_CONFIG: &str = "application/vnd.oci.empty.v1+json";
/// The origin of what this wrote.
const ORIGIN: &str = "sbom";
/// Which document an entry is.
const KIND: &str = "dev.larder.sbom";

/// Whether an entry is a document that this wrote.
pub(crate) fn is_own(entry: &Descriptor) -> bool {
    entry.annotation(KIND).is_some()
}

/// Keeps a document beside its image, in place of an older one of the same kind that this wrote; the artifact's descriptor.
pub(crate) fn attach(
    store: &Store,
    image: &Descriptor,
    spec: Spec,
    document: &[u8],
    now: i64,
) -> Result<Descriptor> {
    let mut tx = store.begin("sbom")?;
    let config = Descriptor::new(NO_CONFIG, tx.put(b"{}")?, 2);
    let blob = Descriptor::new(spec.media_type(), tx.put(document)?, document.len() as u64);
    let plain = |descriptor: &Descriptor| json!({"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": spec.media_type(),
        "config": plain(&config),
        "layers": [plain(&blob)],
        "subject": plain(image),
    });
    let bytes = manifest.to_string();
    let mut entry = Descriptor::new(OCI_MANIFEST, tx.put(bytes.as_bytes())?, bytes.len() as u64);
    entry.annotations = Annotations::from([
        (index::IMPORTED.to_owned(), index::timestamp(now)),
        (index::ORIGIN.to_owned(), ORIGIN.to_owned()),
        (index::SIZE.to_owned(), (blob.size + config.size).to_string()),
        (KIND.to_owned(), format!("{} {}", spec.media_type(), image.digest)),
    ]);
    let kind = entry.annotations[KIND].clone();
    let released = tx.commit(|index| {
        if index.entries().iter().any(|old| old.digest == entry.digest) {
            return Ok(Vec::new());
        }
        let old = index
            .take(|old| old.annotation(KIND) == Some(&kind) && old.annotation(index::REF_NAME).is_none());
        index.entries_mut().push(entry.clone());
        Ok(old)
    })?;
    store.release(&released.iter().map(|old| old.digest).collect::<Vec<_>>())?;
    Ok(entry)
}
