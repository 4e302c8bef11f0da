//! The logic of the survey on memory that a test owns: patterns, classes, what a judge makes of damage, states that lost lines.

extern crate std;

mod board;
mod course;
mod spots;

use super::divide::{COPY_EACH, Divided, whole_blocks};
use super::judge::{self, Bit, Finds, Kind, LINE, Tally, Word};
use super::pattern::{BLOCK, Class, Seed, WEIGHT, fill, first_damaged};
use super::spots::Spots;
use super::state::{Mark, State, newest};
use super::ways::{Way, Ways};
use crate::device_tree::Cells;
use crate::memblock::Range;
use boards::ResetWay;
use ring::fake::Ram;
use std::vec;
use std::vec::Vec;

const SEED: Seed = Seed(7);

/// The fewest powers of two whose sum or difference a number is.
fn weight(mut x: u64) -> u32 {
    let mut weight = 0;
    while x != 0 {
        if x & 1 == 1 {
            weight += 1;
            x = if x & 2 == 2 { x.wrapping_add(1) } else { x - 1 };
        }
        x >>= 1;
    }
    weight
}

#[test]
fn generations_are_far_apart_at_every_address() {
    for seed in 0..20 {
        for one in 0..120 {
            for other in 0..one {
                let difference = Seed(seed).start(one).wrapping_sub(Seed(seed).start(other));
                let least = weight(difference).min(weight(difference.wrapping_neg()));
                assert!(least >= WEIGHT, "seed {seed}: {one} and {other}: {least}");
            }
        }
    }
}

#[test]
fn a_word_says_where_it_belongs() {
    for address in [0, 8, 0x4000_0000, 0x7_ffff_fff8] {
        assert_eq!(SEED.address(SEED.word(address, 3), 3), address);
    }
}

#[test]
fn classes_share_the_blocks_and_change_places() {
    let count =
        |class, generation| (0..30_000u64).filter(|block| SEED.class(block * BLOCK, generation) == class).count();
    for class in [Class::Cleaned, Class::Dirty, Class::Uncached] {
        assert!((9_000..11_000).contains(&count(class, 5)), "{class:?}");
    }
    let moved = (0..1000u64).filter(|block| SEED.class(block * BLOCK, 1) != SEED.class(block * BLOCK, 2)).count();
    assert!(moved > 500);
}

#[derive(Default)]
struct Seen {
    bits: Vec<Bit>,
    lines: Vec<(Kind, u64)>,
}

impl Finds for Seen {
    fn bit(&mut self, bit: Bit) {
        self.bits.push(bit);
    }
    fn line(&mut self, kind: Kind, line: u64) {
        self.lines.push((kind, line));
    }
    fn exists(&self, address: u64) -> bool {
        address < 64 * BLOCK
    }
}

fn written(address: u64, generation: u32) -> Vec<u64> {
    let mut words = vec![0; (BLOCK / 8) as usize];
    fill(&mut words, SEED.word(address, generation));
    words
}

/// The first block of a class in a generation.
fn of_class(class: Class, generation: u32) -> u64 {
    (0..64).map(|n| n * BLOCK).find(|block| SEED.class(*block, generation) == class).unwrap()
}

#[test]
fn each_kind_of_damage_is_told_apart() {
    let exists = |address: u64| address < BLOCK;
    let tell = |is| judge::word(SEED, 64, 9, is, &exists);
    assert_eq!(tell(SEED.word(64, 9)), (Word::Kept, 0));
    assert_eq!(tell(SEED.word(64, 9) ^ 5), (Word::Kept, 5));
    assert_eq!(tell(SEED.word(64, 7)), (Word::Stale(2), 0));
    assert_eq!(tell(SEED.word(64, 0) ^ 1 << 63), (Word::Stale(9), 1 << 63));
    assert_eq!(tell(SEED.word(128, 9)), (Word::Moved(128), 0));
    assert_eq!(tell(0), (Word::Lost, 0));
    assert_eq!(tell(!0), (Word::Lost, 0));
}

