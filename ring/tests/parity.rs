//! Parity: what a damaged bank gets back, what it does not, and that it never gets worse.

mod support;
use proptest::prelude::*;
use ring::check::Table;
use ring::fake::{Ram, interrupt};
use ring::format::{Geometry, domain, header_line, tail_line};
use ring::line::{Line, LineSeed};
use ring::parity::{Repaired, repair};
use ring::region::{Found, Header, inspect, rebuild};
use ring::verdict::Verdict;
use ring::writer::{CleanAt, Mode};
use std::cell::Cell;
use std::rc::Rc;
use support::*;

const SIZE: u64 = 96 << 10;
const LINE: usize = 64;
const CHOICES: [u32; 3] = [2, 4, 8];

fn geometry(size: u64, cores: u32, parity: u32) -> Geometry {
    Geometry::new(size, 1, cores).and_then(|plain| plain.with_parity(parity)).unwrap()
}

/// A region of one core whose ring has come round more than once.
struct Life {
    header: Header,
    ram: Ram,
    /// Sequence number of the newest sub-buffer.
    newest: u64,
}

impl Life {
    fn new(parity: u32, mode: Mode, events: u64, closed: bool) -> Self {
        let ram = Ram::new(SIZE);
        let (header, _) = boot_into(&ram, geometry(SIZE, 1, parity), BOOT_ID);
        let w = writer(&ram, &header, 0, 0, mode);
        for number in 0..events {
            w.record(&Numbered { number, padding: number as usize % 90 }).unwrap();
        }
        if closed {
            close(&w);
        }
        let newest = w.counters().sequence;
        Self { header, ram, newest }
    }

    /// Closed as by a panic.
    fn panicked(parity: u32) -> Self {
        Self::new(parity, Mode::default(), 2500, true)
    }

    fn ring(&self) -> usize {
        self.header.geometry.ring() as usize
    }

    /// Where in the region a line of the sub-buffer at a place of the ring is.
    fn line(&self, place: usize, line: usize) -> usize {
        let g = &self.header.geometry;
        (g.bank(0) + g.subbuf(0, place as u64)) as usize + LINE * line
    }

    /// Where the checked line (0) and the parity lines (1 and on) of that sub-buffer are.
    fn parity(&self, place: usize, line: usize) -> usize {
        let g = &self.header.geometry;
        (g.bank(0) + g.tail(g.parity_line(0, place as u64))) as usize + LINE * line
    }

    fn repair(&self, region: &mut [u8]) -> Repaired {
        let g = &self.header.geometry;
        let bank = &mut region[g.bank(0) as usize..][..g.bank_size as usize];
        repair(bank, g, &self.header.banks[0], 0, Table)
    }
}

fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    }
}

fn lose(region: &mut [u8], at: usize, next: &mut impl FnMut() -> u64) {
    region[at..at + LINE].iter_mut().for_each(|byte| *byte = next() as u8);
}

fn numbers(region: &[u8]) -> Vec<u64> {
    find(region, 0, 0).1.iter().map(|event| event.0).collect()
}

#[test]
fn without_parity_a_region_is_one_of_version_1_byte_for_byte() {
    let plain = Geometry::new(SIZE, 1, 1).unwrap();
    assert_eq!(geometry(SIZE, 1, 0), plain);
    let life = Life::panicked(0);
    let region = life.ram.persistent();
    // The identity, as version 1 wrote it: what it did not know of is zero.
    let expected = Line::default().u64(u64::from_le_bytes(*b"AFTRGLOW")).u32(1).u32(1).u64(SIZE).u32(1);
    let (identity, _) = Line::load(&region, 0, LineSeed::new(0, domain::HEADER), header_line::IDENTITY).unwrap();
    assert_eq!(identity.payload(), expected.payload());
    // Behind the tail's lines nothing is ever written.
    let end = plain.bank(0) + plain.tail(Geometry::core_line(0, tail_line::PER_CORE));
    assert!(region[end as usize..plain.header_b() as usize].iter().all(|byte| *byte == 0));
    let mut same = region.clone();
    assert_eq!(life.repair(&mut same), Repaired::default());
    assert!(same == region);
}

