//! A board of memory that a test owns, whose resets do to it what the test says.

use super::super::course::{Found, Ground, Here, Next, Past, Wishes, boot};
use super::super::divide::{AVOIDED_MAX, Divided, RANGES_MAX, whole_blocks};
use super::super::pattern::{BLOCK, Class, Fill, Seed, fill};
use super::super::state::{MARKED, State, newest};
use super::super::ways::{Way, Ways};
use crate::device_tree::Cells;
use crate::memblock::Range;
use boards::ResetWay;
use ring::fake::Ram;
use ring::records::BankState;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// Where its memory begins, and how much there is; no region in it.
pub(super) const BASE: u64 = 0x4000_0000;
pub(super) const SIZE: u64 = 20 << 20;
/// Where the marks are; the last one in the first free bytes.
const MARKS: [Option<u64>; MARKED.len()] = [Some(0x100), Some(0x200), None, Some(BASE)];

/// Where in its course a boot ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dies {
    InFill,
    InCheck,
}

/// The board.
pub(super) struct Board {
    pub(super) memory: Vec<u64>,
    /// What reached memory of blocks that were left in the cache: what was there before.
    unclean: Vec<(u64, Vec<u64>)>,
    /// The region: its two pages, and what they count.
    pub(super) region: Ram,
    pub(super) boots: u64,
    pub(super) crashes: Vec<(u64, BankState)>,
    /// Pages of the state's copies.
    pub(super) copies: BTreeMap<u64, Ram>,
    pub(super) marks: BTreeMap<usize, u64>,
    pub(super) free: Vec<Range>,
    pub(super) avoided: Vec<Range>,
    pub(super) ways: Vec<Way>,
    pub(super) said: Vec<String>,
    /// The next boot ends there.
    pub(super) dies: Option<Dies>,
    divided: Divided,
    seed: Seed,
}

pub(super) const PSCI: Way = Way::Board(ResetWay::Psci);
pub(super) const WATCHDOG: Way = Way::Board(ResetWay::Watchdog);

/// Two rounds of all that the board offers.
pub(super) const WISHES: Wishes = Wishes { rounds: 2, left_out: Ways::NONE, seed: 5 };

impl Board {
    pub(super) fn new() -> Self {
        Self {
            memory: vec![0x5555; (SIZE / 8) as usize],
            unclean: Vec::new(),
            region: Ram::new(8192),
            boots: 0,
            crashes: Vec::new(),
            copies: BTreeMap::new(),
            marks: BTreeMap::new(),
            free: vec![Range::new(BASE, SIZE).unwrap()],
            avoided: Vec::new(),
            ways: vec![PSCI, WATCHDOG, Way::Panic],
            said: Vec::new(),
            dies: None,
            divided: Divided::default(),
            seed: Seed(0),
        }
    }

    fn words(&mut self, address: u64, size: u64) -> &mut [u64] {
        &mut self.memory[((address - BASE) / 8) as usize..][..(size / 8) as usize]
    }

    /// Somebody else writes there.
    pub(super) fn overwrite(&mut self, address: u64, size: u64) {
        self.words(address, size).fill(0xd503_201f);
    }

    /// A bit of the word there turns over.
    pub(super) fn flip(&mut self, address: u64, bit: u32) {
        self.words(address, 8)[0] ^= 1 << bit;
    }

    /// What a reset always does here: what was not cleaned goes, firmware writes image and device tree.
    fn lose_cache(&mut self) {
        for (block, before) in std::mem::take(&mut self.unclean) {
            self.words(block, BLOCK).copy_from_slice(&before);
        }
        self.marks.insert(0, 0);
        self.marks.insert(1, 0);
    }

    /// The region is gone, and is formatted anew.
    pub(super) fn lose_region(&mut self) {
        (self.region, self.boots) = (Ram::new(8192), 0);
        self.crashes.clear();
    }

    /// All is gone.
    pub(super) fn lose_all(&mut self) {
        self.lose_region();
        self.memory.fill(0);
        self.copies.clear();
    }

