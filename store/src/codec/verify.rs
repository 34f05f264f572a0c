//! Copying a blob that came with a digest, and unpacking it on the way: the one pass that checks both names
//! of a layer, its digest and its diff ID.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use super::decode::{Limits, decoder};
use super::plain::{Passing, Plain};
use super::seek::{ParallelDecoder, read_table};
use crate::blob::{Blob, BlobWriter, Staged, from_io};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::media_type::Compression;

const PIECE: usize = 1 << 20;
const PIECES: usize = 4;
/// Threads that unpack frames: one hashes what they give.
const JOBS: usize = 2;

/// A blob that was copied in.
#[derive(Debug)]
pub struct CopiedLayer {
    /// The blob, durable and not yet visible.
    pub staged: Staged,
    /// What it unpacks to, where that was asked for.
    pub plain: Option<Plain>,
}

/// Where a copy goes, and what it must turn out to be.
#[derive(Debug)]
pub struct Copy<'a> {
    /// The announced digest.
    pub digest: Digest,
    /// The announced size, bytes.
    pub size: u64,
    /// How the blob is compressed, where it shall be unpacked on the way.
    pub unpack: Option<Compression>,
    /// For messages.
    pub shown: &'a Path,
}

/// Copies a blob that must turn out to be what `what` announces. With more than one job it is unpacked on a second thread.
pub fn copy_layer(
    source: &mut dyn Read,
    mut writer: BlobWriter,
    what: &Copy<'_>,
    jobs: usize,
    cancel: &Cancel,
    read: &dyn Fn(u64),
) -> Result<CopiedLayer> {
    let compression = match what.unpack {
        Some(compression) if compression != Compression::None && jobs > 1 => compression,
        other => {
            copy(source, &mut writer, what, cancel, read, &mut |_| {})?;
            let staged = writer.finish_as(what.digest, what.size)?;
            let plain = other.map(|compression| measure(&staged.open()?, compression, cancel)).transpose()?;
            return Ok(CopiedLayer { staged, plain });
        }
    };
    let (filled, pieces) = sync_channel::<Vec<u8>>(PIECES);
    let (recycle, free) = channel::<Vec<u8>>();
    let (copied, plain) = std::thread::scope(|scope| {
        let unpack = move || unpack(compression, Pieces::new(pieces, recycle), what.size, cancel);
        let unpacking = std::thread::Builder::new().name("unpack".into()).spawn_scoped(scope, unpack);
        let unpacking = match unpacking.map_err(Error::io("start a thread for", what.shown)) {
            Ok(unpacking) => unpacking,
            Err(error) => return (Err(error), Ok(Err(io::Error::other("the decoder did not start")))),
        };
        let mut tee = |piece: &[u8]| give(piece, &filled, &free);
        let copied = copy(source, &mut writer, what, cancel, read, &mut tee);
        drop(filled);
        (copied, unpacking.join())
    });
    copied?;
    // A wrong digest is the better explanation for content that does not unpack.
    let staged = writer.finish_as(what.digest, what.size)?;
    let plain = plain.unwrap_or_else(|_| Err(io::Error::other("the decoder panicked")));
    let plain = plain.map_err(|e| undecodable(what.digest, e))?;
    Ok(CopiedLayer { staged, plain: Some(plain) })
}

/// Unpacks a stored blob: what it is plain. The blob's own digest is checked as well.
pub fn measure(blob: &Blob, compression: Compression, cancel: &Cancel) -> Result<Plain> {
    unpack(compression, blob.verified(), blob.size(), cancel).map_err(|e| undecodable(blob.digest(), e))
}

/// The same by the blob's seek table, on several threads, which checks that every frame has the bounds that stand there: such a table
/// shows what any decoder does. `None` where there is no table, or where that is not so.
pub fn measure_frames(blob: &Blob, cancel: &Cancel) -> Result<Option<Plain>> {
    let failed = || Error::io("read", format!("blob {}", blob.digest()));
    let Some(frames) = read_table(blob).map_err(failed())? else { return Ok(None) };
    let all: u64 = frames.iter().map(|frame| frame.plain as u64).sum();
    if all > Limits::default().of(blob.size()) {
        return Ok(None);
    }
    let mut plain = ParallelDecoder::new(blob, frames, JOBS);
    let (mut passing, mut buffer) = (Passing::new(), vec![0; 256 << 10]);
    loop {
        cancel.check()?;
        match plain.read(&mut buffer) {
            Ok(0) => return Ok(Some(passing.finish())),
            Ok(count) => passing.update(&buffer[..count]),
            Err(error) if error.raw_os_error().is_some() => return Err(failed()(error)),
            Err(_) => return Ok(None),
        }
    }
}

fn undecodable(digest: Digest, error: io::Error) -> Error {
    from_io(error, |e| match e.kind() {
        io::ErrorKind::Interrupted => Error::Interrupted,
        // What the operating system says is about the disk, not about the content.
        _ if e.raw_os_error().is_some() => Error::io("read", format!("blob {digest}"))(e),
        _ => Error::damaged(format!("blob {digest}"), format!("does not unpack: {e}")),
    })
}

fn unpack(
    compression: Compression,
    source: impl Read + Send,
    size: u64,
    cancel: &Cancel,
) -> io::Result<Plain> {
    let mut plain = decoder(compression, source, size, Limits::default())?;
    let mut passing = Passing::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        if cancel.is_raised() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Error::Interrupted));
        }
        match plain.read(&mut buffer)? {
            0 => return Ok(passing.finish()),
            count => passing.update(&buffer[..count]),
        }
    }
}

fn copy(
    source: &mut dyn Read,
    writer: &mut BlobWriter,
    what: &Copy<'_>,
    cancel: &Cancel,
    read: &dyn Fn(u64),
    tee: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        cancel.check()?;
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The other side: a failure here is none of the store.
            Err(error) => return Err(from_io(error, Error::io("read", "the archive"))),
        };
        writer.write_all(&buffer[..count]).map_err(Error::io("write", what.shown))?;
        read(count as u64);
        tee(&buffer[..count]);
    }
}

/// Hands a copy of the piece to the other thread; if that one has given up, the copying goes on without it.
fn give(piece: &[u8], filled: &SyncSender<Vec<u8>>, free: &Receiver<Vec<u8>>) {
    let mut buffer = free.try_recv().unwrap_or_default();
    buffer.clear();
    buffer.extend_from_slice(piece);
    let _ = filled.send(buffer);
}

/// Reads the pieces that the copying thread hands over.
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    recycle: std::sync::mpsc::Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
}

impl Pieces {
    fn new(pieces: Receiver<Vec<u8>>, recycle: std::sync::mpsc::Sender<Vec<u8>>) -> Pieces {
        Pieces { pieces, recycle, current: Vec::new(), position: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            let Ok(next) = self.pieces.recv() else { return Ok(0) };
            let _ = self.recycle.send(std::mem::replace(&mut self.current, next));
            self.position = 0;
        }
        let count = buffer.len().min(self.current.len() - self.position);
        buffer[..count].copy_from_slice(&self.current[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}
