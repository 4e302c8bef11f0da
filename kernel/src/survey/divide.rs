//! Which memory is filled: whole blocks of what is free, but for the places of the state's copies.

use super::pattern::BLOCK;
use crate::memblock::Range;

/// A copy of the state stands in the first block of each stretch of so many bytes that is free.
pub const COPY_EACH: u64 = 64 << 20;
/// Ranges that are looked at.
pub const RANGES_MAX: usize = 24;
/// Ranges that are not recommended, whatever was found in them.
pub const AVOIDED_MAX: usize = 4;
/// Stretches of memory that are filled, and copies of the state.
pub const PARTS_MAX: usize = 96;

/// Whole blocks of what is free, leaving out `avoid`. What is more than [`RANGES_MAX`] ranges is left out.
pub fn whole_blocks(free: impl Iterator<Item = Range>, avoid: Range) -> heapless::Vec<Range, RANGES_MAX> {
    let avoid = avoid.align_outwards(BLOCK);
    let parts = free.flat_map(|range| [range.below(avoid.base()), range.above(avoid.last())]).flatten();
    parts.filter_map(whole).take(RANGES_MAX).collect()
}

/// The whole blocks in a range, as far as they can be kept in a state.
fn whole(range: Range) -> Option<Range> {
    // Page 0 is never mapped: a null pointer must fault.
    let base = range.base().checked_next_multiple_of(BLOCK)?.max(BLOCK);
    let end = range.last().saturating_add(1).min(END_MAX) & !(BLOCK - 1);
    Range::new(base, end.checked_sub(base)?)
}

/// A range of whole blocks in one word: the number of its first block, and how many there are.
pub(super) fn pack(blocks: Range) -> u64 {
    let (first, count) = (blocks.base() / BLOCK, blocks.size() / BLOCK);
    first | (count << 32)
}

/// The reverse.
pub(super) fn unpack(word: u64) -> Option<Range> {
    let range = Range::new((word & u64::from(u32::MAX)) * BLOCK, (word >> 32) * BLOCK)?;
    (range.last() < END_MAX).then_some(range)
}

/// Addresses from here on are not filled: none has RAM in an address space of 48 bits.
const END_MAX: u64 = 1 << 48;
const _: () = assert!(END_MAX / BLOCK <= 1 << 32);

/// Free memory, divided.
#[derive(Clone, Debug, Default)]
pub struct Divided {
    /// What is filled: whole blocks, in the order of addresses.
    pub filled: heapless::Vec<Range, PARTS_MAX>,
    /// Blocks with a copy of the state.
    pub copies: heapless::Vec<u64, PARTS_MAX>,
    /// What is free in this boot; the rest of what is filled is left alone.
    free: heapless::Vec<Range, RANGES_MAX>,
}

impl Divided {
    /// Divides the whole blocks that were free when the survey began, of which others may be `free` in this boot: places stay as
    /// they are. What is more than [`PARTS_MAX`] parts is left out.
    #[must_use]
    pub fn new(blocks: &[Range], free: &[Range]) -> Self {
        let mut divided = Self::default();
        divided.free.extend(free.iter().copied().take(RANGES_MAX));
        blocks.iter().for_each(|part| divided.add(*part));
        let mut copies = core::mem::take(&mut divided.copies);
        copies.retain(|copy| divided.is_free(*copy));
        Self { copies, ..divided }
    }

    /// Whether a block is free in this boot.
    #[must_use]
    pub fn is_free(&self, block: u64) -> bool {
        Range::new(block, BLOCK).is_some_and(|block| self.free.iter().any(|free| free.contains(block)))
    }

    fn add(&mut self, part: Range) {
        let (mut from, end) = (part.base(), part.last() + 1);
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
