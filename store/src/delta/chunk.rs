//! Cutting content where the content itself says, so that what was inserted before a place does not move the cuts behind it.
//!
//! A rolling sum of the last 64 bytes ("gear hash", as in FastCDC) is looked at after each byte; a cut is where some of
//! its highest bits are zeros.

/// Bytes of a chunk on the average, as a power of two, of layers up to [`LARGE`].
const USUAL_BITS: u32 = 13;
/// Layers above have larger chunks, so that there are not more of them.
const LARGE: u64 = 4 << 30;

/// What a byte adds to the sum.
static GEAR: [u64; 256] = gear();

/// Numbers without a pattern (splitmix64). They are no part of a delta's format: whoever applies one cuts nothing.
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state: u64 = 0x6c61_7264_6572;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = z ^ (z >> 31);
        at += 1;
    }
    table
}

/// Where content is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutter {
    mask: u64,
    least: usize,
    most: usize,
}

impl Cutter {
    /// For a layer of so many bytes that others are compared to.
    pub(super) fn for_size(size: u64) -> Cutter {
        let times = size.div_ceil(LARGE).max(1).next_power_of_two().min(128);
        let bits = USUAL_BITS + times.trailing_zeros();
        Cutter { mask: !(u64::MAX >> bits), least: 1 << (bits - 2), most: 1 << (bits + 2) }
    }

    /// The largest chunk, bytes.
    pub(super) fn most(self) -> usize {
        self.most
    }

    /// The length of the first chunk of `content`: all of it only where no cut is in it.
    pub(super) fn cut(self, content: &[u8]) -> usize {
        let most = content.len().min(self.most);
        if most <= self.least {
            return most;
        }
        // The sum forgets what is 64 bytes back.
        let add = |sum: u64, byte: &u8| (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
        let mut sum = content[self.least - 64..self.least].iter().fold(0, add);
        for (at, byte) in content[self.least..most].iter().enumerate() {
            sum = add(sum, byte);
            if sum & self.mask == 0 {
                return self.least + at + 1;
            }
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a content's cuts are.
    fn cuts(content: &[u8], cutter: Cutter) -> Vec<usize> {
        let mut cuts = vec![0];
        while let Some(at) = cuts.last().copied().filter(|at| *at < content.len()) {
            cuts.push(at + cutter.cut(&content[at..]));
        }
        cuts
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn chunks_are_of_bounded_size_and_find_back() {
        let cutter = Cutter::for_size(1 << 20);
        let content = noise(1 << 20);
        let before = cuts(&content, cutter);
        assert!(
            before.windows(2).rev().skip(1).all(|c| (cutter.least..=cutter.most).contains(&(c[1] - c[0])))
        );
        let mut moved = vec![7; 1000];
        moved.extend(&content);
        let after = cuts(&moved, cutter);
        let same = before.iter().filter(|cut| after.contains(&(*cut + 1000))).count();
        assert!(same * 10 > before.len() * 9, "{same} of {} cuts", before.len());
    }

    #[test]
    fn a_huge_layer_has_no_more_chunks() {
        for size in [0, 1, LARGE, LARGE + 1, 1 << 40, u64::MAX] {
            let cutter = Cutter::for_size(size);
            assert!(cutter.least > 64 && cutter.most() <= 4 << 20, "{cutter:?}");
            assert_eq!(cutter.cut(&[]), 0);
            assert_eq!(cutter.cut(&vec![0; cutter.most() + 1]), cutter.most());
        }
    }
}
