//! A reset at every single store and clean, with every subset of the dirty lines in memory (all where they are few, seeded
//! samples where not): recovery returns every event whose lines had all reached memory, and invents none.

mod support;
use ring::fake::{Operation, Ram};
use ring::region::{Found, inspect};
use ring::writer::{CleanAt, Mode};
use std::collections::BTreeSet;
use support::*;

const SIZE: u64 = 64 << 10;

/// The lines of a small life: what each committed event covers, and all operations from a given moment on.
struct Life {
    before: Vec<u8>,
    operations: Vec<Operation>,
    /// For each event: number of operations after which it was committed, and where its bytes lie.
    events: Vec<(u64, usize, std::ops::Range<u64>)>,
    bank: u32,
}

fn live(events: u64, padding: usize, mode: Mode, panics: bool) -> Life {
    let ram = Ram::new(SIZE);
    let (header, bank) = boot(&ram, 1, 1, BOOT_ID);
    let w = writer(&ram, &header, bank, 0, mode);
    let before = ram.persistent();
    assert!(ram.dirty().is_empty(), "a boot begins clean");
    ram.remember();
    let mut committed = vec![];
    for number in 0..events {
        w.record(&Numbered { number, padding }).unwrap();
        committed.push((number, ram.remembered().len()));
    }
    if panics {
        close(&w);
    }
    // Where each event lies: from the whole image.
    let image = ram.cached();
    let g = header.geometry;
    let (_, found) = find(&image, bank, 0);
    let events = committed
        .into_iter()
        .map(|(number, at)| {
            let event = found.iter().find(|(n, _)| *n == number).expect("all are there without a crash").1;
            let start = g.bank(bank) + g.subbuf(0, event.sequence) + u64::from(event.word) * 4;
            (number, at, start..start + (event.fields.len() as u64 + 16).next_multiple_of(4) + 4)
        })
        .collect();
    Life { before, operations: ram.remembered(), events, bank }
}

/// Checks one image: nothing invented (the support checks every byte), what reached memory is there, the sum holds.
fn judge(life: &Life, image: &[u8], done: usize, whole: &Ram, what: &str) -> usize {
    let (account, found) = find(image, life.bank, 0);
    let cached = whole.cached();
    let mut owed = 0;
    for (number, at, range) in &life.events {
        let reached = *at <= done
            && image[range.start as usize..range.end as usize] == cached[range.start as usize..range.end as usize];
        if reached {
            owed += 1;
            assert!(
                found.iter().any(|(n, _)| n == number),
                "{what}: event {number} was in memory and is not recovered"
            );
        }
    }
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "{what}: order");
    assert!(found.iter().all(|(n, _)| *n < life.events.len() as u64), "{what}: invented");
    assert!(account.sum_holds(), "{what}: {account:?}");
    owed
}

fn every_crash(life: &Life, samples: u64) -> u64 {
    let ram = Ram::holding(life.before.clone());
    let mut states = 0;
    let mut seed = 0x1234_5678_9abc_def1u64;
    for done in 0..=life.operations.len() {
        let dirty: Vec<u64> = ram.dirty().into_iter().collect();
        let what = |evicted: &BTreeSet<u64>| format!("after {done} operations, evicted {evicted:?}");
        let all = 1u64 << dirty.len().min(63);
        for n in 0..samples.min(all) {
            let mask = if all <= samples {
                n
            } else if n < 2 {
                n.wrapping_neg()
            } else {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed
            };
            let evicted: BTreeSet<u64> =
                dirty.iter().enumerate().filter(|(i, _)| mask >> (i % 64) & 1 == 1).map(|(_, l)| *l).collect();
            let image = ram.after_reset(evicted.iter().copied());
            judge(life, &image, done, &ram, &what(&evicted));
            states += 1;
        }
        if let Some(operation) = life.operations.get(done) {
            ram.apply(operation);
        }
    }
    states
}

#[test]
fn every_store_of_the_writer_and_every_clean_of_a_close() {
    let states = every_crash(&live(12, 4, Mode::default(), true), 256);
    assert!(states > 5_000, "{states}");
}

#[test]
fn across_sub_buffers_and_a_wrap() {
    // Large events: the ring is small, so that it wraps; what was overwritten is not owed.
    let life = live(24, 900, Mode::default(), true);
    assert!(every_crash(&life, 8) > 5_000);
}

#[test]
fn cleaning_at_each_event_loses_at_most_the_event_being_written() {
    let life = live(40, 20, Mode { clean_at: CleanAt::Event, ..Mode::default() }, false);
    let ram = Ram::holding(life.before.clone());
    for done in 0..=life.operations.len() {
        let committed = life.events.iter().filter(|(_, at, _)| *at <= done).count();
        let (_, found) = find(&ram.persistent(), life.bank, 0);
        assert!(found.len() >= committed, "after {done} operations: {} of {committed}", found.len());
        if let Some(operation) = life.operations.get(done) {
            ram.apply(operation);
        }
    }
}

#[test]
fn cleaning_at_each_sub_buffer_loses_at_most_the_open_one() {
    let life = live(60, 200, Mode { clean_at: CleanAt::SubBuffer, ..Mode::default() }, false);
    let ram = Ram::holding(life.before.clone());
    let subbuf = |range: &std::ops::Range<u64>| range.start / 4096;
    for done in 0..=life.operations.len() {
        let committed: Vec<_> = life.events.iter().filter(|(_, at, _)| *at <= done).collect();
        let open = committed.last().map(|(_, _, range)| subbuf(range));
        let owed = committed.iter().filter(|(_, _, range)| Some(subbuf(range)) != open).count();
        let (_, found) = find(&ram.persistent(), life.bank, 0);
        assert!(found.len() >= owed, "after {done} operations: {} of {owed}", found.len());
        if let Some(operation) = life.operations.get(done) {
            ram.apply(operation);
        }
    }
}

#[test]
fn a_header_is_valid_at_every_crash_of_its_rewriting() {
    let ram = Ram::new(2 * SIZE);
    let (mut header, _) = boot(&ram, 2, 1, BOOT_ID);
    let old = header;
    ram.remember();
    header.boot += 1;
    header.crashes_in_a_row = 3;
    header.banks[1].boot_id = 77;
    header.store(&ram);
    let operations = ram.remembered();
    let again = Ram::new(2 * SIZE);
    boot(&again, 2, 1, BOOT_ID);
    let ram = Ram::holding(again.persistent());
    for done in 0..=operations.len() {
        for evicted in [vec![], ram.dirty().into_iter().collect::<Vec<_>>()] {
            let Found::Valid(found) = inspect(&ram.after_reset(evicted)) else { panic!("after {done}") };
            assert!(found.boot == old.boot || found.boot == header.boot);
            assert!(found.banks[1] == old.banks[1] || found.banks[1] == header.banks[1]);
        }
        if let Some(operation) = operations.get(done) {
            ram.apply(operation);
        }
    }
    assert_eq!(inspect(&ram.persistent()), Found::Valid(header));
}
