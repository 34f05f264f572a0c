//! Where a base's plain bytes come from: anywhere in it, at any time.
//!
//! Of a layer that this store encoded the frames are unpacked that are asked for. Any other one is unpacked once into
//! a file without a name, and so is one of ours as soon as more was unpacked of it than that would have cost: a layer
//! whose members are in another order, or a delta that means harm.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::plan::Range;
use crate::blob::{Blob, from_io};
use crate::cancel::Cancel;
use crate::codec::{CHUNK, FrameReader, layer_decoder};
use crate::digest::Hasher;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, Dir};
use crate::ids::DiffId;
use crate::layers::LayerFacts;
use crate::media_type::Compression;

/// Frames that are kept unpacked: a segment and a bit.
const FRAMES: usize = 6;
/// How often a layer is unpacked frame by frame before it is unpacked once and for all.
const TIMES: u64 = 3;
/// Memory that a base takes, bytes.
pub(super) const MAX_BASE: u64 = ((FRAMES + 1) * CHUNK) as u64;

/// A layer that is there.
pub struct Base {
    diff_id: DiffId,
    size: u64,
    form: Form,
}

enum Form {
    Bytes(Vec<u8>),
    Plain(File),
    Blob(Blob),
    Frames { frames: FrameReader, blob: Blob, facts: LayerFacts, scratch: Dir },
}

impl Base {
    /// A layer whose plain bytes are in memory.
    pub fn of_bytes(bytes: Vec<u8>) -> Base {
        let diff_id = DiffId(crate::Digest::of(&bytes));
        Base { diff_id, size: bytes.len() as u64, form: Form::Bytes(bytes) }
    }

    /// A stored layer. What has to be unpacked as a whole goes into a file without a name in the directory `scratch`, which
    /// then needs as much room as the layer has plain bytes.
    pub fn open(blob: &Blob, facts: &LayerFacts, scratch: &Dir, cancel: &Cancel) -> Result<Base> {
        let failed = |error| from_io(error, Error::io("read", format!("blob {}", blob.digest())));
        let (diff_id, size) = (facts.diff_id, facts.plain_size);
        let form = match FrameReader::open(blob, facts).map_err(failed)? {
            Some(frames) if frames.plain_size() == size => {
                let (frames, scratch) = (frames.keeping(FRAMES), scratch.clone());
                Form::Frames { frames, blob: blob.clone(), facts: *facts, scratch }
            }
            _ if facts.compression == Compression::None => Form::Blob(blob.clone()),
            _ => Form::Plain(unpacked(blob, facts, scratch, cancel)?),
        };
        Ok(Base { diff_id, size, form })
    }

    /// Which layer it is.
    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    /// Its plain bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether all of it was unpacked into a file.
    pub fn is_unpacked(&self) -> bool {
        matches!(self.form, Form::Plain(_))
    }

    /// Replaces `out` with the bytes of these ranges, one behind the other.
    pub(super) fn read_ranges(&mut self, ranges: &[Range], out: &mut Vec<u8>, cancel: &Cancel) -> Result<()> {
        let length = ranges.iter().map(|range| (range.end - range.begin) as usize).sum::<usize>();
        out.reserve_exact(length.saturating_sub(out.len()));
        out.resize(length, 0);
        let mut left = out.as_mut_slice();
        for range in ranges {
            let (piece, behind) = left.split_at_mut((range.end - range.begin) as usize);
            self.read(range.begin, piece, cancel)?;
            left = behind;
        }
        Ok(())
    }

    /// Reads bytes from a position on; that they are in the base the caller has seen.
    pub(super) fn read(&mut self, at: u64, out: &mut [u8], cancel: &Cancel) -> Result<()> {
        cancel.check()?;
        if let Form::Frames { frames, blob, facts, scratch, .. } = &self.form
            && frames.unpacked() > TIMES.saturating_mul(self.size).saturating_add(16 * CHUNK as u64)
        {
            self.form = Form::Plain(unpacked(blob, facts, scratch, cancel)?);
        }
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let got = match &mut self.form {
            Form::Bytes(bytes) => match bytes.get(at as usize..).and_then(|bytes| bytes.get(..out.len())) {
                Some(bytes) => {
                    out.copy_from_slice(bytes);
                    Ok(())
                }
                None => Err(short()),
            },
            Form::Plain(file) => file.read_exact_at(out, at),
            Form::Blob(blob) => read_blob(blob, out, at),
            Form::Frames { frames, .. } => {
                frames.read_at(at, out).and_then(|got| if got == out.len() { Ok(()) } else { Err(short()) })
            }
        };
        got.map_err(|error| {
            from_io(error, |error| match error.raw_os_error() {
                Some(_) => Error::io("read", format!("the layer {}", self.diff_id))(error),
                None => Error::damaged(format!("the layer {}", self.diff_id), error),
            })
        })
    }

