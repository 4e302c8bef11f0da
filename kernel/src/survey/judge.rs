//! What has become of the words of a block.

use super::pattern::{BLOCK, Class, Seed, WEIGHT, WORD, first_damaged};

/// Bits of a word that may have turned over while it still counts as the same one.
pub const FLIPS_MAX: u32 = 4;
const _: () = assert!(2 * FLIPS_MAX < WEIGHT, "one word could be of two generations");
/// Bytes of a line.
pub const LINE: u64 = 64;
const WORDS: usize = (LINE / WORD) as usize;

/// What a word turned out to be. Bits that turned over stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// What was written last.
    Kept,
    /// What was written so many generations before.
    Stale(u32),
    /// What was written last to another address: two addresses are one place, or a line moved.
    Moved(u64),
    /// Zeros, noise, somebody else's.
    Lost,
}

/// Tells a word, and which bits of it are not as they were written.
#[must_use]
pub fn word(seed: Seed, address: u64, generation: u32, is: u64, exists: &dyn Fn(u64) -> bool) -> (Word, u64) {
    for age in 0..=generation {
        let different = is ^ seed.word(address, generation - age);
        if different.count_ones() <= FLIPS_MAX {
            return (if age == 0 { Word::Kept } else { Word::Stale(age) }, different);
        }
    }
    let from = seed.address(is, generation);
    if exists(from) { (Word::Moved(from), 0) } else { (Word::Lost, 0) }
}

/// A bit that turned over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bit {
    /// The word's address.
    pub address: u64,
    /// The bit's number in it.
    pub bit: u32,
    /// What it is now.
    pub set: bool,
}

/// Counters of one check, or of many together. Lines are of 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checks that were added up.
    pub checks: u64,
    /// Lines that were written and cleaned, or written past the cache.
    pub kept_of: u64,
    /// Those of them that were not there any more, in whole or in part.
    pub damaged: u64,
    /// Lines that were left dirty.
    pub dirty_of: u64,
    /// Those of them that were not there any more.
    pub dirty_lost: u64,
    /// Lines, of any class, that held what had been written before.
    pub stale: u64,
    /// The oldest of it, in generations.
    pub oldest: u64,
    /// Lines that held what belongs to another address.
    pub moved: u64,
    /// Bits that were 0 and became 1.
    pub set: u64,
    /// Bits that were 1 and became 0.
    pub cleared: u64,
    /// Which bits of a word they were.
    pub bits: u64,
}

impl Tally {
    /// How many counters there are.
    pub const WORDS: usize = 11;
    /// Nothing.
    pub const NONE: Self = Self {
        checks: 0,
        kept_of: 0,
        damaged: 0,
        dirty_of: 0,
        dirty_lost: 0,
        stale: 0,
        oldest: 0,
        moved: 0,
        set: 0,
        cleared: 0,
        bits: 0,
    };

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        let (mut sum, other) = (self.words(), other.words());
        for (n, (sum, other)) in sum.iter_mut().zip(other).enumerate() {
            *sum = match n {
                6 => other.max(*sum),
                10 => *sum | other,
                _ => sum.saturating_add(other),
            };
        }
        *self = Self::from_words(&sum);
    }

    /// As they are kept.
    #[must_use]
    pub fn words(&self) -> [u64; Self::WORDS] {
        let Self { checks, kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits } = *self;
        [checks, kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits]
    }

    /// The reverse.
    #[must_use]
    pub fn from_words(words: &[u64; Self::WORDS]) -> Self {
        let [checks, kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits] = *words;
        Self { checks, kept_of, damaged, dirty_of, dirty_lost, stale, oldest, moved, set, cleared, bits }
    }
}

/// What can be wrong with a line where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It holds what nobody wrote there, nor ever had. No cache that was lost explains that, and so it counts for dirty lines too:
    /// what firmware writes after each reset is found after each.
    Lost,
    /// It was written and cleaned, or written past the cache, and holds what stood there before.
    Stale,
    /// A bit turned over in it.
    Bits,
}

