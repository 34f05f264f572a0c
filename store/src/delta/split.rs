//! A layer as a row of pieces: headers, and the chunks of what is in members.
//!
//! A cut is at both ends of every member's content, so that a new time in a header leaves the content as it was. What
//! is no tar, or ends being one, is content without a name: that is never an error, only less to go by.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::chunk::Cutter;
use crate::archive::tar::BLOCK;
use crate::archive::tar::extended::{Extended, pax, set};
use crate::archive::tar::header::{parse, ustar_size};
use crate::digest::Digest;

/// Headers of one member that are taken together; those of a member with more are not looked at.
const MAX_HEAD: usize = 16 << 10;

/// What is known of a member by its name, as sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    /// Of its path.
    pub(super) path: u64,
    /// Of its path with every number alike: a library's next version is likely to have it.
    pub(super) alike: u64,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The headers of a member, with the bytes of content behind them (padded).
    Head(Name, u64),
    /// Of the content of the member whose head came last.
    Content,
    /// Of no member.
    Rest,
}

/// A piece.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) part: Part,
    /// Where it begins in the layer.
    pub(super) at: u64,
    pub(super) bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Content { left: u64 },
    Rest,
}

/// Cuts a stream into pieces.
pub(super) struct Splitter<R> {
    source: R,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    position: u64,
    is_over: bool,
    state: State,
    cutter: Cutter,
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(source: R, cutter: Cutter) -> Splitter<R> {
        let size = (4 * cutter.most()).max(256 << 10);
        let state = State::Head;
        Splitter {
            source,
            buffer: vec![0; size],
            begin: 0,
            end: 0,
            position: 0,
            is_over: false,
            state,
            cutter,
        }
    }

    /// The next piece, never an empty one; `None` at the end.
    pub(super) fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        let (part, length) = match self.state {
            State::Head => {
                self.fill(MAX_HEAD)?;
                match head(&self.buffer[self.begin..self.end]) {
                    Some((name, length, content)) => {
                        self.state =
                            if content == 0 { State::Head } else { State::Content { left: content } };
                        (Part::Head(name, content), length)
                    }
                    None => {
                        self.state = State::Rest;
                        (Part::Rest, self.chunk(u64::MAX)?)
                    }
                }
            }
            State::Content { left } => {
                let length = self.chunk(left)?;
                let left = left - length as u64;
                self.state = if left == 0 { State::Head } else { State::Content { left } };
                (Part::Content, length)
            }
            State::Rest => (Part::Rest, self.chunk(u64::MAX)?),
        };
        if length == 0 {
            return Ok(None);
        }
        let bytes = &self.buffer[self.begin..self.begin + length];
        let piece = Piece { part, at: self.position, bytes };
        self.begin += length;
        self.position += length as u64;
        Ok(Some(piece))
    }

    fn chunk(&mut self, left: u64) -> io::Result<usize> {
        self.fill(self.cutter.most())?;
        let there = (self.end - self.begin) as u64;
        Ok(self.cutter.cut(&self.buffer[self.begin..][..there.min(left) as usize]))
    }

    /// Has so many bytes in the buffer, or all that there are.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.end - self.begin >= wanted {
            return Ok(());
        }
        if self.begin + wanted > self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        while self.end - self.begin < wanted && !self.is_over {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_over = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The headers that bytes begin with: the member's name, their length, and the content's. `None` for anything else.
fn head(bytes: &[u8]) -> Option<(Name, usize, u64)> {
    let mut extended = Extended::default();
    let mut at = 0;
    loop {
        let block = bytes.get(at..at + BLOCK as usize)?.try_into().ok()?;
        let header = parse(block, false).ok()?;
        at += BLOCK as usize;
        let size = ustar_size(&header).ok()?;
        let kind = header.entry_type();
        if !is_extended(kind) {
            let content = content(&header, kind, &extended, size);
            let path = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
            return Some((name(&path), at, content.checked_next_multiple_of(BLOCK)?));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_HEAD)?;
        let data = bytes.get(at..at + size)?;
        let plain = || data.strip_suffix(b"\0").unwrap_or(data).to_vec();
        match kind {
            EntryType::XHeader => pax(data, Some(&mut extended)).ok()?,
            EntryType::GNULongName => set(&mut extended.path, plain()).ok()?,
            EntryType::GNULongLink => set(&mut extended.link, plain()).ok()?,
            _ => {}
        }
        at += size.next_multiple_of(BLOCK as usize);
    }
}

fn is_extended(kind: EntryType) -> bool {
    kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
        || kind.is_gnu_longname()
        || kind.is_gnu_longlink()
}

/// Bytes of a member's content.
fn content(header: &Header, kind: EntryType, extended: &Extended, ustar: u64) -> u64 {
    let is_directory = kind == EntryType::Directory || header.path_bytes().ends_with(b"/");
    match kind {
        EntryType::Symlink | EntryType::Link | EntryType::Char | EntryType::Block | EntryType::Fifo => 0,
        _ if is_directory => 0,
        _ => extended.size.unwrap_or(ustar),
    }
}

/// The sums of a path; how it is written at its ends does not count.
pub(super) fn name(path: &[u8]) -> Name {
    let path = path.strip_prefix(b".").filter(|rest| rest.first() == Some(&b'/')).unwrap_or(path);
    let begin = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(begin, |at| at + 1);
    let path = &path[begin..end];
    let mut alike = Vec::with_capacity(path.len());
    for byte in path {
        let byte = if byte.is_ascii_digit() { b'0' } else { *byte };
        if byte != b'0' || alike.last() != Some(&b'0') {
            alike.push(byte);
        }
    }
    Name { path: sum(path), alike: sum(&alike) }
}

fn sum(bytes: &[u8]) -> u64 {
    let digest = Digest::of(bytes);
    digest.bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}
