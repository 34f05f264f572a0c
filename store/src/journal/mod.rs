//! Journals of `import --consume`: which blobs stand for content that the archive no longer has.
//!
//! `.larder/journals/<digest of the archive's headers and documents>`, one line a blob: its digest, a space, and the
//! entry that it was made from. A blob is listed, durably, before the entry's space is freed; so a journal is a root
//! of GC that outlives its process, until the same import has named the images in the index: then it says so, and is
//! no root any more, but tells an archive that came back after a power cut from one that is damaged. A last line without its end is one
//! whose entry was not freed yet. The line of an entry that no archive can have is no blob: it is what [`seal`](crate::archive::import::seal) said of an archive whose signature was checked.

mod arrival;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Serialize;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};

pub use arrival::Arrival;

/// More than any archive has of entries, with long names.
const MAX_JOURNAL: u64 = 64 << 20;

/// No path in an archive has a NUL.
const SEAL: &str = "\0seal";

/// Noted when the index names all that was in the archive, before the archive itself goes; behind it stands where that was.
const DONE: &str = "\0done";

/// What the seal of an archive was when an import of it began.
pub fn seal_of(private: &Dir, archive: &Digest) -> Result<Option<Digest>> {
    let Some(dir) = private.sub_if_there("journals")? else { return Ok(None) };
    Ok(parse(&dir, &archive.hex())?.0.remove(SEAL))
}

/// An import that was not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The journal's name below `.larder/journals/`.
    pub journal: String,
    /// The blobs that stand for content of the archive.
    pub blobs: Vec<Digest>,
}

/// All journals. What they list stays in the store.
pub fn unfinished(private: &Dir) -> Result<Vec<Unfinished>> {
    // A GC on a full disk could not make it.
    let Some(dir) = private.sub_if_there("journals")? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for journal in dir.names()? {
        let (mut consumed, _) = parse(&dir, &journal)?;
        if done(&consumed).is_some() {
            continue;
        }
        consumed.remove(SEAL);
        let blobs = consumed.into_values().collect();
        found.push(Unfinished { journal, blobs });
    }
    Ok(found)
}

/// Removes journals that outlived their archives: a power cut came between the two.
pub fn forget_done(private: &Dir) -> Result<()> {
    let Some(dir) = private.sub_if_there("journals")? else { return Ok(()) };
    for journal in dir.names()? {
        let (consumed, _) = parse(&dir, &journal)?;
        if done(&consumed).is_some_and(|archive| archive.try_exists().is_ok_and(|is_there| !is_there)) {
            dir.unlink(&journal)?;
        }
    }
    Ok(())
}

/// Where the archive was that is in the index with all that it had.
fn done(consumed: &HashMap<String, Digest>) -> Option<&Path> {
    consumed.keys().find_map(|entry| entry.strip_prefix(DONE)).map(Path::new)
}

/// What a journal says, and the length of its whole lines.
fn parse(dir: &Dir, name: &str) -> Result<(HashMap<String, Digest>, u64)> {
    let bytes = dir.read(name, MAX_JOURNAL)?.unwrap_or_default();
    let (mut length, mut consumed) = (0, HashMap::new());
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let text = std::str::from_utf8(line).ok().and_then(|line| line.trim_end().split_once(' '));
        let parsed = text.and_then(|(blob, entry)| Some((entry.to_owned(), blob.parse().ok()?)));
        let (entry, blob) =
            parsed.ok_or_else(|| Error::damaged(dir.at(name).display(), "has a line that is none"))?;
        consumed.insert(entry, blob);
        length += line.len() as u64;
    }
    Ok((consumed, length))
}

/// The journal of one archive.
#[derive(Debug)]
pub struct Journal {
    dir: Dir,
    name: String,
    /// Made with the first note.
    file: Option<File>,
    /// Bytes of whole lines.
    length: u64,
    consumed: HashMap<String, Digest>,
}

impl Journal {
    /// Opens what an earlier import of the archive left, or begins an empty one.
    pub fn open(private: &Dir, archive: &Digest) -> Result<Journal> {
        let dir = private.ensure_dir("journals")?;
        // A journal is a root: the directory that it is in must not be lost.
        private.sync()?;
        let name = archive.hex();
        let (consumed, length) = parse(&dir, &name)?;
        Ok(Journal { dir, name, file: None, length, consumed })
    }

    /// The blob that stands for an entry that was consumed.
    pub fn blob_of(&self, entry: &str) -> Option<Digest> {
        self.consumed.get(entry).copied()
    }

    /// Notes what the seal of the archive is, durably.
    pub fn seal(&mut self, seal: Digest) -> Result<()> {
        match self.blob_of(SEAL) {
            Some(noted) if noted == seal => Ok(()),
            _ => self.note(SEAL, seal),
        }
    }

    /// Whether nothing was consumed.
    pub fn is_empty(&self) -> bool {
        self.consumed.is_empty()
    }

    /// Notes a blob, which is durable and leased, durably.
    pub fn note(&mut self, entry: &str, blob: Digest) -> Result<()> {
        let path = self.dir.at(&self.name);
        let is_new = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.dir.open_or_create(&self.name)?),
        };
        let line = format!("{blob} {entry}\n");
        // By position: half a line of an earlier try is written over.
        if let Err(error) = file.write_all_at(line.as_bytes(), self.length) {
            let _ = file.set_len(self.length);
            return Err(Error::io("write", path)(error));
        }
        fs::sync_file(file, &path)?;
        if is_new {
            self.dir.sync()?;
        }
        self.length += line.len() as u64;
        self.consumed.insert(entry.to_owned(), blob);
        Ok(())
    }

    /// Notes that the index names all that it kept of this archive.
    pub fn done(&mut self, archive: &Path) -> Result<()> {
        let path = std::path::absolute(archive).unwrap_or_default();
        match path.to_str().filter(|path| !self.is_empty() && !path.contains(['\n', '\r'])) {
            Some(path) => self.note(&format!("{DONE}{path}"), Digest::of(b"")),
            // It stays a root, as of an import that was not finished.
            None => Ok(()),
        }
    }

    /// Ends it: the archive is gone.
    pub fn remove(self) -> Result<()> {
        self.dir.unlink(&self.name)?;
        self.dir.sync()
    }
}
