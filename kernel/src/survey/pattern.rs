//! The word at each address. `address / 8 * STEP + start`: from one word to the next it is one addition, and it can be inverted, so
//! that a word which stands somewhere else says where it comes from.
//!
//! Two generations differ by a constant at every address. Two numbers whose difference has arithmetic weight `n` (the fewest
//! powers of two whose sum or difference it is) differ in `n` bits at least. Starts are mixed well, and so [`WEIGHT`] apart:
//! no flip of a few bits makes one generation look like another.

/// Bytes of a block: what has one class.
pub const BLOCK: u64 = 64 << 10;
/// Bytes of a word.
pub const WORD: u64 = 8;
/// Odd, so that it has an inverse; its bits are spread, so that neighbours differ in many.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Least bits in which the words of two generations differ.
pub const WEIGHT: u32 = 9;

/// How a block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Through the cache, then cleaned: it must survive a reset that keeps memory.
    Cleaned,
    /// Through the cache, and left there: a reset that does not write caches back loses it.
    Dirty,
    /// Past the cache.
    Uncached,
}

/// Which classes the blocks of a fill have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All are cleaned: it makes memory known, so that a later fill which does not reach it leaves this one to be seen.
    Known,
    /// Each has its own.
    Classes,
}

/// Of one whole survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// splitmix64's last step: every bit of the result depends on every bit of the argument.
#[must_use]
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Seed {
    /// What a generation adds to every word.
    #[must_use]
    pub fn start(self, generation: u32) -> u64 {
        mix(self.0 ^ mix(u64::from(generation) + 1))
    }

    /// How a fill writes a block.
    #[must_use]
    pub fn writes(self, fill: Fill, block: u64, generation: u32) -> Class {
        match fill {
            Fill::Known => Class::Cleaned,
            Fill::Classes => self.class(block, generation),
        }
    }

    /// The word at an address.
    #[must_use]
    pub fn word(self, address: u64, generation: u32) -> u64 {
        (address / WORD).wrapping_mul(STEP).wrapping_add(self.start(generation))
    }

    /// The address to which a word belongs, if any.
    #[must_use]
    pub fn address(self, word: u64, generation: u32) -> u64 {
        word.wrapping_sub(self.start(generation)).wrapping_mul(INVERSE).wrapping_mul(WORD)
    }

    /// The class of a block by its address.
    #[must_use]
    pub fn class(self, block: u64, generation: u32) -> Class {
        match mix(self.0 ^ mix(block / BLOCK) ^ mix(!u64::from(generation))) % 3 {
            0 => Class::Cleaned,
            1 => Class::Dirty,
            _ => Class::Uncached,
        }
    }
}

/// `STEP * INVERSE == 1`, by Newton's iteration: each round doubles the bits that are right.
const INVERSE: u64 = {
    let mut x = STEP;
    let mut round = 0;
    while round < 6 {
        x = x.wrapping_mul(2u64.wrapping_sub(STEP.wrapping_mul(x)));
        round += 1;
    }
    x
};
const _: () = assert!(STEP.wrapping_mul(INVERSE) == 1);

/// Words that are handled at a time: a cache line's.
const UNROLLED: usize = 8;

/// The words of a line whose first one is `word`. Written out: built for size, a loop would stay one.
#[inline(always)]
fn line_of(word: u64) -> [u64; UNROLLED] {
    let at = |n: u64| word.wrapping_add(STEP.wrapping_mul(n));
    [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]
}

/// Writes the words of a place whose first word is `first`.
pub fn fill(words: &mut [u64], first: u64) {
    let mut word = first;
    let (lines, rest) = words.as_chunks_mut::<UNROLLED>();
    for line in lines {
        *line = line_of(word);
        word = word.wrapping_add(STEP.wrapping_mul(UNROLLED as u64));
    }
    for to in rest {
        *to = word;
        word = word.wrapping_add(STEP);
    }
}

/// The first line of a place that is not as [`fill`] left it, from line `from` on.
#[must_use]
pub fn first_damaged(words: &[u64], first: u64, from: usize) -> Option<usize> {
    let (lines, _) = words.as_chunks::<UNROLLED>();
    let mut word = first.wrapping_add(STEP.wrapping_mul((from * UNROLLED) as u64));
    for (number, line) in lines.iter().enumerate().skip(from) {
        let [a, b, c, d, e, f, g, h] = line_of(word);
        let [i, j, k, l, m, n, o, p] = *line;
        // All of them, and one branch.
        if (a ^ i) | (b ^ j) | (c ^ k) | (d ^ l) | (e ^ m) | (f ^ n) | (g ^ o) | (h ^ p) != 0 {
            return Some(number);
        }
        word = word.wrapping_add(STEP.wrapping_mul(UNROLLED as u64));
    }
    None
}
