//! The logic of the survey on memory that a test owns: patterns, classes, what a judge makes of damage, states that lost lines.

extern crate std;
use super::divide::{COPY_EACH, Divided};
use super::judge::{self, Bit, Finds, LINE, Tally, Word};
use super::pattern::{BLOCK, Class, Seed, WEIGHT, fill, first_damaged};
use super::state::{Hurt, State, Way};
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
    assert_eq!(count(Class::Cleaned, 0), 30_000);
    let moved = (0..1000u64).filter(|block| SEED.class(block * BLOCK, 1) != SEED.class(block * BLOCK, 2)).count();
    assert!(moved > 500);
}

#[derive(Default)]
struct Found {
    bits: Vec<Bit>,
    damaged: Vec<u64>,
}

impl Finds for Found {
    fn bit(&mut self, bit: Bit) {
        self.bits.push(bit);
    }
    fn damaged(&mut self, line: u64) {
        self.damaged.push(line);
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
    let (mut tally, mut found) = (Tally::default(), Found::default());
    judge::block(SEED, block, 4, &words, &mut tally, &mut found);
    assert_eq!((tally.kept_of, tally.damaged, tally.stale, tally.oldest), (1024, 2, 1, 1));
    assert_eq!(tally.set + tally.cleared, 1);
    assert_eq!(tally.bits, 1 << 40);
    let set = words[77] >> 40 & 1 == 1;
    assert_eq!(found.bits, [Bit { address: block + 77 * 8, bit: 40, set }]);
    assert_eq!(found.damaged, [block + LINE, block + BLOCK - LINE]);
}

#[test]
fn a_dirty_line_that_is_gone_is_no_damage() {
    let block = of_class(Class::Dirty, 4);
    let (mut tally, mut found) = (Tally::default(), Found::default());
    judge::block(SEED, block, 4, &written(block, 2), &mut tally, &mut found);
    let expected = Tally { dirty_of: 1024, dirty_lost: 1024, stale: 1024, oldest: 2, ..Tally::default() };
    assert_eq!(tally, expected);
    assert!(found.damaged.is_empty());
}

fn range(base: u64, size: u64) -> Range {
    Range::new(base, size).unwrap()
}

#[test]
fn free_memory_is_divided_into_blocks_with_a_copy_of_the_state_in_each_stretch() {
    let free = [range(0x1234, 10 << 20), range(0x4000_0000, 130 << 20)];
    let region = range(0x4100_1000, 1 << 20);
    let divided = Divided::new(free.into_iter(), region);
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

fn state() -> State {
    let mut state = State::new(SEED, 3, 11);
    (state.generation, state.round, state.way) = (5, 1, 2);
    state.tallies[2] = Tally { checks: 1, stale: 4, bits: !0, ..Tally::default() };
    state.hurt(0x1000, 0x1000 + LINE);
    state
}

#[test]
fn a_state_comes_back_unless_one_of_its_lines_is_lost() {
    let ram = Ram::new(8192);
    let state = state();
    state.store(&ram, 4096);
    let mut bytes = ram.cached();
    assert_eq!(State::load(&bytes, 4096), Some(state));
    assert_eq!(State::load(&bytes, 0), None);
    for line in 0..super::state::LINES {
        let at = 4096 + 64 * (32 + line as usize);
        bytes[at + 3] ^= 1;
        assert_eq!(State::load(&bytes, 4096), None, "line {line}");
        bytes[at + 3] ^= 1;
    }
}

#[test]
fn damaged_lines_become_ranges_and_never_less_than_they_are() {
    let mut state = state();
    state.hurt(0x1040, 0x1040 + LINE);
    state.hurt(0xfc0, 0xfc0 + LINE);
    assert_eq!(state.hurt, [Hurt { first: 0xfc0, end: 0x1080, ways: 4 }]);
    let lines: Vec<u64> = (0..200).map(|n| (n * 7919 % 200) * 0x1_0000 + n * n * 64).collect();
    for line in &lines {
        state.hurt(*line, *line + LINE);
    }
    assert!(state.hurt.windows(2).all(|two| two[0].end < two[1].first), "{:x?}", state.hurt);
    for line in lines {
        assert!(state.hurt.iter().any(|hurt| hurt.first <= line && line + LINE <= hurt.end), "{line:x}");
    }
}

#[test]
fn every_round_takes_each_way_that_there_is_and_the_last_one_ends() {
    let offers = |way| way != Way::Board(ResetWay::PsciWarm);
    let mut state = State::new(SEED, 2, 1);
    let mut taken = Vec::new();
    while let Some(way) = state.next_way(&offers) {
        taken.push(way);
        state.generation += 1;
    }
    let round = [Way::Board(ResetWay::Psci), Way::Board(ResetWay::Watchdog), Way::Panic];
    assert_eq!(taken, [round, round].concat());
    assert!(state.done);
    assert_eq!(State::new(SEED, 2, 1).next_way(&|_| false), None);
}
