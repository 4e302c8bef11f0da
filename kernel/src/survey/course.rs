//! The course of a survey, boot by boot: what to make of what the boot before left, what to do next. It knows nothing of a machine.

use super::divide::{AVOIDED_MAX, Divided, RANGES_MAX};
use super::judge::{self, Bit, Finds, Kind, Tally};
use super::pattern::{Fill, Seed, mix};
use super::report::{Told, tell};
use super::spots::Spots;
use super::state::{MARKED, State};
use super::ways::{Way, Ways};
use crate::device_tree::Cells;
use crate::memblock::Range;
use core::fmt;
use ring::records::BankState;

/// Bits that are told one by one after each reset; all are counted.
pub const BITS_MAX: usize = 512;
/// Boots in a row that may end in mid-survey, by themselves.
const CUT_SHORT_MAX: u8 = 3;

/// What a survey needs of the machine that it runs on.
pub trait Ground {
    /// Whole blocks of memory that are free in this boot.
    fn free(&self) -> heapless::Vec<Range, RANGES_MAX>;
    /// Where firmware is known to write, in whole blocks.
    fn avoided(&self) -> heapless::Vec<Range, AVOIDED_MAX>;
    /// Cells of the device tree's reserved memory.
    fn cells(&self) -> Cells;
    /// Whether it can be reset in this way.
    fn offers(&self, way: Way) -> bool;
    /// The crashes that were found are the survey's own, and nobody needs to see them.
    fn acknowledge(&mut self);
    /// From now on this is filled and checked, as far as it is free in this boot.
    fn divide(&mut self, divided: Divided, seed: Seed);
    /// Where the marks of [`MARKED`] are; None: there is no such thing, or no place for a mark in it.
    fn marks(&self) -> [Option<u64>; MARKED.len()];
    /// The word of a mark.
    fn read_mark(&self, number: usize, address: u64) -> u64;
    /// Sets it, and brings it to memory.
    fn write_mark(&mut self, number: usize, address: u64, word: u64);
    /// Writes all blocks.
    fn fill(&mut self, generation: u32, fill: Fill);
    /// Looks at all blocks as the fill of a generation left them.
    fn check(&mut self, generation: u32) -> Found;
    /// Keeps the state, in the region and beside it.
    fn keep(&mut self, state: &State);
    /// Says a line.
    fn tell(&mut self, line: fmt::Arguments<'_>);
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Rounds.
    pub rounds: u32,
    /// Ways that are not taken.
    pub left_out: Ways,
    /// Where chance begins: the same number makes the same patterns, from the same first boot on.
    pub seed: u64,
}

/// What the boots before left.
#[derive(Clone, Debug)]
pub struct Past<'a> {
    /// How many there were, since the region was formatted.
    pub boots: u64,
    /// The number of this one.
    pub this: u64,
    /// Crashes that nobody has seen: boot and state of the bank.
    pub crashes: &'a [(u64, BankState)],
    /// The newest state that was found.
    pub kept: Option<State>,
    /// It was found in the region itself.
    pub at_home: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This reset.
    Reset(Way),
    /// The report was told; whether all was well.
    End(bool),
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a survey does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A boot that was not the survey's crashed.
    Unseen(u64),
    /// A boot crashed in mid-survey, and not because the survey wanted it to.
    Crashed(u64),
    /// So many boots in a row ended in mid-survey, the last one is named.
    CutShort(u8, u64),
    /// There is no way to reset.
    NoWay,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DO: &str = "boot once without survey=, which tells and acknowledges it";
        match self {
            Self::Unseen(boot) => write!(f, "boot {boot} crashed, and nobody has seen it: {DO}"),
            Self::Crashed(boot) => {
                write!(f, "boot {boot} crashed in mid-survey by itself: {DO}; the survey then goes on")
            }
            Self::CutShort(times, boot) => write!(
                f,
                "{times} boots in a row, the last of them boot {boot}, ended before the reset that the survey wanted: does a \
                 watchdog of the firmware run? The next boot tries again"
            ),
            Self::NoWay => f.write_str("survey_without= leaves out every way that this board offers"),
        }
    }
}