#[test]
fn a_block_as_it_was_filled_has_no_damage_and_each_line_that_changes_is_found() {
    let block = of_class(Class::Cleaned, 4);
    let mut words = written(block, 4);
    assert_eq!(first_damaged(&words, SEED.word(block, 4), 0), None);
    assert_eq!(words[77], SEED.word(block + 77 * 8, 4));
    words[77] ^= 1 << 40;
    words[8..16].copy_from_slice(&written(block, 3)[8..16]);
    words[8190] = 0;
    let (mut tally, mut found) = (Tally::default(), Seen::default());
    judge::block(SEED, block, 4, &words, &mut tally, &mut found);
    assert_eq!((tally.kept_of, tally.damaged, tally.stale, tally.oldest), (1024, 2, 1, 1));
    assert_eq!(tally.set + tally.cleared, 1);
    assert_eq!(tally.bits, 1 << 40);
    let set = words[77] >> 40 & 1 == 1;
    assert_eq!(found.bits, [Bit { address: block + 77 * 8, bit: 40, set }]);
    let lines = [(Kind::Stale, LINE), (Kind::Bits, 77 / 8 * LINE), (Kind::Lost, BLOCK - LINE)];
    assert_eq!(found.lines, lines.map(|(kind, at)| (kind, block + at)));
}

#[test]
fn a_dirty_line_that_is_gone_is_no_damage() {
    let block = of_class(Class::Dirty, 4);
    let (mut tally, mut found) = (Tally::default(), Seen::default());
    judge::block(SEED, block, 4, &written(block, 2), &mut tally, &mut found);
    let expected = Tally { dirty_of: 1024, dirty_lost: 1024, stale: 1024, oldest: 2, ..Tally::default() };
    assert_eq!(tally, expected);
    assert!(found.lines.is_empty());
}

#[test]
fn what_somebody_else_wrote_over_a_dirty_line_is_lost_all_the_same() {
    let block = of_class(Class::Dirty, 4);
    let mut words = written(block, 3);
    words[8..24].fill(0xd503_201f_d503_201f);
    let (mut tally, mut found) = (Tally::default(), Seen::default());
    judge::block(SEED, block, 4, &words, &mut tally, &mut found);
    assert_eq!((tally.dirty_lost, tally.damaged), (1024, 0));
    assert_eq!(found.lines, [(Kind::Lost, block + LINE), (Kind::Lost, block + 2 * LINE)]);
}

fn range(base: u64, size: u64) -> Range {
    Range::new(base, size).unwrap()
}

#[test]
fn free_memory_is_divided_into_blocks_with_a_copy_of_the_state_in_each_stretch() {
    let free = [range(0x1234, 10 << 20), range(0x4000_0000, 130 << 20)];
    let region = range(0x4100_1000, 1 << 20);
    let blocks = whole_blocks(free.into_iter(), region);
    let divided = Divided::new(&blocks, &blocks);
    let mut before = 0;
    for number in 0..divided.blocks() {
        let block = divided.block(number).unwrap();
        assert!(block.is_multiple_of(BLOCK) && block >= before && divided.is_filled(block + BLOCK - 1));
        assert!(!range(block, BLOCK).overlaps(region) && !divided.copies.contains(&block));
        before = block + BLOCK;
    }
    assert_eq!(divided.block(divided.blocks()), None);
    assert_eq!(
        divided.copies,
        [0x1_0000, 0x4000_0000, 0x4111_0000, 0x4000_0000 + COPY_EACH, 0x4000_0000 + 2 * COPY_EACH]
    );
}

#[test]
fn what_is_not_free_any_more_is_left_alone_and_all_else_stays_where_it_was() {
    let blocks = [range(0x10_0000, 16 << 20)];
    let now = [range(0x10_0000, 1 << 20), range(0x30_0000, 1 << 20)];
    let (before, after) = (Divided::new(&blocks, &blocks), Divided::new(&blocks, &now));
    assert_eq!((before.filled.clone(), before.copies.clone()), (after.filled.clone(), after.copies.clone()));
    assert!(after.is_free(0x30_0000) && !after.is_free(0x20_0000) && before.is_free(0x20_0000));
    assert!(Divided::new(&blocks, &now[1..]).copies.is_empty(), "where the copy was, somebody else is");
}

