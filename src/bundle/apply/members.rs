//! Members come in: whole blobs into an ingest, pieces into a file with holes, and what is made of the target's own blobs.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use larder_store::archive::tar::Source;
use larder_store::blob::partial::Partial;
use larder_store::blob::{Blob, BlobWriter, Staged, from_io};
use larder_store::bundle::frame::{Frames, verify};
use larder_store::bundle::manifest::Made;
use larder_store::bundle::member::{Content, Member};
use larder_store::codec::{Encoder, Encoding, Limits, decoder};
use larder_store::digest::Hasher;
use larder_store::error::{Error, Result};
use larder_store::media_type::Compression;
use larder_store::progress::Event;
use larder_store::store::Store;

use super::super::source::FileSource;
use super::work::Work;

pub(super) const PIECE: usize = 1 << 20;
/// Pieces that are read ahead.
const PIECES: usize = 8;

impl Work<'_, '_> {
    /// Takes a member that is needed. What an earlier try left of it is gone on with where the source `can_go_back`.
    pub(super) fn take<S: Source>(
        &mut self,
        member: &Member,
        frames: &mut Frames<S>,
        can_go_back: bool,
    ) -> Result<()>
    where
        Frames<S>: Place,
    {
        match member.content {
            Content::Whole(at) => self.take_whole(at, member, frames, can_go_back),
            Content::Piece { blob, offset, .. } => self.take_piece(blob, offset, member, frames),
            Content::Delta(at) => self.take_delta(at, member, frames),
            Content::Document => Err(Error::invalid(format!("member {:?}", member.path), "is no blob")),
        }
    }

    fn take_whole<S: Source>(
        &mut self,
        at: usize,
        member: &Member,
        frames: &mut Frames<S>,
        can_go_back: bool,
    ) -> Result<()>
    where
        Frames<S>: Place,
    {
        let digest = self.manifest.blobs[at].digest;
        let begun = if can_go_back { self.begun.remove(&digest) } else { None };
        let place = frames.place();
        if begun.is_some() {
            let writer = self.tx.ingest().writer_of(&digest, member.size)?;
            match self.copy(member, frames, writer) {
                // What was there of it may have been anything.
                Err(error) if Self::is_damage(&error) => frames.go_back(place),
                staged => return self.came(at, staged?),
            }
        }
        let writer = match can_go_back {
            true => self.tx.ingest().writer_of(&digest, member.size)?,
            false => self.tx.writer()?,
        };
        let staged = self.copy(member, frames, writer)?;
        self.came(at, staged)
    }

    /// Copies what a writer lacks of a member.
    fn copy<S: Source>(
        &mut self,
        member: &Member,
        frames: &mut Frames<S>,
        mut writer: BlobWriter,
    ) -> Result<Staged>
    where
        Frames<S>: Place,
    {
        let had = writer.size();
        if self.options.jobs > 1
            && member.size - had >= 4 * PIECE as u64
            && let Some(source) = frames.stored(member)?
        {
            let (cancel, watch) = (self.options.cancel, self.options.watch);
            let copied = writer.copy_rest(&source, &mut |count| {
                watch(Event::Done(count));
                cancel.check()
            });
            match copied {
                Ok(false) => {}
                Ok(true) => {
                    self.read_bytes += member.size - had;
                    frames.skip(member.size)?;
                    return writer.finish_as(member.sha256, member.size);
                }
                Err(error) => {
                    if !Self::is_damage(&error) {
                        writer.suspend();
                    }
                    return Err(error);
                }
            }
        }
        let shown = self.store.path().join("blobs");
        let watch = self.options.watch;
        let write = |bytes: &[u8], writer: &mut BlobWriter| {
            writer.write_all(bytes).map_err(Error::io("write", &shown))?;
            watch(Event::Done(bytes.len() as u64));
            Ok(())
        };
        let cancel = self.options.cancel;
        let copied = if self.options.jobs <= 1 || member.size - had < 4 * PIECE as u64 {
            let mut buffer = vec![0; PIECE];
            frames.content_from(member.size, had, &mut buffer, &mut |bytes| {
                cancel.check()?;
                write(bytes, &mut writer)
            })
        } else {
            std::thread::scope(|scope| {
                let (filled, pieces) = sync_channel::<Vec<u8>>(PIECES);
                let (recycle, free) = channel();
                let writer = &mut writer;
                let writing =
                    scope.spawn(move || write_all(&pieces, &recycle, &mut |bytes| write(bytes, writer)));
                let mut buffer = vec![0; PIECE];
                let read = frames.content_from(member.size, had, &mut buffer, &mut |bytes| {
                    cancel.check()?;
                    send(bytes, &filled, &free)
                });
                drop(filled);
                let written =
                    writing.join().unwrap_or_else(|_| Err(Error::invalid("a blob", "its writer panicked")));
                // Where nothing more can be written, the reader only finds nobody there.
                written.and(read)
            })
        };
        self.read_bytes += member.size - had;
        if let Err(error) = copied {
            if !Self::is_damage(&error) {
                writer.suspend();
            }
            return Err(error);
        }
        writer.finish_as(member.sha256, member.size)
    }

