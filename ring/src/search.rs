//! Checks many overlapping stretches of one sub-buffer without reading them again and again.
//!
//! Behind damage any word may begin the next event, and hostile bytes may claim at every word an event that reaches to the
//! end. A check is linear over GF(2): the register behind a stretch follows from the registers of one pass over all words
//! and a multiplication by a power of x. So each claim costs the same, however long it is, and it can be run backwards too.

use crate::check::{Crc32c, zeros, zeros_back};
use crate::linux::SUBBUF_SIZE;
use crate::position::{END_WORD, WORD_BITS};

/// A sub-buffer, word by word.
pub(crate) type Words = [[u8; 4]; SUBBUF_SIZE as usize / 4];

/// Registers in which bit 31 is 1, bit 30 is x, bit 0 is x^31.
const ONE: u32 = 1 << 31;

/// Powers of x^32 or x^-32: what n words of zeros, forward or backward, make of a register, for n = 32 high + low.
struct Powers {
    high: [u32; DIGITS],
    low: [u32; DIGITS],
}

/// Digits of n, and values of each.
const DIGITS: usize = 32;
const _: () = assert!(END_WORD as usize <= DIGITS * DIGITS);

impl Powers {
    const fn new(back: bool) -> Self {
        let word = if back { zeros_back(ONE, 32) } else { zeros(ONE, 32) };
        let low = Self::of(word);
        Self { high: Self::of(times(low[DIGITS - 1], word)), low }
    }

    const fn of(base: u32) -> [u32; DIGITS] {
        let mut table = [ONE; DIGITS];
        let mut n = 1;
        while n < DIGITS {
            table[n] = times(table[n - 1], base);
            n += 1;
        }
        table
    }

    /// What `words` words of zeros, less than 1024, make of a register.
    fn after(&self, register: u32, words: u32) -> u32 {
        let (high, low) = (words as usize / DIGITS % DIGITS, words as usize % DIGITS);
        times(times(register, self.high[high]), self.low[low])
    }
}

static FORWARD: Powers = Powers::new(false);
static BACK: Powers = Powers::new(true);

/// From behind the position word back to behind its known bits and the sequence number's 32.
const TO_SEQUENCE: u32 = zeros_back(ONE, 64 - WORD_BITS);

const fn times(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut i = 0;
    while i < 32 {
        product ^= b & (a >> 31).wrapping_neg();
        a <<= 1;
        b = zeros(b, 1);
        i += 1;
    }
    product
}

/// One pass over a sub-buffer's words from some word on, made as far as it is asked for.
pub(crate) struct Search<'a, C> {
    words: &'a Words,
    crc: C,
    known: usize,
    /// The register before each word, up to `known`, when it was 0 before the first.
    registers: [u32; END_WORD as usize + 1],
}

impl<'a, C: Crc32c> Search<'a, C> {
    pub(crate) fn new(words: &'a Words, crc: C, from: u32) -> Self {
        Self { words, crc, known: (from as usize).min(END_WORD as usize), registers: [0; END_WORD as usize + 1] }
    }

    fn register(&mut self, word: u32) -> u32 {
        let word = (word as usize).min(END_WORD as usize);
        while self.known < word {
            let next = self.crc.u32(self.registers[self.known], u32::from_le_bytes(self.words[self.known]));
            self.known += 1;
            self.registers[self.known] = next;
        }
        self.registers[word]
    }

    /// What the register was before `start`, if `end` is the word behind a check that fits.
    pub(crate) fn before(&mut self, start: u32, end: u32) -> u32 {
        let last = end.clamp(start + 1, END_WORD) - 1;
        let check = u32::from_le_bytes(self.words[last as usize]);
        let behind = check ^ self.register(last);
        BACK.after(behind, last - start) ^ self.register(start)
    }

    /// Whether the check before `end` fits, when the register was `seeded` before `start`.
    pub(crate) fn verifies(&mut self, start: u32, end: u32, seeded: u32) -> bool {
        let last = end.clamp(start + 1, END_WORD) - 1;
        let behind = FORWARD.after(seeded ^ self.register(start), last - start) ^ self.register(last);
        behind == u32::from_le_bytes(self.words[last as usize])
    }
}

/// The sequence number (below 2^32) under which an event at `word` was written, from the register before its first word:
/// the check run backwards. Random bytes give a random answer; the caller judges whether it is plausible.
pub(crate) fn sequence_before(before: u32, seed: u32, word: u32) -> u32 {
    times(before, TO_SEQUENCE) ^ zeros(seed ^ word, WORD_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Table, seed, sequence_of};
    use crate::position::{FIRST_WORD, Position};

    fn noise() -> Words {
        let mut state = 9u64;
        core::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 32) as u32).to_le_bytes()
        })
    }

    #[test]
    fn every_stretch_is_checked_as_if_it_were_read() {
        let words = noise();
        let seed = seed(77, 3);
        let mut search = Search::new(&words, Table, FIRST_WORD);
        for (start, end) in [(4, 6), (4, END_WORD), (5, 40), (700, 703), (9, 1000), (END_WORD - 2, END_WORD)] {
            let bytes = &words.as_flattened()[4 * start as usize..4 * end as usize - 4];
            let seeded = Table.u64(seed, Position::new(0, 12345, start).checked());
            let check = Table.bytes(seeded, bytes);
            assert!(!search.verifies(start, end, seeded));
            let mut right = words;
            right[end as usize - 1] = check.to_le_bytes();
            let mut search = Search::new(&right, Table, FIRST_WORD);
            assert!(search.verifies(start, end, seeded), "{start}..{end}");
            let before = search.before(start, end);
            assert_eq!(before, seeded);
            assert_eq!(sequence_before(before, seed, start), 12345);
            assert_eq!(sequence_of(seed, start, bytes, check), 12345);
        }
    }

    #[test]
    fn a_stretch_outside_the_sub_buffer_verifies_nothing_and_reads_nothing() {
        let words = noise();
        let mut search = Search::new(&words, Table, FIRST_WORD);
        assert!(!search.verifies(10, 5000, 1));
        let _ = search.before(10, 3);
    }
}
