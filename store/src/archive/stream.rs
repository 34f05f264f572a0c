//! An archive that passes once: a pipe, or a compressed file.
//!
//! What a member is, only documents at the end tell. Small members are kept in memory; large ones go into the
//! ingest as they pass: plain ones compressed (most are a docker-archive's layers), compressed ones as they are.
//! Where that guess was wrong, the blob is unpacked again from our own copy. A member whose name says that it is
//! something that the store has is passed over.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use super::contents::{Contents, Part, source};
use super::options::Existing;
use super::seekable::{add, follow};
use super::tar::{Kind, Member, Members, Source};
use crate::blob::Blob;
use crate::cancel::Cancel;
use crate::codec::{CopiedLayer, EncodedLayer, Encoder, Encoding};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::json::MAX_DOCUMENT;
use crate::layers::{LayerCache, LayerFacts};
use crate::media_type::Compression;
use crate::transaction::Transaction;

/// Members up to this size stay in memory, as long as there is room.
const SMALL: u64 = 1 << 20;
/// Bytes of members in memory.
const ROOM: u64 = 24 << 20;

/// An archive that has passed.
pub struct StreamedArchive {
    members: HashMap<String, Member>,
    objects: HashMap<String, Object>,
}

enum Object {
    Small(Vec<u8>),
    Encoded(Option<EncodedLayer>, Blob),
    Copied(Option<CopiedLayer>, Blob),
    Known(LayerFacts),
    Present,
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
    /// Told of bytes that passed.
    pub read: &'a dyn Fn(u64),
}

impl StreamedArchive {
    /// Takes in the whole stream.
    pub fn read(
        stream: &mut dyn Read,
        path: &Path,
        tx: &mut Transaction<'_>,
        intake: &Intake<'_>,
    ) -> Result<StreamedArchive> {
        let mut archive = StreamedArchive { members: HashMap::new(), objects: HashMap::new() };
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
            let blob = layer.staged.open()?;
            archive.objects.insert(path, Object::Encoded(Some(layer), blob));
        }
        Ok(archive)
    }

    /// Takes in one member; `None` where the encoder has it.
    fn take_in(
        &self,
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
                .map_err(|e| crate::blob::from_io(e, Error::io("read", "the archive")))
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
        let free = tx.store().free_space()?;
        if size > free {
            return Err(Error::NoSpace { path: tx.store().path().to_path_buf(), needed: size, free });
        }
        let compression = Compression::sniff(&head);
        let mut whole = io::Cursor::new(head).chain(content);
        let writer = tx.writer()?;
        if compression == Compression::None {
            encoder.layer(&mut whole, writer, intake.read)?;
            return Ok(None);
        }
        let copied = copy_unnamed(&mut whole, writer, compression, tx.store().path(), intake)?;
        let blob = copied.staged.open()?;
        Ok(Some(Object::Copied(Some(copied), blob)))
    }
}

/// Whether the member's name says that it is something that the store has, leased from now on.
fn known(path: &str, size: u64, tx: &mut Transaction<'_>, intake: &Intake<'_>) -> Result<Option<Object>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(digest) = Digest::from_hex(name.split('.').next().unwrap_or(name)) else { return Ok(None) };
    let is_good = |tx: &Transaction<'_>, digest: &Digest| match intake.existing {
        Existing::Trusted => Ok(true),
        Existing::Verified => tx.store().is_whole(digest),
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
    Ok(is_present.then_some(Object::Present))
}

/// Copies a compressed member whose digest nobody has told yet.
fn copy_unnamed(
    source: &mut dyn Read,
    mut writer: crate::blob::BlobWriter,
    compression: Compression,
    shown: &Path,
    intake: &Intake<'_>,
) -> Result<CopiedLayer> {
    // Copied first and unpacked from the copy: its digest is only known at the end.
    let mut buffer = vec![0; 1 << 20];
    loop {
        intake.cancel.check()?;
        let count = source
            .read(&mut buffer)
            .map_err(|e| crate::blob::from_io(e, Error::io("read", "the archive")))?;
        if count == 0 {
            break;
        }
        io::Write::write_all(&mut writer, &buffer[..count]).map_err(Error::io("write", shown))?;
        (intake.read)(count as u64);
    }
    let staged = writer.finish()?;
    let plain = crate::codec::measure(&staged.open()?, compression, intake.cancel)?;
    Ok(CopiedLayer { staged, plain: Some(plain) })
}

impl Contents for StreamedArchive {
    fn file(&self, path: &str) -> Option<u64> {
        self.members.get(path).filter(|member| member.kind == Kind::File).map(|member| member.size)
    }

    fn follow(&self, path: &str) -> Option<String> {
        follow(&self.members, path)
    }

    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match (self.members.get(path), self.objects.get(path)) {
            (None, _) => Ok(None),
            (Some(_), Some(Object::Small(bytes))) => Ok(Some(bytes.clone())),
            (Some(member), _) if member.kind != Kind::File => {
                Err(Error::invalid(format!("entry {path:?}"), "is a link, not a file"))
            }
            (Some(_), _) => {
                Err(Error::invalid(format!("entry {path:?}"), "is too large for a document, or is none"))
            }
        }
    }

    fn take(&mut self, path: &str) -> Result<Part> {
        match self.objects.get_mut(path) {
            Some(Object::Small(bytes)) => Ok(source(bytes.clone())),
            Some(Object::Encoded(layer, blob)) => Ok(Part::Encoded(layer.take(), blob.clone())),
            Some(Object::Copied(layer, blob)) => Ok(Part::Copied(layer.take(), blob.clone())),
            Some(Object::Known(facts)) => Ok(Part::Known(*facts)),
            Some(Object::Present) => Ok(Part::Present),
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
                Err(error) => return Err(crate::blob::from_io(error, Error::io("read", self.path))),
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
