//! A checked line: 64 bytes that stand for themselves. Headers and tails are made of them ([`crate::format`]).
//! Its functions are calls on purpose (`inline(never)`): they stand in many places, none of which is hot, and the image is small.

use crate::check::{Crc32c, Table, seed};
use crate::format::{LINE_CHECK, LINE_GENERATION, LINE_PAYLOAD, LINE_SIZE};
use crate::seams::Memory;

/// The payload of a line, put together or taken apart field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    bytes: [u8; LINE_PAYLOAD],
    at: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; LINE_PAYLOAD], at: 0 }
    }
}

/// What seeds a line's check: whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSeed(u32);

impl LineSeed {
    /// For the lines of `domain` ([`crate::format::domain`]) written in the boot `boot_id`.
    #[must_use]
    pub fn new(boot_id: u32, domain: u16) -> Self {
        Self(seed(boot_id, domain))
    }

    #[inline(never)]
    fn check(self, number: u32, bytes: &[u8]) -> u32 {
        Table.bytes(Table.u64(self.0, u64::from(number)), bytes)
    }
}

impl Line {
    /// A line whose payload is the first 56 of `bytes`, filled up with zeros.
    #[must_use]
    #[inline(never)]
    pub fn of(bytes: &[u8]) -> Self {
        let mut line = Self::default();
        for (to, from) in line.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        line
    }

    /// The whole payload.
    #[must_use]
    pub fn payload(&self) -> &[u8; LINE_PAYLOAD] {
        &self.bytes
    }

    /// Appends a field. A field that does not fit is a mistake in the layout: a debug assertion, else left out.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }
    /// Appends a field.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.put(&value.to_le_bytes())
    }
    /// Appends a field.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.put(&value.to_le_bytes())
    }

    #[inline(never)]
    fn put(mut self, bytes: &[u8]) -> Self {
        let end = self.at + bytes.len();
        debug_assert!(end <= LINE_PAYLOAD, "a line's fields exceed its payload");
        if let Some(to) = self.bytes.get_mut(self.at..end) {
            to.copy_from_slice(bytes);
            self.at = end;
        }
        self
    }

    /// Takes the next field.
    pub fn take_u8(&mut self) -> u8 {
        self.take(1) as u8
    }
    /// Takes the next field.
    pub fn take_u32(&mut self) -> u32 {
        self.take(4) as u32
    }
    /// Takes the next field.
    pub fn take_u64(&mut self) -> u64 {
        self.take(8)
    }

    /// The next field of so many bytes, at most 8.
    #[inline(never)]
    fn take(&mut self, size: usize) -> u64 {
        let field = self.bytes.get(self.at..self.at + size);
        debug_assert!(field.is_some(), "a line's fields exceed its payload");
        self.at += size;
        field.unwrap_or_default().iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Writes the line at `at`, as number `number` of its page or tail.
    #[inline(never)]
    pub fn store<M: Memory>(&self, memory: &M, at: u64, seed: LineSeed, number: u32, generation: u32) {
        for (i, word) in self.whole(seed, number, generation).into_iter().enumerate() {
            memory.store_u64(at + 8 * i as u64, word);
        }
    }

    /// The line as it stands in memory. A function of its own: not compiled anew, and for size, for each kind of memory.
    fn whole(&self, seed: LineSeed, number: u32, generation: u32) -> [u64; LINE_SIZE as usize / 8] {
        let mut whole = [0u8; LINE_SIZE as usize];
        whole[..LINE_PAYLOAD].copy_from_slice(&self.bytes);
        whole[LINE_GENERATION..LINE_CHECK].copy_from_slice(&generation.to_le_bytes());
        let check = seed.check(number, &whole[..LINE_CHECK]);
        whole[LINE_CHECK..].copy_from_slice(&check.to_le_bytes());
        let (words, _) = whole.as_chunks::<8>();
        core::array::from_fn(|i| u64::from_le_bytes(words[i]))
    }

    /// A line of up to seven u64.
    #[must_use]
    pub fn of_words(words: &[u64]) -> Self {
        let mut line = Self::default();
        let (to, _) = line.bytes.as_chunks_mut::<8>();
        for (to, word) in to.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        line
    }

    /// Reads line `number` at `at` of `bytes`, with its generation; `None` where it does not verify or lies outside.
    #[must_use]
    #[inline(never)]
    pub fn load(bytes: &[u8], at: u64, seed: LineSeed, number: u32) -> Option<(Self, u32)> {
        let start = usize::try_from(at).ok()?;
        let whole = bytes.get(start..)?.first_chunk::<{ LINE_SIZE as usize }>()?;
        let check = u32::from_le_bytes(*whole.last_chunk::<4>()?);
        if seed.check(number, &whole[..LINE_CHECK]) != check {
            return None;
        }
        let generation = u32::from_le_bytes(*whole[LINE_GENERATION..].first_chunk::<4>()?);
        Some((Self::of(&whole[..LINE_PAYLOAD]), generation))
    }
}

