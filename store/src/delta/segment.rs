//! One segment of the target while it is being put together: which pieces the base has, which are new, and what of the
//! base the new ones are likely to resemble.

use super::format::{MAX_NEW, MAX_PLAIN, MAX_REFERENCE, Spent};
use super::index::{Index, Member, sum};
use super::plan::{MAX_STEPS, Plan, Range, Step, Sums};
use super::split::{Part, Piece};

/// Bytes of the base that are taken along on both sides of a place: chunks do not end where changes do.
const MARGIN: u64 = 4 << 10;
/// Bytes of the base that stand beside new ones where it is not known how much was there in their place.
const BESIDE: u64 = 64 << 10;

/// A segment.
#[derive(Debug)]
pub(super) struct Segment {
    plain: u64,
    /// The new bytes.
    pub(super) new: Vec<u8>,
    steps: Vec<Step>,
    ranges: Vec<Range>,
    reference: u64,
    /// The most that may be.
    most: u64,
}

impl Segment {
    fn new(spent: &Spent) -> Segment {
        let (new, steps, ranges) = (Vec::new(), Vec::new(), Vec::new());
        Segment { plain: 0, new, steps, ranges, reference: 0, most: spent.left() }
    }

    /// How it is put together, and what that comes to.
    pub(super) fn plan(&mut self) -> (Plan, Sums) {
        self.ranges.sort_unstable_by_key(|range| (range.begin, range.end));
        let mut ranges: Vec<Range> = Vec::with_capacity(self.ranges.len());
        for range in self.ranges.drain(..) {
            match ranges.last_mut() {
                Some(last) if range.begin <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        let reference = ranges.iter().map(|range| range.end - range.begin).sum();
        let sums = Sums { plain: self.plain, reference, new: self.new.len() as u64 };
        (Plan { ranges, steps: std::mem::take(&mut self.steps) }, sums)
    }

    fn has_room(&self, more: usize) -> bool {
        let more = more as u64;
        self.plain + more <= MAX_PLAIN
            && self.new.len() as u64 + more <= MAX_NEW
            && self.reference < MAX_REFERENCE
            && self.steps.len() < MAX_STEPS
            && self.ranges.len() + 2 < MAX_STEPS
    }

    fn add(&mut self, bytes: &[u8]) {
        self.plain += bytes.len() as u64;
        self.new.extend_from_slice(bytes);
        match self.steps.last_mut() {
            Some(step) if step.copied == 0 => step.new += bytes.len() as u64,
            _ => self.steps.push(Step { new: bytes.len() as u64, copied: 0, at: 0 }),
        }
    }

    fn copy(&mut self, at: u64, copied: u64) {
        self.plain += copied;
        match self.steps.last_mut() {
            Some(step) if step.copied == 0 => (step.copied, step.at) = (copied, at),
            Some(step) if step.at + step.copied == at => step.copied += copied,
            _ => self.steps.push(Step { new: 0, copied, at }),
        }
    }

    fn refer(&mut self, begin: u64, end: u64) {
        let end = end.min(begin.saturating_add(self.most - self.reference));
        if begin < end {
            self.reference += end - begin;
            self.ranges.push(Range { begin, end });
        }
    }
}

/// Takes the target's pieces, and makes segments of them.
#[derive(Debug)]
pub(super) struct Filler<'i> {
    index: &'i Index,
    base: u64,
    segment: Segment,
    spent: Spent,
    /// What the base has of the member that the pieces are of.
    member: Option<Member>,
    /// How far into it the pieces have come.
    reached: u64,
    /// New bytes of it since then.
    run: u64,
    /// Where the base has the next piece, if the layers go on alike.
    likely: u64,
}

impl Filler<'_> {
    pub(super) fn new(index: &Index, base: u64) -> Filler<'_> {
        let spent = Spent::default();
        let segment = Segment::new(&spent);
        Filler { index, base, segment, spent, member: None, reached: 0, run: 0, likely: 0 }
    }

    /// Takes the next piece; what it found no room in any more is complete.
    pub(super) fn take(&mut self, piece: &Piece<'_>) -> Option<Segment> {
        let full = if self.segment.has_room(piece.bytes.len()) { None } else { self.end() };
        match piece.part {
            Part::Head(name, content) => {
                self.end_run(None);
                self.member = self.index.member_of(name, content);
                if let Some(member) = self.member {
                    (self.reached, self.likely) = (member.content, member.at);
                }
            }
            Part::Content => {}
            Part::Rest if self.member.is_none_or(|member| member.content > 0) => {
                self.end_run(None);
                // The rest of whatever the base has.
                self.member = Some(Member { at: 0, content: 0, end: self.base });
                self.reached = self.likely.min(self.base);
            }
            Part::Rest => {}
        }
        let length = piece.bytes.len() as u64;
        match self.index.find(&sum(piece.bytes), piece.bytes.len(), self.likely) {
            Some(at) => {
                self.end_run(Some(at));
                self.segment.copy(at, length);
                self.likely = at + length;
                // A member that the base does not have may be a part of any.
                let part = Member { at: 0, content: 0, end: self.base };
                let member = *self.member.get_or_insert(part);
                if member.content <= at && at + length <= member.end {
                    self.reached = at + length;
                }
            }
            None => {
                self.segment.add(piece.bytes);
                self.likely = self.likely.saturating_add(length);
                match (piece.part, self.member) {
                    (Part::Head(..), Some(member)) => {
                        self.segment.refer(member.at, member.content);
                        self.likely = member.content;
                    }
                    (Part::Head(..), None) => {}
                    _ => self.run += length,
                }
            }
        }
        full
    }

    /// What is there by now; `None` where that is nothing.
    pub(super) fn end(&mut self) -> Option<Segment> {
        self.end_run(None);
        let (plain, reference, new) = (self.segment.plain, self.segment.reference, 0);
        self.spent.take(Sums { plain, reference, new }, u64::MAX);
        Some(std::mem::replace(&mut self.segment, Segment::new(&self.spent))).filter(|ended| ended.plain > 0)
    }

    /// Refers to what the base has in the place of new bytes, up to what is copied next from `next`.
    fn end_run(&mut self, next: Option<u64>) {
        let run = std::mem::take(&mut self.run);
        if run == 0 {
            return;
        }
        let is_ahead = |member: &Member, next: &u64| (self.reached..member.end).contains(next);
        let is_elsewhere = |next: &u64| self.member.is_none_or(|member| !is_ahead(&member, next));
        if let Some(next) = next.filter(is_elsewhere) {
            // What stands before it there.
            self.segment.refer(next.saturating_sub(run + MARGIN), (next + MARGIN).min(self.base));
        }
        let Some(member) = self.member else { return };
        let begin = self.reached.saturating_sub(MARGIN).max(member.content);
        let (most, at_most) = match next.filter(|next| is_ahead(&member, next)) {
            Some(next) => (next + MARGIN, 4 * run + (1 << 20)),
            None => (member.end, 2 * run + BESIDE),
        };
        let end = most.min(self.reached.saturating_add(at_most)).min(member.end).min(self.base);
        self.segment.refer(begin, end);
        self.reached = (self.reached + run).min(member.end);
    }
}
