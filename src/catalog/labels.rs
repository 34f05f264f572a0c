//! What is declared of an image as labels of its config, with which it travels: annotations of the index stay where they are.
//!
//! Whoever made the image says it, and nobody has looked: what comes from elsewhere is looked into before it is believed.

use std::collections::BTreeMap;

use larder_store::base;
use larder_store::descriptor::Annotations;
use larder_store::index;
use serde_json::Value;

/// What else travels, beside what is declared: by which Dockerfile it was made, and on what.
///
/// The base has labels of our own: those of the OCI's name are passed on to whatever is made on the image.
const OTHERS: [(&str, &str); 4] = [
    (index::DOCKERFILE, index::DOCKERFILE),
    (index::MADE_OF, index::MADE_OF),
    (base::NAME, "dev.larder.base.name"),
    (base::DIGEST, "dev.larder.base.digest"),
];

/// Annotations and the labels that say the same.
fn pairs() -> impl Iterator<Item = (String, String)> {
    let declared = index::DECLARED.iter().map(|key| format!("{}{key}", index::OURS));
    let others = OTHERS.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned()));
    declared.map(|key| (key.clone(), key)).chain(others)
}

/// The labels of an image whose entry is to have these annotations.
pub(crate) fn labels(annotations: &Annotations) -> BTreeMap<String, String> {
    pairs().filter_map(|(key, label)| Some((label, annotations.get(&key)?.clone()))).collect()
}

/// What the labels of a config say, as annotations.
pub(crate) fn said(config: &[u8]) -> Annotations {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let labels = &config["config"]["Labels"];
    pairs().filter_map(|(key, label)| Some((key, labels[&label].as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_comes_back_and_nothing_else_does() {
        let annotations: Annotations = [
            (index::PROJECT, "p"),
            (index::OS, "debian:12"),
            (index::PACKAGES, "cmake,zlib1g-dev"),
            (index::DOCKERFILE, "generated"),
            (base::NAME, "docker.io/library/debian:12"),
            (index::PINNED, "yes"),
            (index::ORIGIN, "build"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let labels = labels(&annotations);
        assert_eq!(labels.len(), 5);
        assert!(labels.keys().all(|label| label.starts_with(index::OURS)), "{labels:?}");
        let mut config = serde_json::json!({"config": {"Labels": labels}});
        config["config"]["Labels"][index::PINNED] = "yes".into();
        let said = said(config.to_string().as_bytes());
        let is_declared = |key: &String| ![index::PINNED, index::ORIGIN].contains(&key.as_str());
        assert_eq!(said, annotations.into_iter().filter(|(key, _)| is_declared(key)).collect());
    }

    #[test]
    fn a_config_that_says_nothing_says_nothing() {
        for config in ["", "[]", "{}", r#"{"config":null}"#, r#"{"config":{"Labels":{"dev.larder.os":1}}}"#] {
            assert_eq!(said(config.as_bytes()), Annotations::new(), "{config}");
        }
    }
}
