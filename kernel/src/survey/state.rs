//! What one boot of a survey hands to the next: [`State::WORDS`] words in [`LINES`] checked lines of either header page, and of each
//! copy elsewhere. One that verifies in full is enough.

use super::judge::Tally;
use super::pattern::Seed;
use boards::ResetWay;
use ring::format::{LINE_SIZE, domain, header_line};
use ring::line::{Line, LineSeed};
use ring::seams::{Memory, Persist};

/// A way to reset that is surveyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One of the board's.
    Board(ResetWay),
    /// The panic, which cleans what was recorded, and then asks for the board's first way.
    Panic,
}

impl Way {
    /// All there are, in the order of their numbers in memory.
    pub const ALL: [Self; 4] =
        [Self::Board(ResetWay::PsciWarm), Self::Board(ResetWay::Psci), Self::Board(ResetWay::Watchdog), Self::Panic];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Board(way) => way.name(),
            Self::Panic => "panic",
        }
    }
}

/// Damaged ranges that are kept apart.
pub const HURT_MAX: usize = 40;

/// A range that had to survive and did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hurt {
    /// Its first byte.
    pub first: u64,
    /// The byte behind its last.
    pub end: u64,
    /// The ways by which: bit n is [`Way::ALL`]`[n]`.
    pub ways: u64,
}

/// What is known so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Of the pattern.
    pub seed: Seed,
    /// The fill that memory holds; counts resets too.
    pub generation: u32,
    /// Rounds that are wanted.
    pub rounds: u32,
    /// Rounds that are done.
    pub round: u32,
    /// The way that was taken last: its number.
    pub way: u32,
    /// Nothing more is to be done.
    pub done: bool,
    /// The first boot of the survey, in the region's counting.
    pub first_boot: u64,
    /// Resets after which the region's own copies were gone.
    pub region_lost: u64,
    /// Resets after which each thing that firmware is expected to write had been written: image, device tree, spin table, first bytes.
    pub placed: [u64; 4],
    /// By way.
    pub tallies: [Tally; Way::ALL.len()],
    /// In the order of addresses, apart from one another.
    pub hurt: heapless::Vec<Hurt, HURT_MAX>,
}

/// The first bytes of a state.
const MAGIC: u64 = u64::from_le_bytes(*b"AFTRSRVY");
/// Words of a line.
const PER_LINE: usize = 7;
/// Lines of a header page that hold it.
pub const LINES: u32 = 27;
/// The head, the tallies, the ranges.
const HEAD: usize = 11;
const TALLIES: usize = Tally::WORDS * Way::ALL.len();
const _: () = assert!(HEAD + TALLIES + 3 * HURT_MAX <= LINES as usize * PER_LINE);
const _: () = assert!(header_line::SURVEY + LINES <= (ring::format::HEADER_SIZE / LINE_SIZE) as u32);

impl State {
    /// How many words it has in memory.
    pub const WORDS: usize = LINES as usize * PER_LINE;

    /// The beginning of a survey.
    #[must_use]
    pub fn new(seed: Seed, rounds: u32, first_boot: u64) -> Self {
        Self {
            seed,
            generation: 0,
            rounds,
            round: 0,
            way: 0,
            done: false,
            first_boot,
            region_lost: 0,
            placed: [0; 4],
            tallies: [Tally::default(); Way::ALL.len()],
            hurt: heapless::Vec::new(),
        }
    }

    fn words(&self) -> [u64; Self::WORDS] {
        let mut words = [0; Self::WORDS];
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let head = [
            MAGIC,
            self.seed.0,
            pair(self.generation, self.rounds),
            pair(self.round, self.way),
            pair(u32::from(self.done), self.hurt.len() as u32),
            self.first_boot,
            self.region_lost,
            self.placed[0],
            self.placed[1],
            self.placed[2],
            self.placed[3],
        ];
        let tallies = self.tallies.iter().flat_map(Tally::words);
        let hurt = self.hurt.iter().flat_map(|hurt| [hurt.first, hurt.end, hurt.ways]);
        for (to, word) in words.iter_mut().zip(head.into_iter().chain(tallies).chain(hurt)) {
            *to = word;
        }
        words
    }