#[test]
fn a_region_with_parity_says_so_and_readers_of_version_1_do_not_misread_it() {
    for parity in CHOICES {
        let region = Life::panicked(parity).ram.persistent();
        let Found::Valid(header) = inspect(&region) else { panic!("{:?}", inspect(&region)) };
        assert_eq!(header.geometry, geometry(SIZE, 1, parity));
        let (mut identity, _) = Line::load(&region, 0, LineSeed::new(0, domain::HEADER), 0).unwrap();
        identity.take_u64();
        assert_eq!(identity.take_u32(), 2);
        let bank = &region[header.geometry.bank(0) as usize..][..header.geometry.linux_size as usize];
        let shown = linux_accepts(bank, 1);
        assert_eq!(shown, Ok(numbers(&region).len() as u64), "Linux looks at its own part only");
    }
}

#[test]
fn an_undamaged_bank_is_clean_to_the_open_sub_buffer() {
    for parity in CHOICES {
        let life = Life::panicked(parity);
        let mut region = life.ram.persistent();
        let clean = life.ring() as u32;
        assert_eq!(life.repair(&mut region), Repaired { clean, ..Repaired::default() });
        assert!(region == life.ram.persistent());
    }
}

#[test]
fn any_lost_line_comes_back() {
    for parity in CHOICES {
        let life = Life::panicked(parity);
        let good = life.ram.persistent();
        let mut next = noise(1);
        for line in 0..64 {
            let mut region = good.clone();
            // In every sub-buffer at once.
            (0..life.ring()).for_each(|place| lose(&mut region, life.line(place, line), &mut next));
            let repaired = life.repair(&mut region);
            let ring = life.ring() as u32;
            assert_eq!((repaired.corrected, repaired.lines, repaired.checked()), (ring, ring, ring), "line {line}");
            assert!(region == good, "{parity} parity lines, line {line}");
        }
    }
}

#[test]
fn any_two_lost_lines_come_back() {
    let life = Life::panicked(4);
    let good = life.ram.persistent();
    let mut next = noise(2);
    for first in 0..64 {
        for second in first + 1..64 {
            let mut region = good.clone();
            let place = (first + second) % life.ring();
            lose(&mut region, life.line(place, first), &mut next);
            lose(&mut region, life.line(place, second), &mut next);
            let repaired = life.repair(&mut region);
            assert_eq!((repaired.corrected, repaired.lines), (1, 2), "lines {first} and {second}");
            assert!(region == good, "lines {first} and {second}");
        }
    }
}

#[test]
fn one_line_less_than_there_is_parity_comes_back_from_anywhere_parity_included() {
    for parity in CHOICES {
        let life = Life::panicked(parity);
        let good = life.ram.persistent();
        let mut next = noise(3);
        for _ in 0..30 {
            let mut region = good.clone();
            for place in 0..life.ring() {
                for _ in 1..parity {
                    let line = next() as usize % (64 + parity as usize);
                    let at = if line < 64 { life.line(place, line) } else { life.parity(place, line - 63) };
                    lose(&mut region, at, &mut next);
                }
            }
            let repaired = life.repair(&mut region);
            assert_eq!((repaired.beyond, repaired.without), (0, 0));
            assert_eq!(numbers(&region), numbers(&good));
            for place in 0..life.ring() {
                let at = life.line(place, 0);
                assert!(region[at..at + 4096] == good[at..at + 4096], "{parity} parity lines, place {place}");
            }
        }
    }
}

#[test]
fn flipped_bits_all_over_a_sub_buffer_come_back() {
    for parity in CHOICES {
        let life = Life::panicked(parity);
        let good = life.ram.persistent();
        let mut region = good.clone();
        let mut next = noise(4);
        for place in 0..life.ring() {
            for column in 0..64 {
                for _ in 0..parity / 2 {
                    region[life.line(place, next() as usize % 64) + column] ^= 1 << (next() % 8);
                }
            }
        }
        let repaired = life.repair(&mut region);
        assert_eq!(repaired.corrected, life.ring() as u32);
        assert!(repaired.lines > 20 * repaired.corrected && region == good, "{repaired:?}");
    }
}