fn state() -> State {
    let mut state = State::new(SEED, 3, [range(0x10_0000, 1 << 20), range(1 << 40, 3 << 20)].into_iter().collect());
    (state.saves, state.generation, state.round, state.way) = (9, 5, 1, 2);
    (state.resets, state.region_lost, state.boot, state.asked, state.cut_short) = (4, 1, 77, true, 2);
    (state.left_out, state.cells) = (Ways::of(9), Cells { address: 1, size: 2 });
    state.avoided.push(range(0x2d00_0000, 0x20_0000)).unwrap();
    state.marks[1] = Mark { address: 0x4800_0000, times: 3 };
    state.tallies[2] = Tally { checks: 1, stale: 4, bits: !0, ..Tally::default() };
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let mut here = Spots::new();
        (0..=n as u64).for_each(|line| here.add_line(kind, line * 0x1000));
        state.spots.count(&here, n);
    }
    state
}

#[test]
fn a_state_comes_back_unless_one_of_its_lines_is_lost() {
    let ram = Ram::new(8192);
    let state = state();
    state.store(&ram, 4096);
    let mut bytes = ram.cached();
    assert_eq!(State::load(&bytes, 4096), Some(state.clone()));
    assert_eq!(State::load(&bytes, 0), None);
    for line in 0..super::state::LINES {
        let at = 4096 + 64 * (32 + line as usize);
        bytes[at + 3] ^= 1;
        assert_eq!(State::load(&bytes, 4096), None, "line {line}");
        bytes[at + 3] ^= 1;
    }
    // Half of one and half of the next are nobody's.
    State { saves: 10, ..state }.store(&ram, 4096);
    let half = 4096 + 64 * 48;
    bytes[half..].copy_from_slice(&ram.cached()[half..]);
    assert_eq!(State::load(&bytes, 4096), None);
}

#[test]
fn the_newest_state_is_taken_and_no_other_surveys() {
    let of = |seed, saves, done| State { saves, done, ..State::new(Seed(seed), 1, heapless::Vec::new()) };
    let take = |home: &[State], copies: &[State]| newest(home.iter().cloned(), copies.iter().cloned());
    assert_eq!(take(&[], &[]), (None, false));
    assert_eq!(take(&[of(1, 3, false), of(1, 4, false)], &[of(1, 4, false)]), (Some(of(1, 4, false)), true));
    assert_eq!(take(&[of(1, 3, false)], &[of(1, 4, true), of(2, 9, false)]), (Some(of(1, 4, true)), false));
    assert_eq!(take(&[], &[of(1, 9, true), of(2, 3, false)]), (Some(of(2, 3, false)), false));
}

#[test]
fn every_round_takes_each_way_that_there_is_and_the_last_one_ends() {
    let offers = |way| way != Way::Board(ResetWay::PsciWarm);
    let mut state = State::new(SEED, 2, heapless::Vec::new());
    let mut taken = Vec::new();
    while let Some(way) = state.next_way(&offers) {
        taken.push(way);
        state.generation += 1;
    }
    let round = [Way::Board(ResetWay::Psci), Way::Board(ResetWay::Watchdog), Way::Panic];
    assert_eq!(taken, [round, round].concat());
    assert!(state.done);
    assert_eq!(State::new(SEED, 2, heapless::Vec::new()).next_way(&|_| false), None);
}

#[test]
fn a_state_has_room_for_every_quirk_of_every_board() {
    let most = boards::BOARDS.iter().map(|board| board.memory_quirks().len()).max();
    assert!(most.is_some_and(|most| most <= super::divide::AVOIDED_MAX), "{most:?}");
}
