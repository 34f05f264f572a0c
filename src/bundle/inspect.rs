//! What a bundle, or a part of one, says of itself; nothing of it is looked at but its beginning.

use larder_store::bundle::frame::Frames;
use larder_store::bundle::manifest::Manifest;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};

use super::source::Input;
use crate::trust::Signature;

/// The beginning of a bundle.
pub(crate) struct Inspected {
    /// The manifest's digest, which a bundle is known by.
    pub(crate) digest: Digest,
    /// What it says.
    pub(crate) manifest: Manifest,
    /// The key that it says it is signed with; nobody has checked that. `Err` is why what stands there is no signature.
    pub(crate) key: Option<std::result::Result<String, String>>,
    /// Which part this is; the first one has the number 0.
    pub(crate) part: usize,
}

/// Reads the beginning.
pub(crate) fn inspect(input: Input) -> Result<Inspected> {
    let mut frames = Frames::new(input);
    let opening = frames.opening()?.ok_or_else(|| Error::invalid("the file", "is empty"))?;
    let manifest = Manifest::open(&opening.manifest, "the bundle")?;
    let part = frames.part(&manifest)?;
    Ok(Inspected {
        digest: Digest::of(&opening.manifest),
        manifest,
        key: opening.signature.map(|text| Signature::parse(&text).map(|signature| signature.key())),
        part,
    })
}
