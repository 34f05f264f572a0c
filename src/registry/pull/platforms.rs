//! Which images of an index are wanted. Pure.

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::manifest::ImageIndex;

/// Which images of an index are wanted; a lone image comes whatever its platform, unless one was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platforms {
    /// All that it lists, attestations and other things too.
    All,
    /// Those that were asked for.
    These(Vec<Platform>),
    /// That of this machine.
    Host(Platform),
}

impl Platforms {
    /// The children of an index that are wanted.
    ///
    /// Errors: a platform for which there is none, as a sentence about the index.
    pub(in crate::registry) fn children<'i>(
        &self,
        index: &'i ImageIndex,
    ) -> Result<Vec<&'i Descriptor>, String> {
        let wanted: Vec<&Platform> = match self {
            Platforms::All => return Ok(index.manifests.iter().collect()),
            Platforms::These(platforms) => platforms.iter().collect(),
            Platforms::Host(platform) => vec![platform],
        };
        let mut children: Vec<&Descriptor> = Vec::new();
        for wanted in wanted {
            let child = child(index, wanted).ok_or_else(|| none(index, wanted))?;
            if !children.iter().any(|other| other.digest == child.digest) {
                children.push(child);
            }
        }
        Ok(children)
    }
}

/// The child that is for exactly this platform, else one that serves it, else the only one there is, if it says nothing.
fn child<'i>(index: &'i ImageIndex, wanted: &Platform) -> Option<&'i Descriptor> {
    let images: Vec<_> = images(index).collect();
    let fits = |fit: &dyn Fn(&Platform) -> bool| {
        images.iter().copied().find(|child| child.platform.as_ref().is_some_and(fit))
    };
    let sole = || match &images[..] {
        [child] if child.platform.is_none() => Some(*child),
        _ => None,
    };
    fits(&|platform| platform == wanted).or_else(|| fits(&|platform| platform.serves(wanted))).or_else(sole)
}

/// Attestations are for no platform.
fn images(index: &ImageIndex) -> impl Iterator<Item = &Descriptor> {
    index
        .manifests
        .iter()
        .filter(|child| child.platform.as_ref().is_none_or(|platform| platform.os != "unknown"))
}

fn none(index: &ImageIndex, wanted: &Platform) -> String {
    let mut known: Vec<_> =
        images(index).filter_map(|child| Some(child.platform.as_ref()?.to_string())).collect();
    known.dedup();
    format!("has no image for {wanted}; it has {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use larder_store::digest::Digest;
    use larder_store::manifest::{Document, RawManifest};
    use larder_store::media_type::{OCI_INDEX, OCI_MANIFEST};

    use super::*;

    fn index(platforms: &[&str]) -> ImageIndex {
        let child = |(at, text): (usize, &&str)| {
            let digest = Digest::of(&[at as u8]);
            let platform = match Platform::parse(text) {
                Some(platform) => serde_json::to_value(platform).expect("a platform"),
                None => serde_json::Value::Null,
            };
            let mut child = serde_json::json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1});
            if !platform.is_null() {
                child["platform"] = platform;
            }
            child
        };
        let children: Vec<_> = platforms.iter().enumerate().map(child).collect();
        let text = serde_json::json!({"schemaVersion": 2, "manifests": children}).to_string();
        match RawManifest::parse(text.into_bytes(), OCI_INDEX).expect("an index").document {
            Document::Index(index) => index,
            Document::Image(_) => panic!("an index"),
        }
    }

    fn chosen(platforms: &Platforms, listed: &[&str]) -> Result<Vec<usize>, String> {
        let index = index(listed);
        let children = platforms.children(&index)?;
        let at = |child: &&Descriptor| index.manifests.iter().position(|other| other.digest == child.digest);
        Ok(children.iter().filter_map(at).collect())
    }

    #[test]
    fn the_best_one_for_each_platform() {
        let these = |texts: &[&str]| {
            Platforms::These(texts.iter().map(|text| Platform::parse(text).expect("a platform")).collect())
        };
        let list = ["linux/arm/v6", "linux/arm/v7", "linux/amd64", "unknown/unknown", "linux/arm64/v8"];
        for (wanted, expected) in [
            (these(&["linux/amd64"]), vec![2]),
            (these(&["linux/arm/v7"]), vec![1]),
            (these(&["linux/arm64", "linux/amd64", "linux/amd64"]), vec![4, 2]),
            (Platforms::All, vec![0, 1, 2, 3, 4]),
        ] {
            assert_eq!(chosen(&wanted, &list), Ok(expected), "{wanted:?}");
        }
        let host = Platforms::Host(Platform::parse("linux/amd64").expect("a platform"));
        assert_eq!(chosen(&host, &["?"]), Ok(vec![0]), "the only one, which says nothing");
        let missing = chosen(&these(&["linux/s390x"]), &list).expect_err("there is none");
        assert!(missing.contains("linux/s390x; it has linux/arm/v6"), "{missing}");
        assert!(!missing.contains("unknown"), "{missing}");
    }
}
