//! What applying is asked, and what it answers.

use larder_store::archive::options::Imported;
use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::progress::Watch;
use larder_store::prune::Judged;

use crate::trust;

/// Decides whether a manifest is trusted: the name of the file for messages, its bytes, and its signature if there is one.
pub(crate) type Authority<'a> = &'a dyn Fn(&str, &[u8], Option<&[u8]>) -> Result<(), trust::Error>;

/// How to apply.
pub(crate) struct Options<'a> {
    /// Who decides whether it is trusted.
    pub(crate) authority: Authority<'a>,
    /// Whether a name may move from an image that did not come by a bundle.
    pub(crate) replace: bool,
    /// Whether what is there already is read and hashed, and put right where it is damaged.
    pub(crate) verify: bool,
    /// Whether the files' space is freed while they are read.
    pub(crate) consume: bool,
    /// Threads: with one, all happens on the caller's.
    pub(crate) jobs: usize,
    /// Tells the time, seconds since 1970.
    pub(crate) now: fn() -> i64,
    /// Told of images that had to go to make room.
    pub(crate) made_room: &'a (dyn Fn(&[Judged]) + Sync),
    /// Told what people want to know.
    pub(crate) notice: &'a dyn Fn(&str),
    /// Asks to stop.
    pub(crate) cancel: &'a Cancel,
    /// Told of progress.
    pub(crate) watch: Watch<'a>,
}

impl Options<'_> {
    /// Whether what is there is read first: a file that is consumed is the only other copy of it.
    pub(super) fn reads_existing(&self) -> bool {
        self.verify || self.consume
    }
}

/// What came of it.
pub(crate) struct Applied {
    /// What the bundle is known by.
    pub(crate) bundle: Digest,
    /// The images that have their names.
    pub(crate) images: Vec<Imported>,
    /// Bytes of blobs that were written.
    pub(crate) new_bytes: u64,
    /// Bytes of members that were read to be written.
    pub(crate) read_bytes: u64,
    /// What was not given: each part's number, from 1 on, and the images that wait for it.
    pub(crate) missing: Vec<(usize, Vec<String>)>,
    /// How many parts there are.
    pub(crate) parts: usize,
}

impl Applied {
    /// All was there.
    pub(super) fn unchanged(bundle: Digest, images: Vec<Imported>) -> Applied {
        Applied { bundle, images, new_bytes: 0, read_bytes: 0, missing: Vec::new(), parts: 1 }
    }
}

/// Why it failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something that the store says.
    Store(Error),
    /// It is not trusted.
    Untrusted(trust::Error),
    /// The store lacks what the bundle presumes: a line for each image, and how many blobs there are.
    Presumed { lines: Vec<String>, blobs: usize, targets: Vec<String> },
}

impl From<trust::Error> for Failure {
    fn from(error: trust::Error) -> Failure {
        Failure::Untrusted(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Store(error)
    }
}
