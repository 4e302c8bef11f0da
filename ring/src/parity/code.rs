//! The code: Reed-Solomon over bytes, across the lines of a sub-buffer, 64 codewords side by side.
//!
//! GF(256) with the polynomial x^8 + x^4 + x^3 + x^2 + 1; the generator has the roots a^0 .. a^(p-1), a = x; line 0 is the
//! highest coefficient, the parity lines are the remainder, highest first. All of that is the usual choice.
//!
//! Encoding works on eight codewords at a time, in the bytes of a 64-bit register, by shifts and masks: no tables, so
//! nothing is pushed out of the cache of a core that records. Decoding is rare, small, and solves linear equations; it is
//! marked `inline` so that it is compiled with its user, who may want it small rather than fast.

/// Data lines of a sub-buffer.
pub const LINES: usize = 64;
/// Codewords: bytes of a line.
pub const COLUMNS: usize = 64;
/// Most parity lines.
pub const PARITY_MAX: usize = 8;

const _: () = assert!(LINES * COLUMNS == crate::linux::SUBBUF_SIZE as usize);

/// Words of a line.
const WORDS: usize = COLUMNS / 8;

/// A sub-buffer's lines, one after the other, as little endian words.
pub type Data = [u64; LINES * WORDS];

/// Parity lines as words; those behind the number in use are zero.
pub type Parity = [[u64; WORDS]; PARITY_MAX];

/// The polynomial without its top bit.
const POLYNOMIAL: u8 = 0x1d;

/// Eight bytes times a.
#[inline(always)]
const fn doubled(bytes: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    ((bytes & (0x7f * ONES)) << 1) ^ ((bytes >> 7 & ONES) * POLYNOMIAL as u64)
}

/// A product.
#[inline]
const fn times(one: u8, other: u8) -> u8 {
    let (mut product, mut power, mut bits) = (0, one, other);
    while bits != 0 {
        if bits & 1 == 1 {
            product ^= power;
        }
        power = doubled(power as u64) as u8;
        bits >>= 1;
    }
    product
}

/// The inverse of anything but 0: its 254th power.
#[inline]
fn inverse(of: u8) -> u8 {
    let to_127 = (0..7).fold(1, |power, _| times(times(power, power), of));
    times(to_127, to_127)
}

/// a^exponent.
#[inline]
fn power(exponent: usize) -> u8 {
    (0..exponent).fold(1, |power, _| times(power, 2))
}

/// The generator's coefficients for `P` parity lines, highest first, without the leading 1.
const fn generator<const P: usize>() -> [u8; P] {
    let mut coefficients = [0; P];
    let mut root = 1;
    let mut degree = 0;
    while degree < P {
        // times (x + root): from the lowest coefficient up, the leading 1 being at -1.
        let mut i = degree;
        loop {
            let above = if i == 0 { 1 } else { coefficients[i - 1] };
            coefficients[i] ^= times(above, root);
            if i == 0 {
                break;
            }
            i -= 1;
        }
        root = doubled(root as u64) as u8;
        degree += 1;
    }
    coefficients
}

/// The parity of a sub-buffer. Zeros for a number of lines that there is not.
#[must_use]
pub fn parity_of(lines: u32, data: &Data) -> Parity {
    let mut parity = Parity::default();
    match lines {
        2 => divide::<2>(data, &mut parity),
        4 => divide::<4>(data, &mut parity),
        8 => divide::<8>(data, &mut parity),
        _ => {}
    }
    parity
}

/// Words that are worked on side by side: each step of one waits for the step before.
const LANES: usize = 2;

