//! What an import is asked, and what it answers.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::cancel::Cancel;
use crate::codec::Encoding;
use crate::descriptor::Annotations;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::{DiffId, ImageId};
use crate::progress::Watch;
use crate::prune::Judged;
use crate::reference::Reference;

/// Where an archive comes from.
pub enum Input {
    /// A file by its path.
    File(PathBuf),
    /// A file that is open, and what to call it in messages; it is not consumed.
    Open(File, PathBuf),
    /// A stream, and what to call it in messages.
    Stream(Box<dyn Read + Send>, PathBuf),
}

/// How to import.
pub struct Options<'a> {
    /// Only this image of the archive: one of its names, or a digest.
    pub image: Option<String>,
    /// The name to give to the one image that is imported.
    pub name: Option<Reference>,
    /// All names that the archive has to have, and their digests; nothing, where anything may come.
    pub expected: Option<Vec<(Reference, Digest)>>,
    /// What each name is taken for.
    pub naming: &'a dyn Fn(&Reference) -> Result<Named>,
    /// Every image must begin with the layers of one of these, lowest first: those of its base.
    pub upon: Option<Vec<Vec<DiffId>>>,
    /// Whether a name may move to another image.
    pub replace: bool,
    /// Whether blobs that are there already are believed to be whole.
    pub existing: Existing,
    /// What becomes of the archive.
    pub source: Source,
    /// How layers are compressed where we make the manifest.
    pub encoding: Encoding,
    /// Threads that compress.
    pub jobs: usize,
    /// Tells the time, seconds since 1970: a stream may take hours.
    pub now: fn() -> i64,
    /// Told of images that had to go to make room.
    pub made_room: &'a (dyn Fn(&[Judged]) + Sync),
    /// Asks to stop.
    pub cancel: Cancel,
    /// Told of progress.
    pub watch: Watch<'a>,
}

impl Options<'_> {
    /// What is made of a blob that the store has already. The archive is its only other copy where it is consumed:
    /// then nothing is believed.
    pub(super) fn existing(&self) -> Existing {
        match self.source {
            Source::Kept => self.existing,
            Source::Consumed { .. } => Existing::Verified,
        }
    }
}

/// What a name of an archive is taken for; that name itself is taken for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name that the image gets.
    pub reference: Reference,
    /// What is declared of it, as annotations of the name.
    pub declared: Annotations,
    /// What of this was declared before by the same source: an image that is there already keeps what somebody made of it since.
    pub known: Annotations,
}

impl Named {
    /// The name as it stands, and nothing declared.
    pub fn as_it_is(reference: &Reference) -> Result<Named> {
        Ok(Named { reference: reference.clone(), declared: Annotations::new(), known: Annotations::new() })
    }

    /// Declares it of an image that is there already: only what is new since it was said before.
    pub(super) fn declare_anew(&self, annotations: &mut Annotations) {
        for (key, said) in &self.known {
            if !self.declared.contains_key(key) && annotations.get(key) == Some(said) {
                annotations.remove(key);
            }
        }
        annotations.extend(self.news());
    }

    /// What is declared and was not known before.
    pub fn news(&self) -> Annotations {
        let mut news = self.declared.clone();
        news.retain(|key, said| self.known.get(key) != Some(said));
        news
    }
}

/// What is made of a blob that the store has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is used; type and size are looked at.
    Trusted,
    /// It is read and hashed first; a damaged one is put right from the archive.
    Verified,
}

/// What becomes of an archive that is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It stays as it is.
    Kept,
    /// Its space is freed while it is read, and the file goes at the end.
    Consumed {
        /// What [`seal`](super::import::seal) said, where a signature was checked: half eaten it cannot be checked again.
        seal: Option<Digest>,
    },
}

/// An image that is in the store now, under one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The name; none for what only accompanies another image (a referrer).
    pub reference: Option<Reference>,
    /// The manifest's or index's digest.
    pub digest: Digest,
    /// The config's digest, where it is one container image.
    pub image_id: Option<ImageId>,
    /// Bytes of blobs that were written for it.
    pub new_bytes: u64,
    /// Bytes of its blobs that were there before.
    pub reused_bytes: u64,
    /// What became of the name.
    pub outcome: Outcome,
}

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is new in the store.
    Added,
    /// It had this image before.
    Unchanged,
    /// It had another image, which is nameless now.
    Replaced(Digest),
}
