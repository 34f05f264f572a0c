//! Images made for a test, in memory.

pub use super::tarball::{layer, noise, sha256 as digest};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image, or an index of images.
#[derive(Clone)]
pub struct Image {
    /// Media type and bytes; the root is the last one.
    documents: Vec<(String, Vec<u8>)>,
    blobs: Vec<Vec<u8>>,
}

impl Image {
    /// An image of plain layers for linux/amd64.
    pub fn of(layers: &[Vec<u8>]) -> Image {
        Image::for_platform("amd64", layers)
    }

    /// The same for another architecture.
    pub fn for_platform(architecture: &str, layers: &[Vec<u8>]) -> Image {
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
        let config = serde_json::json!({
            "architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let described: Vec<_> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        Image::with_manifest(
            &serde_json::json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(CONFIG, &config), "layers": described,
            }),
            [&[config], layers].concat(),
        )
    }

    /// An image with this manifest.
    pub fn with_manifest(manifest: &serde_json::Value, blobs: Vec<Vec<u8>>) -> Image {
        Image { documents: vec![(OCI_MANIFEST.to_owned(), manifest.to_string().into_bytes())], blobs }
    }

    /// An index of images, each with its architecture.
    pub fn index(images: &[(&str, Image)]) -> Image {
        let entry = |(architecture, image): &(&str, Image)| {
            let mut entry = descriptor(OCI_MANIFEST, image.root());
            entry["platform"] = serde_json::json!({"architecture": architecture, "os": "linux"});
            entry
        };
        let list: Vec<_> = images.iter().map(entry).collect();
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list});
        let mut documents: Vec<_> = images.iter().flat_map(|(_, image)| image.documents.clone()).collect();
        documents.push((OCI_INDEX.to_owned(), index.to_string().into_bytes()));
        Image { documents, blobs: images.iter().flat_map(|(_, image)| image.blobs.clone()).collect() }
    }

    /// Something that refers to this image: a signature, say.
    pub fn referrer(&self, kind: &str, content: &[u8]) -> Image {
        let empty = b"{}".to_vec();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
            "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
            "layers": [descriptor("application/octet-stream", content)],
            "subject": descriptor(&self.documents.last().unwrap().0, self.root()),
        });
        Image::with_manifest(&manifest, vec![empty, content.to_vec()])
    }

    /// The manifest, as JSON.
    pub fn manifest(&self) -> serde_json::Value {
        serde_json::from_slice(self.root()).unwrap()
    }

    /// The bytes of the manifest or the index.
    pub fn root(&self) -> &[u8] {
        &self.documents.last().unwrap().1
    }

    /// Its digest.
    pub fn digest(&self) -> String {
        digest(self.root())
    }

    /// All documents with their types, the root last.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.documents.iter().map(|(media_type, bytes)| (media_type.as_str(), bytes.as_slice()))
    }

    /// Configs and layers.
    pub fn blobs(&self) -> &[Vec<u8>] {
        &self.blobs
    }
}

/// A descriptor of some bytes.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}
