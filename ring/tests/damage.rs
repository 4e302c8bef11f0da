//! What a crash, a reset or a stranger can have done to a region, case by case: what is lost is named, the rest comes back.

mod support;
use ring::check::{Crc32c, Table, seed};
use ring::fake::Ram;
use ring::format::{DATA_END, Geometry, HEADER_SIZE, domain, tag, tail_line};
use ring::line::{Line, LineSeed};
use ring::linux::{self, SUBBUF_SIZE};
use ring::position::{END_WORD, FIRST_WORD, Position};
use ring::recover::{Bank, Hole, Item, Recovered};
use ring::region::{Found, inspect, rebuild};
use ring::seams::Memory;
use ring::verdict::{Older, Verdict};
use ring::writer::{CleanAt, Mode};
use std::cell::Cell;
use support::*;

const SIZE: u64 = 128 << 10;
const BOOT_BEFORE: u32 = 0x0b00_0001;

/// Two boots over several laps, the second one's region, and what it was after its third lap and after the first boot.
struct Life {
    region: Vec<u8>,
    lap_before: Vec<u8>,
    boot_before: Vec<u8>,
    geometry: Geometry,
}

/// Events whose size differs, recorded until the ring has gone round.
fn live() -> Life {
    let ram = Ram::new(SIZE);
    let (mut lap_before, mut boot_before) = (Vec::new(), Vec::new());
    let mut geometry = None;
    for boot_id in [BOOT_BEFORE, BOOT_ID] {
        boot_before = ram.cached();
        let (header, bank) = boot(&ram, 1, 1, boot_id);
        let w = writer(&ram, &header, bank, 0, Mode::default());
        let ring = header.geometry.ring();
        let mut number = 0;
        while w.counters().sequence < 4 * ring + 3 {
            if w.counters().sequence == 3 * ring + 3 {
                lap_before = ram.cached();
            }
            w.record(&Numbered { number, padding: number as usize % 90 }).unwrap();
            number += 1;
        }
        close(&w);
        geometry = Some(header.geometry);
    }
    Life { region: ram.persistent(), lap_before, boot_before, geometry: geometry.unwrap() }
}

impl Life {
    fn subbuf(&self, sequence: u64) -> usize {
        (self.geometry.bank(0) + self.geometry.subbuf(0, sequence)) as usize
    }
    /// A sub-buffer that is neither the oldest nor the newest.
    fn some_sequence(&self) -> u64 {
        4 * self.geometry.ring() - 2
    }
    fn whole(&self) -> usize {
        find(&self.region, 0, 0).1.len()
    }
}

fn holes(region: &[u8]) -> Vec<Hole> {
    with_items(region, Table, |items| {
        items.filter_map(|i| if let Item::Hole(hole) = i { Some(hole) } else { None }).collect()
    })
}

