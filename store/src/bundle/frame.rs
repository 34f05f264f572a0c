//! Reading a bundle's tar: what must be there is made, and compared with what is there.
//!
//! The tar of a bundle (of a part of one) is: two directories, the manifest, its signature if there is one, in parts the number of the
//! part, the members, and the end. Every byte beside content is what the one writer writes, or the bundle is refused.

use super::manifest::Manifest;
use super::member::Member;
use super::{MANIFEST, MAX_MANIFEST, MAX_SIGNATURE, PART, SIGNATURE};
use crate::archive::package::DIRECTORIES;
use crate::archive::tar::{BLOCK, Source};
use crate::archive::write::header;
use crate::digest::Hasher;
use crate::error::{Error, Result};

type Block = [u8; BLOCK as usize];

/// A bundle, or a part of one, that is read from its beginning.
pub struct Frames<S> {
    source: S,
    position: u64,
    /// A header that was read already, because it may have been the signature's.
    ahead: Option<Block>,
}

/// What stands at the beginning; nobody has checked it yet but for its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The bytes of the manifest.
    pub manifest: Vec<u8>,
    /// The bytes of its signature.
    pub signature: Option<Vec<u8>>,
}

impl<S: Source> Frames<S> {
    /// Starts at the beginning.
    pub fn new(source: S) -> Frames<S> {
        Frames { source, position: 0, ahead: None }
    }

    /// Where the next header is, bytes from the beginning.
    pub fn position(&self) -> u64 {
        self.position - if self.ahead.is_some() { BLOCK } else { 0 }
    }

    /// What it reads.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Reads manifest and signature; `None` where there is nothing at all.
    pub fn opening(&mut self) -> Result<Option<Opening>> {
        for directory in DIRECTORIES {
            let expected = *header(directory, 0, tar::EntryType::Directory).as_bytes();
            let Some(block) = self.block()? else {
                return if self.position == 0 { Ok(None) } else { Err(cut()) };
            };
            if block != expected {
                return Err(Error::invalid("the file", "is no bundle of larder's"));
            }
        }
        let manifest = self.text(MANIFEST, MAX_MANIFEST)?;
        let manifest = manifest.ok_or_else(|| Error::invalid("the file", "is no bundle of larder's"))?;
        let signature = self.text(SIGNATURE, MAX_SIGNATURE)?;
        Ok(Some(Opening { manifest, signature }))
    }

    /// Reads which part it is; the first one has the number 0.
    pub fn part(&mut self, manifest: &Manifest) -> Result<usize> {
        if manifest.parts.len() == 1 {
            return Ok(0);
        }
        let text = self.text(PART, 64)?.ok_or_else(|| unexpected(PART))?;
        let number =
            std::str::from_utf8(&text).ok().and_then(|text| text.split(' ').next()?.parse::<usize>().ok());
        let number = number.and_then(|number| number.checked_sub(1));
        let number =
            number.filter(|number| *number < manifest.parts.len() && manifest.part_text(*number) == text);
        number.ok_or_else(|| unexpected(PART))
    }

    /// Goes to a member's content, which is read with [`Frames::content`] or passed over with [`Frames::skip`] then.
    pub fn member(&mut self, member: &Member) -> Result<()> {
        let block = self.next_block()?;
        if block != *header(&member.path, member.size, tar::EntryType::Regular).as_bytes() {
            return Err(unexpected(&member.path));
        }
        Ok(())
    }

    /// Gives a member's content to `take`, piece by piece, and reads the padding behind it. What it is has to be checked by who takes it.
    pub fn content(
        &mut self,
        size: u64,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.content_from(size, 0, buffer, take)
    }

    /// Like [`Frames::content`], from a place in it on: what stands before is passed over.
    pub fn content_from(
        &mut self,
        size: u64,
        from: u64,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let from = from.min(size);
        self.position = self.position.saturating_add(from);
        if !self.source.skip(from)? {
            return Err(cut());
        }
        let mut left = size - from;
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            self.fill(&mut buffer[..wanted])?;
            take(&buffer[..wanted])?;
            left -= wanted as u64;
        }
        self.padding(size)
    }

    /// Reads a member's content for its digest alone.
    pub fn check(&mut self, member: &Member, buffer: &mut [u8]) -> Result<()> {
        let mut hasher = Hasher::new();
        self.content(member.size, buffer, &mut |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        verify(member, hasher)
    }

    /// Passes over a member's content.
    pub fn skip(&mut self, size: u64) -> Result<()> {
        self.position = self.position.saturating_add(size);
        if !self.source.skip(size)? {
            return Err(cut());
        }
        self.padding(size)
    }

    /// Reads the mark of the end.
    pub fn end(&mut self) -> Result<()> {
        for _ in 0..2 {
            if self.next_block()? != [0; BLOCK as usize] {
                return Err(Error::damaged("the bundle", "goes on behind its last member"));
            }
        }
        Ok(())
    }

    /// Whether nothing stands behind the end.
    pub fn is_over(&mut self) -> Result<bool> {
        self.ahead = self.block()?;
        Ok(self.ahead.is_none())
    }

    /// The same source at its next bundle, which begins where this one has ended.
    pub fn again(self) -> Frames<S> {
        Frames { source: self.source, position: 0, ahead: self.ahead }
    }

    /// A small file, if it is the next member.
    fn text(&mut self, path: &str, cap: u64) -> Result<Option<Vec<u8>>> {
        let block = self.next_block()?;
        // Only the size is taken from it; all of it must be what it would be made of then.
        let size = tar::Header::from_byte_slice(&block).entry_size().unwrap_or(u64::MAX);
        let is_it = size <= cap && block == *header(path, size, tar::EntryType::Regular).as_bytes();
        if !is_it {
            self.ahead = Some(block);
            return Ok(None);
        }
        let mut text = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        self.content(size, &mut buffer, &mut |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(Some(text))
    }

    fn padding(&mut self, size: u64) -> Result<()> {
        let count = (size.next_multiple_of(BLOCK) - size) as usize;
        let mut padding = [0; BLOCK as usize];
        self.fill(&mut padding[..count])?;
        match padding.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Error::damaged("the bundle", "has something between its members")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let count = self.source.read_full(buffer)?;
        self.position += count as u64;
        if count < buffer.len() { Err(cut()) } else { Ok(()) }
    }

    fn next_block(&mut self) -> Result<Block> {
        match self.ahead.take() {
            Some(block) => Ok(block),
            None => self.block()?.ok_or_else(cut),
        }
    }

    /// The next block, if there is one.
    fn block(&mut self) -> Result<Option<Block>> {
        if let Some(block) = self.ahead.take() {
            return Ok(Some(block));
        }
        let mut block = [0; BLOCK as usize];
        let count = self.source.read_full(&mut block)?;
        self.position += count as u64;
        match count {
            0 => Ok(None),
            count if count < block.len() => Err(cut()),
            _ => Ok(Some(block)),
        }
    }
}

/// Refuses a member whose bytes are others.
pub fn verify(member: &Member, hasher: Hasher) -> Result<()> {
    match hasher.finish() {
        got if got == member.sha256 => Ok(()),
        got => {
            Err(Error::damaged(format!("member {:?}", member.path), format!("digest mismatch: got {got}")))
        }
    }
}

fn cut() -> Error {
    Error::damaged("the bundle", "is cut off")
}

fn unexpected(path: &str) -> Error {
    Error::damaged("the bundle", format!("has something else where {path:?} must be"))
}
