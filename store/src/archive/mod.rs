//! Image archives: docker-archives and oci-archives, in and out.
//!
//! Reading goes in three steps. [`tar`] finds the members; [`plan`] reads the small documents and says, without
//! writing anything, which images there are and which blobs they need; [`import`] brings in what is not there, [`together`]
//! that of many archives.
//! [`contents`] hides whether the archive is a file that can be read anywhere ([`seekable`]), a stream that
//! passes once ([`stream`]), or unpacked in a directory ([`directory`]).
//!
//! Writing goes in three: [`image`] finds the layers in the form that is asked for, [`package`] says which members an archive will have, in which order and how large, and
//! [`write`] streams them out, checked while they are read.

mod bring;
pub mod consume;
pub mod contents;
pub mod directory;
mod entry;
mod expected;
pub mod fetched;
pub mod image;
pub mod import;
mod naming;
pub mod options;
pub mod package;
pub mod passing;
pub mod plan;
pub mod repair;
mod room;
pub mod seekable;
mod standing;
pub mod stream;
pub mod tar;
pub mod together;
pub mod write;

use crate::digest::Digest;

pub(crate) use bring::layers::plain;
pub(crate) use repair::open;

/// Where an archive has a blob, as in an image layout.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
