//! Which memory is filled: whole blocks of what is free, but for the places of the state's copies.

use super::pattern::BLOCK;
use crate::memblock::Range;

/// A copy of the state stands in the first block of each stretch of so many bytes that is free.
pub const COPY_EACH: u64 = 64 << 20;
/// Ranges that are looked at.
pub const RANGES_MAX: usize = 24;
/// Stretches of memory that are filled, and copies of the state.
pub const PARTS_MAX: usize = 96;

/// Free memory, divided.
#[derive(Clone, Debug, Default)]
pub struct Divided {
    /// What is filled: whole blocks, in the order of addresses.
    pub filled: heapless::Vec<Range, PARTS_MAX>,
    /// Blocks with a copy of the state.
    pub copies: heapless::Vec<u64, PARTS_MAX>,
}

impl Divided {
    /// Divides what is free, leaving out `avoid`, in whole blocks. What is more than [`PARTS_MAX`] parts is left out.
    pub fn new(free: impl Iterator<Item = Range>, avoid: Range) -> Self {
        let mut divided = Self::default();
        let avoid = avoid.align_outwards(BLOCK);
        for range in free {
            for part in [range.below(avoid.base()), range.above(avoid.last())].into_iter().flatten() {
                divided.add(part);
            }
        }
        divided
    }

    fn add(&mut self, part: Range) {
        // Page 0 is never mapped: a null pointer must fault.
        let (mut from, Some(end)) = (part.base().next_multiple_of(BLOCK).max(BLOCK), part.end()) else { return };
        let end = end & !(BLOCK - 1);
        while from < end {
            let next = ((from | (COPY_EACH - 1)) + 1).min(end);
            let copy = self.copies.push(from).is_ok();
            if let Some(rest) = Range::new(from + BLOCK, next - from - BLOCK)
                && (!copy || self.filled.push(rest).is_err())
            {
                return;
            }
            from = next;
        }
    }

    /// Blocks that are filled.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.filled.iter().map(|range| range.size() / BLOCK).sum()
    }

    /// The address of one of them.
    #[must_use]
    pub fn block(&self, mut number: u64) -> Option<u64> {
        self.filled.iter().find_map(|range| {
            let blocks = range.size() / BLOCK;
            let at = (number < blocks).then(|| range.base() + number * BLOCK);
            number = number.wrapping_sub(blocks);
            at
        })
    }

    /// Whether an address is filled.
    #[must_use]
    pub fn is_filled(&self, address: u64) -> bool {
        self.filled.iter().any(|range| range.base() <= address && address <= range.last())
    }
}
