//! Streaming a planned archive: read and checked on one thread, written on the other.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{channel, sync_channel};

use super::package::{Content, Member, Package};
use crate::blob::{VerifyReader, from_io};
use crate::cancel::Cancel;
use crate::codec::{Limits, decoder};
use crate::error::{Error, Result};
use crate::progress::{Event, Watch};
use crate::store::Store;

const PIECE: usize = 1 << 20;
const PIECES: usize = 6;

/// Where an archive goes.
pub struct Output<'a> {
    /// Takes the bytes.
    pub out: &'a mut dyn Write,
    /// For messages.
    pub shown: &'a Path,
    /// Threads: with one, all happens on the caller's.
    pub jobs: usize,
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// Told of progress.
    pub watch: Watch<'a>,
}

/// Writes the archive. A blob that does not verify ends it before the documents that would make it an image.
pub fn write(store: &Store, package: &Package, output: &mut Output<'_>) -> Result<()> {
    (output.watch)(Event::Total(package.members.iter().map(|member| member.size).sum()));
    for member in &package.members {
        let header = header(member);
        output.put(header.as_bytes())?;
        match &member.content {
            Content::Bytes(bytes) => {
                output.put(bytes)?;
                (output.watch)(Event::Done(member.size));
            }
            Content::Blob(digest) => {
                let blob = open(store, digest, member)?;
                output.pump(blob.verified())?;
            }
            Content::Plain(facts) => {
                let blob = open(store, &facts.blob, member)?;
                let plain = decoder(facts.compression, blob.reader(), blob.size(), Limits::default());
                let plain = plain.map_err(Error::io("unpack", output.shown))?;
                // Its name in the archive is the diff ID: that is what is checked.
                output.pump(VerifyReader::new(plain, facts.diff_id.0, member.size))?;
            }
        }
        let padding = member.size.next_multiple_of(512) - member.size;
        output.put(&[0; 512][..padding as usize])?;
    }
    output.put(&[0; 1024])?;
    output.out.flush().map_err(Error::io("write", output.shown))
}

fn open(store: &Store, digest: &crate::Digest, member: &Member) -> Result<crate::blob::Blob> {
    let damaged = |why: &str| Error::damaged(format!("blob {digest}"), why);
    let blob = store.blobs().open(digest)?.ok_or_else(|| damaged("is missing"))?;
    if matches!(member.content, Content::Blob(_)) && blob.size() != member.size {
        return Err(damaged("has another size than its manifest says"));
    }
    Ok(blob)
}

/// Nobody's, of no time: the same members always give the same bytes.
fn header(member: &Member) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let name = &mut header.as_old_mut().name;
    debug_assert!(member.path.len() < name.len(), "our own paths are short");
    let length = member.path.len().min(name.len());
    name[..length].copy_from_slice(&member.path.as_bytes()[..length]);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(member.size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| from_io(e, Error::io("write", self.shown)))
    }

    /// Writes all that can be read.
    fn pump(&mut self, mut source: impl Read + Send) -> Result<()> {
        let read_error = |e| from_io(e, |e| Error::damaged("a stored blob", format!("cannot be read: {e}")));
        if self.jobs <= 1 {
            let mut piece = vec![0; PIECE];
            loop {
                self.cancel.check()?;
                let count = source.read(&mut piece).map_err(read_error)?;
                if count == 0 {
                    return Ok(());
                }
                self.put(&piece[..count])?;
                (self.watch)(Event::Done(count as u64));
            }
        }
        std::thread::scope(|scope| {
            let (filled, pieces) = sync_channel::<io::Result<Vec<u8>>>(PIECES);
            let (recycle, free) = channel::<Vec<u8>>();
            scope.spawn(move || {
                loop {
                    let mut piece: Vec<u8> = free.try_recv().unwrap_or_default();
                    piece.resize(PIECE, 0);
                    let read = read_piece(&mut source, &mut piece);
                    let done = !matches!(read, Ok(count) if count > 0);
                    let sent = match read {
                        Ok(0) => return,
                        Ok(count) => {
                            piece.truncate(count);
                            filled.send(Ok(piece))
                        }
                        Err(error) => filled.send(Err(error)),
                    };
                    if done || sent.is_err() {
                        return;
                    }
                }
            });
            for piece in pieces {
                let piece = piece.map_err(read_error)?;
                self.cancel.check()?;
                self.put(&piece)?;
                (self.watch)(Event::Done(piece.len() as u64));
                let _ = recycle.send(piece);
            }
            Ok(())
        })
    }
}

/// Fills a piece as far as the source goes, so that small reads do not become small writes.
fn read_piece(source: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match source.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
