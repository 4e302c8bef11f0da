//! A reset at every single store and clean of the writer, with every content that memory can then have (all where they are
//! few, chosen ones where not): recovery returns every event whose lines had all reached memory, and invents none.
//!
//! `AFTERGLOW_CRASH_SAMPLES` is the number of states tried after one operation; `--nocapture` shows how many there were.

mod support;
use ring::fake::crash::{Count, Effort};
use ring::fake::{Ram, interrupt};
use ring::format::{CORES_MAX, FIELDS_MAX};
use ring::region::{Found, inspect};
use ring::writer::{CleanAt, Mode, WhenFull};
use support::lab::Lab;
use support::*;

const SIZE: u64 = 64 << 10;

const CLEAN_AT: [CleanAt; 3] = [CleanAt::Panic, CleanAt::SubBuffer, CleanAt::Event];
const WHEN_FULL: [WhenFull; 2] = [WhenFull::Overwrite, WhenFull::Drop];

/// So many states after each operation, or as many as the environment says.
fn effort(states: u64) -> Effort {
    let asked = std::env::var("AFTERGLOW_CRASH_SAMPLES").ok();
    let states = asked.map_or(states, |n| n.parse().expect("AFTERGLOW_CRASH_SAMPLES is a number"));
    Effort { states, seed: 0x1234_5678_9abc_def1 }
}

fn modes() -> impl Iterator<Item = Mode> {
    CLEAN_AT.into_iter().flat_map(|clean_at| WHEN_FULL.map(|when_full| Mode { when_full, clean_at }))
}

/// Crashes the lives that a script lives in all modes, on zeros and on older boots.
fn in_all_modes(name: &str, states: u64, script: impl Fn(&'static Lab)) -> Count {
    let mut total = Count::default();
    for mode in modes() {
        for used_before in [false, true] {
            let lab = Lab::new(SIZE, 1, mode, used_before);
            script(lab);
            total += lab.life().crash(effort(states));
        }
    }
    println!("{name:<44} {total}");
    total
}

#[test]
fn every_store_of_ordinary_events_and_of_a_close() {
    let total = in_all_modes("ordinary events, closed", 64, |lab| {
        for number in 0..12 {
            lab.record(0, number * 7 % 40);
        }
        lab.close(0);
    });
    assert!(total.states > 10_000, "{total}");
}
