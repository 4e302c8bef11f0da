//! memblock against a naive model: one flag per small page.

extern crate std;
use super::*;
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

fn range(base: u64, size: u64) -> Range {
    Range::new(base, size).unwrap()
}

fn with_memory(base: u64, size: u64) -> Memblock {
    let mut memblock = Memblock::new();
    memblock.add(range(base, size)).unwrap();
    memblock
}

#[test]
fn neighbours_and_overlaps_become_one_range() {
    let mut memblock = with_memory(0x1000, 0x1000);
    memblock.add(range(0x3000, 0x1000)).unwrap();
    memblock.add(range(0x2000, 0x1000)).unwrap();
    memblock.add(range(0x1800, 0x4000)).unwrap();
    assert_eq!(memblock.memory(), [Entry { range: range(0x1000, 0x4800), no_map: false }]);
}

#[test]
fn no_map_wins_where_reservations_overlap_and_splits_them_there() {
    let mut memblock = with_memory(0, 0x10000);
    memblock.reserve(range(0x1000, 0x4000)).unwrap();
    memblock.reserve_no_map(range(0x2000, 0x1000)).unwrap();
    memblock.reserve(range(0x2000, 0x1000)).unwrap();
    let got: Vec<_> = memblock.reserved().iter().map(|entry| (entry.range.base(), entry.no_map)).collect();
    assert_eq!(got, [(0x1000, false), (0x2000, true), (0x3000, false)]);
}

#[test]
fn allocation_is_top_down_aligned_and_inside_its_window() {
    let mut memblock = with_memory(0x4000_0000, 0x1000_0000);
    memblock.reserve(range(0x4fff_f000, 0x1000)).unwrap();
    assert_eq!(memblock.allocate(0x3000, 0x1000, None).unwrap(), range(0x4fff_c000, 0x3000));
    assert_eq!(memblock.allocate(0x1000, 0x20_0000, None).unwrap(), range(0x4fe0_0000, 0x1000));
    let window = range(0x4400_0000, 0x1800);
    assert_eq!(memblock.allocate(0x1000, 0x1000, Some(window)).unwrap(), range(0x4400_0000, 0x1000));
    let no_room = memblock.allocate(0x1000, 0x1000, Some(window)).unwrap_err();
    assert_eq!(no_room, MemblockError::NoRoom { size: 0x1000, align: 0x1000, window: Some(window) });
    assert!(no_room.to_string().contains("within 0x44000000-0x440017ff"), "{no_room}");
}

#[test]
fn memory_that_touches_the_end_of_the_address_space_is_usable() {
    let mut memblock = with_memory(u64::MAX - 0xffff, 0x1_0000);
    assert_eq!(memblock.allocate(0x1000, 0x1000, None).unwrap().last(), u64::MAX);
    assert_eq!(memblock.allocate(0x1000, 0x1000, None).unwrap().last(), u64::MAX - 0x1000);
    assert_eq!(memblock.free().next(), Some(range(u64::MAX - 0xffff, 0xe000)));
    memblock.release(range(u64::MAX - 0xfff, 0x1000)).unwrap();
    assert!(memblock.is_free(range(u64::MAX - 0xfff, 0x1000)));
}

#[test]
fn asking_for_nothing_or_with_an_odd_alignment_is_refused() {
    let mut memblock = with_memory(0, 0x10000);
    assert_eq!(memblock.allocate(0, 0x1000, None), Err(MemblockError::NothingAsked));
    assert_eq!(memblock.allocate(1, 0, None), Err(MemblockError::BadAlignment(0)));
    assert_eq!(memblock.allocate(1, 0x1800, None), Err(MemblockError::BadAlignment(0x1800)));
    assert!(memblock.allocate(u64::MAX, 1, None).is_err());
}

#[test]
fn a_full_list_says_so_and_loses_nothing() {
    let mut memblock = Memblock::<2>::new();
    memblock.add(range(0x1000, 0x1000)).unwrap();
    memblock.add(range(0x3000, 0x1000)).unwrap();
    let before = memblock.clone();
    assert_eq!(memblock.add(range(0x5000, 0x1000)), Err(MemblockError::Full { list: "memory", capacity: 2 }));
    assert_eq!(memblock.remove(range(0x1400, 0x100)), Err(MemblockError::Full { list: "memory", capacity: 2 }));
    assert_eq!(memblock, before);
    // A third range that joins the two needs no room of its own.
    memblock.add(range(0x2000, 0x1000)).unwrap();
    assert_eq!(memblock.memory().len(), 1);
}

/// The model: byte-sized pages, so that every alignment and edge case is reachable within a few dozen of them.
const PAGES: u64 = 32;

