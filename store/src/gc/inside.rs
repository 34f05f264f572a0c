//! What documents mention that nobody describes: those that were let go, and those of unknown kinds.

use std::io::Read;

use serde_json::Value;

use super::mark::{Kind, Node};
use super::plan::mentioned;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::json::MAX_DOCUMENT;
use crate::media_type;
use crate::store::Store;

/// Digests that an unknown document may mention.
const MAX_MENTIONS: usize = 100_000;

/// What a document that was let go had for itself: the descriptors in it, but for its subject. A digest that is only mentioned
/// (a base, a parent) was let go by nobody.
pub(super) fn parts_of(store: &Store, digest: &Digest) -> Result<Vec<Node>> {
    let Some(blob) = store.blobs().open(digest)?.filter(|blob| blob.size() <= MAX_DOCUMENT) else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    blob.reader().read_to_end(&mut bytes).map_err(Error::io("read", format!("blob {digest}")))?;
    let (mut parts, mut open) =
        (Vec::new(), vec![serde_json::from_slice::<Value>(&bytes).unwrap_or_default()]);
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                if let (Some(kind), Some(digest)) = (text("mediaType"), text("digest"))
                    && let Ok(digest) = digest.parse()
                {
                    let is_document = media_type::document_kind(kind).is_some();
                    parts.push((digest, if is_document { Kind::Unknown } else { Kind::Leaf }));
                }
                open.extend(fields.into_iter().filter(|(key, _)| key != "subject").map(|(_, value)| value));
            }
            _ => {}
        }
    }
    Ok(parts)
}

/// What a blob of unknown kind may need: every digest that it mentions, if it is JSON. Anything else needs nothing.
pub(super) fn look_inside(store: &Store, digest: &Digest) -> Result<Vec<Node>> {
    let Some(blob) = store.blobs().open(digest)? else { return Ok(Vec::new()) };
    let failed = || Error::io("read", format!("blob {digest}"));
    let mut head = [0; 64];
    let count = blob.read_at(&mut head, 0).map_err(failed())?;
    let is_json = head[..count]
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| b"{[".contains(byte));
    if !is_json {
        return Ok(Vec::new());
    }
    let too_much = |what: String| {
        Error::invalid(
            format!("blob {digest}"),
            format!("is an unknown document {what}; what it needs cannot be told"),
        )
    };
    if blob.size() > MAX_DOCUMENT {
        return Err(too_much(format!("of {} bytes", blob.size())));
    }
    let mut bytes = Vec::new();
    blob.reader().read_to_end(&mut bytes).map_err(failed())?;
    let mentions = mentioned(&bytes, MAX_MENTIONS);
    let mentions = mentions.ok_or_else(|| too_much(format!("with more than {MAX_MENTIONS} digests")))?;
    Ok(mentions.into_iter().map(|digest| (digest, Kind::Unknown)).collect())
}