/// Writes `bytes` over consecutive lines, `number..number + lines`, filled up with zeros; what does not fit is cut off.
#[inline(never)]
pub fn store_text<M: Memory>(memory: &M, at: u64, seed: LineSeed, number: u32, lines: u32, bytes: &[u8]) {
    let mut chunks = bytes.chunks(LINE_PAYLOAD);
    for i in 0..lines {
        let line = Line::of(chunks.next().unwrap_or(&[]));
        line.store(memory, at + u64::from(i) * LINE_SIZE, seed, number + i, 0);
    }
}

/// Reads consecutive lines into `out`, up to the first zero byte; a lost line becomes as many `?`. Returns the text's
/// bytes, which are not trusted in any way.
#[inline(never)]
pub fn load_text<'o>(bytes: &[u8], at: u64, seed: LineSeed, number: u32, lines: u32, out: &'o mut [u8]) -> &'o [u8] {
    let mut used = 0;
    'lines: for i in 0..lines {
        let line = Line::load(bytes, at + u64::from(i) * LINE_SIZE, seed, number + i);
        let payload = line.map_or([b'?'; LINE_PAYLOAD], |(line, _)| *line.payload());
        for byte in payload {
            if byte == 0 {
                break 'lines;
            }
            let Some(to) = out.get_mut(used) else { break 'lines };
            *to = byte;
            used += 1;
        }
    }
    &out[..used]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Ram;

    const SEED: fn() -> LineSeed = || LineSeed::new(7, crate::format::domain::TAIL);

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        let ram = Ram::new(256);
        Line::default().u8(1).u32(2).u64(3).store(&ram, 64, SEED(), 5, 9);
        let (mut line, generation) = Line::load(&ram.cached(), 64, SEED(), 5).unwrap();
        assert_eq!((line.take_u8(), line.take_u32(), line.take_u64(), generation), (1, 2, 3, 9));
    }

    #[test]
    fn a_line_of_another_place_boot_or_content_does_not_verify() {
        let ram = Ram::new(256);
        Line::default().u64(3).store(&ram, 64, SEED(), 5, 9);
        let mut bytes = ram.cached();
        assert!(Line::load(&bytes, 64, SEED(), 4).is_none());
        assert!(Line::load(&bytes, 64, LineSeed::new(8, crate::format::domain::TAIL), 5).is_none());
        assert!(Line::load(&bytes, 250, SEED(), 5).is_none());
        assert!(Line::load(&bytes, u64::MAX, SEED(), 5).is_none());
        for bit in 0..512 {
            bytes[64 + bit / 8] ^= 1 << (bit % 8);
            assert!(Line::load(&bytes, 64, SEED(), 5).is_none(), "bit {bit}");
            bytes[64 + bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_text_loses_only_the_line_that_is_lost() {
        let ram = Ram::new(512);
        let text = [b'a'; 130];
        store_text(&ram, 0, SEED(), 3, 4, &text);
        let mut bytes = ram.cached();
        bytes[64] ^= 1;
        let mut out = [0; 300];
        let back = load_text(&bytes, 0, SEED(), 3, 4, &mut out);
        assert_eq!(back.len(), 130);
        assert!(back[..56].iter().chain(&back[112..]).all(|b| *b == b'a'));
        assert!(back[56..112].iter().all(|b| *b == b'?'));
    }
}