    fn from_words(words: &[u64; Self::WORDS]) -> Option<Self> {
        let ([magic, seed, generation, round, done, first_boot, region_lost, placed @ ..], rest) =
            words.split_first_chunk::<HEAD>()?;
        let (tallies, hurt) = rest.split_at_checked(TALLIES)?;
        let mut state = Self::new(Seed(*seed), (generation >> 32) as u32, *first_boot);
        (state.generation, state.round, state.way) = (*generation as u32, *round as u32, (round >> 32) as u32);
        (state.done, state.region_lost, state.placed) = (*done as u32 != 0, *region_lost, *placed);
        for (to, words) in state.tallies.iter_mut().zip(tallies.as_chunks().0) {
            *to = Tally::from_words(words);
        }
        for [first, end, ways] in hurt.as_chunks().0.iter().take((done >> 32) as usize) {
            state.hurt.push(Hurt { first: *first, end: *end, ways: *ways }).ok()?;
        }
        (*magic == MAGIC && state.way < Way::ALL.len() as u32).then_some(state)
    }

    /// Writes it into the header page, or what is laid out like one, at `page`, and brings it to memory.
    pub fn store<M: Memory + Persist>(&self, memory: &M, page: u64) {
        let words = self.words();
        let at = page + u64::from(header_line::SURVEY) * LINE_SIZE;
        for (n, words) in (0..).zip(words.chunks(PER_LINE)) {
            let number = header_line::SURVEY + n;
            Line::of_words(words).store(memory, at + u64::from(n) * LINE_SIZE, lines(), number, self.generation);
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
        Self::from_words(&words).filter(|state| Some(state.generation) == at)
    }

    /// Bytes that had to survive did not, by the way that was taken. Where there are too many ranges, the two that are nearest
    /// become one: what is told is never less than what is damaged.
    pub fn hurt(&mut self, first: u64, end: u64) {
        let ways = 1 << self.way;
        let at = self.hurt.partition_point(|hurt| hurt.end < first);
        if let Some(hurt) = self.hurt.get_mut(at).filter(|hurt| hurt.first <= end) {
            (hurt.first, hurt.end, hurt.ways) = (hurt.first.min(first), hurt.end.max(end), hurt.ways | ways);
            return self.join(at);
        }
        if self.hurt.is_full() {
            let gap = |n: &usize| self.hurt[n + 1].first - self.hurt[*n].end;
            if let Some(nearest) = (0..HURT_MAX - 1).min_by_key(gap) {
                self.hurt[nearest + 1].first = self.hurt[nearest].end;
                self.join(nearest);
            }
            return self.hurt(first, end);
        }
        // There is room, as was just seen.
        let _ = self.hurt.insert(at, Hurt { first, end, ways });
    }

    /// Makes one of a range and the next, if they touch.
    fn join(&mut self, at: usize) {
        if let (Some(one), Some(next)) = (self.hurt.get(at).copied(), self.hurt.get(at + 1).copied())
            && next.first <= one.end
        {
            self.hurt.remove(at + 1);
            self.hurt[at].end = next.end.max(one.end);
            self.hurt[at].ways |= next.ways;
        }
    }

    /// The way to take next, of those that `offers` says yes to; counts rounds. None: all is done.
    pub fn next_way(&mut self, offers: &dyn Fn(Way) -> bool) -> Option<Way> {
        let after = if self.generation == 0 { 0 } else { self.way as usize + 1 };
        let find = |from: usize| (from..Way::ALL.len()).find(|n| offers(Way::ALL[*n]));
        let way = match find(after) {
            Some(way) => way,
            None => {
                self.round += 1;
                find(0)?
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

/// What seeds the checks of its lines: those of a header.
fn lines() -> LineSeed {
    LineSeed::new(0, domain::HEADER)
}