#[test]
fn stale_lines_of_the_older_lap_and_the_boot_before_become_the_new_ones() {
    let ram = Ram::new(SIZE);
    let g = geometry(SIZE, 1, 4);
    let older = {
        let (header, _) = boot_into(&ram, g, 7);
        let w = writer(&ram, &header, 0, 0, Mode::default());
        (0..2000).for_each(|number| w.record(&Numbered { number, padding: 5 }).unwrap());
        close(&w);
        ram.persistent()
    };
    let (header, _) = boot_into(&ram, g, BOOT_ID);
    let w = writer(&ram, &header, 0, 0, Mode::default());
    while w.counters().sequence < g.ring() + 3 {
        w.record(&Numbered { number: w.counters().reserved, padding: 20 }).unwrap();
    }
    let lap = ram.cached();
    while w.counters().sequence < 2 * g.ring() + 2 {
        w.record(&Numbered { number: w.counters().reserved, padding: 20 }).unwrap();
    }
    close(&w);
    let good = ram.persistent();
    let newest = w.counters().sequence;
    let life = Life { header, ram, newest };
    for stale in [older, lap] {
        let mut region = good.clone();
        for place in 0..life.ring() {
            for line in [place % 64, (7 * place + 20) % 64, 63] {
                let at = life.line(place, line);
                region[at..at + LINE].copy_from_slice(&stale[at..at + LINE]);
            }
        }
        let damaged = find(&region, 0, 0).0;
        assert!(damaged.damaged() > 0, "{damaged:?}");
        assert_eq!(life.repair(&mut region).beyond, 0);
        assert!(region == good);
        assert!(find(&region, 0, 0).1.iter().all(|(_, event)| event.verdict == Verdict::Good));
    }
}

#[test]
fn what_is_beyond_repair_is_reported_and_stays_as_it_was() {
    for parity in CHOICES {
        let life = Life::panicked(parity);
        let good = life.ram.persistent();
        let mut next = noise(6);
        let mut region = good.clone();
        for place in 0..life.ring() {
            (0..parity as usize).for_each(|i| lose(&mut region, life.line(place, 8 * i + place % 8), &mut next));
        }
        let before = region.clone();
        let repaired = life.repair(&mut region);
        assert_eq!((repaired.beyond, repaired.corrected), (life.ring() as u32, 0), "{parity} parity lines");
        assert!(region == before);
    }
}

#[test]
fn a_correction_that_does_not_lead_to_the_covered_bytes_is_taken_back() {
    let life = Life::panicked(4);
    let (at, number) = (life.parity(3, 0), life.header.geometry.parity_line(0, 3));
    let seed = LineSeed::new(BOOT_ID, domain::TAIL);
    let good = life.ram.persistent();
    let (mut line, _) = Line::load(&good, at as u64, seed, number).unwrap();
    let (sequence, lines, check) = (line.take_u64(), line.take_u32(), line.take_u32());
    let other = Ram::holding(good);
    Line::default().u64(sequence).u32(lines).u32(check ^ 1).store(&other, at as u64, seed, number, 0);
    let mut region = other.cached();
    // Three lines: only one way corrects them, so that no other takes back by chance what that one did.
    let mut next = noise(12);
    [20, 21, 50].into_iter().for_each(|line| lose(&mut region, life.line(3, line), &mut next));
    let before = region.clone();
    assert_eq!(life.repair(&mut region).beyond, 1);
    assert!(region == before);
}

#[test]
fn a_lost_checked_line_means_no_parity_and_nothing_else() {
    let life = Life::panicked(4);
    let mut region = life.ram.persistent();
    let mut next = noise(7);
    lose(&mut region, life.parity(3, 0), &mut next);
    lose(&mut region, life.line(3, 10), &mut next);
    let before = region.clone();
    let repaired = life.repair(&mut region);
    assert_eq!((repaired.without, repaired.clean), (1, life.ring() as u32 - 1));
    assert!(region == before);
    // One of another sub-buffer in its place is none for this one.
    let at = life.parity(3, 0);
    let other = region[life.parity(4, 0)..][..LINE].to_vec();
    region[at..at + LINE].copy_from_slice(&other);
    assert_eq!(life.repair(&mut region).without, 1);
}

#[test]
fn the_sub_buffer_that_was_open_at_the_panic_comes_back_even_without_its_tag_and_the_counters() {
    for events in [1, 40, 100, 2500] {
        let life = Life::new(4, Mode::default(), events, true);
        let good = life.ram.persistent();
        let g = life.header.geometry;
        let mut region = good.clone();
        let mut next = noise(8);
        for line in [0, 1, 63] {
            lose(&mut region, life.line((life.newest % g.ring()) as usize, line), &mut next);
        }
        lose(&mut region, (g.bank(0) + g.tail(Geometry::core_line(0, tail_line::COUNTERS))) as usize, &mut next);
        assert_eq!(life.repair(&mut region).corrected, 1, "{events} events");
        assert_eq!(numbers(&region), numbers(&good));
    }
}

