//! An archive in a file: headers first, content only where it is needed, nothing copied aside.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::consume::Consume;
use super::contents::{Contents, Part};
use super::tar::{Kind, Member, Members, Source};
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::json::MAX_DOCUMENT;

/// Links from one member to the next.
pub(super) const MAX_LINKS: usize = 8;

/// A tar file whose members are known.
#[derive(Debug)]
pub struct SeekableArchive {
    file: Arc<File>,
    path: PathBuf,
    members: HashMap<String, Member>,
}

impl SeekableArchive {
    /// Goes through the headers of a tar file.
    pub fn open(file: File, path: &Path, cancel: &Cancel) -> Result<SeekableArchive> {
        let size = file.metadata().map_err(Error::io("stat", path))?.len();
        let file = Arc::new(file);
        let mut headers = Members::new(Window { file: Arc::clone(&file), path, position: 0, size });
        let mut members = HashMap::new();
        while let Some(member) = headers.next_member()? {
            cancel.check()?;
            add(&mut members, member)?;
        }
        Ok(SeekableArchive { file, path: path.to_path_buf(), members })
    }

    /// A digest of the headers and the documents: what stays of an archive whose layers are consumed.
    pub(super) fn identity(&self) -> Result<Digest> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|member| member.offset);
        let mut text = String::new();
        for member in members {
            text += &format!("{:?} {} {}\n", member.path, member.offset, member.size);
        }
        let mut hasher = Hasher::new();
        hasher.update(text.as_bytes());
        for path in ["manifest.json", "index.json"] {
            hasher.update(&self.document(path)?.unwrap_or_default());
        }
        Ok(hasher.finish())
    }

    /// A digest of a signature, the headers and all content that is never consumed: what is, is bound to it by digests.
    pub(super) fn seal(&self, signature: &[u8], cancel: &Cancel) -> Result<Digest> {
        let mut hasher = Hasher::new();
        hasher.update(Digest::of(signature).hex().as_bytes());
        hasher.update(self.identity()?.hex().as_bytes());
        let mut members: Vec<_> =
            self.members.values().filter(|member| !Consume::takes(member.size)).collect();
        members.sort_by_key(|member| member.offset);
        for member in members {
            cancel.check()?;
            let mut content = Vec::new();
            self.reader(member).read_to_end(&mut content).map_err(Error::io("read", &self.path))?;
            hasher.update(Digest::of(&content).hex().as_bytes());
        }
        Ok(hasher.finish())
    }

    fn reader(&self, member: &Member) -> Range {
        Range { file: Arc::clone(&self.file), position: member.offset, end: member.offset + member.size }
    }

    fn regular(&self, path: &str) -> Option<&Member> {
        self.members.get(path).filter(|member| member.kind == Kind::File)
    }
}

/// Adds a member; two of one name are two meanings, and refused (directories aside).
pub(super) fn add(members: &mut HashMap<String, Member>, member: Member) -> Result<()> {
    if member.kind == Kind::Directory {
        return Ok(());
    }
    match members.entry(member.path.clone()) {
        std::collections::hash_map::Entry::Vacant(free) => {
            free.insert(member);
            Ok(())
        }
        std::collections::hash_map::Entry::Occupied(taken) => {
            Err(Error::invalid(format!("entry {:?}", taken.key()), "is in the archive twice"))
        }
    }
}

/// A document is a file, and no larger than what is read of one.
pub(super) fn check_document(member: &Member) -> Result<()> {
    let refused = |why: String| Err(Error::invalid(format!("entry {:?}", member.path), why));
    if member.kind != Kind::File {
        return refused("is a link, not a file".into());
    }
    if member.size > MAX_DOCUMENT {
        let size = member.size;
        return refused(format!("has {size} bytes, more than the {MAX_DOCUMENT} that a document may have"));
    }
    Ok(())
}

/// Follows links from path to path, a few at most.
pub(super) fn follow(members: &HashMap<String, Member>, path: &str) -> Option<String> {
    let mut at = path;
    for _ in 0..MAX_LINKS {
        match &members.get(at)?.kind {
            Kind::File => return Some(at.to_owned()),
            Kind::Link(target) => at = target,
            Kind::Directory => return None,
        }
    }
    None
}

impl Contents for SeekableArchive {
    fn file(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.regular(path).map(|member| member.size))
    }

    fn follow(&self, path: &str) -> Result<Option<String>> {
        Ok(follow(&self.members, path))
    }

    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(member) = self.members.get(path) else { return Ok(None) };
        check_document(member)?;
        let mut bytes = vec![0; member.size as usize];
        self.reader(member).read_exact(&mut bytes).map_err(Error::io("read", &self.path))?;
        Ok(Some(bytes))
    }

    fn place(&self, path: &str) -> Option<(u64, u64)> {
        self.regular(path).map(|member| (member.offset, member.size))
    }

    fn take(&mut self, path: &str) -> Result<Part> {
        let member =
            self.regular(path).ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))?;
        Ok(Part::Source(Box::new(self.reader(member))))
    }
}

/// Headers are read one block at a time; content between them is stepped over.
struct Window<'p> {
    file: Arc<File>,
    path: &'p Path,
    position: u64,
    size: u64,
}

impl Source for Window<'_> {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], self.position) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", self.path)(error)),
            }
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> Result<bool> {
        let end = self.position.saturating_add(count);
        self.position = end.min(self.size);
        Ok(end <= self.size)
    }
}

/// A member's content.
struct Range {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = (buffer.len() as u64).min(self.end - self.position) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.position)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive became shorter while it was read",
            ));
        }
        self.position += count as u64;
        Ok(count)
    }
}