    /// Reads all of it, and sees whether it is the layer that it is said to be.
    pub(super) fn check(&mut self, cancel: &Cancel) -> Result<()> {
        let (diff_id, mut hasher, mut buffer) = (self.diff_id, Hasher::new(), vec![0; 256 << 10]);
        let mut reader = self.reader(cancel);
        loop {
            cancel.check()?;
            let count = reader.read(&mut buffer);
            match count.map_err(|error| from_io(error, Error::io("read", "the base")))? {
                0 => return is_it(diff_id, hasher),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Why applying a delta to it failed: where what came out is wrong, the base may be what is damaged, and not the delta.
    pub(super) fn blame(&mut self, error: Error, cancel: &Cancel) -> Error {
        match error.kind() {
            Kind::Damaged => self.check(cancel).err().unwrap_or(error),
            _ => error,
        }
    }

    /// Reads all of it.
    pub(super) fn reader<'b>(&'b mut self, cancel: &'b Cancel) -> BaseReader<'b> {
        BaseReader { base: self, at: 0, cancel, piece: Vec::new(), given: 0 }
    }
}

/// The bytes that were read must be the layer.
pub(super) fn is_it(diff_id: DiffId, read: Hasher) -> Result<()> {
    let got = DiffId(read.finish());
    if got == diff_id {
        return Ok(());
    }
    let why = format!(
        "its plain bytes are {got} now: the stored blob is damaged; `larder verify --repair` puts it right"
    );
    Err(Error::damaged(format!("the layer {diff_id}"), why))
}

/// Reads a base from its start.
pub(super) struct BaseReader<'b> {
    base: &'b mut Base,
    at: u64,
    cancel: &'b Cancel,
    piece: Vec<u8>,
    given: usize,
}

impl Read for BaseReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() {
            self.given = 0;
            let length = (self.base.size - self.at).min(256 << 10);
            self.piece.resize(length as usize, 0);
            let read = self.base.read(self.at, &mut self.piece, self.cancel);
            read.inspect_err(|_| self.piece.clear()).map_err(crate::blob::into_io)?;
            self.at += length;
        }
        let count = buffer.len().min(self.piece.len() - self.given);
        buffer[..count].copy_from_slice(&self.piece[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

fn read_blob(blob: &Blob, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match blob.read_at(buffer, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                buffer = &mut buffer[count..];
                at += count as u64;
            }
        }
    }
    Ok(())
}

/// A layer's plain bytes in a file without a name.
fn unpacked(blob: &Blob, facts: &LayerFacts, scratch: &Dir, cancel: &Cancel) -> Result<File> {
    let shown = format!("blob {}", blob.digest());
    let (free, needed) = (fs::disk_space(scratch)?.0, facts.plain_size);
    if needed > free {
        return Err(Error::NoSpace { path: scratch.path().to_path_buf(), needed, free });
    }
    let mut file = nameless(scratch)?;
    let mut plain = layer_decoder(blob, facts, 1).map_err(Error::io("unpack", &shown))?;
    let mut buffer = vec![0; 256 << 10];
    let mut hasher = Hasher::new();
    // One byte more than it has is enough to know that it is another layer.
    while hasher.size() <= facts.plain_size {
        cancel.check()?;
        let count = match plain.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(from_io(error, |error| match error.raw_os_error() {
                    Some(_) => Error::io("read", &shown)(error),
                    None => Error::damaged(shown, format!("does not unpack: {error}")),
                }));
            }
        };
        file.write_all(&buffer[..count]).map_err(Error::io("write in", scratch.path()))?;
        hasher.update(&buffer[..count]);
    }
    is_it(facts.diff_id, hasher)?;
    Ok(file)
}

/// A new file that nobody else opens: its name is gone at once.
pub fn nameless(dir: &Dir) -> Result<File> {
    let name = fs::unique();
    let file = dir.create_new(&name)?;
    dir.unlink(&name)?;
    Ok(file)
}