fn with_items<C: Crc32c, R>(region: &[u8], crc: C, look: impl FnOnce(&mut dyn Iterator<Item = Item<'_>>) -> R) -> R {
    let header = match inspect(region) {
        Found::Valid(header) => header,
        Found::Scanned { geometry, .. } => rebuild(region, geometry),
        other => panic!("{other:?}"),
    };
    let bank = &region[header.geometry.bank(0) as usize..];
    let bank = Bank::new(bank, header.geometry, header.banks[0], crc).unwrap();
    look(&mut bank.core(0).items())
}

fn all_events(region: &[u8]) -> Vec<(u64, bool)> {
    let number = |event: &Recovered<'_>| (Numbered::number_of(event), event.time_is_certain);
    with_items(region, Table, |items| {
        items.map(|item| if let Item::Event(event) = item { number(&event) } else { panic!("{item:?}") }).collect()
    })
}

#[test]
fn one_header_lost_or_both_cost_no_event() {
    let life = live();
    let whole = all_events(&life.region);
    for lost in [&[0][..], &[SIZE - HEADER_SIZE], &[0, SIZE - HEADER_SIZE]] {
        for byte in [0, 0xff, 0x5a] {
            let mut region = life.region.clone();
            lost.iter().for_each(|at| region[*at as usize..][..HEADER_SIZE as usize].fill(byte));
            assert_eq!(all_events(&region), whole, "{lost:?} full of {byte:#x}");
        }
    }
}

#[test]
fn linux_headers_and_order_lost_cost_nothing() {
    let life = live();
    let whole = all_events(&life.region);
    let start = life.geometry.bank(0) as usize;
    let first = linux::subbufs_offset(0, life.geometry.subbufs) as usize;
    for byte in [0, 0xff, 0x81] {
        let mut region = life.region.clone();
        region[start..start + first].fill(byte);
        assert_eq!(all_events(&region), whole);
    }
}

#[test]
fn wrong_pointers_and_a_wrong_order_cost_nothing() {
    let life = live();
    let whole = all_events(&life.region);
    let header = (life.geometry.bank(0) + linux::cpu_offset(0, life.geometry.subbufs)) as usize;
    for value in [0u64, u64::MAX, 0x5000_0000, 0x1234_5678_9abc_def1] {
        let mut region = life.region.clone();
        for field in [linux::cpu::HEAD_BUFFER, linux::cpu::COMMIT_BUFFER, linux::cpu::FIRST_BUFFER] {
            region[header + field as usize..][..8].copy_from_slice(&value.to_le_bytes());
        }
        let order = header + linux::CPU_HEADER as usize;
        region[order..order + 4 * life.geometry.subbufs as usize].reverse();
        assert_eq!(all_events(&region), whole);
    }
}

#[test]
fn a_stale_or_flipped_commit_word_costs_no_event() {
    let life = live();
    let whole = life.whole();
    let commit = life.subbuf(life.some_sequence()) + linux::SUBBUF_COMMIT as usize;
    for value in [0u64, 28, 4080, 0xf_ffff, u64::MAX, 1 << 31] {
        let mut region = life.region.clone();
        region[commit..commit + 8].copy_from_slice(&value.to_le_bytes());
        let (account, events) = find(&region, 0, 0);
        assert_eq!((events.len(), account.damaged()), (whole, 0), "{value:#x}");
        assert!(account.sum_holds() && events.iter().all(|(_, e)| e.time_is_certain));
        let beyond = events.iter().filter(|(_, e)| e.verdict == Verdict::BeyondCommit).count();
        assert_eq!(beyond as u64, account.beyond_commit);
        assert_eq!(beyond > 0, value < 4080 || value == 1 << 31, "{value:#x}");
    }
}

#[test]
fn a_flipped_event_is_called_flipped_and_one_whose_length_was_hit_unknown() {
    let life = live();
    let at = life.subbuf(life.some_sequence());
    let first = with_items(&life.region, Table, |items| {
        let here = |i: &Item<'_>| matches!(i, Item::Event(e) if e.sequence == life.some_sequence() && e.word > 200);
        let Some(Item::Event(event)) = Iterator::find(&mut { items }, here) else { panic!() };
        event.word
    });
    for (byte, verdict) in [(9, Verdict::Flipped), (0, Verdict::Unknown)] {
        let mut region = life.region.clone();
        region[at + 4 * first as usize + byte] ^= 0x10;
        let found = holes(&region);
        assert_eq!((found.len(), found[0].verdict, found[0].from, found[0].older), (1, verdict, first, None));
        let (account, events) = find(&region, 0, 0);
        assert_eq!((events.len() + 1, account.flipped), (life.whole(), 1));
        let behind: Vec<_> =
            events.iter().filter(|(_, e)| e.sequence == life.some_sequence() && e.word > first).collect();
        assert!(!behind.is_empty() && behind.iter().all(|(_, e)| e.verdict == Verdict::AfterGap && !e.time_is_certain));
    }
}

#[test]
fn a_half_written_event_costs_itself() {
    let life = live();
    let at = life.subbuf(life.some_sequence()) + 4 * 300;
    // The line of an event's second half never came: it holds what was there a lap before, or nothing.
    for line in [life.lap_before[at / 64 * 64..][..64].to_vec(), vec![0; 64]] {
        let mut region = life.region.clone();
        region[at / 64 * 64..][..64].copy_from_slice(&line);
        let (account, events) = find(&region, 0, 0);
        let lost = life.whole() - events.len();
        assert!((1..=4).contains(&lost) && account.damaged() as usize == lost && account.sum_holds(), "{account:?}");
    }
}

#[test]
fn nested_events_that_were_committed_are_found_inside_one_that_was_not() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode { clean_at: CleanAt::Event, ..Mode::default() });
    let outer = w.reserve(EVENT_ID, 60).unwrap();
    for number in 0..5 {
        w.record(&Numbered { number, padding: 11 }).unwrap();
    }
    let _never_committed = outer;
    // A reset that loses nothing and says nothing.
    let region = ram.cached();
    let (account, events) = find(&region, bank, 0);
    assert_eq!(events.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(events.iter().all(|(_, e)| e.time_is_certain), "nested events carry their own time");
    assert_eq!((account.unfinished, account.damaged(), account.is_final), (1, 0, false));
    assert_eq!(holes(&region).iter().map(|hole| hole.verdict).collect::<Vec<_>>(), [Verdict::Unfinished]);
}