    /// One boot, up to its end.
    pub(super) fn boot(&mut self, wishes: &Wishes) -> Next {
        let load = |ram: &Ram, page| State::load(&ram.cached(), page);
        let home = [0, 4096].into_iter().filter_map(|page| load(&self.region, page));
        let (kept, at_home) = newest(home, self.copies.values().filter_map(|copy| load(copy, 0)));
        let crashes = self.crashes.clone();
        let past = Past { boots: self.boots, this: self.boots + 1, crashes: &crashes, kept, at_home };
        self.boots += 1;
        let next = catch_unwind(AssertUnwindSafe(|| boot(self, wishes, past)));
        let next = next.unwrap_or_else(|why| match why.downcast::<Dies>() {
            // As if this was the reset that came by itself.
            Ok(_) => Next::Reset(WATCHDOG),
            Err(why) => resume_unwind(why),
        });
        if let Next::Reset(way) = next {
            let state = if way == Way::Panic { BankState::Panicked } else { BankState::Recording };
            self.crashes.push((self.boots, state));
            self.lose_cache();
        }
        next
    }

    /// Boots until it does not reset any more, at most so often; each reset does its usual, and then what the caller wants.
    pub(super) fn survey(
        &mut self,
        wishes: &Wishes,
        most: usize,
        reset: &mut dyn FnMut(&mut Self, Way, usize),
    ) -> Option<Next> {
        for number in 1..=most {
            match self.boot(wishes) {
                Next::Reset(way) => reset(self, way, number),
                end => return Some(end),
            }
        }
        None
    }

    fn die_if(&mut self, dies: Dies) {
        if self.dies == Some(dies) {
            self.dies = None;
            std::panic::resume_unwind(Box::new(dies));
        }
    }

    /// The lines it said that begin so.
    pub(super) fn lines(&self, begin: &str) -> Vec<&str> {
        self.said.iter().flat_map(|said| said.lines()).filter(|line| line.starts_with(begin)).collect()
    }

    /// What the region keeps.
    pub(super) fn state(&self) -> State {
        State::load(&self.region.cached(), 0).unwrap()
    }
}

impl Ground for Board {
    fn free(&self) -> heapless::Vec<Range, RANGES_MAX> {
        whole_blocks(self.free.iter().copied(), Range::new(0, 4096).unwrap())
    }

    fn avoided(&self) -> heapless::Vec<Range, AVOIDED_MAX> {
        self.avoided.iter().copied().collect()
    }

    fn cells(&self) -> Cells {
        Cells { address: 2, size: 2 }
    }

    fn offers(&self, way: Way) -> bool {
        self.ways.contains(&way)
    }

    fn acknowledge(&mut self) {
        self.crashes.clear();
    }

    fn divide(&mut self, divided: Divided, seed: Seed) {
        (self.divided, self.seed) = (divided, seed);
    }

    fn marks(&self) -> [Option<u64>; MARKED.len()] {
        MARKS
    }

    fn read_mark(&self, number: usize, _: u64) -> u64 {
        self.marks.get(&number).copied().unwrap_or(0)
    }

    fn write_mark(&mut self, number: usize, _: u64, word: u64) {
        self.marks.insert(number, word);
    }

    fn fill(&mut self, generation: u32, how: Fill) {
        self.die_if(Dies::InFill);
        let blocks: Vec<u64> = (0..self.divided.blocks()).filter_map(|number| self.divided.block(number)).collect();
        for block in blocks.into_iter().filter(|block| self.divided.is_free(*block)).collect::<Vec<_>>() {
            let seed = self.seed;
            let before = self.words(block, BLOCK).to_vec();
            fill(self.words(block, BLOCK), seed.word(block, generation));
            if seed.writes(how, block, generation) == Class::Dirty {
                self.unclean.push((block, before));
            }
        }
    }

    fn check(&mut self, generation: u32) -> Found {
        self.die_if(Dies::InCheck);
        let mut found = Found::new();
        for block in (0..self.divided.blocks()).filter_map(|number| self.divided.block(number)) {
            if self.divided.is_free(block) {
                let words = &self.memory[((block - BASE) / 8) as usize..][..(BLOCK / 8) as usize];
                Here::look(&self.divided, self.seed, block, generation, words).add_to(&mut found);
            }
        }
        found
    }

    fn keep(&mut self, state: &State) {
        [0, 4096].into_iter().for_each(|page| state.store(&self.region, page));
        for copy in &self.divided.copies {
            state.store(self.copies.entry(*copy).or_insert_with(|| Ram::new(4096)), 0);
        }
    }

    fn tell(&mut self, line: Arguments<'_>) {
        self.said.push(line.to_string());
    }
}
