//! What one boot of a survey hands to the next: [`State::WORDS`] words in [`LINES`] checked lines of either header page, and of each
//! copy elsewhere. One that verifies in full is enough, also to tell the whole report.

use super::divide::{AVOIDED_MAX, RANGES_MAX, pack, unpack};
use super::judge::Tally;
use super::pattern::Seed;
use super::spots::{SPOTS_MAX, Spot, Spots};
use super::ways::{Way, Ways};
use crate::device_tree::Cells;
use crate::memblock::Range;
use ring::format::{HEADER_SIZE, LINE_SIZE, domain, header_line};
use ring::line::{Line, LineSeed};
use ring::seams::{Memory, Persist};

/// A word of something that firmware puts into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Where it is; 0: there is no such thing, or no place for a mark in it.
    pub address: u64,
    /// Resets after which it had been written again.
    pub times: u16,
}

/// What firmware may write, as marks tell: the image, the device tree, the word of the boot core in a spin table, and the first
/// free bytes, where QEMU's virt has its boot stub.
pub const MARKED: [&str; 4] = ["image", "device tree", "spin table", "start of free memory"];

/// What is known so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How often it was written: the generation of its lines.
    pub saves: u32,
    /// Of the pattern.
    pub seed: Seed,
    /// The fill that memory holds, or is about to hold.
    pub generation: u32,
    /// Rounds that are wanted.
    pub rounds: u32,
    /// Rounds that are done.
    pub round: u32,
    /// The way that was taken last: its number.
    pub way: u32,
    /// Nothing more is to be done.
    pub done: bool,
    /// The newest boot that surveyed, in the region's counting.
    pub boot: u64,
    /// That boot has filled memory and asked for the reset. Otherwise what comes after it says nothing.
    pub asked: bool,
    /// Boots in a row that did not come so far.
    pub cut_short: u8,
    /// Ways that nobody wants to see.
    pub left_out: Ways,
    /// Cells of the device tree's reserved memory, for what is recommended.
    pub cells: Cells,
    /// Resets that were checked.
    pub resets: u32,
    /// Of those: after so many the region's own copies were gone.
    pub region_lost: u32,
    /// What firmware is expected to write, in the order of [`MARKED`].
    pub marks: [Mark; MARKED.len()],
    /// By way.
    pub tallies: [Tally; Way::COUNT],
    /// What was free when the survey began, in whole blocks.
    pub free: heapless::Vec<Range, RANGES_MAX>,
    /// Where firmware is known to write on this board, in whole blocks: no place for a region, whatever was found.
    pub avoided: heapless::Vec<Range, AVOIDED_MAX>,
    /// Where something was wrong.
    pub spots: Spots,
}

/// The first bytes of a state; the last one is the number of the layout.
pub const MAGIC: [u8; 8] = *b"AFTRSRV2";
/// Words of a line.
const PER_LINE: usize = 7;
/// Lines of a header page that hold it: all that are left.
pub const LINES: u32 = (HEADER_SIZE / LINE_SIZE) as u32 - header_line::SURVEY;
/// Words of the parts, in this order.
const HEAD: usize = 7;
const TALLIES: usize = Tally::WORDS * Way::COUNT;
const SPOTS: usize = Spot::WORDS * SPOTS_MAX;
const ALL: usize = HEAD + MARKED.len() + TALLIES + RANGES_MAX + AVOIDED_MAX + SPOTS;
const _: () = assert!(ALL <= State::WORDS);

impl State {
    /// How many words it has in memory.
    pub const WORDS: usize = LINES as usize * PER_LINE;

    /// The beginning of a survey.
    #[must_use]
    pub fn new(seed: Seed, rounds: u32, free: heapless::Vec<Range, RANGES_MAX>) -> Self {
        Self {
            saves: 0,
            seed,
            generation: 0,
            rounds,
            round: 0,
            way: 0,
            done: false,
            boot: 0,
            asked: false,
            cut_short: 0,
            left_out: Ways::NONE,
            cells: Cells::DEFAULT,
            resets: 0,
            region_lost: 0,
            marks: [Mark::default(); MARKED.len()],
            tallies: [Tally::default(); Way::COUNT],
            free,
            avoided: heapless::Vec::new(),
            spots: Spots::new(),
        }
    }

    fn words(&self) -> [u64; Self::WORDS] {
        let bytes = [
            self.cells.address as u8,
            self.cells.size as u8,
            self.free.len() as u8,
            self.spots.all().len() as u8,
            self.avoided.len() as u8,
            self.cut_short,
            0,
            u8::from(self.done) | u8::from(self.asked) << 1 | self.left_out.bits() << 4,
        ];
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let head: [u64; HEAD] = [
            u64::from_le_bytes(MAGIC),
            self.seed.0,
            pair(self.generation, self.rounds),
            pair(self.round, self.way),
            pair(self.resets, self.region_lost),
            self.boot,
            u64::from_le_bytes(bytes),
        ];
        let mut words = [0; Self::WORDS];
        let mut at = 0;
        let mut part = |size: usize, part: &mut dyn Iterator<Item = u64>| {
            for (to, word) in words.iter_mut().skip(at).take(size).zip(part) {
                *to = word;
            }
            at += size;
        };
        part(HEAD, &mut head.into_iter());
        part(MARKED.len(), &mut self.marks.iter().map(|mark| mark.address | u64::from(mark.times) << 48));
        part(TALLIES, &mut self.tallies.iter().flat_map(Tally::words));
        part(RANGES_MAX, &mut self.free.iter().map(|range| pack(*range)));
        part(AVOIDED_MAX, &mut self.avoided.iter().map(|range| pack(*range)));
        part(SPOTS, &mut self.spots.all().iter().flat_map(Spot::words));
        words
    }