#[test]
fn sub_buffers_that_nested_writers_close_at_once_are_all_covered() {
    let run = |at: Vec<u64>, nested: u64| {
        let ram: &'static Ram = Box::leak(Box::new(Ram::new(SIZE)));
        let (header, _) = boot_into(ram, geometry(SIZE, 1, 2), BOOT_ID);
        let w: &'static TestWriter<'static> = Box::leak(Box::new(writer(ram, &header, 0, 0, Mode::default())));
        let armed = at.into_iter().map(|at| {
            let handler: Box<dyn FnMut()> = Box::new(move || {
                for number in 0..nested {
                    // What comes round is refused, and counted.
                    let _ = w.record(&Numbered { number, padding: 300 });
                }
            });
            (at, handler)
        });
        let steps = interrupt::with(armed.collect(), || {
            for number in 0..30 {
                w.record(&Numbered { number, padding: 300 }).unwrap();
            }
        });
        close(w);
        let mut region = ram.persistent();
        let good = region.clone();
        let life = Life { header, ram: Ram::new(SIZE), newest: w.counters().sequence };
        let mut next = noise(9);
        let places = life.ring().min(life.newest as usize + 1);
        (0..places).for_each(|place| lose(&mut region, life.line(place, 30), &mut next));
        let repaired = life.repair(&mut region);
        assert_eq!((repaired.corrected, repaired.without, repaired.beyond), (places as u32, 0, 0));
        assert!(region == good);
        steps
    };
    let steps = run(vec![], 0);
    // A sub-buffer's parity is most of the steps: every prime so many of them meets all others.
    for at in (0..steps).step_by(53) {
        run(vec![at], 70);
    }
    run(vec![5, 900], 500);
}

/// What a stopped core left in memory, and in which sub-buffer it stood.
type Left = (Vec<u8>, u64);

#[test]
fn a_core_that_is_stopped_at_any_step_leaves_parity_of_what_it_left() {
    let run = |at: u64| {
        let ram: &'static Ram = Box::leak(Box::new(Ram::new(SIZE)));
        let (header, _) = boot_into(ram, geometry(SIZE, 1, 4), BOOT_ID);
        let w: &'static TestWriter<'static> = Box::leak(Box::new(writer(ram, &header, 0, 0, Mode::default())));
        let stopped: Rc<Cell<Option<Left>>> = Rc::default();
        let left = stopped.clone();
        let handler: Box<dyn FnMut()> = Box::new(move || {
            close(w);
            left.set(Some((ram.persistent(), w.counters().sequence)));
        });
        let steps = interrupt::with(vec![(at, handler)], || {
            for number in 0..27 {
                let _ = w.record(&Numbered { number, padding: 300 });
            }
        });
        let Some((good, newest)) = stopped.take() else { return steps };
        let life = Life { header, ram: Ram::new(SIZE), newest };
        let mut region = good.clone();
        let mut next = noise(at);
        let places = life.newest as usize + 1;
        for place in 0..places {
            (0..3).for_each(|i| lose(&mut region, life.line(place, (at as usize + 13 * i) % 64), &mut next));
        }
        let repaired = life.repair(&mut region);
        assert_eq!((repaired.corrected, repaired.checked()), (places as u32, places as u32), "stopped at {at}");
        assert!(region == good, "stopped at {at}");
        steps
    };
    let steps = run(u64::MAX);
    (0..steps).step_by(7).for_each(|at| {
        run(at);
    });
}

#[test]
fn in_a_reset_without_a_panic_the_closed_sub_buffers_are_covered_where_they_were_cleaned() {
    for clean_at in [CleanAt::SubBuffer, CleanAt::Event] {
        let life = Life::new(4, Mode { clean_at, ..Mode::default() }, 2500, false);
        let good = life.ram.persistent();
        let mut region = good.clone();
        let mut next = noise(10);
        for place in (0..life.ring()).filter(|place| *place != life.newest as usize % life.ring()) {
            (0..3).for_each(|i| lose(&mut region, life.line(place, (place + 20 * i) % 64), &mut next));
        }
        let repaired = life.repair(&mut region);
        assert_eq!((repaired.corrected, repaired.beyond), (life.ring() as u32 - 1, 0), "{clean_at:?}");
        assert_eq!(repaired.without, 1, "the open one");
        assert!(region == good);
    }
}

