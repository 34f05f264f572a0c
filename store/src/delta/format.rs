//! A delta's bytes: a header, and segments to the end. All numbers are little-endian.
//!
//! Nothing in it is believed: a number is compared with its bound before anything is made of its size, and what a
//! segment says must come to what the header says. The bounds are part of the format: who applies a delta needs memory
//! for one segment, whoever made it.

use std::io::{self, Read};

use super::plan::{MAX_PLAN, Sums};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;

/// The first bytes; the last of them is the version.
const MAGIC: [u8; 8] = *b"larderd\x01";
/// Bytes of the header.
pub(super) const HEADER: usize = 88;
/// Bytes before each segment.
pub(super) const SEGMENT: usize = 24;

/// Bytes of the target in a segment.
pub(super) const MAX_PLAIN: u64 = 16 << 20;
/// New bytes in a segment.
pub(super) const MAX_NEW: u64 = 4 << 20;
/// Bytes of the base that stand beside them.
pub(super) const MAX_REFERENCE: u64 = 12 << 20;

/// What all segments may come to, so that what it costs to apply a delta goes by the layer that comes out of it.
///
/// Segments that are full never come near these: each is ended by its bytes (more than 12 MiB of the target, or 4 MiB of
/// new ones in two of them), or by what stands beside its new bytes, which has a bound of its own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    segments: u64,
    plain: u64,
    reference: u64,
}

impl Spent {
    /// Counts a segment that begins; false where that is too much for a target of so many bytes.
    pub(super) fn take(&mut self, sums: Sums, target: u64) -> bool {
        let is_good = self.segments < 64 + target / (512 << 10) && sums.reference <= self.left();
        self.segments += 1;
        self.plain += sums.plain;
        self.reference += sums.reference;
        is_good
    }

    /// Bytes of the base that may stand beside the next segment's new ones.
    pub(super) fn left(&self) -> u64 {
        let all = (64 << 20) + self.plain.saturating_mul(4);
        all.saturating_sub(self.reference).min(MAX_REFERENCE)
    }
}

/// What a delta is between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The layer that is there.
    pub base: DiffId,
    /// Its plain bytes.
    pub base_size: u64,
    /// The layer that comes out.
    pub target: DiffId,
    /// Its plain bytes.
    pub target_size: u64,
}

impl Header {
    /// Reads the first bytes of a delta.
    pub fn read(from: &mut dyn Read) -> Result<Header> {
        let mut bytes = [0; HEADER];
        fill(from, &mut bytes)?;
        Header::parse(&bytes)
    }

    pub(super) fn parse(bytes: &[u8; HEADER]) -> Result<Header> {
        if bytes[..7] != MAGIC[..7] {
            return Err(wrong("is none"));
        }
        if bytes[7] != MAGIC[7] {
            return Err(Error::invalid(
                "the delta",
                format!("has version {}, and this larder knows {}; use a newer one", bytes[7], MAGIC[7]),
            ));
        }
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let id =
            |at: usize| DiffId(Digest::from_bytes(bytes[at..].first_chunk().copied().unwrap_or_default()));
        let header = Header { base: id(8), base_size: number(40), target: id(48), target_size: number(80) };
        // What no file can have.
        if header.base_size > i64::MAX as u64 || header.target_size > i64::MAX as u64 {
            return Err(wrong("announces an impossible size"));
        }
        Ok(header)
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..40].copy_from_slice(self.base.0.bytes());
        bytes[40..48].copy_from_slice(&self.base_size.to_le_bytes());
        bytes[48..80].copy_from_slice(self.target.0.bytes());
        bytes[80..].copy_from_slice(&self.target_size.to_le_bytes());
        bytes
    }
}

/// What stands before a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) sums: Sums,
    /// Bytes of the plan.
    pub(super) plan: usize,
    /// Bytes of the plan, compressed.
    pub(super) plan_coded: usize,
    /// Bytes of the new ones, compressed.
    pub(super) new_coded: usize,
}

impl SegmentHeader {
    /// Reads it, of a target of which so much is still to come.
    pub(super) fn parse(bytes: &[u8; SEGMENT], left: u64) -> Result<SegmentHeader> {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let sums = Sums { plain: number(0).into(), reference: number(4).into(), new: number(8).into() };
        let (plan, plan_coded, new_coded) = (number(12) as usize, number(16) as usize, number(20) as usize);
        let bound = |plain: usize| zstd::zstd_safe::compress_bound(plain);
        let is_good = (1..=MAX_PLAIN.min(left)).contains(&sums.plain)
            && sums.reference <= MAX_REFERENCE
            && sums.new <= MAX_NEW.min(sums.plain)
            && (sums.new > 0 || sums.reference == 0)
            && (1..=MAX_PLAN).contains(&plan)
            && (1..=bound(plan)).contains(&plan_coded)
            && (new_coded > 0) == (sums.new > 0)
            && new_coded <= bound(sums.new as usize);
        if !is_good {
            return Err(wrong("a segment announces what is not possible"));
        }
        Ok(SegmentHeader { sums, plan, plan_coded, new_coded })
    }

    pub(super) fn to_bytes(self) -> [u8; SEGMENT] {
        let mut bytes = [0; SEGMENT];
        let numbers = [
            self.sums.plain as u32,
            self.sums.reference as u32,
            self.sums.new as u32,
            self.plan as u32,
            self.plan_coded as u32,
            self.new_coded as u32,
        ];
        for (out, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            out.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// Reads so many bytes, which must be there.
pub(super) fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> Result<()> {
    from.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong("is cut off"),
        _ => crate::blob::from_io(error, Error::io("read", "the delta")),
    })
}

/// A delta that is not as it was made.
pub(super) fn wrong(why: impl ToString) -> Error {
    Error::damaged("the delta", why)
}

/// Looks at the flag from within a `Read`.
pub(super) fn check(cancel: &Cancel) -> io::Result<()> {
    cancel.check().map_err(crate::blob::into_io)
}