impl Kind {
    /// All of them, in the order of their numbers in memory.
    pub const ALL: [Self; 3] = [Self::Lost, Self::Stale, Self::Bits];

    /// Its word in the report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Stale => "stale",
            Self::Bits => "bits",
        }
    }
}

/// Told about what is found: by address, in order.
pub trait Finds {
    /// A bit has turned over.
    fn bit(&mut self, bit: Bit);
    /// Something is wrong with a line.
    fn line(&mut self, kind: Kind, line: u64);
    /// An address that is filled.
    fn exists(&self, address: u64) -> bool;
}

/// Looks at the block at an address as the fill of `generation` left it.
pub fn block(seed: Seed, address: u64, generation: u32, words: &[u64], tally: &mut Tally, finds: &mut dyn Finds) {
    let class = seed.class(address, generation);
    let lines = (words.len() / WORDS) as u64;
    match class {
        Class::Dirty => tally.dirty_of += lines,
        Class::Cleaned | Class::Uncached => tally.kept_of += lines,
    }
    debug_assert!(lines <= BLOCK / LINE, "not a block");
    let first = seed.word(address, generation);
    let mut from = 0;
    while let Some(number) = first_damaged(words, first, from) {
        let at = address + number as u64 * LINE;
        line(seed, at, generation, class, &words[number * WORDS..][..WORDS], tally, finds);
        from = number + 1;
    }
}

/// A line that is not quite as it was left.
fn line(
    seed: Seed,
    address: u64,
    generation: u32,
    class: Class,
    words: &[u64],
    tally: &mut Tally,
    finds: &mut dyn Finds,
) {
    let older = (1..=generation).find(|age| first_damaged(words, seed.word(address, generation - age), 0).is_none());
    let Content { stale, moved, lost, flipped } = match older {
        // Most lost lines are wholly what an older generation wrote.
        Some(age) => {
            tally.oldest = tally.oldest.max(u64::from(age));
            Content { stale: true, ..Content::default() }
        }
        None => word_by_word(seed, address, generation, words, tally, finds),
    };
    tally.stale += u64::from(stale);
    tally.moved += u64::from(moved);
    let had_to_survive = class != Class::Dirty;
    if stale || moved || lost {
        *(if had_to_survive { &mut tally.damaged } else { &mut tally.dirty_lost }) += 1;
    }
    let kinds = [moved || lost, stale && had_to_survive && !(moved || lost), flipped];
    for (kind, _) in Kind::ALL.into_iter().zip(kinds).filter(|(_, is)| *is) {
        finds.line(kind, address);
    }
}

/// What there is in a line.
#[derive(Default)]
struct Content {
    stale: bool,
    moved: bool,
    lost: bool,
    flipped: bool,
}

fn word_by_word(
    seed: Seed,
    address: u64,
    generation: u32,
    words: &[u64],
    tally: &mut Tally,
    finds: &mut dyn Finds,
) -> Content {
    let mut content = Content::default();
    for (n, is) in (0..).zip(words) {
        let at = address + n * WORD;
        let (what, different) = word(seed, at, generation, *is, &|address| finds.exists(address));
        match what {
            Word::Kept => {}
            Word::Stale(age) => {
                content.stale = true;
                tally.oldest = tally.oldest.max(u64::from(age));
            }
            Word::Moved(_) => content.moved = true,
            Word::Lost => content.lost = true,
        }
        content.flipped |= different != 0;
        tally.bits |= different;
        tally.set += u64::from((different & is).count_ones());
        tally.cleared += u64::from((different & !is).count_ones());
        for bit in (0..u64::BITS).filter(|bit| different >> bit & 1 == 1) {
            finds.bit(Bit { address: at, bit, set: is >> bit & 1 == 1 });
        }
    }
    content
}
