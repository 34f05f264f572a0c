//! An archive that passes once: a pipe, or a compressed file.
//!
//! What a member is, only documents at the end tell. Small members are kept in memory; large ones go into the
//! ingest as they pass: plain ones compressed (most are a docker-archive's layers), compressed ones as they are.
//! Where that guess was wrong, the blob is unpacked again from our own copy, and so is a document for which there
//! was no room in memory. A member whose name says that it is something that the store has is passed over.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use super::contents::{Contents, Part, source};
use super::options::Existing;
use super::room::Room;
use super::seekable::{add, check_document, follow};
use super::tar::{Kind, Member, Members, Source};
use crate::blob::{Blob, Staged, from_io};
use crate::cancel::Cancel;
use crate::codec::{EncodedLayer, Encoder, Encoding, Limits, decoder};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::json::MAX_DOCUMENT;
use crate::layers::{LayerCache, LayerFacts};
use crate::media_type::Compression;
use crate::store::Store;
use crate::transaction::Transaction;

/// Members up to this size stay in memory, as long as there is room.
const SMALL: u64 = 1 << 20;
/// Bytes of members in memory.
const ROOM: u64 = 24 << 20;

/// An archive that has passed.
pub struct StreamedArchive<'s> {
    store: &'s Store,
    members: HashMap<String, Member>,
    objects: HashMap<String, Object>,
    /// How those that were plain are compressed.
    encoding: Compression,
    /// Bytes that the members that are written were announced with.
    announced: u64,
    /// Bytes of them that may come before room is made again.
    granted: u64,
}

enum Object {
    Small(Vec<u8>),
    Encoded(EncodedLayer),
    Copied(Staged),
    Known(LayerFacts),
    Present(Digest),
}

/// How large members are taken in.
pub struct Intake<'a> {
    /// For plain ones.
    pub encoding: Encoding,
    /// Threads that compress.
    pub jobs: usize,
    /// Asks to stop.
    pub cancel: &'a Cancel,
    /// What the store knows of layers.
    pub layers: &'a LayerCache,
    /// Whether members that the store has are passed over unseen.
    pub existing: Existing,
    /// Room for them.
    pub room: &'a Room<'a>,
    /// Told of bytes that passed.
    pub read: &'a dyn Fn(u64),
}

