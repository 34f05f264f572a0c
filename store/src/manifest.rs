//! Documents: image manifests, indexes and image configs, read from their exact bytes.
//!
//! [`RawManifest`] keeps the bytes as they came beside the parsed view; nothing that was fetched is ever
//! serialised again. The views hold what larder looks at and no more (OCI image spec, manifest.md, image-index.md, config.md).

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::descriptor::{self, Annotations, Descriptor, Platform};
use crate::digest::Digest;
use crate::ids::{DiffId, ImageId};
use crate::json::{self, FREE, Keys};
use crate::media_type::{self, DocumentKind};

/// The keys of manifests and indexes.
pub static KEYS: Keys = Keys(&[
    ("schemaVersion", &FREE),
    ("mediaType", &FREE),
    ("artifactType", &FREE),
    ("config", &descriptor::KEYS),
    ("layers", &descriptor::KEYS),
    ("manifests", &descriptor::KEYS),
    ("subject", &descriptor::KEYS),
    ("annotations", &FREE),
]);
/// The keys of configs that decide what an image is.
static CONFIG_KEYS: Keys =
    Keys(&[("architecture", &FREE), ("os", &FREE), ("variant", &FREE), ("rootfs", &ROOTFS_KEYS)]);
static ROOTFS_KEYS: Keys = Keys(&[("type", &FREE), ("diff_ids", &FREE)]);

/// A manifest or index with the bytes it came in.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// Exactly what the digest covers.
    pub bytes: Vec<u8>,
    /// The digest of `bytes`.
    pub digest: Digest,
    /// What the document says it is, or what its descriptor says where it is silent.
    pub media_type: String,
    /// The parsed view.
    pub document: Document,
}

/// What a document is.
#[derive(Debug, Clone)]
pub enum Document {
    /// A list of manifests.
    Index(ImageIndex),
    /// A config and layers.
    Image(ImageManifest),
}

/// An image index or a Docker manifest list.
#[derive(Debug, Clone, Deserialize)]
pub struct ImageIndex {
    /// The children, in order.
    #[serde(deserialize_with = "descriptor::plain_list")]
    pub manifests: Vec<Descriptor>,
    /// What this index says something about (referrers).
    #[serde(default, deserialize_with = "descriptor::plain_option")]
    pub subject: Option<Descriptor>,
    /// The index's own annotations.
    #[serde(default)]
    pub annotations: Option<Annotations>,
}

/// An image manifest (also of artifacts).
#[derive(Debug, Clone, Deserialize)]
pub struct ImageManifest {
    /// The config blob.
    #[serde(deserialize_with = "descriptor::plain")]
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(deserialize_with = "descriptor::plain_list")]
    pub layers: Vec<Descriptor>,
    /// What this manifest says something about (referrers).
    #[serde(default, deserialize_with = "descriptor::plain_option")]
    pub subject: Option<Descriptor>,
    /// The manifest's own annotations.
    #[serde(default)]
    pub annotations: Option<Annotations>,
}

/// What larder reads of an image's config.
#[derive(Debug, Clone, Deserialize)]
pub struct ImageConfig {
    /// As Go's `GOARCH`.
    #[serde(default)]
    pub architecture: String,
    /// As Go's `GOOS`.
    #[serde(default)]
    pub os: String,
    /// The CPU's variant.
    #[serde(default)]
    pub variant: Option<String>,
    /// When it was made, as its maker says (RFC 3339). It may make an image stale; none goes for it.
    #[serde(default)]
    pub created: Option<String>,
    /// The layers.
    pub rootfs: RootFs,
}

/// The layers as the config knows them.
#[derive(Debug, Clone, Deserialize)]
pub struct RootFs {
    /// Digests of the plain layers, lowest first.
    #[serde(default)]
    pub diff_ids: Option<Vec<DiffId>>,
}

