//! What an image was made on: `org.opencontainers.image.base.name` and `.digest` (OCI image spec, annotations.md).
//!
//! Said by the entry of the index, else by the manifest, else by labels of the config. Name and digest count together, from one
//! place: those of two places may be of two bases. Nobody has looked whether it is true.

use serde_json::Value;

use crate::descriptor::{Annotations, Descriptor};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::index;
use crate::manifest::RawManifest;
use crate::reference::Reference;

/// The base's name.
pub const NAME: &str = "org.opencontainers.image.base.name";
/// The digest of the manifest, or index, that the name meant then.
pub const DIGEST: &str = "org.opencontainers.image.base.digest";

/// What an image was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub name: Reference,
    /// What the name meant then, where that is said.
    pub digest: Option<Digest>,
}

impl Base {
    /// What annotations say.
    pub fn of(annotations: &Annotations) -> Option<Base> {
        Base::said(|key| annotations.get(key).map(String::as_str))
    }

    /// What the labels of a config say.
    pub fn of_labels(config: &[u8]) -> Option<Base> {
        let config: Value = serde_json::from_slice(config).ok()?;
        let labels = &config["config"]["Labels"];
        Base::said(|key| labels[key].as_str())
    }

    /// What a manifest says, or else the labels of its config.
    pub fn of_image(manifest: Option<&RawManifest>, config: &[u8]) -> Option<Base> {
        let annotations = manifest.and_then(RawManifest::annotations);
        annotations.and_then(Base::of).or_else(|| Base::of_labels(config))
    }

    fn said<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<Base> {
        Some(Base {
            name: value(NAME)?.parse().ok()?,
            digest: value(DIGEST).and_then(|text| text.parse().ok()),
        })
    }

    /// The base that an entry of the index is to those that are made on it.
    pub fn from_entry(entry: &Descriptor) -> Result<Base> {
        let name = index::reference(entry).filter(|_| entry.annotations.contains_key(index::REF_NAME));
        let why = "has no name that a base could be known by; larder tag gives it one";
        let name = name.ok_or_else(|| Error::invalid(format!("image {}", entry.digest), why))?;
        Ok(Base { name, digest: Some(entry.digest) })
    }

    /// Says it in annotations, in place of what they said of another one.
    pub fn write(&self, annotations: &mut Annotations) {
        Base::remove(annotations);
        annotations.insert(NAME.into(), self.name.full());
        if let Some(digest) = self.digest {
            annotations.insert(DIGEST.into(), digest.to_string());
        }
    }

    /// Takes it out of annotations.
    pub fn remove(annotations: &mut Annotations) {
        annotations.remove(NAME);
        annotations.remove(DIGEST);
    }
}

/// Whether each of these stacks of layers, lowest first, begins with one of the others.
pub fn begin_with(stacks: &[Vec<DiffId>], beginnings: &[Vec<DiffId>]) -> bool {
    stacks.iter().all(|stack| beginnings.iter().any(|beginning| stack.starts_with(beginning)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_base_is_read_where_it_is_said_and_written_in_full() {
        let annotations = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Annotations>()
        };
        let base = Base::of(&annotations(&[(NAME, "ubuntu:25.04"), (DIGEST, D)])).expect("a base");
        assert_eq!((base.name.familiar().as_str(), base.digest), ("ubuntu:25.04", D.parse().ok()));
        for (pairs, digest) in [(&[(NAME, "a")][..], None), (&[(NAME, "a"), (DIGEST, "latest")], None)] {
            assert_eq!(Base::of(&annotations(pairs)).map(|base| base.digest), Some(digest));
        }
        for pairs in [&[][..], &[(DIGEST, D)], &[(NAME, "no name"), (DIGEST, D)]] {
            assert_eq!(Base::of(&annotations(pairs)), None, "{pairs:?}");
        }
        let mut written = annotations(&[(DIGEST, "of another one"), ("org.example.x", "y")]);
        Base { digest: None, ..base.clone() }.write(&mut written);
        assert_eq!(written, annotations(&[(NAME, "docker.io/library/ubuntu:25.04"), ("org.example.x", "y")]));
        base.write(&mut written);
        assert_eq!(Base::of(&written), Some(base.clone()));
        let labels = serde_json::json!({"config": {"Labels": {NAME: "ubuntu:25.04", DIGEST: D}}});
        assert_eq!(Base::of_labels(labels.to_string().as_bytes()), Some(base));
        for odd in ["", "[]", r#"{"config":null}"#, r#"{"config":{"Labels":{"x":1}}}"#] {
            assert_eq!(Base::of_labels(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn the_manifest_comes_before_the_labels() {
        let image = |text: &str| {
            let text = format!(
                r#"{{"schemaVersion":2,"config":{{"digest":"{D}","size":1}},"layers":[],"annotations":{text}}}"#
            );
            RawManifest::parse(text.into_bytes(), "").expect("a manifest")
        };
        let labels = format!(r#"{{"config":{{"Labels":{{"{NAME}":"b","{DIGEST}":"{D}"}}}}}}"#);
        let both = Base::of_image(Some(&image(&format!(r#"{{"{NAME}":"a"}}"#))), labels.as_bytes());
        assert_eq!(
            both,
            Some(Base { name: "a".parse().expect("a name"), digest: None }),
            "the digest is of b"
        );
        let alone = Base::of_image(Some(&image("{}")), labels.as_bytes()).expect("a base");
        assert_eq!(alone.name.familiar(), "b:latest");
    }

    #[test]
    fn layers_begin_with_those_of_a_base() {
        let stack = |text: &str| text.bytes().map(|b| DiffId(Digest::of(&[b]))).collect::<Vec<_>>();
        for (stacks, beginnings, expected) in [
            (&["abc"][..], &["ab"][..], true),
            (&["abc"], &["abc"], true),
            (&["ab"], &["abc"], false),
            (&["xabc"], &["abc"], false),
            (&["abc", "xyz"], &["ab", "x"], true),
            (&["abc", "xyz"], &["ab"], false),
            (&["abc"], &[], false),
            (&[], &[], true),
        ] {
            let stacks_of = |texts: &[&str]| texts.iter().map(|text| stack(text)).collect::<Vec<_>>();
            assert_eq!(
                begin_with(&stacks_of(stacks), &stacks_of(beginnings)),
                expected,
                "{stacks:?} {beginnings:?}"
            );
        }
    }
}