impl<'s> StreamedArchive<'s> {
    /// Takes in the whole stream.
    pub fn read(
        stream: &mut dyn Read,
        path: &Path,
        tx: &mut Transaction<'s>,
        intake: &Intake<'_>,
    ) -> Result<StreamedArchive<'s>> {
        let store = tx.store();
        let (members, objects) = Default::default();
        let mut archive = StreamedArchive {
            store,
            members,
            objects,
            encoding: intake.encoding.compression,
            announced: 0,
            granted: 0,
        };
        let mut headers = Members::new(Forward { stream, path });
        let shown = tx.store().path().to_path_buf();
        let mut encoder = Encoder::new(intake.encoding, intake.jobs, intake.cancel.clone(), shown)?;
        let mut encoding = Vec::new();
        let mut room = ROOM;
        while let Some(member) = headers.next_member()? {
            intake.cancel.check()?;
            add(&mut archive.members, member.clone())?;
            if member.kind != Kind::File {
                continue;
            }
            let at = member.path.clone();
            let mut content = Content { headers: &mut headers, member, done: 0 };
            match archive.take_in(&mut content, tx, intake, &mut room, &mut encoder) {
                Ok(Some(object)) => drop(archive.objects.insert(at, object)),
                Ok(None) => encoding.push(at),
                Err(error) => return Err(error.within(format!("entry {at:?}"))),
            }
        }
        for (path, layer) in encoding.into_iter().zip(encoder.finish()?) {
            archive.objects.insert(path, Object::Encoded(layer));
        }
        if archive.announced > 0 {
            intake.room.end()?;
            intake.room.keep_up()?;
        }
        Ok(archive)
    }

    /// Takes in one member; `None` where the encoder has it.
    fn take_in(
        &mut self,
        content: &mut Content<'_, '_>,
        tx: &mut Transaction<'_>,
        intake: &Intake<'_>,
        room: &mut u64,
        encoder: &mut Encoder,
    ) -> Result<Option<Object>> {
        let size = content.member.size;
        let mut head = Vec::new();
        let take_head = |content: &mut Content<'_, '_>, head: &mut Vec<u8>, limit| {
            content
                .by_ref()
                .take(limit)
                .read_to_end(head)
                .map_err(|e| from_io(e, Error::io("read", "the archive")))
        };
        take_head(content, &mut head, 4096)?;
        let looks_like_json =
            head.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte));
        if size <= *room && (size <= SMALL || (looks_like_json && size <= MAX_DOCUMENT)) {
            take_head(content, &mut head, size)?;
            *room -= size;
            (intake.read)(size);
            return Ok(Some(Object::Small(head)));
        }
        if let Some(known) = known(&content.member.path, size, tx, intake)? {
            return Ok(Some(known));
        }
        self.announce(size, intake)?;
        let compression = Compression::sniff(&head);
        let whole = io::Cursor::new(head).chain(content);
        let mut whole = Arriving { source: whole, room: intake.room, granted: &mut self.granted };
        let writer = tx.writer()?;
        if compression == Compression::None {
            encoder.layer(&mut whole, writer, intake.read)?;
            return Ok(None);
        }
        copy_unnamed(&mut whole, writer, tx.store().path(), intake).map(|staged| Some(Object::Copied(staged)))
    }

    /// Refuses a member as soon as it says that it, or all until now, cannot fit. For what is only said, nothing goes.
    fn announce(&mut self, size: u64, intake: &Intake<'_>) -> Result<()> {
        self.announced = self.announced.saturating_add(size);
        intake.room.check(self.announced.saturating_sub(intake.room.written()?))
    }

    /// What is known of a member that has passed, read back.
    fn read_back(&self, object: &Object) -> Result<Option<Box<dyn Read + Send>>> {
        let plain = |blob: Blob, compression| -> Result<Box<dyn Read + Send>> {
            let (digest, size) = (blob.digest(), blob.size());
            decoder(compression, blob.verified(), size, Limits::default())
                .map_err(|e| from_io(e, Error::io("read", format!("blob {digest}"))))
        };
        Ok(match object {
            Object::Small(bytes) => Some(Box::new(io::Cursor::new(bytes.clone()))),
            Object::Encoded(layer) => {
                let blob = staged_or_stored(self.store, &layer.staged)?;
                Some(plain(blob, self.encoding)?)
            }
            Object::Copied(staged) => Some(Box::new(staged_or_stored(self.store, staged)?.verified())),
            Object::Known(facts) => match self.store.blobs().open(&facts.blob)? {
                Some(blob) => Some(plain(blob, facts.compression)?),
                None => None,
            },
            Object::Present(digest) => match self.store.blobs().open(digest)? {
                Some(blob) => Some(Box::new(blob.verified())),
                None => None,
            },
        })
    }
}

/// Opens what was taken in, wherever it is by now.
pub(super) fn staged_or_stored(store: &Store, staged: &Staged) -> Result<Blob> {
    if let Some(blob) = staged.open_unpublished()? {
        return Ok(blob);
    }
    let stored = store.blobs().open(&staged.digest())?;
    stored.ok_or_else(|| Error::damaged(format!("blob {}", staged.digest()), "is missing"))
}

/// Whether the member's name says that it is something that the store has, leased from now on.
fn known(path: &str, size: u64, tx: &mut Transaction<'_>, intake: &Intake<'_>) -> Result<Option<Object>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(digest) = Digest::from_hex(name.split('.').next().unwrap_or(name)) else { return Ok(None) };
    // What may be a document will be read, and must be had from the archive where the store's is damaged.
    let is_good = |tx: &Transaction<'_>, digest: &Digest| match intake.existing {
        Existing::Trusted if size > MAX_DOCUMENT => Ok(true),
        _ => tx.store().is_whole(digest),
    };
    if let Some(facts) = intake.layers.by_diff_id(&DiffId(digest)).filter(|facts| facts.plain_size == size)
        && tx.reuse(&[(facts.blob, facts.size)])?.contains(&facts.blob)
        && is_good(tx, &facts.blob)?
    {
        return Ok(Some(Object::Known(facts)));
    }
    let is_present = path.starts_with("blobs/sha256/")
        && tx.reuse(&[(digest, size)])?.contains(&digest)
        && is_good(tx, &digest)?;
    Ok(is_present.then_some(Object::Present(digest)))
}