/// The remainder, so many words of each line after the other.
#[inline(never)]
fn divide<const P: usize>(data: &Data, parity: &mut Parity) {
    for first in (0..WORDS).step_by(LANES) {
        let mut rest = [[0; LANES]; P];
        for line in data.as_chunks::<WORDS>().0 {
            let fed = core::array::from_fn(|lane| line[first + lane] ^ rest[0][lane]);
            rest = core::array::from_fn(|i| if i + 1 < P { rest[i + 1] } else { [0; LANES] });
            // Written out, so that each step knows its bit of the generator when it is compiled.
            let fed = feed::<P, 0>(&mut rest, fed);
            let fed = feed::<P, 1>(&mut rest, fed);
            let fed = feed::<P, 2>(&mut rest, fed);
            let fed = feed::<P, 3>(&mut rest, fed);
            let fed = feed::<P, 4>(&mut rest, fed);
            let fed = feed::<P, 5>(&mut rest, fed);
            let fed = feed::<P, 6>(&mut rest, fed);
            feed::<P, 7>(&mut rest, fed);
        }
        for (to, rest) in parity.iter_mut().zip(rest) {
            to[first..first + LANES].copy_from_slice(&rest);
        }
    }
}

/// Adds `fed` where the generator has this bit; returns the next power of it.
#[inline(always)]
fn feed<const P: usize, const BIT: u32>(rest: &mut [[u64; LANES]; P], fed: [u64; LANES]) -> [u64; LANES] {
    for (rest, coefficient) in rest.iter_mut().zip(const { generator::<P>() }) {
        if coefficient >> BIT & 1 == 1 {
            rest.iter_mut().zip(fed).for_each(|(rest, fed)| *rest ^= fed);
        }
    }
    fed.map(doubled)
}

/// What was damaged, as the next boot can know it: the syndromes of all codewords.
#[derive(Clone, Copy, Debug)]
pub struct Syndromes {
    /// Of each power of a, for each codeword.
    of: [[u8; COLUMNS]; PARITY_MAX],
    lines: usize,
}

/// What a correction changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The data lines, one bit each.
    pub lines: u64,
    /// Bytes in them.
    pub bytes: u32,
}

/// Which way a correction is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// So many lines, found from all codewords together, which must have been damaged in different ways.
    Together(usize),
    /// Up to half as many bytes as there are parity lines in each codeword, found from it alone.
    Alone,
}

impl Syndromes {
    /// Those of a sub-buffer, from its parity as it stands and as it would have to be.
    #[must_use]
    #[inline]
    pub fn of(lines: u32, stands: &Parity, should: &Parity) -> Self {
        let lines = (lines as usize).min(PARITY_MAX);
        let mut syndromes = Self { of: [[0; COLUMNS]; PARITY_MAX], lines };
        for (exponent, of) in syndromes.of.iter_mut().take(lines).enumerate() {
            let at = power(exponent);
            for (column, of) in of.iter_mut().enumerate() {
                *of = stands.iter().zip(should).take(lines).fold(0, |sum, (stands, should)| {
                    let difference = stands[column / 8] ^ should[column / 8];
                    times(sum, at) ^ difference.to_le_bytes()[column % 8]
                });
            }
        }
        syndromes
    }

    /// The ways to seek a correction, the likelier first.
    #[inline]
    pub fn ways(&self) -> impl Iterator<Item = Way> + use<> {
        (1..self.lines).map(Way::Together).chain([Way::Alone])
    }

    /// Corrects a sub-buffer in one way, or takes back what the same way has corrected: it adds the same errors. `None`,
    /// and nothing is changed, where that way finds nothing.
    #[inline]
    pub fn apply(&self, way: Way, subbuf: &mut [u8]) -> Option<Changed> {
        let mut changed = Changed::default();
        match way {
            Way::Together(count) => {
                let places = self.places(0..COLUMNS, count)?;
                for column in 0..COLUMNS {
                    self.add(&places, column, subbuf, &mut changed);
                }
            }
            Way::Alone => {
                let damaged = |column: &usize| self.of[..self.lines].iter().any(|of| of[*column] != 0);
                let alone = |column| (1..=self.lines / 2).find_map(|count| self.places(column..column + 1, count));
                if (0..COLUMNS).filter(damaged).any(|column| alone(column).is_none()) {
                    return None;
                }
                for column in (0..COLUMNS).filter(damaged) {
                    self.add(&alone(column)?, column, subbuf, &mut changed);
                }
            }
        }
        Some(changed)
    }

