//! A blob that comes in pieces, in any order, over days perhaps: a file with holes below `.larder/partial/`, and a list of what is in it.
//!
//! A piece is listed, durably, once it is durable itself: so whatever dies in between, what is listed is there. The list without the
//! file says nothing. Each bundle has files of its own, `<blob>.<bundle>`: bytes are written before it is known what they are, and what
//! another bundle brings of the same blob must not come over what is listed.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::ingest::{Ingest, Staged};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};

/// The place below `.larder/`.
pub(crate) const PLACE: &str = "partial";
/// Ends the name of a list.
pub(crate) const LIST: &str = ".done";
/// Bytes of a list.
const MAX_LIST: u64 = 64 << 20;

/// A piece: where it begins, its bytes, and what they are.
pub type Piece = (u64, u64, Digest);

/// A blob of which not all pieces are there, of one bundle, whose journal its one user has locked.
#[derive(Debug)]
pub struct Partial {
    dir: Dir,
    name: String,
    digest: Digest,
    size: u64,
    file: File,
    done: HashSet<Piece>,
    /// Bytes of the whole lines of the list.
    length: u64,
}

impl Partial {
    /// Opens what is there of a blob below the store's private directory, or begins it.
    pub fn open(private: &Dir, bundle: &Digest, digest: &Digest, size: u64) -> Result<Partial> {
        let dir = private.ensure_dir(PLACE)?;
        let name = name_of(bundle, digest);
        let is_new = dir.stat(&name)?.is_none_or(|stat| !stat.is_file);
        if is_new {
            dir.unlink(&format!("{name}{LIST}"))?;
        }
        let file = dir.open_or_create(&name)?;
        let (done, length) = listed(&dir, &name)?;
        if is_new {
            private.sync()?;
            dir.sync()?;
        }
        Ok(Partial { dir, name, digest: *digest, size, file, done, length })
    }

    /// Whether a piece is there.
    pub fn has(&self, piece: &Piece) -> bool {
        self.done.contains(piece)
    }

    /// Writes some bytes of a piece.
    pub fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.file.write_all_at(bytes, position).map_err(Error::io("write", self.dir.at(&self.name)))
    }

    /// Says that a piece is there, all of it written and checked by the caller.
    pub fn note(&mut self, piece: Piece) -> Result<()> {
        fs::sync_file(&self.file, &self.dir.at(&self.name))?;
        let name = format!("{}{LIST}", self.name);
        let is_new = self.length == 0;
        let list = self.dir.open_or_create(&name)?;
        let line = format!("{} {} {}\n", piece.0, piece.1, piece.2);
        // By position: half a line of an earlier try is written over.
        if let Err(error) = list.write_all_at(line.as_bytes(), self.length) {
            let _ = list.set_len(self.length);
            return Err(Error::io("write", self.dir.at(&name))(error));
        }
        fs::sync_file(&list, &self.dir.at(&name))?;
        if is_new {
            self.dir.sync()?;
        }
        self.length += line.len() as u64;
        self.done.insert(piece);
        Ok(())
    }

    /// Makes the blob of it, whose pieces are all there by the list; it is read and must be what its digest says. Where it is not,
    /// nothing of it stays.
    pub fn complete(self, ingest: &Ingest) -> Result<Staged> {
        ingest.take(&self.dir, &self.name, &self.digest.hex())?;
        self.dir.unlink(&format!("{}{LIST}", self.name))?;
        ingest.writer_of(&self.digest, self.size)?.finish_as(self.digest, self.size)
    }
}

fn name_of(bundle: &Digest, blob: &Digest) -> String {
    format!("{}.{}", blob.hex(), bundle.hex())
}

/// Removes what is left of a bundle's blobs, which came otherwise, or whose process died when it had put them together.
pub fn forget(private: &Dir, bundle: &Digest, blobs: &mut dyn Iterator<Item = Digest>) -> Result<()> {
    let Some(dir) = private.sub_if_there(PLACE)? else { return Ok(()) };
    for blob in blobs {
        let name = name_of(bundle, &blob);
        dir.unlink(&name)?;
        dir.unlink(&format!("{name}{LIST}"))?;
    }
    Ok(())
}

