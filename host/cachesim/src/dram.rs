//! What DRAM holds: words that any thread writes at any moment, so that a store past the cache takes no lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use zerocopy::FromZeros;

/// Bytes of a word.
const WORD: usize = 8;

/// The range as it is in DRAM.
#[derive(Debug)]
pub struct Dram {
    words: Vec<AtomicU64>,
    /// Stores past the cache do not count any more, until the next reset.
    frozen: AtomicBool,
}

impl Dram {
    /// All zeros; `size` bytes, which are whole words as lines are.
    pub(crate) fn new(size: usize) -> Self {
        // Zeros from the system, which take room where they are first written.
        let words = AtomicU64::new_vec_zeroed(size / WORD).expect("the host has room for the range");
        Self { words, frozen: AtomicBool::new(false) }
    }

    pub(crate) fn size(&self) -> usize {
        self.words.len() * WORD
    }

    /// Where it lies in this process, and its size: for advice to the system.
    #[must_use]
    pub fn place(&self) -> (*const AtomicU64, usize) {
        (self.words.as_ptr(), self.size())
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Relaxed);
    }

    /// A store past the cache, `at` so many bytes from the range's beginning. What lies outside does not matter.
    pub fn write_through(&self, at: u64, bytes: &[u8]) {
        if !self.frozen.load(Relaxed) {
            self.write(at as usize, bytes);
        }
    }

    /// Words from a place in bytes on, and how far in the first one the place is.
    fn from(&self, at: usize) -> (&[AtomicU64], usize) {
        (self.words.get(at / WORD..).unwrap_or_default(), at % WORD)
    }

    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        let (to, inside) = self.from(at);
        let (head, rest) = bytes.split_at(bytes.len().min((WORD - inside) % WORD));
        let to = if head.is_empty() {
            to
        } else {
            merge(to, inside, head);
            to.get(1..).unwrap_or_default()
        };
        let (whole, tail) = rest.as_chunks();
        for (to, from) in to.iter().zip(whole) {
            to.store(u64::from_le_bytes(*from), Relaxed);
        }
        merge(to.get(whole.len()..).unwrap_or_default(), 0, tail);
    }

    /// Copies out whole words, from a word's beginning on.
    pub(crate) fn read(&self, at: usize, bytes: &mut [u8]) {
        for (to, from) in bytes.as_chunks_mut().0.iter_mut().zip(self.from(at).0) {
            *to = from.load(Relaxed).to_le_bytes();
        }
    }

    /// Whether these whole words are there, from a word's beginning on.
    pub(crate) fn holds(&self, at: usize, bytes: &[u8]) -> bool {
        let words = self.from(at).0.iter().zip(bytes.as_chunks().0);
        // Without a branch for each: they mostly are.
        words.fold(0, |differs, (word, bytes)| differs | (word.load(Relaxed) ^ u64::from_le_bytes(*bytes))) == 0
    }

    /// Turns a bit over, by its number; what it is now.
    pub(crate) fn flip(&self, bit: u64) -> Option<bool> {
        let mask = 1 << (bit % 64);
        Some(self.words.get((bit / 64) as usize)?.fetch_xor(mask, Relaxed) & mask == 0)
    }

    /// Gives each word from a place on, `count` of them at most, a value by its number from there.
    pub(crate) fn fill(&self, at: usize, count: usize, value: impl Fn(u64) -> u64) {
        for (number, word) in (0..).zip(self.from(at).0.iter().take(count)) {
            word.store(value(number), Relaxed);
        }
    }
}

/// Puts less than a word into the first one.
fn merge(to: &[AtomicU64], inside: usize, bytes: &[u8]) {
    let Some(word) = to.first().filter(|_| !bytes.is_empty()) else { return };
    let (mut value, mut mask) = ([0; WORD], [0xff; WORD]);
    value[inside..inside + bytes.len()].copy_from_slice(bytes);
    mask[inside..inside + bytes.len()].fill(0);
    let (value, mask) = (u64::from_le_bytes(value), u64::from_le_bytes(mask));
    // Never refused: the closure always has an answer.
    let _ = word.fetch_update(Relaxed, Relaxed, |old| Some(old & mask | value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_every_size_at_every_place_are_where_they_belong() {
        for at in 0..40 {
            for size in 0..=17 {
                let (dram, mut expected) = (Dram::new(48), vec![0; 48]);
                dram.write(0, &[0xee; 48]);
                expected.fill(0xee);
                let bytes: Vec<u8> = (1..=size).collect();
                dram.write_through(at as u64, &bytes);
                for (to, from) in expected[at..].iter_mut().zip(&bytes) {
                    *to = *from;
                }
                let mut is = vec![0; 48];
                dram.read(0, &mut is);
                assert_eq!(is, expected, "{size} bytes at {at}");
                assert!(dram.holds(0, &expected) && !dram.holds(0, &[0; 48]));
            }
        }
    }

    #[test]
    fn a_bit_turns_over_and_back() {
        let dram = Dram::new(16);
        assert_eq!(
            (dram.flip(77), dram.flip(77), dram.flip(77), dram.flip(128)),
            (Some(true), Some(false), Some(true), None)
        );
        let mut is = [0; 16];
        dram.read(0, &mut is);
        assert_eq!(is[77 / 8], 1 << (77 % 8));
    }
}