    /// The places of `count` errors that explain these codewords: the same lines in all of them.
    ///
    /// A codeword's syndromes are sums of powers of the errors' locators, so each is a fixed sum of the `count` before it
    /// (Peterson). All of these equations must agree; the locators are the roots of the polynomial that they give.
    #[inline]
    fn places(&self, columns: core::ops::Range<usize>, count: usize) -> Option<Places> {
        let mut system = System::new(count);
        for column in columns {
            for first in 0..self.lines - count {
                let mut row = Row::default();
                for (i, coefficient) in row[..count].iter_mut().enumerate() {
                    *coefficient = self.of[first + count - 1 - i][column];
                }
                row[CONSTANT] = self.of[first + count][column];
                system.add(row).ok()?;
            }
        }
        let locator = system.solution()?;
        let mut places = Places { count: 0, lines: [0; PARITY_MAX], weights: [[0; PARITY_MAX]; PARITY_MAX] };
        let mut locators = [0; PARITY_MAX];
        let codeword = LINES + self.lines;
        for line in 0..codeword {
            let here = power(codeword - 1 - line);
            let value = locator[..count].iter().fold(1, |value, coefficient| times(value, here) ^ coefficient);
            if value == 0 {
                *places.lines.get_mut(places.count)? = line;
                locators[places.count] = here;
                places.count += 1;
            }
        }
        if places.count != count {
            return None;
        }
        // An error's value is a weighted sum of syndromes: each column of weights is what one syndrome of 1 would mean.
        for exponent in 0..count {
            let mut system = System::new(count);
            for power_of in 0..count {
                let mut row = Row::default();
                for (coefficient, locator) in row.iter_mut().zip(&locators[..count]) {
                    *coefficient = (0..power_of).fold(1, |power, _| times(power, *locator));
                }
                row[CONSTANT] = u8::from(power_of == exponent);
                system.add(row).ok()?;
            }
            let values = system.solution()?;
            for (weights, value) in places.weights.iter_mut().zip(values) {
                weights[exponent] = value;
            }
        }
        Some(places)
    }

    /// Adds a codeword's errors at their places; those in parity lines are left alone.
    #[inline]
    fn add(&self, places: &Places, column: usize, subbuf: &mut [u8], changed: &mut Changed) {
        for (line, weights) in places.lines.iter().zip(&places.weights).take(places.count) {
            let syndromes = self.of.iter().zip(weights).take(places.count);
            let error = syndromes.fold(0, |sum, (of, weight)| sum ^ times(*weight, of[column]));
            if error != 0
                && *line < LINES
                && let Some(byte) = subbuf.get_mut(line * COLUMNS + column)
            {
                *byte ^= error;
                changed.lines |= 1 << line;
                changed.bytes += 1;
            }
        }
    }
}

/// Where errors are, and what each syndrome adds to their values.
struct Places {
    count: usize,
    lines: [usize; PARITY_MAX],
    weights: [[u8; PARITY_MAX]; PARITY_MAX],
}

/// An equation: coefficients, then what their sum is.
type Row = [u8; PARITY_MAX + 1];
const CONSTANT: usize = PARITY_MAX;

/// Linear equations, kept solved as they come in (Gauss and Jordan).
struct System {
    unknowns: usize,
    rows: [Row; PARITY_MAX],
    /// Which unknown a row is for.
    pivots: [usize; PARITY_MAX],
    rank: usize,
}

/// These equations contradict each other.
struct Contradiction;

