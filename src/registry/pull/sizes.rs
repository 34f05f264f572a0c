//! What an image says of its parts must not contradict itself.

use std::collections::HashMap;

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::manifest::{Document, RawManifest};

use super::super::error::{Error, Failed, Kind, Result};

/// Refuses documents in which one digest has two sizes: whichever is believed, what the other one says is wrong.
pub(in crate::registry) fn check<'d>(
    host: &str,
    documents: impl Iterator<Item = &'d RawManifest>,
) -> Result<()> {
    let mut known: HashMap<Digest, (u64, Digest)> = HashMap::new();
    for raw in documents {
        for part in parts(raw) {
            let (size, by) = *known.entry(part.digest).or_insert((part.size, raw.digest));
            if size == part.size {
                continue;
            }
            let other = if by == raw.digest { String::new() } else { format!(" (in {by})") };
            return Err(Error::from(Failed {
                side: host.to_owned(),
                request: format!("manifest {}", raw.digest),
                why: format!("lists {} with {} bytes and with {size}{other}", part.digest, part.size),
                hint: "whoever made this image has to make it again".to_owned(),
                kind: Kind::Damaged,
            }));
        }
    }
    Ok(())
}

fn parts(raw: &RawManifest) -> Vec<&Descriptor> {
    match &raw.document {
        Document::Image(image) => std::iter::once(&image.config).chain(&image.layers).collect(),
        Document::Index(index) => index.manifests.iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use larder_store::media_type::OCI_INDEX;
    use serde_json::json;

    use super::*;

    fn index(children: &[(u8, u64)]) -> RawManifest {
        let child = |&(content, size): &(u8, u64)| json!({"mediaType": "a/b", "digest": Digest::of(&[content]), "size": size});
        let children: Vec<_> = children.iter().map(child).collect();
        let text = json!({"schemaVersion": 2, "manifests": children}).to_string();
        RawManifest::parse(text.into_bytes(), OCI_INDEX).expect("an index")
    }

    #[test]
    fn one_digest_has_one_size() {
        let (one, other) = (index(&[(1, 10), (2, 20), (1, 10)]), index(&[(2, 20), (1, 11)]));
        check("h", [&one].into_iter()).expect("no contradiction");
        check("h", [&other].into_iter()).expect("no contradiction");
        let error = check("h", [&one, &other].into_iter()).expect_err("two sizes").to_string();
        let expected = format!(
            "h: manifest {}: lists {} with 11 bytes and with 10 (in {})",
            other.digest,
            Digest::of(&[1]),
            one.digest
        );
        assert_eq!(error, expected);
    }
}