#[test]
fn a_sub_buffer_of_an_older_lap_is_named_after_the_lap() {
    let life = live();
    let sequence = life.some_sequence();
    let at = life.subbuf(sequence);
    let mut region = life.region.clone();
    region[at..at + SUBBUF_SIZE as usize].copy_from_slice(&life.lap_before[at..at + SUBBUF_SIZE as usize]);
    let found = holes(&region);
    let older = Older::Lap { sequence: sequence - life.geometry.ring() };
    assert_eq!(
        found.iter().map(|h| (h.sequence, h.verdict, h.older)).collect::<Vec<_>>(),
        [(sequence, Verdict::StaleLap, Some(older))]
    );
    assert!(
        found[0].to_string().ends_with(&format!("of sub-buffer {}, an older lap", sequence - life.geometry.ring()))
    );
    let (account, events) = find(&region, 0, 0);
    assert_eq!(account.stale as usize, life.whole() - events.len());
    assert!(account.sum_holds() && account.flipped == 0);
}

#[test]
fn a_sub_buffer_of_the_boot_before_is_named_after_the_boot() {
    let life = live();
    let sequence = life.some_sequence();
    let at = life.subbuf(sequence);
    let mut region = life.region.clone();
    region[at..at + SUBBUF_SIZE as usize].copy_from_slice(&life.boot_before[at..at + SUBBUF_SIZE as usize]);
    let found = holes(&region);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].verdict, Verdict::StaleBoot);
    let Some(Older::Boot { boot_id: BOOT_BEFORE, sequence: named }) = found[0].older else { panic!("{found:?}") };
    assert_eq!(named % life.geometry.ring(), sequence % life.geometry.ring());
    assert!(find(&region, 0, 0).0.sum_holds());
}

#[test]
fn a_boot_that_nobody_remembers_is_stale_all_the_same() {
    let life = live();
    let at = life.subbuf(life.some_sequence());
    let mut region = life.region.clone();
    // Its header, tag and bank record are gone: only the lines of its events are here.
    let lines = at + 64..at + 64 * 20;
    let mut stranger = Life { region: life.boot_before.clone(), ..live() };
    stranger.region = {
        let ram = Ram::new(SIZE);
        let (header, bank) = boot(&ram, 1, 1, 0x0bad_b007);
        let w = writer(&ram, &header, bank, 0, Mode::default());
        for number in 0..5000 {
            w.record(&Numbered { number, padding: number as usize % 50 }).unwrap();
        }
        close(&w);
        ram.persistent()
    };
    region[lines.clone()].copy_from_slice(&stranger.region[lines]);
    let found = holes(&region);
    assert_eq!((found[0].verdict, found[0].older), (Verdict::StaleBoot, Some(Older::UnknownBoot)));
}

#[test]
fn zeros_are_unknown() {
    let life = live();
    let at = life.subbuf(life.some_sequence());
    let mut region = life.region.clone();
    region[at + 1024..at + 2048].fill(0);
    assert_eq!(holes(&region).iter().map(|h| h.verdict).collect::<Vec<_>>(), [Verdict::Unknown]);
}

#[test]
fn a_lost_tag_and_a_flipped_time_make_no_wrong_time_certain() {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, Mode::default());
    w.record(&Numbered { number: 0, padding: 0 }).unwrap();
    let outer = w.reserve(EVENT_ID, 12).unwrap();
    // Nested: with an absolute record, which says 59 bits of its time.
    w.record(&Numbered { number: 1, padding: 0 }).unwrap();
    let slot_event = Numbered { number: 2, padding: 0 };
    ring::writer::Event::write(&slot_event, &outer);
    w.commit(outer);
    close(&w);
    let good = ram.persistent();
    let truth = find(&good, bank, 0).1;
    let subbuf = (header.geometry.bank(bank) + header.geometry.subbuf(0, 0)) as usize;
    for bit in 0..64 {
        let mut region = good.clone();
        region[subbuf + DATA_END as usize..][..40].fill(0);
        region[subbuf + bit / 8] ^= 1 << (bit % 8);
        let (_, events) = find(&region, bank, 0);
        assert_eq!(events.len(), truth.len());
        for ((_, event), (_, was)) in events.iter().zip(&truth) {
            assert!(!event.time_is_certain || event.time_ns == was.time_ns, "bit {bit}: {event:?}, not {was:?}");
        }
    }
}

#[test]
fn a_region_that_has_grown_is_named_and_can_be_read_as_what_it_was() {
    let life = live();
    let mut larger = life.region.clone();
    larger.resize(SIZE as usize + 65536, 0);
    let Found::OtherGeometry { region_size, banks, cores } = inspect(&larger) else { panic!() };
    assert_eq!((region_size, banks, cores), (SIZE, 1, 1));
    assert_eq!(all_events(&larger[..region_size as usize]), all_events(&life.region));
    // One that has shrunk lost its end: it is named too.
    assert!(matches!(inspect(&life.region[..SIZE as usize - 4096]), Found::OtherGeometry { region_size: SIZE, .. }));
}

