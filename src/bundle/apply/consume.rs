//! `--consume`: the files' space is freed while they are read, behind durable blobs that were read and hashed.
//!
//! The bundle's journal keeps those blobs from the beginning on, and manifest and headers stay, so that the same command, given
//! again, finds its way. The files go when all images have their names.

use larder_store::archive::consume::Eaten;
use larder_store::bundle::member::{Content, Member};
use larder_store::error::{Error, Result};
use larder_store::store::Store;

use super::super::source::FileSource;
use super::options::Options;
use super::work::Work;

/// Less than this frees nothing worth a call, bytes.
const LEAST: u64 = 64 << 10;

/// The files that are eaten; none without `--consume`.
pub(super) struct Meals(Vec<Eaten>);

impl Meals {
    /// Takes the files, or says why one cannot be eaten.
    pub(super) fn begin(store: &Store, files: &[&FileSource], options: &Options<'_>) -> Result<Meals> {
        let mut eaten = Vec::new();
        for file in files.iter().filter(|_| options.consume) {
            let open = file.file.try_clone().map_err(Error::io("open", &file.path))?;
            eaten.push(Eaten::begin(store, open, &file.path)?);
        }
        Ok(Meals(eaten))
    }

    /// Whether what is freed is free for the store.
    pub(super) fn makes_room(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Eaten::makes_room)
    }

    /// Frees a member's content in the file at this place, if all that it was is in the store.
    pub(super) fn eat(&mut self, work: &Work<'_, '_>, at: usize, member: &Member, offset: u64) -> Result<()> {
        let Some(eaten) = self.0.get(at).filter(|_| member.size >= LEAST) else { return Ok(()) };
        let is_there = match member.content {
            Content::Document => false,
            Content::Whole(blob) | Content::Delta(blob) => work.is_proven(blob),
            // A piece that is listed is durable, and was checked before it was listed.
            Content::Piece { blob, .. } => work.is_proven(blob) || !work.needs(member),
        };
        if is_there {
            work.store.blobs().sync()?;
            eaten.free(offset, member.size)?;
        }
        Ok(())
    }

    /// Removes the files.
    pub(super) fn finish(self) -> Result<()> {
        self.0.into_iter().try_for_each(Eaten::finish)
    }
}