impl System {
    #[inline]
    fn new(unknowns: usize) -> Self {
        Self { unknowns, rows: [Row::default(); PARITY_MAX], pivots: [0; PARITY_MAX], rank: 0 }
    }

    #[inline]
    fn add(&mut self, mut row: Row) -> Result<(), Contradiction> {
        for (known, pivot) in self.rows.iter().zip(self.pivots).take(self.rank) {
            let factor = row[pivot];
            subtract(&mut row, known, factor);
        }
        let Some(pivot) = row[..self.unknowns].iter().position(|coefficient| *coefficient != 0) else {
            return if row[CONSTANT] == 0 { Ok(()) } else { Err(Contradiction) };
        };
        let scale = inverse(row[pivot]);
        row.iter_mut().for_each(|value| *value = times(*value, scale));
        for known in &mut self.rows[..self.rank] {
            let factor = known[pivot];
            subtract(known, &row, factor);
        }
        self.rows[self.rank] = row;
        self.pivots[self.rank] = pivot;
        self.rank += 1;
        Ok(())
    }

    /// The unknowns, if the equations determine all of them.
    #[inline]
    fn solution(&self) -> Option<[u8; PARITY_MAX]> {
        let mut solution = [0; PARITY_MAX];
        for (row, pivot) in self.rows.iter().zip(self.pivots).take(self.rank) {
            solution[pivot] = row[CONSTANT];
        }
        (self.rank == self.unknowns).then_some(solution)
    }
}

