//! A binary arithmetic coder: what is likely costs a small part of a bit.
//!
//! Encoder and decoder are one interface, so that the model that drives them is written once and cannot differ.

/// Bits of a chance's probability, in the upper part of its word; how often it was met is in the lower.
const CHANCE_BITS: u32 = 13;
/// Bits of how often it was met.
const MET_BITS: u32 = 16 - CHANCE_BITS;
/// The slowest that a chance learns: by this many bits.
const SLOWEST: u16 = 5;

/// Where nothing is known, both are as likely.
const EVEN: u16 = 1 << 15;

/// How likely a bit is to be set, as learnt so far: fast at first, then more slowly.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u16);

impl Chance {
    /// Nothing is known. All zeros, so that a model which knows nothing takes no room in an image.
    pub const EVEN: Self = Self(0);

    /// The probability of a set bit, in units of 2^-13; neither 0 nor 1.
    fn set(self) -> u32 {
        u32::from((self.0 ^ EVEN) >> MET_BITS).max(1)
    }

    /// How far the probability is from one half.
    fn sureness(self) -> u32 {
        self.set().abs_diff(1 << (CHANCE_BITS - 1))
    }

    fn learn(&mut self, bit: bool) {
        let (chance, met) = ((self.0 ^ EVEN) >> MET_BITS, self.0 & ((1 << MET_BITS) - 1));
        let (shift, met) = ((met + 1).min(SLOWEST), (met + 1).min(SLOWEST));
        let chance = if bit { chance + (((1 << CHANCE_BITS) - chance) >> shift) } else { chance - (chance >> shift) };
        self.0 = (chance << MET_BITS | met) ^ EVEN;
    }
}

/// What codes bits: an [`Encoder`] takes them, a [`Decoder`] gives them.
pub trait Coder {
    /// The encoder writes `bit` and returns it; the decoder returns the bit that was written.
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool;

    /// The same where two chances are known: the surer one counts, and both learn.
    fn surer(&mut self, one: &mut Chance, other: &mut Chance, bit: bool) -> bool {
        let mut surer = if other.sureness() > one.sureness() { *other } else { *one };
        let bit = self.bit(&mut surer, bit);
        one.learn(bit);
        other.learn(bit);
        bit
    }

    /// So many low bits of a number of which nothing is known, the highest first.
    fn plain(&mut self, bits: u32, value: u32) -> u32 {
        (0..bits).rev().fold(0, |read, bit| {
            let mut even = Chance::EVEN;
            read << 1 | u32::from(self.bit(&mut even, value >> bit & 1 == 1))
        })
    }

    /// A number of as many bits as the tree has levels: it has 2^bits chances, of which the first is not used.
    fn tree(&mut self, tree: &mut [Chance], bits: u32, value: u32) -> u32 {
        let read = (0..bits).rev().fold(1, |at, bit| {
            let mut none = Chance::EVEN;
            let chance = tree.get_mut(at as usize).unwrap_or(&mut none);
            at << 1 | u32::from(self.bit(chance, value >> bit & 1 == 1))
        });
        read - (1 << bits)
    }
}

/// The interval that is left, of which the next bit takes a part.
#[derive(Clone, Copy, Debug)]
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const WHOLE: Self = Self { low: 0, high: u32::MAX };

    /// The last value of the part that stands for a set bit.
    fn middle(self, chance: Chance) -> u32 {
        self.low + ((u64::from(self.high - self.low) * u64::from(chance.set())) >> CHANCE_BITS) as u32
    }

    fn take(&mut self, middle: u32, bit: bool) {
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
    }

    /// The first byte, once it is settled.
    fn shift(&mut self) -> Option<u8> {
        let byte = self.high >> 24;
        if byte != self.low >> 24 {
            return None;
        }
        self.low <<= 8;
        self.high = self.high << 8 | 0xff;
        Some(byte as u8)
    }
}

/// Writes bits into a buffer.
#[derive(Debug)]
pub struct Encoder<'o> {
    interval: Interval,
    out: &'o mut [u8],
    len: usize,
}

impl<'o> Encoder<'o> {
    /// One that has written nothing.
    pub fn new(out: &'o mut [u8]) -> Self {
        Self { interval: Interval::WHOLE, out, len: 0 }
    }

    fn put(&mut self, byte: u8) {
        if let Some(to) = self.out.get_mut(self.len) {
            *to = byte;
        }
        self.len += 1;
    }

    /// How many bytes it wrote; `None` where the buffer is too small.
    #[must_use]
    pub fn finish(mut self) -> Option<usize> {
        // The bounds differ in their first byte, so that this byte and zeros lie between them.
        self.put((self.interval.low >> 24) as u8 + 1);
        (self.len <= self.out.len()).then_some(self.len)
    }
}

impl Coder for Encoder<'_> {
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool {
        self.interval.take(self.interval.middle(*chance), bit);
        chance.learn(bit);
        while let Some(byte) = self.interval.shift() {
            self.put(byte);
        }
        bit
    }
}

/// Reads bits from a buffer; behind its end stand zeros.
#[derive(Debug)]
pub struct Decoder<'i> {
    interval: Interval,
    value: u32,
    rest: core::slice::Iter<'i, u8>,
}

impl<'i> Decoder<'i> {
    /// One that has read nothing.
    #[must_use]
    pub fn new(bytes: &'i [u8]) -> Self {
        let mut rest = bytes.iter();
        let value = (0..4).fold(0, |value, _| value << 8 | u32::from(rest.next().copied().unwrap_or(0)));
        Self { interval: Interval::WHOLE, value, rest }
    }
}

impl Coder for Decoder<'_> {
    fn bit(&mut self, chance: &mut Chance, _: bool) -> bool {
        let middle = self.interval.middle(*chance);
        let bit = self.value <= middle;
        self.interval.take(middle, bit);
        chance.learn(bit);
        while self.interval.shift().is_some() {
            self.value = self.value << 8 | u32::from(self.rest.next().copied().unwrap_or(0));
        }
        bit
    }
}