/// Copies a compressed member whose digest nobody has told yet. What it unpacks to is found where somebody asks: it may
/// be no layer at all, and only begin like one.
fn copy_unnamed(
    source: &mut dyn Read,
    mut writer: crate::blob::BlobWriter,
    shown: &Path,
    intake: &Intake<'_>,
) -> Result<Staged> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        intake.cancel.check()?;
        let count = source.read(&mut buffer).map_err(|e| from_io(e, Error::io("read", "the archive")))?;
        if count == 0 {
            break;
        }
        io::Write::write_all(&mut writer, &buffer[..count]).map_err(Error::io("write", shown))?;
        (intake.read)(count as u64);
    }
    writer.finish()
}

impl Contents for StreamedArchive<'_> {
    fn file(&self, path: &str) -> Result<Option<u64>> {
        let member = self.members.get(path).filter(|member| member.kind == Kind::File);
        Ok(member.map(|member| member.size))
    }

    fn follow(&self, path: &str) -> Result<Option<String>> {
        Ok(follow(&self.members, path))
    }

    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(member) = self.members.get(path) else { return Ok(None) };
        check_document(member)?;
        let back = self.objects.get(path).map(|object| self.read_back(object)).transpose()?.flatten();
        let source =
            back.ok_or_else(|| Error::damaged(format!("entry {path:?}"), "was passed over and is gone"))?;
        let mut bytes = Vec::with_capacity(member.size as usize);
        let read = source.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(|e| from_io(e, Error::io("read", self.store.path().join("blobs"))))?;
        if bytes.len() as u64 != member.size {
            let why = format!("has {} bytes where its header says {}", bytes.len(), member.size);
            return Err(Error::damaged(format!("entry {path:?}"), why));
        }
        Ok(Some(bytes))
    }

    fn take(&mut self, path: &str) -> Result<Part> {
        match self.objects.get(path) {
            Some(Object::Small(bytes)) => Ok(source(bytes.clone())),
            Some(Object::Encoded(layer)) => Ok(Part::Encoded(layer.clone())),
            Some(Object::Copied(staged)) => Ok(Part::Copied(staged.clone())),
            Some(Object::Known(facts)) => Ok(Part::Known(*facts)),
            Some(Object::Present(_)) => Ok(Part::Present),
            None => Err(Error::damaged(format!("entry {path:?}"), "is missing")),
        }
    }
}

struct Forward<'a> {
    stream: &'a mut dyn Read,
    path: &'a Path,
}

impl Source for Forward<'_> {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io(error, Error::io("read", self.path))),
            }
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> Result<bool> {
        let mut buffer = vec![0; count.min(256 << 10) as usize];
        let mut left = count;
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            let got = self.read_full(&mut buffer[..wanted])?;
            left -= got as u64;
            if got < wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A member's content while it passes.
struct Content<'h, 'a> {
    headers: &'h mut Members<Forward<'a>>,
    member: Member,
    done: u64,
}

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.headers.read(&self.member, self.done, buffer).map_err(crate::blob::into_io)?;
        self.done += count as u64;
        Ok(count)
    }
}

/// Content that is written as it comes: room is made for what has come, and not for what was announced.
struct Arriving<'r, R> {
    source: R,
    room: &'r Room<'r>,
    granted: &'r mut u64,
}

impl<R: Read> Read for Arriving<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if count as u64 > *self.granted {
            *self.granted = self.room.keep_up().map_err(crate::blob::into_io)?;
        }
        *self.granted = self.granted.saturating_sub(count as u64);
        Ok(count)
    }
}