/// What was found after one reset.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Counted.
    pub tally: Tally,
    /// Where what is wrong.
    pub spots: Spots,
    /// The first bits that turned over.
    pub bits: heapless::Vec<Bit, BITS_MAX>,
}

impl Found {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { tally: Tally::NONE, spots: Spots::new(), bits: heapless::Vec::new() }
    }
}

/// What one boot does. Afterwards the caller resets, or ends.
pub fn boot(ground: &mut dyn Ground, wishes: &Wishes, past: Past<'_>) -> Next {
    let Past { boots, this, crashes, kept, at_home } = past;
    let kept = kept.filter(|state| !state.done);
    if let Some(refusal) = crashes.iter().find_map(|(boot, bank)| unexpected(*boot, *bank, kept.as_ref())) {
        return Next::Refused(refusal);
    }
    let begins = kept.is_none();
    let mut state = kept.unwrap_or_else(|| {
        ground.tell(format_args!("survey: begins anew, nothing is known of an earlier one"));
        State::new(Seed(mix(wishes.seed ^ mix(boots))), wishes.rounds, ground.free())
    });
    (state.rounds, state.left_out) = (wishes.rounds, wishes.left_out);
    (state.cells, state.avoided) = (ground.cells(), ground.avoided());
    if !Way::ALL.iter().enumerate().any(|(n, way)| !state.left_out.has(n) && ground.offers(*way)) {
        return Next::Refused(Refusal::NoWay);
    }
    // Boots are counted by the region, which may have been lost. Who leaves a way out has made the reset in some other way.
    let left_out = state.left_out.has(state.way as usize);
    let reset_is_ours = state.asked && !left_out && (state.boot == boots || !at_home && boots == 0);
    ground.acknowledge();
    (state.boot, state.asked) = (this, false);
    ground.divide(Divided::new(&state.free, &ground.free()), state.seed);
    place_marks(ground, &mut state);
    let cut_short = !begins && !reset_is_ours;
    state.cut_short += u8::from(cut_short);
    // From here on a reset that comes by itself is told from one that was asked for.
    keep(ground, &mut state);
    if cut_short {
        ground.tell(format_args!(
            "survey: boot {boots} ended before the reset that it was to make: done again, not counted"
        ));
        if state.cut_short >= CUT_SHORT_MAX {
            let times = core::mem::take(&mut state.cut_short);
            keep(ground, &mut state);
            return Next::Refused(Refusal::CutShort(times, boots));
        }
    }
    if reset_is_ours {
        check(ground, &mut state, at_home);
        state.cut_short = 0;
    }
    if state.generation == 0 {
        begin(ground, &state);
    } else if cut_short {
        // Whoever ran meanwhile may have written anywhere.
        state.generation += 1;
        ground.fill(state.generation, Fill::Known);
    }
    go_on(ground, state, reset_is_ours || left_out)
}

/// Why a crash that nobody has seen keeps a survey from going on, if it does.
fn unexpected(boot: u64, bank: BankState, state: Option<&State>) -> Option<Refusal> {
    let Some(state) = state.filter(|state| state.boot == boot) else { return Some(Refusal::Unseen(boot)) };
    let wanted = bank != BankState::Panicked || state.asked && Way::ALL[state.way as usize] == Way::Panic;
    (!wanted).then_some(Refusal::Crashed(boot))
}

fn keep(ground: &mut dyn Ground, state: &mut State) {
    state.saves += 1;
    ground.keep(state);
}

/// What is filled, for whoever wants to compare.
fn begin(ground: &mut dyn Ground, state: &State) {
    let divided = Divided::new(&state.free, &[]);
    ground.tell(format_args!(
        "survey: {} rounds, seed {:#x}, {} blocks of {:#x} bytes",
        state.rounds,
        state.seed.0,
        divided.blocks(),
        super::pattern::BLOCK
    ));
    for range in &divided.filled {
        ground.tell(format_args!("survey: fills {:#x}-{:#x}", range.base(), range.last()));
    }
    ground.fill(0, Fill::Known);
}

