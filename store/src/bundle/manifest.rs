//! What a bundle carries and what it presumes: `dev.larder.bundle/manifest.json`.
//!
//! One writer, and one form: the reader writes what it has read again, and refuses bytes that differ.

use serde::{Deserialize, Serialize};

use super::{MAX_MANIFEST, check_version, is_canonical, rules};
use crate::descriptor::{Annotations, Descriptor};
use crate::digest::Digest;
use crate::error::Error;
use crate::ids::DiffId;
use crate::reference::Reference;

/// The version that this program writes.
const VERSION: u64 = 1;

/// All of a bundle but the content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "larderBundle")]
    version: u64,
    /// Which encoder makes the blobs that are not carried as they are ([`crate::codec::encoder`]).
    pub encoder: String,
    /// The stores whose have-lists it was made for.
    #[serde(rename = "for", default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// The images, each name by itself.
    pub images: Vec<Image>,
    /// What is carried, in the order of the members.
    pub blobs: Vec<Blob>,
    /// What the target must have.
    pub presumes: Vec<Presumed>,
    /// The files of an image layout beside the blobs: `oci-layout` comes first, the others last.
    pub documents: Vec<Piece>,
    /// The number of members of each part.
    pub parts: Vec<usize>,
}

/// An image, under one of its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Its name in full; none for what accompanies another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The type of its manifest or index.
    pub media_type: String,
    /// The digest of that.
    pub digest: Digest,
    /// The bytes of that.
    pub size: u64,
    /// What the entry of the index says of it, as far as it travels.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// A blob that the target has afterwards, and how it comes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How it travels.
    #[serde(rename = "as")]
    pub way: Way,
    /// The images that need it, by their places in the list.
    pub images: Vec<u32>,
    /// The pieces, where it was cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Cut>,
    /// What it is made from, where it is made by the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The member that holds the difference, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Cut>,
}

/// How a blob travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// As it is, in one member.
    Whole,
    /// Cut, because a part is smaller.
    Pieces,
    /// Not at all: the target's encoder makes it of a blob with the same content.
    Encoded,
    /// As the difference to a blob that the target has.
    Delta,
}

/// A member's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// How many.
    pub size: u64,
    /// What they are.
    pub sha256: Digest,
}

/// What a blob is made from by the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Made {
    /// The target's blob.
    pub from: Digest,
    /// What that is without compression.
    pub from_diff_id: DiffId,
    /// What the new blob is without compression.
    pub diff_id: DiffId,
    /// How the new blob is compressed: `zstd:3`.
    pub encoding: String,
    /// The bytes of the new blob without compression.
    pub plain_size: u64,
}

/// A document of the image layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Where it is in the layout.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// What they are.
    pub sha256: Digest,
}

/// A blob that the target must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presumed {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The images that need it, by their places in the list.
    pub images: Vec<u32>,
    /// Whether blobs are made of it and no image needs it itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base: bool,
}

/// Puts the check of a text (an object, and a line feed) into it, as its last key: a bit that is another one is found where nobody
/// has signed it.
pub fn sealed(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.strip_suffix(b"}\n").unwrap_or(text).to_vec();
    bytes.extend(format!(",\"check\":\"{}\"}}\n", Digest::of(text)).into_bytes());
    bytes
}

/// The text without its check; `None` where that does not fit.
fn unsealed(bytes: &[u8]) -> Option<Vec<u8>> {
    const LENGTH: usize = ",\"check\":\"sha256:\"}\n".len() + 64;
    let (text, check) = bytes.split_at_checked(bytes.len().checked_sub(LENGTH)?)?;
    let text = [text, b"}\n"].concat();
    (check == format!(",\"check\":\"{}\"}}\n", Digest::of(&text)).as_bytes()).then_some(text)
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "larderBundle")]
    version: u64,
}

impl Manifest {
    /// A manifest of what is to be carried.
    pub fn new(encoder: String, images: Vec<Image>) -> Manifest {
        Manifest {
            version: VERSION,
            encoder,
            targets: Vec::new(),
            images,
            blobs: Vec::new(),
            presumes: Vec::new(),
            documents: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Reads one; the error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(format!("has {} bytes, more than the {MAX_MANIFEST} that are read", bytes.len()));
        }
        let none = |why: serde_json::Error| format!("is no manifest of a bundle: {why}");
        // A newer one may be sealed otherwise.
        if let Ok(Version { version }) = serde_json::from_slice(bytes) {
            check_version("a bundle", version, VERSION)?;
        }
        let text =
            unsealed(bytes).ok_or("is no manifest of a bundle, or was changed: its check does not fit")?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(none)?;
        if !is_canonical(&manifest, &text) {
            return Err("is not written as bundles are".to_owned());
        }
        rules::check(&manifest)?;
        Ok(manifest)
    }

    /// Like [`Manifest::parse`], with an error for people: damage, where its check does not fit, of what is called `what`.
    pub fn open(bytes: &[u8], what: &str) -> crate::Result<Manifest> {
        Manifest::parse(bytes).map_err(|why| match unsealed(bytes) {
            None if why.ends_with("does not fit") => Error::damaged(what, why),
            _ => Error::invalid(what, why),
        })
    }

    /// The bytes that stand for it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Text, numbers and lists of them: writing that into memory cannot fail.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        sealed(&text)
    }

    /// The bytes of all blobs that the target has afterwards and did not have to have before.
    pub fn made_size(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add)
    }

    /// What is said of an image in a message: its name, else its digest.
    pub fn label(&self, image: u32) -> String {
        self.images.get(image as usize).map_or_else(String::new, Image::label)
    }
}

impl Blob {
    /// Its pieces: where each begins, its bytes, and what they are.
    pub fn places(&self) -> impl Iterator<Item = (u64, u64, Digest)> + '_ {
        self.pieces.iter().scan(0u64, |begin, piece| {
            let place = (*begin, piece.size, piece.sha256);
            *begin += piece.size;
            Some(place)
        })
    }
}

impl Image {
    /// Its name as people write it, else its digest.
    pub fn label(&self) -> String {
        self.reference().map_or_else(|| self.digest.to_string(), |name| name.familiar())
    }

    /// Its name.
    pub fn reference(&self) -> Option<Reference> {
        self.name.as_ref()?.parse().ok()
    }

    /// Its root.
    pub fn root(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.size)
    }
}
