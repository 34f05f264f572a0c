//! Streaming a planned archive: one thread reads (and unpacks), one writes, one checks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::ScopedJoinHandle;

use super::image::Content;
use super::package::{DIRECTORIES, Member, Package};
use crate::blob::{Blob, VerifyReader, from_io};
use crate::cancel::Cancel;
use crate::codec::layer_decoder;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::fs::start_writeback;
use crate::progress::{Event, Watch};
use crate::store::Store;

const PIECE: usize = 1 << 20;
const PIECES: usize = 6;
/// Between two looks at the cancel flag, and two times at which the disk is set to work.
const COPY_STEP: u64 = 8 << 20;

/// What takes an archive's bytes.
pub enum Sink<'a> {
    /// A file, into which the kernel can copy from another one.
    File(&'a File),
    /// Anything else.
    Stream(&'a mut dyn Write),
}

/// Where an archive goes.
pub struct Output<'a, 's> {
    /// Takes the bytes.
    pub out: Sink<'s>,
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
pub fn write(store: &Store, package: &Package, output: &mut Output<'_, '_>) -> Result<()> {
    (output.watch)(Event::Total(package.members.iter().map(|member| member.size).sum()));
    for directory in DIRECTORIES {
        output.put(header(directory, 0, tar::EntryType::Directory).as_bytes())?;
    }
    // Raised where the writing fails: nobody waits for checks then.
    let stop = Cancel::new();
    std::thread::scope(|scope| {
        let mut checks = VecDeque::new();
        let written = package.members.iter().try_for_each(|member| {
            if !member.path.starts_with("blobs/") {
                checks.drain(..).try_for_each(checked)?;
            }
            output.put(header(&member.path, member.size, tar::EntryType::Regular).as_bytes())?;
            let stored = match &member.content {
                Content::Bytes(bytes) => {
                    output.put(bytes)?;
                    (output.watch)(Event::Done(member.size));
                    None
                }
                Content::Plain(facts) => {
                    let blob = open(store, &facts.blob, member)?;
                    let plain = layer_decoder(&blob, facts, output.jobs);
                    let plain = plain.map_err(Error::io("unpack", output.shown))?;
                    // Its name in the archive is the diff ID: that is what is checked.
                    output.pump(plain, facts.diff_id.0, member.size)?;
                    None
                }
                Content::Blob(digest) => Some(open(store, digest, member)?),
                Content::Open(blob) => Some(blob.clone()),
            };
            if let Some(blob) = stored {
                let started = || {
                    let (blob, stop) = (blob.clone(), &stop);
                    checks.push_back(scope.spawn(move || check(&blob, stop)));
                };
                if !output.copy(&blob, started)? {
                    output.pump(blob.reader(), blob.digest(), member.size)?;
                }
                if checks.len() > output.jobs {
                    checks.pop_front().map_or(Ok(()), checked)?;
                }
            }
            let padding = member.size.next_multiple_of(512) - member.size;
            output.put(&[0; 512][..padding as usize])
        });
        // What ends with a blob is not ended before that is known to be good.
        let written = written.and_then(|()| checks.drain(..).try_for_each(checked));
        if written.is_err() {
            stop.raise();
        }
        written
    })?;
    output.put(&[0; 1024])?;
    match &mut output.out {
        Sink::File(_) => Ok(()),
        Sink::Stream(out) => out.flush().map_err(Error::io("write", output.shown)),
    }
}

/// Waits for a check.
fn checked(check: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    check.join().unwrap_or_else(|_| Err(Error::invalid("a blob", "its check panicked")))
}

fn open(store: &Store, digest: &Digest, member: &Member) -> Result<Blob> {
    let damaged = |why: &str| Error::damaged(format!("blob {digest}"), why);
    let blob = store.blobs().open(digest)?.ok_or_else(|| damaged("is missing"))?;
    if matches!(member.content, Content::Blob(_)) && blob.size() != member.size {
        return Err(damaged("has another size than its manifest says"));
    }
    Ok(blob)
}

/// Nobody's, of no time: the same members always give the same bytes.
pub(crate) fn header(path: &str, size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let name = &mut header.as_old_mut().name;
    debug_assert!(path.len() < name.len(), "our own paths are short");
    let length = path.len().min(name.len());
    name[..length].copy_from_slice(&path.as_bytes()[..length]);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

impl Output<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.out {
            Sink::File(file) => file.write_all(bytes),
            Sink::Stream(out) => out.write_all(bytes),
        };
        written.map_err(|e| from_io(e, Error::io("write", self.shown)))
    }

    /// Copies a blob inside the kernel, unchecked; `false` where that cannot be done, and nothing was written.
    /// `started` is called as soon as it is clear that it can be done.
    fn copy(&mut self, blob: &Blob, started: impl FnOnce()) -> Result<bool> {
        let Sink::File(file) = &self.out else { return Ok(false) };
        if self.jobs <= 1 || blob.size() < PIECE as u64 {
            return Ok(false);
        }
        let (mut done, mut started) = (0, Some(started));
        while done < blob.size() {
            self.cancel.check()?;
            match blob.copy_range(file, done, COPY_STEP).map_err(Error::io("write", self.shown))? {
                None if done == 0 => return Ok(false),
                Some(count) if count > 0 => {
                    done += count;
                    start_writeback(file, count);
                    (self.watch)(Event::Done(count));
                }
                _ => {
                    return Err(Error::damaged(
                        format!("blob {}", blob.digest()),
                        "became shorter while it was read",
                    ));
                }
            }
            if let Some(started) = started.take() {
                started();
            }
        }
        Ok(true)
    }

    /// Writes all that can be read, which must turn out to be what the digest says. The end of it is reported only
    /// after the check; bytes over the announced size are never written.
    fn pump(&mut self, source: impl Read + Send, digest: Digest, size: u64) -> Result<()> {
        if self.jobs <= 1 {
            let mut source = VerifyReader::new(source, digest, size);
            let mut piece = vec![0; PIECE];
            loop {
                let count = source.read(&mut piece).map_err(|e| read_error(digest, e))?;
                if count == 0 {
                    return Ok(());
                }
                self.piece(&piece[..count])?;
            }
        }
        std::thread::scope(|scope| {
            let (filled, pieces) = sync_channel(PIECES);
            let (recycle, free) = channel();
            let (checked, to_check) = sync_channel::<Arc<Vec<u8>>>(PIECES);
            scope.spawn(move || read_pieces(source, &filled, &free));
            let back = recycle.clone();
            let checking = scope.spawn(move || {
                let mut hasher = Hasher::new();
                for piece in to_check {
                    hasher.update(&piece);
                    give_back(piece, &back);
                }
                (hasher.size(), hasher.finish())
            });
            let (mut left, mut behind) = (size, 0);
            for piece in pieces {
                let piece = Arc::new(piece.map_err(|e| read_error(digest, e))?);
                left = left.checked_sub(piece.len() as u64).ok_or_else(|| too_long(digest, size))?;
                let _ = checked.send(Arc::clone(&piece));
                self.piece(&piece)?;
                behind += piece.len() as u64;
                if let Sink::File(file) = &self.out
                    && behind >= COPY_STEP
                {
                    start_writeback(file, std::mem::take(&mut behind));
                }
                give_back(piece, &recycle);
            }
            drop(checked);
            match checking.join() {
                Ok(got) if got == (size, digest) => Ok(()),
                Ok((got, _)) if got != size => Err(Error::damaged(
                    format!("blob {digest}"),
                    format!("has {got} bytes where {size} were announced"),
                )),
                Ok((_, got)) => {
                    Err(Error::damaged(format!("blob {digest}"), format!("digest mismatch: got {got}")))
                }
                Err(_) => Err(Error::invalid(format!("blob {digest}"), "its check panicked")),
            }
        })
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.cancel.check()?;
        self.put(bytes)?;
        (self.watch)(Event::Done(bytes.len() as u64));
        Ok(())
    }
}

/// Reads a blob to its end for its digest alone, in pieces that stay in the processor's cache.
fn check(blob: &Blob, stop: &Cancel) -> Result<()> {
    let mut source = blob.verified();
    let mut piece = vec![0; 128 << 10];
    while source.read(&mut piece).map_err(|e| read_error(blob.digest(), e))? > 0 {
        stop.check()?;
    }
    Ok(())
}

fn read_error(digest: Digest, error: io::Error) -> Error {
    from_io(error, |e| match e.raw_os_error() {
        // What the operating system says is about the disk, not about the content.
        Some(_) => Error::io("read", format!("blob {digest}"))(e),
        None => Error::damaged(format!("blob {digest}"), format!("cannot be read: {e}")),
    })
}

fn too_long(digest: Digest, size: u64) -> Error {
    Error::damaged(format!("blob {digest}"), format!("has more than the {size} bytes that were announced"))
}

/// Sends the content piece by piece; it ends early where nobody wants it any more.
fn read_pieces(mut source: impl Read, filled: &SyncSender<io::Result<Vec<u8>>>, free: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = free.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let read = read_piece(&mut source, &mut piece).map(|count| {
            piece.truncate(count);
            piece
        });
        let is_last = read.as_ref().map_or(true, Vec::is_empty);
        let is_end = read.as_ref().is_ok_and(Vec::is_empty);
        if is_end || filled.send(read).is_err() || is_last {
            return;
        }
    }
}

/// The last one to need a piece puts it back.
fn give_back(piece: Arc<Vec<u8>>, recycle: &Sender<Vec<u8>>) {
    if let Some(piece) = Arc::into_inner(piece) {
        let _ = recycle.send(piece);
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