/// The pieces that are there of a blob; nothing is begun.
pub fn pieces(private: &Dir, bundle: &Digest, digest: &Digest) -> Result<HashSet<Piece>> {
    let Some(dir) = private.sub_if_there(PLACE)? else { return Ok(HashSet::new()) };
    let name = name_of(bundle, digest);
    if dir.stat(&name)?.is_none_or(|stat| !stat.is_file) {
        return Ok(HashSet::new());
    }
    Ok(listed(&dir, &name)?.0)
}

/// The pieces of a list, and the length of its whole lines.
fn listed(dir: &Dir, name: &str) -> Result<(HashSet<Piece>, u64)> {
    let (mut done, mut length) = (HashSet::new(), 0);
    let bytes = dir.read(&format!("{name}{LIST}"), MAX_LIST)?.unwrap_or_default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        length += line.len() as u64;
        done.extend(parse(line));
    }
    Ok((done, length))
}

/// The bundle that a file of the place belongs to.
pub(crate) fn bundle_of(name: &str) -> Option<Digest> {
    let (blob, bundle) = name.strip_suffix(LIST).unwrap_or(name).split_once('.')?;
    Digest::from_hex(blob).and(Digest::from_hex(bundle))
}

fn parse(line: &[u8]) -> Option<Piece> {
    let mut words = std::str::from_utf8(line).ok()?.trim_end().split(' ');
    let piece = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_any_order_and_are_known_afterwards() {
        let temporary = tempfile::tempdir().expect("a directory");
        let private = Dir::open(temporary.path()).expect("a directory");
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let (digest, size) = (Digest::of(&content), content.len() as u64);
        let bundle = Digest::of(b"a bundle");
        let piece =
            |from: usize, to: usize| (from as u64, (to - from) as u64, Digest::of(&content[from..to]));
        let (first, second) = (piece(0, 150_000), piece(150_000, content.len()));
        let mut partial = Partial::open(&private, &bundle, &digest, size).expect("begun");
        partial.write_at(&content[150_000..], 150_000).expect("written");
        partial.note(second).expect("noted");
        drop(partial);
        // Half a line, as a crash leaves it.
        let list = temporary.path().join(PLACE).join(format!("{}{LIST}", name_of(&bundle, &digest)));
        let mut text = std::fs::read(&list).expect("a list");
        text.extend(b"0 150000 sha");
        std::fs::write(&list, &text).expect("written");
        let mut partial = Partial::open(&private, &bundle, &digest, size).expect("gone on with");
        assert!(partial.has(&second) && !partial.has(&first));
        assert!(!partial.has(&(150_000, second.1, Digest::of(b"other"))));
        partial.write_at(&content[..150_000], 0).expect("written");
        partial.note(first).expect("noted");
        // What another bundle brings of it is its own affair.
        let other = Partial::open(&private, &Digest::of(b"another bundle"), &digest, size).expect("begun");
        assert!(!other.has(&first));
        other.write_at(&[0; 1000], 0).expect("written");
        forget(&private, &Digest::of(b"another bundle"), &mut [digest].into_iter()).expect("forgotten");
        let ingests = private.ensure_dir("ingest").expect("a directory");
        let ingest = Ingest::create(&ingests).expect("an ingest");
        let staged = partial.complete(&ingest).expect("whole");
        assert_eq!((staged.digest(), staged.size()), (digest, size));
        let left = || std::fs::read_dir(temporary.path().join(PLACE)).expect("there").count();
        assert_eq!(left(), 0);
        // A list whose file is gone says nothing.
        std::fs::write(&list, &text).expect("written");
        assert!(pieces(&private, &bundle, &digest).expect("looked").is_empty());
        assert!(!Partial::open(&private, &bundle, &digest, size).expect("begun anew").has(&second));
    }
}
