//! The silent corruption campaign: faults of many kinds in full regions, and what recovery says of each. An event that is
//! not as it was written, a wrong time called certain, a loss that nobody reports: not one in any number of faults.
//!
//! `AFTERGLOW_FAULTS` says how many (by default few enough for every test run), `AFTERGLOW_SEED` where the sequence starts.
//! A fault that went unnoticed prints its number: the same seed and number make it again.

#[path = "corruption/fault.rs"]
mod fault;
#[path = "corruption/outcome.rs"]
mod outcome;
mod support;
#[path = "corruption/world.rs"]
mod world;

use fault::{Fault, Kind, Place};
use outcome::{Tally, judge, random_of};
use ring::check::{Crc32c, Table};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

/// Faults in an ordinary test run.
const FAULTS: u64 = 13_000;
/// Different lives that the faults are done to.
const WORLDS: u64 = 4;
/// Of so many faults, one is looked at with all cores and lines of the region.
const WHOLE_REGION_EVERY: u64 = 64;

/// The sums, by kind of fault and by place.
#[derive(Default)]
struct Tables {
    kinds: [Tally; Kind::ALL.len()],
    places: [Tally; Place::ALL.len()],
    silent: Vec<String>,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn campaign<C: Crc32c + Send + Sync>(faults: u64, seed: u64, crc: C) -> Tables {
    let next = AtomicU64::new(0);
    let tables = Mutex::new(Tables::default());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let worlds: Vec<_> = (0..WORLDS).map(|world| World::new(seed ^ world << 32)).collect();
                let mut regions: Vec<_> = worlds.iter().map(|world| world.region.to_vec()).collect();
                let mut mine = Tables::default();
                loop {
                    let fault = next.fetch_add(1, Ordering::Relaxed);
                    if fault >= faults {
                        break;
                    }
                    let world = (fault / Kind::ALL.len() as u64 % WORLDS) as usize;
                    one(fault, seed, &worlds[world], &mut regions[world], crc, &mut mine);
                }
                let mut all = tables.lock().expect("nobody panicked");
                all.kinds.iter_mut().zip(mine.kinds).for_each(|(all, mine)| *all += mine);
                all.places.iter_mut().zip(mine.places).for_each(|(all, mine)| *all += mine);
                all.silent.extend(mine.silent);
            });
        }
    });
    tables.into_inner().expect("nobody panicked")
}

/// Does one fault to a region, looks, and undoes it.
fn one<C: Crc32c>(number: u64, seed: u64, world: &World, region: &mut [u8], crc: C, tables: &mut Tables) {
    let kind = (number % Kind::ALL.len() as u64) as usize;
    let fault = Fault::draw(Kind::ALL[kind], world, &mut random_of(seed, number));
    for (at, bytes) in &fault.edits {
        region[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    let (tally, silent) = judge(region, &fault, world, crc, number.is_multiple_of(WHOLE_REGION_EVERY));
    if let Some(what) = silent {
        let places: Vec<_> = fault.edits.iter().map(|(at, bytes)| *at..*at + bytes.len()).collect();
        tables.silent.push(format!("fault {number}, {} at {places:?}: {what}", fault.kind.name()));
    }
    for (at, bytes) in &fault.edits {
        region[*at..*at + bytes.len()].copy_from_slice(&world.region[*at..*at + bytes.len()]);
    }
    tables.kinds[kind] += tally;
    tables.places[Place::ALL.iter().position(|place| *place == fault.place).expect("listed")] += tally;
}

fn print(title: &str, rows: impl Iterator<Item = (&'static str, Tally)>) {
    println!(
        "{title:22} {:>8} {:>8} {:>9} {:>6} {:>9} {:>12} {:>9} {:>8}",
        "faults", "noticed", "no effect", "silent", "kept", "called stale", "misnamed", "Linux"
    );
    let percent = |part: u64, whole: u64| {
        if whole == 0 { "-".into() } else { format!("{:.2}%", 100.0 * part as f64 / whole as f64) }
    };
    for (name, t) in rows {
        println!(
            "{name:22} {:>8} {:>8} {:>9} {:>6} {:>9} {:>12} {:>9} {:>8}",
            t.faults,
            t.noticed,
            t.no_effect,
            t.silent,
            percent(t.kept, t.untouched),
            percent(t.called_stale, t.stale),
            t.misnamed,
            percent(t.linux, t.faults)
        );
    }
}

#[test]
fn no_fault_makes_recovery_tell_a_wrong_event_or_hide_a_lost_one() {
    let (faults, seed) = (number("AFTERGLOW_FAULTS", FAULTS), number("AFTERGLOW_SEED", 1));
    #[cfg(target_arch = "x86_64")]
    let tables = match ring::check::Instruction::detect() {
        Some(crc) => campaign(faults, seed, crc),
        None => campaign(faults, seed, Table),
    };
    #[cfg(not(target_arch = "x86_64"))]
    let tables = campaign(faults, seed, Table);

    println!("\n{faults} faults, seed {seed}, {WORLDS} lives of {} KiB on {} cores", world::SIZE >> 10, world::CORES);
    let mut sum = Tally::default();
    tables.kinds.iter().for_each(|tally| sum += *tally);
    let kinds = Kind::ALL.iter().map(|kind| kind.name()).zip(tables.kinds);
    print("kind of fault", kinds.chain([("all", sum)]));
    println!();
    print("place", Place::ALL.iter().map(|place| place.name()).zip(tables.places));
    assert_eq!(sum.silent, 0, "{:#?}", tables.silent.iter().take(10).collect::<Vec<_>>());
    for (kind, tally) in Kind::ALL.iter().zip(&tables.kinds) {
        assert!(tally.kept * 100 >= tally.untouched * 99, "{}: good events are lost: {tally:?}", kind.name());
        assert!(tally.misnamed * 1000 <= tally.faults, "{}: called after others: {tally:?}", kind.name());
    }
}