    fn from_words(words: &[u64; Self::WORDS]) -> Option<Self> {
        let mut rest = &words[..];
        let mut part = |size: usize| rest.split_off(..size);
        let [magic, seed, generation, round, resets, boot, bytes] = *part(HEAD)?.first_chunk()?;
        let [address, size, free, spots, avoided, cut_short, _, flags] = bytes.to_le_bytes();
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        let mut state = Self::new(Seed(seed), high(generation), heapless::Vec::new());
        (state.generation, state.round, state.way) = (low(generation), low(round), high(round));
        (state.resets, state.region_lost) = (low(resets), high(resets));
        (state.boot, state.cut_short, state.left_out) = (boot, cut_short, Ways::of(flags >> 4));
        (state.done, state.asked) = (flags & 1 != 0, flags & 2 != 0);
        state.cells = Cells { address: u32::from(address), size: u32::from(size) };
        for (mark, word) in state.marks.iter_mut().zip(part(MARKED.len())?) {
            *mark = Mark { address: word << 16 >> 16, times: (word >> 48) as u16 };
        }
        for (to, words) in state.tallies.iter_mut().zip(part(TALLIES)?.as_chunks().0) {
            *to = Tally::from_words(words);
        }
        for word in part(RANGES_MAX)?.iter().take(usize::from(free)) {
            state.free.push(unpack(*word)?).ok()?;
        }
        for word in part(AVOIDED_MAX)?.iter().take(usize::from(avoided)) {
            state.avoided.push(unpack(*word)?).ok()?;
        }
        state.spots = Spots::from_words(part(SPOTS)?, usize::from(spots))?;
        (magic.to_le_bytes() == MAGIC && state.way < Way::COUNT as u32).then_some(state)
    }

    /// Writes it into the header page, or what is laid out like one, at `page`, and brings it to memory.
    pub fn store<M: Memory + Persist>(&self, memory: &M, page: u64) {
        let words = self.words();
        let at = page + u64::from(header_line::SURVEY) * LINE_SIZE;
        for (n, words) in (0..).zip(words.chunks(PER_LINE)) {
            let number = header_line::SURVEY + n;
            Line::of_words(words).store(memory, at + u64::from(n) * LINE_SIZE, lines(), number, self.saves);
        }
        memory.clean(at, u64::from(LINES) * LINE_SIZE);
        memory.complete();
    }

    /// Reads it from the page at `page` of `bytes`; None where not every line verifies, or not all are of one time.
    #[must_use]
    pub fn load(bytes: &[u8], page: u64) -> Option<Self> {
        let mut words = [0; Self::WORDS];
        let mut at = None;
        for (n, to) in (0..).zip(words.chunks_mut(PER_LINE)) {
            let number = header_line::SURVEY + n;
            let (mut line, generation) = Line::load(bytes, page + u64::from(number) * LINE_SIZE, lines(), number)?;
            if *at.get_or_insert(generation) != generation {
                return None;
            }
            to.iter_mut().for_each(|word| *word = line.take_u64());
        }
        Some(Self { saves: at?, ..Self::from_words(&words)? })
    }

    /// The way to take next, of those that `offers` says yes to; counts rounds. None: all is done, or there is no way.
    pub fn next_way(&mut self, offers: &dyn Fn(Way) -> bool) -> Option<Way> {
        let after = if self.generation == 0 { 0 } else { self.way as usize + 1 };
        let find = |from: usize| (from..Way::COUNT).find(|n| !self.left_out.has(*n) && offers(Way::ALL[*n]));
        let way = match find(after) {
            Some(way) => way,
            None => {
                let first = find(0)?;
                self.round += 1;
                first
            }
        };
        if self.round >= self.rounds {
            self.done = true;
            return None;
        }
        self.way = way as u32;
        Some(Way::ALL[way])
    }
}

/// The newest state of all, and whether it is one that the region itself has. Copies of another survey than the region's do not
/// count, nor those of one that has ended where the region has none.
#[must_use]
pub fn newest(home: impl Iterator<Item = State>, copies: impl Iterator<Item = State>) -> (Option<State>, bool) {
    let newer = |one: State, other: State| if other.saves > one.saves { other } else { one };
    let Some(home) = home.reduce(newer) else { return (copies.filter(|copy| !copy.done).reduce(newer), false) };
    match copies.filter(|copy| copy.seed == home.seed).reduce(newer) {
        Some(copy) if copy.saves > home.saves => (Some(copy), false),
        _ => (Some(home), true),
    }
}

/// What seeds the checks of its lines: those of a header.
fn lines() -> LineSeed {
    LineSeed::new(0, domain::HEADER)
}