#[test]
fn whatever_lines_a_reset_without_a_panic_left_no_event_is_lost_to_a_repair_and_none_is_invented() {
    for (seed, clean_at) in (0..60).flat_map(|seed| [(seed, CleanAt::Panic), (seed, CleanAt::SubBuffer)]) {
        let life = Life::new(4, Mode { clean_at, ..Mode::default() }, 1500 + 7 * seed, false);
        let mut next = noise(seed + 100);
        let share = 1 + next() % 40;
        let evicted: Vec<u64> = life.ram.dirty().into_iter().filter(|_| next() % 40 < share).collect();
        let mut region = life.ram.after_reset(evicted);
        let before = numbers(&region);
        life.repair(&mut region);
        // Each is what was written under its number, byte by byte: `find` looks.
        let after = numbers(&region);
        assert!(before.iter().all(|number| after.contains(number)), "seed {seed}, {clean_at:?}");
        assert!(after.is_sorted() && after.last() < Some(&(1500 + 7 * seed)));
    }
}

#[test]
fn a_region_with_parity_whose_headers_are_lost_is_found_again() {
    for parity in CHOICES {
        for (size, cores, events) in [(SIZE, 1, 2500), (SIZE, 1, 30), (1 << 20, 4, 3000), (512 << 10, 3, 200)] {
            let ram = Ram::new(size);
            let (header, _) = boot_into(&ram, geometry(size, cores, parity), BOOT_ID);
            for core in 0..cores {
                let w = writer(&ram, &header, 0, core, Mode::default());
                (0..events).for_each(|number| w.record(&Numbered { number, padding: 30 }).unwrap());
                close(&w);
            }
            let mut region = ram.persistent();
            region[..4096].fill(0);
            let end = region.len();
            region[end - 4096..].fill(0xa5);
            let Found::Scanned { geometry, .. } = inspect(&region) else { panic!("{:?}", inspect(&region)) };
            assert_eq!(geometry, header.geometry, "{events} events on {cores} cores");
            assert_eq!(rebuild(&region, geometry).banks()[0].boot_id, BOOT_ID);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_damage_is_survived_and_costs_no_event(
        parity in prop::sample::select(&CHOICES[..]),
        edits in prop::collection::vec((0..SIZE as usize - 8192, any::<u8>(), 1..300usize), 1..40),
    ) {
        let life = Life::panicked(parity);
        let mut region = life.ram.persistent();
        let good = numbers(&region);
        for (at, value, size) in edits {
            region[4096 + at..].iter_mut().take(size).for_each(|byte| *byte = byte.rotate_left(3) ^ value);
        }
        let before = find(&region, 0, 0).0;
        let repaired = life.repair(&mut region);
        prop_assert!(repaired.checked() as usize <= life.ring());
        let (after, events) = find(&region, 0, 0);
        prop_assert!(after.recovered >= before.recovered);
        prop_assert!(events.iter().all(|event| good.contains(&event.0)));
    }

    #[test]
    fn made_up_checked_lines_are_survived(
        sequence in any::<u64>(), lines in 0..12u32, check in any::<u32>(), place in 0..64usize, small in any::<bool>(),
    ) {
        // Verified, but lying: whoever writes the region can do that.
        let life = Life::panicked(4);
        let mut region = life.ram.persistent();
        let place = place % life.ring();
        let sequence = if small { sequence % 64 * life.ring() as u64 + place as u64 } else { sequence };
        let number = life.header.geometry.parity_line(0, place as u64);
        let lie = Ram::holding(region.clone());
        Line::default().u64(sequence).u32(lines).u32(check).store(
            &lie, life.parity(place, 0) as u64, LineSeed::new(BOOT_ID, domain::TAIL), number, 0,
        );
        region = lie.cached();
        // A correction that would be right; but the check says that it is not.
        region[life.line(place, 7)..][..LINE].fill(0xee);
        let before = region.clone();
        prop_assert!(life.repair(&mut region).checked() as usize <= life.ring());
        prop_assert!(region == before, "nothing is changed without the check");
        let mut geometry = life.header.geometry;
        geometry.parity = lines;
        repair(&mut region, &geometry, &life.header.banks[0], 0, Table);
        repair(&mut region[..5000], &geometry, &life.header.banks[0], 9, Table);
    }
}