#[test]
fn a_region_of_more_cores_than_this_machine_has_is_read_as_it_was_written() {
    let ram = Ram::new(4 * SIZE);
    let (header, bank) = boot(&ram, 1, 7, BOOT_ID);
    let w = writer(&ram, &header, bank, 6, Mode::default());
    (0..50).for_each(|number| w.record(&Numbered { number, padding: 3 }).unwrap());
    close(&w);
    let region = ram.persistent();
    let Found::Valid(found) = inspect(&region) else { panic!() };
    assert_eq!(found.geometry.cores, 7);
    assert_eq!(find(&region, bank, 6).1.len(), 50);
}

/// Writes a tag whose check fits.
fn forge_tag(ram: &Ram, subbuf: u64, sequence: u64, reserved: u64, time: u64) {
    let head = u64::from(tag::VALUE) | u64::from(BOOT_ID) << 32;
    let register = Table.u32(Table.u64(seed(BOOT_ID, domain::TAG), head), 0);
    let check = Table.u64(Table.u64(Table.u64(register, sequence), reserved), time);
    let at = subbuf + DATA_END;
    let words = [head, u64::from(check) << 32, sequence, reserved, time];
    (0..).zip(words).for_each(|(i, word)| ram.store_u64(at + 8 * i, word));
}

#[test]
fn numbers_that_their_author_made_as_large_as_they_go_overflow_nothing() {
    let life = live();
    let counters = Geometry::core_line(0, tail_line::COUNTERS);
    for sequence in [u64::MAX, u64::MAX - 1, 1 << 38, (1 << 38) - 1, 1 << 63] {
        let ram = Ram::holding(life.region.clone());
        let place = life.geometry.subbuf(0, sequence % life.geometry.ring());
        forge_tag(&ram, life.geometry.bank(0) + place, sequence, u64::MAX, u64::MAX);
        let most = Line::of(&[0xff; 56]);
        let at = life.geometry.bank(0) + life.geometry.tail(counters);
        most.store(&ram, at, LineSeed::new(BOOT_ID, domain::TAIL), counters, 0);
        let region = ram.cached();
        let (account, events) = find(&region, 0, 0);
        let _ = account.sum_holds();
        assert_eq!(account.recovered as usize, events.len());
        // A number beyond what a writer can reach moves nothing.
        assert_eq!(events.len() > life.whole() / 2, sequence > (1 << 38) - 1, "{sequence:#x}");
    }
}

/// Counts the bytes that are checked.
#[derive(Clone, Copy)]
struct Counting<'c>(&'c Cell<u64>);

impl Crc32c for Counting<'_> {
    type Direct = Table;
    fn direct(self) -> Option<Table> {
        None
    }
    fn u64(self, register: u32, value: u64) -> u32 {
        self.0.set(self.0.get() + 8);
        Table.u64(register, value)
    }
    fn u32(self, register: u32, value: u32) -> u32 {
        self.0.set(self.0.get() + 4);
        Table.u32(register, value)
    }
}

#[test]
fn claims_of_long_events_at_every_word_are_not_read_again_and_again() {
    let life = live();
    let work = |region: &[u8]| {
        let bytes = Cell::new(0);
        with_items(region, Counting(&bytes), |items| items.count());
        bytes.get()
    };
    let good = work(&life.region);
    let newest = 4 * life.geometry.ring() + 3;
    // First: claims only. Second: a good event between each two of them, so that every hole is searched anew.
    for period in [2, 6] {
        let ram = Ram::holding(life.region.clone());
        for sequence in newest + 1 - life.geometry.ring()..=newest {
            let subbuf = life.subbuf(sequence) as u64;
            let put = |word: u32, value: u32| ram.store_u32(subbuf + 4 * u64::from(word), value);
            for word in (FIRST_WORD..END_WORD - period).step_by(period as usize) {
                // A long event that reaches to the end.
                put(word, 0);
                put(word + 1, 4 * (END_WORD - word - 1));
                if period == 6 {
                    let event = [3, 4100, 0];
                    let register = Table.u64(seed(BOOT_ID, 0), Position::new(0, sequence, word + 2).checked());
                    let check = event.iter().fold(register, |register, value| Table.u32(register, *value));
                    (word + 2..).zip(event).for_each(|(w, value)| put(w, value));
                    put(word + 5, check);
                }
            }
        }
        let hostile = work(&ram.cached());
        println!("every {period} words: {hostile} bytes are checked, {good} in a good region");
        assert!(hostile < 100 * good, "every {period} words: {hostile} bytes are checked, {good} in a good region");
    }
}
