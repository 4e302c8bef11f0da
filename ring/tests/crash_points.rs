//! A reset at every single store and clean of the writer, with every content that memory can then have (all where they are
//! few, chosen ones where not): recovery returns every event whose lines had all reached memory, and invents none.
//!
//! `AFTERGLOW_CRASH_SAMPLES` is the number of states tried after one operation; `--nocapture` shows how many there were.

mod support;
use ring::fake::crash::{Count, Effort, every_reset};
use ring::fake::{Ram, interrupt};
use ring::format::FIELDS_MAX;
use ring::point::Point;
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

/// Brings a core to the edge of a sub-buffer and lets everything reach memory: what follows is what may be lost.
fn at_the_edge(lab: &Lab, sequence: u64) {
    lab.fill(0, sequence, 200, 300);
    lab.settle();
}

#[test]
fn every_store_of_ordinary_events_and_of_a_close() {
    let total = in_all_modes("ordinary events, closed", 32, |lab| {
        for number in 0..9 {
            lab.record(0, number * 7 % 40);
        }
        lab.close(0);
    });
    assert!(total.states > 5_000, "{total}");
}

#[test]
fn a_switch_to_a_sub_buffer_that_was_never_used() {
    let total = in_all_modes("a switch to a new sub-buffer", 16, |lab| {
        at_the_edge(lab, 1);
        for padding in [20, 120, 30, 10] {
            lab.record(0, padding);
        }
        lab.close(0);
    });
    assert!(total.states > 5_000, "{total}");
}

#[test]
fn a_switch_that_overwrites_the_oldest_sub_buffer_or_refuses() {
    let total = in_all_modes("a switch to the oldest sub-buffer", 16, |lab| {
        // The ring has seven: with full=drop the events behind the edge of the last one are refused.
        let overwrites = lab.mode().when_full == WhenFull::Overwrite;
        at_the_edge(lab, if overwrites { 9 } else { 6 });
        for padding in [20, 120, 30, 10] {
            lab.record(0, padding);
        }
        lab.close(0);
    });
    assert!(total.states > 3_000, "{total}");
}

#[test]
fn events_given_up_first_in_the_middle_and_last_in_a_sub_buffer() {
    let total = in_all_modes("discarded events", 12, |lab| {
        at_the_edge(lab, 8.min(lab.last()));
        for number in 0..9 {
            if number % 3 == 0 { lab.discard(0, 24) } else { lab.record(0, 90) }
        }
        lab.close(0);
    });
    assert!(total.states > 3_000, "{total}");
}

#[test]
fn long_events_and_time_records() {
    let total = in_all_modes("long events, time records", 12, |lab| {
        lab.settle();
        for (pause, padding) in [(1u64 << 27, 4), (5, 101), (1 << 40, 105), ((1 << 27) - 11, 8), (1 << 58, 240)] {
            lab.writers[0].clock().pass(pause);
            lab.record(0, padding);
        }
        // An interrupt between an event's claim and its stamp: the next one has an absolute time record.
        interrupt::at(Point::Claimed, 0, Box::new(|| lab.record(0, 3)));
        lab.record(0, 9);
        lab.record(0, 120);
        lab.close(0);
    });
    assert!(total.states > 5_000, "{total}");
}

#[test]
fn the_largest_events_fill_a_sub_buffer_each() {
    let mut total = Count::default();
    for used_before in [false, true] {
        let lab = Lab::new(SIZE, 1, Mode::default(), used_before);
        lab.fill(0, 6, 400, 100);
        lab.settle();
        for _ in 0..2 {
            lab.record(0, FIELDS_MAX - 12);
        }
        lab.close(0);
        total += lab.life().crash(effort(2));
    }
    println!("{:<44} {total}", "the largest events");
    assert!(total.states > 3_000, "{total}");
}

#[test]
fn everything_since_the_boot_is_dirty_over_several_sub_buffers_and_a_wrap() {
    let mut total = Count::default();
    for used_before in [false, true] {
        let lab = Lab::new(SIZE, 1, Mode::default(), used_before);
        // Four in a sub-buffer, nine sub-buffers: the ring of seven comes round.
        for _ in 0..36 {
            lab.record(0, 900);
        }
        lab.close(0);
        total += lab.life().crash(effort(2));
    }
    println!("{:<44} {total}", "several sub-buffers, nothing clean");
    assert!(total.states > 15_000, "{total}");
}

