//! How a segment of the target is put together: what of the base stands beside its new bytes, and what is copied.
//!
//! Written as numbers of seven bits a byte (LEB128, the shortest form only): how many ranges there are, for each its
//! distance from the end of the last one and its length; then, to the end, pairs of new bytes and copied ones, with where
//! the copy begins, as the distance (zigzag) from where the last copy would go on if the layers went on alike.

use crate::archive::tar::BLOCK;

/// Ranges, and steps, of a segment.
pub(super) const MAX_STEPS: usize = 1 << 15;
/// A step stands for so many bytes of the target at the least, but for two in a segment: nobody is made to put a layer together
/// byte by byte. Headers and contents are of blocks, and of a content that is cut only the last chunk may be shorter.
const STEP: u64 = BLOCK;
/// Bytes of a plan.
pub(super) const MAX_PLAN: usize = 1 << 20;

/// A part of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// New bytes, and then bytes of the base.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) new: u64,
    pub(super) copied: u64,
    /// Where in the base the copy begins.
    pub(super) at: u64,
}

/// A segment's plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// In the base's order, not touching each other.
    pub(super) ranges: Vec<Range>,
    pub(super) steps: Vec<Step>,
}

/// What a plan must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    /// Bytes of the segment.
    pub(super) plain: u64,
    /// Bytes of the ranges.
    pub(super) reference: u64,
    /// New bytes.
    pub(super) new: u64,
}

impl Plan {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 4 * self.ranges.len() + 6 * self.steps.len());
        write(&mut out, self.ranges.len() as u64);
        let mut last = 0;
        for range in &self.ranges {
            write(&mut out, range.begin - last);
            write(&mut out, range.end - range.begin);
            last = range.end;
        }
        let mut likely = 0u64;
        for step in &self.steps {
            write(&mut out, step.new);
            write(&mut out, step.copied);
            if step.copied > 0 {
                likely = likely.wrapping_add(step.new);
                let distance = step.at.wrapping_sub(likely) as i64;
                write(&mut out, ((distance << 1) ^ (distance >> 63)) as u64);
                likely = step.at + step.copied;
            }
        }
        out
    }

    /// Reads a plan, all of `bytes`, for a base of so many bytes; what is wrong with it, where something is.
    pub(super) fn parse(mut bytes: &[u8], base: u64, sums: Sums) -> Result<Plan, &'static str> {
        let from = &mut bytes;
        let mut plan = Plan::default();
        let (mut last, mut reference) = (0u64, 0u64);
        for number in 0..read(from)? {
            let begin = last.checked_add(read(from)?);
            let range = begin.and_then(|begin| Some((begin, begin.checked_add(read(from).ok()?)?)));
            let (begin, end) = range.ok_or("a range of its base is broken")?;
            if end > base || begin == end || number > 0 && begin == last {
                return Err("a range is not in its base");
            }
            if plan.ranges.len() == MAX_STEPS {
                return Err("has too many ranges");
            }
            (last, reference) = (end, reference + (end - begin));
            plan.ranges.push(Range { begin, end });
        }
        let (mut plain, mut new, mut likely) = (0u64, 0u64, 0u64);
        let mut is_last = false;
        while !from.is_empty() {
            let mut step = Step { new: read(from)?, copied: read(from)?, at: 0 };
            if is_last || step.new == 0 && step.copied == 0 {
                return Err("has a step that does nothing");
            }
            if plan.steps.len() == MAX_STEPS || plan.steps.len() as u64 > sums.plain / STEP + 1 {
                return Err("has too many steps");
            }
            is_last = step.copied == 0;
            if !is_last {
                let coded = read(from)?;
                let distance = (coded >> 1) ^ (coded & 1).wrapping_neg();
                step.at = likely.wrapping_add(step.new).wrapping_add(distance);
                likely = step.at.checked_add(step.copied).ok_or("a copy is not from its base")?;
                if likely > base {
                    return Err("a copy is not from its base");
                }
            }
            new = new.checked_add(step.new).ok_or("its steps are too long")?;
            plain = plain
                .checked_add(step.new)
                .and_then(|sum| sum.checked_add(step.copied))
                .ok_or("its steps are too long")?;
            plan.steps.push(step);
        }
        if (Sums { plain, reference, new }) != sums {
            return Err("its steps do not come to what it announces");
        }
        Ok(plan)
    }
}

fn write(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read(from: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or("is cut off")?;
        *from = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part || *byte == 0 && shift > 0 {
            break;
        }
        number |= part << shift;
        if *byte < 0x80 {
            return Ok(number);
        }
    }
    Err("a number of it is broken")
}