/// Where marks are now; firmware may have placed things elsewhere than before.
fn place_marks(ground: &dyn Ground, state: &mut State) {
    for (mark, address) in state.marks.iter_mut().zip(ground.marks()) {
        mark.address = address.unwrap_or(0);
    }
}

/// Looks at what the reset has left, and tells it.
fn check(ground: &mut dyn Ground, state: &mut State, at_home: bool) {
    let (way, generation) = (state.way as usize, state.generation);
    state.resets += 1;
    state.region_lost += u32::from(!at_home);
    for (number, mark) in state.marks.iter_mut().enumerate().filter(|(_, mark)| mark.address != 0) {
        let written = ground.read_mark(number, mark.address) != state.seed.word(mark.address, generation);
        mark.times = mark.times.saturating_add(u16::from(written));
    }
    let mut found = ground.check(generation);
    found.tally.checks = 1;
    found.bits.sort_unstable_by_key(|bit| (bit.address, bit.bit));
    ground.tell(format_args!(
        "survey: reset {} by {}{}: {}",
        state.resets,
        Way::ALL[way].name(),
        if at_home { "" } else { ", the region itself was lost" },
        Told(&found.tally)
    ));
    for Bit { address, bit, set } in &found.bits {
        ground.tell(format_args!("survey: bit {bit} of {address:#x} became {}", u32::from(*set)));
    }
    state.tallies[way].add(&found.tally);
    state.spots.count(&found.spots, way);
}

/// The next fill and the next reset, or the same way once more; or the report.
fn go_on(ground: &mut dyn Ground, mut state: State, next: bool) -> Next {
    let way = if next || state.generation == 0 {
        state.next_way(&|way| ground.offers(way))
    } else {
        Some(Way::ALL[state.way as usize])
    };
    let Some(way) = way else {
        keep(ground, &mut state);
        return Next::End(tell(&state, &mut |line| ground.tell(line)));
    };
    state.generation += 1;
    keep(ground, &mut state);
    ground.fill(state.generation, Fill::Classes);
    state.asked = true;
    keep(ground, &mut state);
    ground.tell(format_args!(
        "survey: round {} of {}, reset {} by {}",
        state.round + 1,
        state.rounds,
        state.resets + 1,
        way.name()
    ));
    for (number, mark) in state.marks.iter().enumerate().filter(|(_, mark)| mark.address != 0) {
        ground.write_mark(number, mark.address, state.seed.word(mark.address, state.generation));
    }
    Next::Reset(way)
}

/// What one core finds in one block.
pub struct Here<'a> {
    divided: &'a Divided,
    tally: Tally,
    spots: Spots,
    bits: heapless::Vec<Bit, 64>,
}

impl<'a> Here<'a> {
    /// Looks at a block as the fill of a generation left it.
    #[must_use]
    pub fn look(divided: &'a Divided, seed: Seed, block: u64, generation: u32, words: &[u64]) -> Self {
        let mut here = Self { divided, tally: Tally::NONE, spots: Spots::new(), bits: heapless::Vec::new() };
        let mut tally = Tally::NONE;
        judge::block(seed, block, generation, words, &mut tally, &mut here);
        here.tally = tally;
        here
    }

    /// Adds it to what was found elsewhere.
    pub fn add_to(&self, found: &mut Found) {
        found.tally.add(&self.tally);
        found.spots.add(&self.spots);
        // More of them are counted, not told.
        self.bits.iter().for_each(|bit| _ = found.bits.push(*bit));
    }
}

impl Finds for Here<'_> {
    fn bit(&mut self, bit: Bit) {
        // As above.
        let _ = self.bits.push(bit);
    }

    fn line(&mut self, kind: Kind, line: u64) {
        self.spots.add_line(kind, line);
    }

    fn exists(&self, address: u64) -> bool {
        self.divided.is_filled(address)
    }
}