/// A core that is interrupted at the `at`-th step of an event, in the middle of a sub-buffer or at the edge of one.
fn interrupted(edge: bool, at: u64, mode: Mode, handler: fn(&'static Lab)) -> (&'static Lab, u64) {
    let lab = Lab::new(SIZE, 1, mode, at % 2 == 1);
    if edge {
        at_the_edge(lab, 8);
    } else {
        lab.record(0, 6);
        lab.settle();
    }
    let handler: interrupt::Handler = Box::new(move || {
        lab.begin_here();
        handler(lab);
    });
    let steps = interrupt::with(vec![(at, handler)], || lab.record(0, if edge { 300 } else { 10 }));
    (lab, steps)
}

/// Crashes an interrupted core, for every step at which the interrupt may come. The many steps of copying fields are alike:
/// one of eight.
fn at_every_step(name: &str, states: u64, handler: fn(&'static Lab), after: fn(&Lab)) -> Count {
    let mut total = Count::default();
    for edge in [false, true] {
        // Steps are counted in a first run in which the interrupt never comes.
        let (_, steps) = interrupted(edge, u64::MAX, Mode::default(), handler);
        assert!(steps > 20);
        for at in (0..steps).filter(|at| !edge || at % 8 == 0 || *at < 40 || *at + 20 > steps) {
            // The step itself is the same in all modes; a long run tries all of them.
            let few = std::env::var_os("AFTERGLOW_CRASH_SAMPLES").is_none();
            for clean_at in CLEAN_AT.into_iter().skip(at as usize % 3).take(if few { 1 } else { 3 }) {
                let (lab, _) = interrupted(edge, at, Mode { clean_at, ..Mode::default() }, handler);
                after(lab);
                total += lab.life().crash(effort(states));
            }
        }
    }
    println!("{name:<44} {total}");
    total
}

#[test]
fn an_interrupt_that_records_at_every_step_and_a_reset_at_every_operation_behind_it() {
    let nested = |lab: &'static Lab| lab.record(0, 5);
    let total = at_every_step("nested at every step", 4, nested, |lab| {
        lab.record(0, 20);
        lab.end_here();
    });
    assert!(total.states > 5_000, "{total}");
}

#[test]
fn a_core_stopped_at_every_step_and_a_reset_at_every_operation_of_its_stop() {
    // The core never comes back from its stop.
    let stop = |lab: &'static Lab| {
        lab.record(0, 5);
        lab.close(0);
        lab.end_here();
    };
    let total = at_every_step("stopped at every step", 2, stop, |_| {});
    assert!(total.states > 5_000, "{total}");
}

#[test]
fn an_event_whose_sub_buffer_and_those_before_left_no_other_trace() {
    let lab = Lab::new(SIZE, 1, Mode::default(), false);
    for number in 0..30 {
        lab.record(0, if number % 5 == 4 { 4 } else { 900 });
        if number == 12 {
            lab.begin_here();
        }
    }
    let total = lab.life().crash(effort(2));
    println!("{:<44} {total}", "an event far behind the last tag");
}

#[test]
fn two_cores_whose_events_interleave() {
    let mut total = Count::default();
    for clean_at in CLEAN_AT {
        let lab = Lab::new(2 * SIZE, 2, Mode { clean_at, ..Mode::default() }, true);
        at_the_edge(lab, 1);
        for number in 0..5u64 {
            // The other core's whole event falls between two steps of this one's.
            let other: interrupt::Handler = Box::new(move || lab.record(1, 15));
            interrupt::with(vec![(3 + 5 * number, other)], || lab.record(0, 60));
        }
        lab.close(1);
        lab.close(0);
        total += lab.life().crash(effort(12));
    }
    println!("{:<44} {total}", "two cores interleaved");
    assert!(total.states > 3_000, "{total}");
}

#[test]
fn cleaning_at_each_event_loses_at_most_the_event_being_written() {
    for when_full in WHEN_FULL {
        let lab = Lab::new(SIZE, 1, Mode { clean_at: CleanAt::Event, when_full }, true);
        for number in 0..250 {
            lab.record(0, number * 13 % 290);
        }
        lab.life().keeps_its_promise(CleanAt::Event);
    }
}

#[test]
fn cleaning_at_each_sub_buffer_loses_at_most_the_open_one() {
    for when_full in WHEN_FULL {
        let lab = Lab::new(SIZE, 1, Mode { clean_at: CleanAt::SubBuffer, when_full }, true);
        for number in 0..250 {
            lab.record(0, number * 13 % 290);
        }
        lab.life().keeps_its_promise(CleanAt::SubBuffer);
    }
}

#[test]
fn a_header_is_valid_at_every_crash_of_its_rewriting() {
    let ram = Ram::new(2 * SIZE);
    let (mut header, _) = boot(&ram, 2, 1, BOOT_ID);
    let old = header;
    let before = ram.persistent();
    ram.remember();
    header.boot += 1;
    header.crashes_in_a_row = 3;
    header.banks[1].boot_id = 77;
    header.store(&ram);
    let new = header;
    let total = every_reset(&before, &ram.remembered(), 0, effort(256), |reset| {
        let Found::Valid(found) = inspect(reset.image) else { panic!("{reset}") };
        assert!(
            (found.boot, found.crashes_in_a_row) == (old.boot, 0)
                || (found.boot, found.crashes_in_a_row) == (new.boot, 3)
        );
        assert!(found.banks[1] == old.banks[1] || found.banks[1] == new.banks[1], "{reset}");
        assert_eq!(found.banks[0], old.banks[0], "{reset}");
    });
    println!("{:<44} {total}", "headers");
    assert_eq!(inspect(&ram.persistent()), Found::Valid(new));
}