/// Subtracts (which is: adds) a multiple of an equation.
#[inline]
fn subtract(from: &mut Row, row: &Row, factor: u8) {
    if factor != 0 {
        from.iter_mut().zip(row).for_each(|(from, value)| *from ^= times(*value, factor));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn noise(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 11
        }
    }

    fn subbuf(seed: u64) -> Vec<u8> {
        let mut next = noise(seed);
        (0..LINES * COLUMNS).map(|_| next() as u8).collect()
    }

    fn parity(lines: u32, subbuf: &[u8]) -> Parity {
        let words = subbuf.as_chunks::<8>().0;
        parity_of(lines, &core::array::from_fn(|i| u64::from_le_bytes(words[i])))
    }

    fn column(subbuf: &[u8], parity: &Parity, lines: u32, column: usize) -> Vec<u8> {
        let parity = parity[..lines as usize].iter().map(|line| line[column / 8].to_le_bytes()[column % 8]);
        subbuf.iter().skip(column).step_by(COLUMNS).copied().chain(parity).collect()
    }

    /// The first way that leads back to the good bytes.
    fn correct(lines: u32, good: &[u8], stands: &Parity, damaged: &mut [u8]) -> Option<(Way, Changed)> {
        let syndromes = Syndromes::of(lines, stands, &parity(lines, damaged));
        for way in syndromes.ways() {
            let before = damaged.to_vec();
            let Some(changed) = syndromes.apply(way, damaged) else {
                assert_eq!(damaged, before, "nothing found, something changed");
                continue;
            };
            if damaged == good {
                return Some((way, changed));
            }
            syndromes.apply(way, damaged);
            assert_eq!(damaged, before, "not taken back");
        }
        None
    }

    #[test]
    fn an_inverse_is_one() {
        assert!((1..=255).all(|byte| times(byte, inverse(byte)) == 1));
        assert_eq!((power(8), times(0x80, 2)), (POLYNOMIAL, POLYNOMIAL));
    }

    #[test]
    fn what_we_encode_is_what_others_encode_and_they_correct_it() {
        for lines in [2, 4, 8] {
            let subbuf = subbuf(u64::from(lines));
            let parity = parity(lines, &subbuf);
            let (encoder, decoder) =
                (reed_solomon::Encoder::new(lines as usize), reed_solomon::Decoder::new(lines as usize));
            for number in 0..COLUMNS {
                let mut word = column(&subbuf, &parity, lines, number);
                assert_eq!(**encoder.encode(&word[..LINES]), word, "{lines} lines, column {number}");
                let good = word.clone();
                for error in 0..lines as usize / 2 {
                    word[(number + 31 * error) % LINES] ^= 0x5a;
                }
                assert_eq!(**decoder.correct(&word, None).unwrap(), good);
            }
        }
    }

    #[test]
    fn any_number_of_lines_below_that_of_the_parity_lines_is_found_wherever_they_are() {
        for lines in [2u32, 4, 8] {
            let good = subbuf(77);
            let stands = parity(lines, &good);
            let mut next = noise(5);
            for lost in 1..lines as usize {
                for _ in 0..60 {
                    let (mut damaged, mut stands) = (good.clone(), stands);
                    let mut places = Vec::new();
                    while places.len() < lost {
                        let place = next() as usize % (LINES + lines as usize);
                        if !places.contains(&place) {
                            places.push(place);
                        }
                    }
                    for place in &places {
                        match place.checked_sub(LINES) {
                            None => damaged[place * COLUMNS..][..COLUMNS].iter_mut().for_each(|b| *b = next() as u8),
                            Some(line) => stands[line] = [next(); WORDS],
                        }
                    }
                    let in_data =
                        places.iter().filter(|place| **place < LINES).fold(0, |set, place| set | 1u64 << place);
                    let way = Way::Together(lost);
                    let found = correct(lines, &good, &stands, &mut damaged);
                    assert!(
                        matches!(found, Some((found, changed)) if (in_data == 0 || found == way) && changed.lines == in_data),
                        "{lines} parity lines, lost {places:?}: {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn scattered_bytes_are_found_up_to_half_as_many_in_each_column() {
        for lines in [2u32, 4, 8] {
            let good = subbuf(3);
            let stands = parity(lines, &good);
            let mut next = noise(9);
            let mut damaged = good.clone();
            for column in 0..COLUMNS {
                for _ in 0..lines / 2 {
                    damaged[next() as usize % LINES * COLUMNS + column] ^= 1 << (next() % 8);
                }
            }
            let found = correct(lines, &good, &stands, &mut damaged);
            assert!(matches!(found, Some((Way::Alone, changed)) if changed.lines.count_ones() > lines), "{found:?}");
        }
    }

    #[test]
    fn half_as_many_lines_are_found_also_where_the_same_bits_flipped_in_all_of_them() {
        for lines in [2u32, 4, 8] {
            let good = subbuf(8);
            let stands = parity(lines, &good);
            let mut damaged = good.clone();
            for line in 0..lines as usize / 2 {
                damaged[line * 17 * COLUMNS..][..COLUMNS].iter_mut().for_each(|byte| *byte ^= 0x5a);
            }
            let found = correct(lines, &good, &stands, &mut damaged);
            let lost = lines / 2;
            assert!(matches!(found, Some((_, changed)) if changed.lines.count_ones() == lost), "{found:?}");
            // More of that kind is beyond: the codewords say nothing that one of them does not say.
            damaged[9 * COLUMNS..][..COLUMNS * lost as usize + COLUMNS].iter_mut().for_each(|byte| *byte ^= 0x5a);
            assert_eq!(correct(lines, &good, &stands, &mut damaged), None);
        }
    }

    #[test]
    fn more_than_that_is_not_made_worse() {
        for lines in [2u32, 4, 8] {
            let good = subbuf(4);
            let stands = parity(lines, &good);
            let mut next = noise(11);
            for _ in 0..200 {
                let mut damaged = good.clone();
                for _ in 0..lines {
                    let line = next() as usize % LINES;
                    damaged[line * COLUMNS..][..COLUMNS].iter_mut().for_each(|b| *b = next() as u8);
                }
                let before = damaged.clone();
                // Lines may coincide: then it is not too much.
                if correct(lines, &good, &stands, &mut damaged).is_none() {
                    assert_eq!(damaged, before);
                }
            }
        }
    }
}