impl RawManifest {
    /// Parses a document whose descriptor says `expected` (empty where it is not known).
    ///
    /// Refused: a media type inside that contradicts `expected`, a document that is manifest and index at once,
    /// and everything that [`json::parse`] refuses. The error is a phrase without the document's name.
    pub fn parse(bytes: Vec<u8>, expected: &str) -> Result<RawManifest, String> {
        #[derive(Deserialize)]
        struct Shape {
            #[serde(rename = "schemaVersion")]
            schema_version: Option<u64>,
            #[serde(rename = "mediaType")]
            media_type: Option<String>,
            manifests: Option<IgnoredAny>,
            layers: Option<IgnoredAny>,
            config: Option<IgnoredAny>,
        }
        let shape: Shape = json::parse_exact(&bytes, &KEYS)?;
        if shape.schema_version.is_some_and(|version| version != 2) {
            return Err("a manifest of an older schema (only version 2 is read)".into());
        }
        if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
            return Err("has both `layers` and `manifests`".into());
        }
        let shown = if shape.manifests.is_some() { DocumentKind::Index } else { DocumentKind::Image };
        let inside = shape.media_type.filter(|inside| !inside.is_empty());
        if let Some(inside) = &inside
            && !expected.is_empty()
            && inside != expected
        {
            return Err(format!("calls itself {inside:?} where its descriptor says {expected:?}"));
        }
        let media_type = match inside {
            Some(inside) => inside,
            None if !expected.is_empty() => expected.to_owned(),
            None if shown == DocumentKind::Index => media_type::OCI_INDEX.to_owned(),
            None => media_type::OCI_MANIFEST.to_owned(),
        };
        match media_type::document_kind(&media_type) {
            Some(kind) if kind == shown => {}
            Some(_) => return Err(format!("its media type {media_type:?} does not fit what is in it")),
            None => return Err(format!("media type {media_type:?} is neither a manifest's nor an index's")),
        }
        let document = match shown {
            DocumentKind::Index => {
                Document::Index(serde_json::from_slice(&bytes).map_err(|e| e.to_string())?)
            }
            DocumentKind::Image => {
                Document::Image(serde_json::from_slice(&bytes).map_err(|e| e.to_string())?)
            }
        };
        Ok(RawManifest { digest: Digest::of(&bytes), bytes, media_type, document })
    }

    /// A descriptor of this document.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }

    /// What this document says something about, if it is a referrer.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.document {
            Document::Index(index) => index.subject.as_ref(),
            Document::Image(image) => image.subject.as_ref(),
        }
    }

    /// The document's own annotations.
    pub fn annotations(&self) -> Option<&Annotations> {
        match &self.document {
            Document::Index(index) => index.annotations.as_ref(),
            Document::Image(image) => image.annotations.as_ref(),
        }
    }
}

impl ImageManifest {
    /// Whether this is a container image, and not some artifact in a manifest's clothes.
    pub fn is_container(&self) -> bool {
        media_type::is_image_config(&self.config.media_type)
    }

    /// The image ID.
    pub fn image_id(&self) -> ImageId {
        ImageId(self.config.digest)
    }

    /// Bytes of config and layers as they are stored.
    pub fn content_size(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }

    /// Writes a manifest from its parts: OCI types, fields in one fixed order, nothing else, so that the same
    /// parts always give the same digest.
    pub fn write(config: &Descriptor, layers: &[Descriptor]) -> RawManifest {
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": config,
            "layers": layers,
        });
        let bytes = serde_json::to_vec(&document).expect("a value of strings and numbers serialises");
        RawManifest {
            digest: Digest::of(&bytes),
            media_type: media_type::OCI_MANIFEST.to_owned(),
            document: Document::Image(ImageManifest {
                config: config.clone(),
                layers: layers.to_vec(),
                subject: None,
                annotations: None,
            }),
            bytes,
        }
    }
}

impl ImageConfig {
    /// Parses a config blob; the error is a phrase without its name.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, String> {
        json::parse_exact(bytes, &CONFIG_KEYS)
    }

    /// The diff IDs, lowest layer first.
    pub fn diff_ids(&self) -> &[DiffId] {
        self.rootfs.diff_ids.as_deref().unwrap_or_default()
    }

    /// The platform that the config declares.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
            ..Platform::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: String, expected: &str) -> Result<RawManifest, String> {
        RawManifest::parse(text.into_bytes(), expected)
    }

    #[test]
    fn knows_images_and_indexes() {
        let image = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{D}","size":1}},"layers":[{{"digest":"{D}","size":2}}]}}"#
        );
        let raw = parse(image.clone(), "").expect("an image");
        assert_eq!(raw.media_type, OCI_MANIFEST);
        assert_eq!(raw.digest, Digest::of(image.as_bytes()));
        assert_eq!(parse(image, DOCKER_MANIFEST).expect("an image").media_type, DOCKER_MANIFEST);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{D}","size":1}}]}}"#);
        assert!(matches!(parse(index, "").expect("an index").document, Document::Index(_)));
    }

    #[test]
    fn refuses_what_can_be_read_two_ways() {
        let config = format!(r#""config":{{"digest":"{D}","size":1}}"#);
        for (text, expected) in [
            (format!(r#"{{{config},"layers":[],"manifests":[]}}"#), ""),
            (format!(r#"{{{config},"layers":[],"mediaType":"{OCI_INDEX}"}}"#), ""),
            (format!(r#"{{{config},"layers":[],"mediaType":"{OCI_MANIFEST}"}}"#), DOCKER_MANIFEST),
            (format!(r#"{{{config},"layers":[]}}"#), OCI_INDEX),
            (format!(r#"{{{config},"layers":[]}}"#), "text/html"),
            (format!(r#"{{{config}}}"#), ""),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), ""),
            ("[]".to_owned(), ""),
        ] {
            assert!(parse(text.clone(), expected).is_err(), "{text}");
        }
    }

    #[test]
    fn written_manifests_read_back() {
        let config = Descriptor::new(media_type::OCI_CONFIG, Digest::of(b"c"), 1);
        let layer = Descriptor::new(media_type::OCI_LAYER, Digest::of(b"l"), 1);
        let written = ImageManifest::write(&config, std::slice::from_ref(&layer));
        let again = RawManifest::parse(written.bytes.clone(), OCI_MANIFEST).expect("our own manifest");
        assert_eq!(again.digest, written.digest);
        let Document::Image(image) = again.document else { panic!("an image") };
        assert_eq!((image.config, image.layers), (config, vec![layer]));
    }
}