#[derive(Clone, Copy, Debug)]
enum Step {
    Add,
    Remove,
    Reserve,
    ReserveNoMap,
    Release,
    Allocate { align: u64, window: Option<(u64, u64)> },
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64, u64)>> {
    let place = || (0..PAGES).prop_flat_map(|base| (Just(base), 1..=PAGES - base));
    let step = prop_oneof![
        Just(Step::Add),
        Just(Step::Remove),
        Just(Step::Reserve),
        Just(Step::ReserveNoMap),
        Just(Step::Release),
        (0u32..4, proptest::option::of(place()))
            .prop_map(|(shift, window)| Step::Allocate { align: 1 << shift, window }),
    ];
    proptest::collection::vec((step, place()).prop_map(|(step, (base, size))| (step, base, size)), 1..40)
}

#[derive(Clone, Debug, Default)]
struct Model {
    memory: [bool; PAGES as usize],
    reserved: [bool; PAGES as usize],
    no_map: [bool; PAGES as usize],
}

impl Model {
    fn free(&self, page: u64) -> bool {
        self.memory[page as usize] && !self.reserved[page as usize]
    }

    fn allocate(&self, size: u64, align: u64, window: Option<(u64, u64)>) -> Option<u64> {
        let (from, to) = window.map_or((0, PAGES), |(base, size)| (base, base + size));
        (from..to)
            .rev()
            .find(|&base| base % align == 0 && base + size <= to && (base..base + size).all(|page| self.free(page)))
    }
}

fn check_against(model: &Model, memblock: &Memblock, offset: u64) -> Result<(), TestCaseError> {
    let byte = |page: u64| Range::new(page.wrapping_add(offset), 1).unwrap();
    for page in 0..PAGES {
        let at = page as usize;
        prop_assert_eq!(memblock.contains(byte(page)), model.memory[at], "memory at {}", page);
        prop_assert_eq!(memblock.is_reserved(byte(page)), model.reserved[at], "reserved at {}", page);
        prop_assert_eq!(memblock.is_free(byte(page)), model.free(page), "free at {}", page);
        prop_assert_eq!(
            memblock.free().any(|free| free.contains(byte(page))),
            model.free(page),
            "free list at {}",
            page
        );
        let no_map = memblock.reserved().iter().any(|entry| entry.no_map && entry.range.contains(byte(page)));
        prop_assert_eq!(no_map, model.no_map[at], "no-map at {}", page);
        let mappable = memblock.mappable().unwrap().covers(byte(page));
        prop_assert_eq!(mappable, model.memory[at] && !model.no_map[at], "mappable at {}", page);
    }
    for list in [memblock.memory(), memblock.reserved()] {
        for pair in list.windows(2) {
            let [first, second] = pair else { continue };
            prop_assert!(first.range.last() < second.range.base(), "sorted and apart");
            let touch = first.range.end() == Some(second.range.base());
            prop_assert!(!touch || first.no_map != second.no_map, "neighbours are joined");
        }
    }
    let free: Vec<Range> = memblock.free().collect();
    prop_assert!(
        free.windows(2).all(|pair| pair[0].end().unwrap() < pair[1].base()),
        "free ranges are maximal: {:?}",
        free
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// At the bottom of the address space, in its middle, and touching its end.
    #[test]
    fn memblock_agrees_with_one_flag_per_page(steps in steps(), place in 0usize..3) {
        let offset = [0, 0x4000_0000, u64::MAX - (PAGES - 1)][place];
        let mut model = Model::default();
        let mut memblock = Memblock::<CAPACITY>::new();
        for (step, base, size) in steps {
            let pages = base as usize..(base + size) as usize;
            let at = Range::new(base + offset, size).unwrap();
            match step {
                Step::Add => { memblock.add(at).unwrap(); model.memory[pages].fill(true); }
                Step::Remove => { memblock.remove(at).unwrap(); model.memory[pages].fill(false); }
                Step::Reserve => { memblock.reserve(at).unwrap(); model.reserved[pages].fill(true); }
                Step::ReserveNoMap => {
                    memblock.reserve_no_map(at).unwrap();
                    model.reserved[pages.clone()].fill(true);
                    model.no_map[pages].fill(true);
                }
                Step::Release => {
                    memblock.release(at).unwrap();
                    model.reserved[pages.clone()].fill(false);
                    model.no_map[pages].fill(false);
                }
                Step::Allocate { align, window } => {
                    let limits = window.map(|(base, size)| Range::new(base + offset, size).unwrap());
                    let want = model.allocate(size, align, window);
                    let got = memblock.allocate(size, align, limits);
                    prop_assert_eq!(got.ok().map(|range| range.base()), want.map(|page| page + offset));
                    if let Some(page) = want {
                        model.reserved[page as usize..(page + size) as usize].fill(true);
                    }
                }
            }
            check_against(&model, &memblock, offset)?;
        }
    }
}
