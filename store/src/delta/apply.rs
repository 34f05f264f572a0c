//! Applying a delta: the target's bytes, read out of it and the base, segment by segment.
//!
//! What memory that takes is bounded by the format: a segment's new bytes, what stands beside them, and its plan.

use std::io::{self, Read, Write};

use zstd::zstd_safe::{DCtx, get_error_name};

use super::base::{Base, MAX_BASE};
use super::format::{HEADER, Header, MAX_NEW, MAX_REFERENCE, SEGMENT, SegmentHeader, Spent, fill, wrong};
use super::plan::{MAX_PLAN, MAX_STEPS, Plan, Step};
use crate::blob::{from_io, into_io};
use crate::cancel::Cancel;
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::ids::DiffId;

/// Memory that applying any delta takes, bytes.
pub const APPLY_MEMORY: u64 =
    MAX_BASE + 2 * MAX_NEW + MAX_REFERENCE + 2 * MAX_PLAN as u64 + (MAX_STEPS * 40) as u64 + (1 << 20);

/// The bytes of a delta's target. Their end is only reached if all of the delta was read and made sense; that they are the
/// target is for the reader to check, by [`Patched::header`].
pub struct Patched<'d> {
    base: &'d mut Base,
    delta: &'d mut dyn Read,
    cancel: &'d Cancel,
    header: Header,
    /// Bytes that are still to come behind this segment.
    left: u64,
    spent: Spent,
    segment: Segment,
    // The memory of a segment is used for the next one: what the system clears anew for each takes as long as copying it.
    coded: Vec<u8>,
    plan: Vec<u8>,
    reference: Vec<u8>,
}

/// A segment on its way out.
#[derive(Default)]
struct Segment {
    steps: std::vec::IntoIter<Step>,
    current: Step,
    new: Vec<u8>,
    used: usize,
}

impl<'d> Patched<'d> {
    /// Begins with a delta, which must be one to this base.
    pub fn new(base: &'d mut Base, delta: &'d mut dyn Read, cancel: &'d Cancel) -> Result<Patched<'d>> {
        let mut bytes = [0; HEADER];
        fill(delta, &mut bytes)?;
        let header = Header::parse(&bytes)?;
        if (header.base, header.base_size) != (base.diff_id(), base.size()) {
            let why = format!(
                "is one to the layer {} of {} bytes, and not to {} of {}; it needs the layer that it was made from",
                header.base,
                header.base_size,
                base.diff_id(),
                base.size()
            );
            return Err(Error::invalid("the delta", why));
        }
        let (left, spent, segment) = (header.target_size, Spent::default(), Segment::default());
        let (coded, plan, reference) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Patched { base, delta, cancel, header, left, spent, segment, coded, plan, reference })
    }

    /// What it is between.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Gives bytes, or 0 at the end.
    fn give(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let segment = &mut self.segment;
            if segment.current.new > 0 {
                let count = (buffer.len() as u64).min(segment.current.new) as usize;
                let new = segment.new.get(segment.used..segment.used + count);
                buffer[..count].copy_from_slice(new.ok_or_else(|| wrong("has too few new bytes"))?);
                segment.used += count;
                segment.current.new -= count as u64;
                return Ok(count);
            }
            if segment.current.copied > 0 {
                let count = (buffer.len() as u64).min(segment.current.copied) as usize;
                self.base.read(segment.current.at, &mut buffer[..count], self.cancel)?;
                segment.current.at += count as u64;
                segment.current.copied -= count as u64;
                return Ok(count);
            }
            if let Some(step) = segment.steps.next() {
                segment.current = step;
                continue;
            }
            if self.left == 0 {
                return self.expect_end().map(|()| 0);
            }
            self.next_segment()?;
        }
    }

    fn next_segment(&mut self) -> Result<()> {
        self.cancel.check()?;
        let mut bytes = [0; SEGMENT];
        fill(self.delta, &mut bytes)?;
        let header = SegmentHeader::parse(&bytes, self.left)?;
        if !self.spent.take(header.sums, self.header.target_size) {
            return Err(wrong("asks for more work than its target is worth"));
        }
        // The last one's steps are given back before the next one's are taken.
        let mut new = std::mem::take(&mut self.segment).new;
        self.take(header.plan_coded)?;
        decompress(&self.coded, header.plan, &[], &mut self.plan)?;
        let plan = Plan::parse(&self.plan, self.header.base_size, header.sums)
            .map_err(|why| wrong(format!("a plan in it {why}")))?;
        new.clear();
        if header.sums.new > 0 {
            self.base.read_ranges(&plan.ranges, &mut self.reference, self.cancel)?;
            self.take(header.new_coded)?;
            decompress(&self.coded, header.sums.new as usize, &self.reference, &mut new)?;
        }
        self.left -= header.sums.plain;
        self.segment = Segment { steps: plan.steps.into_iter(), current: Step::default(), new, used: 0 };
        Ok(())
    }

    /// Takes so many bytes of the delta.
    fn take(&mut self, length: usize) -> Result<()> {
        self.coded.reserve_exact(length.saturating_sub(self.coded.len()));
        self.coded.resize(length, 0);
        fill(self.delta, &mut self.coded)
    }

    fn expect_end(&mut self) -> Result<()> {
        let mut more = [0];
        loop {
            match self.delta.read(&mut more) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(wrong("goes on behind its end")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io(error, Error::io("read", "the delta"))),
            }
        }
    }
}

impl Read for Patched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.give(buffer).map_err(into_io)
    }
}

/// Replaces `plain` with what a frame has, which must be so many bytes.
fn decompress(coded: &[u8], length: usize, reference: &[u8], plain: &mut Vec<u8>) -> Result<()> {
    let mut zstd = DCtx::try_create().ok_or_else(|| Error::invalid("the delta", "no memory for zstd"))?;
    plain.clear();
    plain.reserve_exact(length);
    let prefixed = zstd.ref_prefix(reference);
    match prefixed.and_then(|_| zstd.decompress(plain, coded)) {
        Ok(_) if plain.len() == length => Ok(()),
        Ok(count) => Err(wrong(format!("a frame in it has {count} bytes where {length} were announced"))),
        Err(code) => Err(wrong(format!("a frame in it does not unpack: {}", get_error_name(code)))),
    }
}

/// Writes the target of a delta to `out`, all of it, and says which layer that is: the one that the delta names, or it is an
/// error. What was written by then is worth nothing where there is one.
pub fn apply(base: &mut Base, delta: &mut dyn Read, out: &mut dyn Write, cancel: &Cancel) -> Result<DiffId> {
    written(base, delta, out, cancel).map_err(|error| base.blame(error, cancel))
}

fn written(base: &mut Base, delta: &mut dyn Read, out: &mut dyn Write, cancel: &Cancel) -> Result<DiffId> {
    let mut patched = Patched::new(base, delta, cancel)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match patched.give(&mut buffer)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                out.write_all(&buffer[..count]).map_err(Error::io("write", "the layer"))?;
            }
        }
    }
    expect(patched.header(), DiffId(hasher.finish()))
}

/// The layer that came out must be the one that the delta names.
pub(super) fn expect(header: Header, got: DiffId) -> Result<DiffId> {
    if got == header.target {
        return Ok(got);
    }
    Err(wrong(format!("gives {got}, and was to give {}", header.target)))
}
