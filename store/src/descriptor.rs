//! Descriptors: a digest with its size and type (OCI image spec, descriptor.md).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::json::{FREE, Keys};

mod data;
mod read;

pub(crate) use read::{plain, plain_list, plain_option};

/// Annotations, sorted by key, so that what we write is deterministic.
pub type Annotations = BTreeMap<String, String>;

/// The keys of descriptors.
pub(crate) static KEYS: Keys = Keys(&[
    ("mediaType", &FREE),
    ("digest", &FREE),
    ("size", &FREE),
    ("platform", &PLATFORM_KEYS),
    ("annotations", &FREE),
    ("urls", &FREE),
    ("data", &FREE),
    ("artifactType", &FREE),
]);
static PLATFORM_KEYS: Keys = Keys(&[
    ("architecture", &FREE),
    ("os", &FREE),
    ("variant", &FREE),
    ("os.version", &FREE),
    ("os.features", &FREE),
]);

/// Which machine an image is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// As Go's `GOARCH`: `amd64`, `arm64`.
    pub architecture: String,
    /// As Go's `GOOS`: `linux`.
    pub os: String,
    /// The CPU's variant: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system (Windows).
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the operating system must be able to do (Windows).
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

impl Platform {
    /// The platform of the machine this runs on.
    pub fn host() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => other,
        };
        Platform { architecture: architecture.into(), os: std::env::consts::OS.into(), ..Platform::default() }
    }

    /// Parses `os/arch[/variant]`.
    pub fn parse(text: &str) -> Option<Platform> {
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next()?, parts.next()?);
        let variant = parts.next().map(str::to_owned);
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let well = parts.next().is_none()
            && plain(os)
            && plain(architecture)
            && variant.as_deref().is_none_or(plain);
        well.then(|| Platform {
            architecture: architecture.into(),
            os: os.into(),
            variant,
            ..Platform::default()
        })
    }

    /// Whether an image for `self` is what someone who asks for `wanted` means: same os and architecture, and
    /// the same variant where both name one.
    pub fn serves(&self, wanted: &Platform) -> bool {
        let variant = match (&self.variant, &wanted.variant) {
            (Some(have), Some(want)) => have == want,
            _ => true,
        };
        self.os == wanted.os && self.architecture == wanted.architecture && variant
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A reference to content by digest. Fields that this program does not know are kept as they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Which machine it is for, where it is a manifest.
    pub platform: Option<Platform>,
    /// Free text by key.
    pub annotations: Annotations,
    /// `urls`, `data`, `artifactType` and whatever else came along.
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor with the three fields that every one has.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: Annotations::new(),
            extra: Map::new(),
        }
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mediaType", &self.media_type)?;
        map.serialize_entry("digest", &self.digest)?;
        map.serialize_entry("size", &self.size)?;
        if let Some(platform) = &self.platform {
            map.serialize_entry("platform", platform)?;
        }
        if !self.annotations.is_empty() {
            map.serialize_entry("annotations", &self.annotations)?;
        }
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_fields_it_does_not_know() {
        let text = r#"{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"platform":{"architecture":"amd64","os":"linux"},"annotations":{"k":"v"},"artifactType":"x/y","future":{"a":[1]}}"#;
        let descriptor: Descriptor = serde_json::from_str(text).expect("a descriptor");
        assert_eq!(serde_json::to_string(&descriptor).expect("json"), text);
    }

    #[test]
    fn refuses_a_doubled_field() {
        let text = r#"{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"size":1}"#;
        assert!(serde_json::from_str::<Descriptor>(text).is_err());
    }

    #[test]
    fn platforms() {
        let arm = Platform::parse("linux/arm64/v8").expect("a platform");
        assert_eq!(arm.to_string(), "linux/arm64/v8");
        assert!(arm.serves(&Platform::parse("linux/arm64").expect("a platform")));
        assert!(!arm.serves(&Platform::parse("linux/arm64/v7").expect("a platform")));
        assert_eq!(Platform::parse("linux"), None);
        assert_eq!(Platform::parse("linux/a/b/c"), None);
        assert_eq!(Platform::parse("linux/\u{1b}[2J"), None);
    }
}
