//! A segment as it is written: its plan, and its new bytes compressed beside what the base has in their place.

use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::base::Base;
use super::format::{SEGMENT, SegmentHeader};
use super::plan::Sums;
use super::segment::Segment;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Tables of zstd, as a power of two of their entries: enough for a segment with what stands beside it.
const TABLES: u32 = 22;
/// Memory of them, with what else zstd has.
pub(super) const MAX_ZSTD: u64 = 44 << 20;

/// A segment of which more than one part of so many is new is compressed with the level [`FAST`].
const MOSTLY: u64 = 3;
const FAST: i32 = 1;

/// A segment with all that it needs.
pub(super) struct Job {
    sums: Sums,
    plan: Vec<u8>,
    new: Vec<u8>,
    reference: Vec<u8>,
}

impl Job {
    /// Reads what stands beside the segment's new bytes.
    pub(super) fn new(mut segment: Segment, base: &mut Base, cancel: &Cancel) -> Result<Job> {
        let (plan, sums) = segment.plan();
        let mut reference = Vec::new();
        base.read_ranges(&plan.ranges, &mut reference, cancel)?;
        Ok(Job { sums, plan: plan.to_bytes(), new: segment.new, reference })
    }

    pub(super) fn code(self, level: i32) -> Result<Coded> {
        // Where most is new, a layer's time goes by it, and beside what was there harder work finds little more.
        let level = if self.sums.new > self.sums.plain / MOSTLY { level.min(FAST) } else { level };
        let mut bytes = vec![0; SEGMENT];
        let plan_coded = compress(&self.plan, &[], level, &mut bytes)?;
        let new_coded =
            if self.new.is_empty() { 0 } else { compress(&self.new, &self.reference, level, &mut bytes)? };
        let header = SegmentHeader { sums: self.sums, plan: self.plan.len(), plan_coded, new_coded };
        bytes[..SEGMENT].copy_from_slice(&header.to_bytes());
        Ok(Coded { bytes, sums: self.sums })
    }
}

/// A segment as it is written.
pub(super) struct Coded {
    pub(super) bytes: Vec<u8>,
    pub(super) sums: Sums,
}

/// Appends the frame of `plain`; its length.
fn compress(plain: &[u8], reference: &[u8], level: i32, out: &mut Vec<u8>) -> Result<usize> {
    let failed = |code| Error::invalid("the delta", format!("does not compress: {}", get_error_name(code)));
    let mut zstd = compressor(plain.len() + reference.len(), level).map_err(failed)?;
    zstd.ref_prefix(reference).map_err(failed)?;
    let mut coded = Vec::with_capacity(compress_bound(plain.len()));
    let length = zstd.compress2(&mut coded, plain).map_err(failed)?;
    out.extend_from_slice(&coded);
    Ok(length)
}

/// For so many bytes with what stands beside them.
fn compressor<'r>(all: usize, level: i32) -> Result<CCtx<'r>, usize> {
    let window = all.next_power_of_two().trailing_zeros().max(10);
    let mut zstd = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level.clamp(1, 19)),
        CParameter::WindowLog(window),
        // As zstd would choose them it would look at the end of what stands beside alone.
        CParameter::HashLog(window.clamp(6, TABLES)),
        CParameter::ChainLog(window.clamp(6, TABLES)),
        CParameter::ChecksumFlag(false),
        // What does not compress is passed over quickly; where it is like what stands beside, this finds it. A place in 128 bytes is
        // enough for that, and a fifth faster than one in 16.
        CParameter::EnableLongDistanceMatching(true),
        CParameter::LdmMinMatch(256),
        CParameter::LdmHashLog(17),
        CParameter::LdmHashRateLog(7),
    ] {
        zstd.set_parameter(parameter)?;
    }
    Ok(zstd)
}

#[cfg(test)]
mod tests {
    use super::super::format::{MAX_NEW, MAX_REFERENCE};
    use super::*;

    #[test]
    fn zstd_takes_no_more_memory_than_is_said() {
        let plain = vec![0; MAX_NEW as usize];
        let reference = vec![1; MAX_REFERENCE as usize];
        for level in [1, 3, 6, 9, 12, 16, 19] {
            let mut zstd = compressor(plain.len() + reference.len(), level).expect("parameters");
            zstd.ref_prefix(&reference).expect("a prefix");
            zstd.compress2(&mut Vec::with_capacity(compress_bound(plain.len())), &plain[..])
                .expect("compressed");
            let size = zstd.sizeof() as u64;
            assert!(size <= MAX_ZSTD, "level {level}: {size} bytes");
        }
    }
}