    fn take_piece<S: Source>(
        &mut self,
        at: usize,
        offset: u64,
        member: &Member,
        frames: &mut Frames<S>,
    ) -> Result<()> {
        let blob = &self.manifest.blobs[at];
        let mut partial =
            Partial::open(self.store.layout().private(), self.digest(), &blob.digest, blob.size)?;
        let (mut hasher, mut position) = (Hasher::new(), offset);
        let mut buffer = vec![0; PIECE];
        let (cancel, watch) = (self.options.cancel, self.options.watch);
        frames.content(member.size, &mut buffer, &mut |bytes| {
            cancel.check()?;
            partial.write_at(bytes, position)?;
            hasher.update(bytes);
            position += bytes.len() as u64;
            watch(Event::Done(bytes.len() as u64));
            Ok(())
        })?;
        verify(member, hasher)?;
        self.read_bytes += member.size;
        let piece = (offset, member.size, member.sha256);
        partial.note(piece)?;
        self.piece_came(at, piece);
        if !blob.places().all(|piece| partial.has(&piece)) {
            return Ok(());
        }
        let staged = partial.complete(self.tx.ingest())?;
        self.came(at, staged)
    }
}

/// The store's blob that another one is made from, and how it is compressed.
pub(super) fn origin(store: &Store, made: &Made) -> Result<(Blob, Compression)> {
    let what = || format!("blob {}", made.from);
    let from = store.blobs().open(&made.from)?.ok_or_else(|| Error::damaged(what(), "is missing"))?;
    let mut head = [0; 4];
    let count = from.read_at(&mut head, 0).map_err(Error::io("read", what()))?;
    Ok((from, Compression::sniff(&head[..count])))
}

/// Makes a blob of one with the same content.
pub(super) fn encode(work: &Work<'_, '_>, at: usize) -> Result<Staged> {
    let blob = &work.manifest.blobs[at];
    let what = || format!("blob {}", blob.digest);
    let made = blob.made.as_ref().ok_or_else(|| Error::invalid(what(), "is made of nothing"))?;
    let encoding: Encoding = made.encoding.parse().map_err(|why: String| Error::invalid(what(), why))?;
    let (from, compression) = origin(work.store, made)?;
    let failed = |e| from_io(e, Error::io("unpack", format!("blob {}", made.from)));
    let mut plain = decoder(compression, from.verified(), from.size(), Limits::default()).map_err(failed)?;
    let shown = work.store.path().to_path_buf();
    let mut encoder = Encoder::new(encoding, work.options.jobs, work.options.cancel.clone(), shown)?;
    encoder.layer(&mut plain, work.tx.writer()?, &|_| {})?;
    let encoded = encoder.finish()?.pop().ok_or_else(|| Error::invalid(what(), "was not made"))?;
    if (encoded.staged.digest(), encoded.staged.size()) != (blob.digest, blob.size) {
        let why = format!(
            "is not what {} becomes here; make the bundle anew with this larder's have-list",
            made.from
        );
        return Err(Error::damaged(what(), why));
    }
    Ok(encoded.staged)
}

/// A source that may be able to go back.
pub(super) trait Place {
    /// Where it is.
    fn place(&mut self) -> u64;
    /// The member's content, before any of it was read, where it can be read from anywhere.
    fn stored(&mut self, member: &Member) -> Result<Option<Blob>>;
    /// Goes there again; does nothing where that cannot be done.
    fn go_back(&mut self, place: u64);
}

impl Place for Frames<FileSource> {
    fn place(&mut self) -> u64 {
        self.source().position()
    }
    fn stored(&mut self, member: &Member) -> Result<Option<Blob>> {
        let source = self.source();
        let file = source.file.try_clone().map_err(Error::io("open", &source.path))?;
        Ok(Some(Blob::new(member.sha256, file, source.position(), member.size)))
    }
    fn go_back(&mut self, place: u64) {
        self.source().go_to(place);
    }
}

impl Place for Frames<super::StreamSource> {
    fn place(&mut self) -> u64 {
        0
    }
    fn stored(&mut self, _: &Member) -> Result<Option<Blob>> {
        Ok(None)
    }
    fn go_back(&mut self, _: u64) {}
}

/// Writes what comes, until it ends or cannot be written.
fn write_all(
    pieces: &Receiver<Vec<u8>>,
    recycle: &Sender<Vec<u8>>,
    write: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    for piece in pieces {
        write(&piece)?;
        let _ = recycle.send(piece);
    }
    Ok(())
}

fn send(bytes: &[u8], filled: &SyncSender<Vec<u8>>, free: &Receiver<Vec<u8>>) -> Result<()> {
    let mut piece = free.try_recv().unwrap_or_default();
    piece.clear();
    piece.extend_from_slice(bytes);
    // Who does not take it any more says himself why.
    filled.send(piece).map_err(|_| Error::Interrupted)
}
