//! The one word that says where a core writes next: how many events were reserved, which sub-buffer, which word of it.
//!
//! ```text
//! 63        48 47                              10 9        0
//! |  count   |             sequence              |   word  |
//! ```
//! One compare-and-swap moves all three, so a nested writer sees a whole truth or makes the outer one try again.
//! `count` is the number of events reserved so far, modulo 2^16 (the whole number is carried from switch to switch);
//! `sequence` numbers the sub-buffers that this core has begun, from 0, and never wraps (2^38 of them are 1 PiB);
//! `word` is the place of the next event, in 4-byte words from the start of the sub-buffer.

use crate::format::{DATA_END, DATA_START};

/// Bits of the place in the sub-buffer.
pub const WORD_BITS: u32 = 10;
/// Bits of the sequence number.
pub const SEQUENCE_BITS: u32 = 38;
/// Bits of the number of events.
pub const COUNT_BITS: u32 = 16;

const _: () = assert!(WORD_BITS + SEQUENCE_BITS + COUNT_BITS == 64);
const _: () = assert!(crate::linux::SUBBUF_SIZE == 4 << WORD_BITS);

/// The last sequence number: a recorder that has filled it stops.
pub const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;
/// The word of a sub-buffer at which its first event begins.
pub const FIRST_WORD: u32 = (DATA_START / 4) as u32;
/// The word of a sub-buffer behind the last that an event may use.
pub const END_WORD: u32 = (DATA_END / 4) as u32;

const COUNT_ONE: u64 = 1 << (SEQUENCE_BITS + WORD_BITS);

/// Where a core writes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(u64);

impl Position {
    /// A position from its parts; what does not fit is cut off.
    #[must_use]
    pub const fn new(count: u64, sequence: u64, word: u32) -> Self {
        let place = (sequence & SEQUENCE_MAX) << WORD_BITS | (word as u64 & ((1 << WORD_BITS) - 1));
        Self(count << (SEQUENCE_BITS + WORD_BITS) | place)
    }
    /// A position from the word that holds it.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    /// The word that holds it.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// Number of events reserved before it, modulo 2^16.
    #[inline(always)]
    #[must_use]
    pub const fn count(self) -> u16 {
        (self.0 >> (SEQUENCE_BITS + WORD_BITS)) as u16
    }
    /// The whole number of events reserved before it, from one that was right less than 2^15 events before or after it.
    #[must_use]
    pub const fn whole_count(self, base: u64) -> u64 {
        let difference = self.count().wrapping_sub(base as u16).cast_signed();
        base.wrapping_add_signed(difference as i64)
    }
    /// Sequence number of the sub-buffer.
    #[inline(always)]
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.0 >> WORD_BITS & SEQUENCE_MAX
    }
    /// Place in the sub-buffer, in words.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u32 {
        (self.0 & ((1 << WORD_BITS) - 1)) as u32
    }
    /// Place in the sub-buffer, in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn byte(self) -> u64 {
        (self.0 & ((1 << WORD_BITS) - 1)) * 4
    }
    /// The part that an event's check begins with: sequence and place.
    #[inline(always)]
    #[must_use]
    pub const fn checked(self) -> u64 {
        self.0 & (COUNT_ONE - 1)
    }
    /// The position behind an event of `words` words that fits.
    #[inline(always)]
    #[must_use]
    pub const fn behind(self, words: u32) -> Self {
        Self(self.0.wrapping_add(COUNT_ONE + words as u64))
    }
    /// The position behind an event of `words` words that is the first of the next sub-buffer.
    #[must_use]
    pub const fn in_next(self, words: u32) -> Self {
        Self::new(self.count() as u64 + 1, self.sequence() + 1, FIRST_WORD + words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_wraps_without_touching_the_rest() {
        let last = Position::new(0xffff, 77, 100);
        let next = last.behind(6);
        assert_eq!((next.count(), next.sequence(), next.word()), (0, 77, 106));
    }

    #[test]
    fn the_next_sub_buffer_begins_behind_its_header() {
        let p = Position::new(9, 41, 1000).in_next(5);
        assert_eq!((p.count(), p.sequence(), p.byte()), (10, 42, 16 + 20));
    }
}
