//! Resets without a panic: what each mode promises, from both sides; what must never be.

use crate::world::{CORES, SIZE, World, data, judged, reset};
use campaign::judge::{Events, Part, Place, Verdict, Violation, place};
use kernel::events::Work;
use ring::fake::crash::{Effort, every_reset};
use ring::fake::{LINE, Operation, Ram, interrupt};
use ring::point::Point;
use ring::policy::CleanAt;
use ring::records::BankState;
use ring::writer::Event;

const CLEANS: [CleanAt; 3] = [CleanAt::Panic, CleanAt::SubBuffer, CleanAt::Event];

#[test]
fn whatever_a_reset_in_the_middle_of_recording_leaves_is_accepted() {
    for clean in CLEANS {
        let world = World::boot(clean);
        let memory = world.ram.persistent();
        world.ram.remember();
        world.record(0, 0..330);
        world.record(1, 0..40);
        let from = world.ram.operations();
        world.record(0, 330..346);
        let operations = world.ram.remembered();
        let (seen, mut done, mut shown, mut lost) = (Ram::holding(memory.clone()), 0, 0, 0);
        every_reset(&memory, &operations, from, Effort { states: 8, seed: 1 }, |state| {
            while done < state.done {
                if let store @ Operation::Store { .. } = &operations[done] {
                    seen.apply(store);
                }
                done += 1;
            }
            let verdict = judged(&reset(seen.cached(), state.image.to_vec()), clean);
            assert_eq!(verdict.violations, [], "{clean:?} {state}");
            assert_eq!(verdict.promised == 0, clean == CleanAt::Panic, "{clean:?}");
            shown += 1;
            lost += verdict.lost;
        });
        assert!(shown > 500 && lost > 0, "{clean:?}: {shown} resets, {lost} events lost");
    }
}

#[test]
fn what_was_evicted_is_found_whatever_the_mode() {
    for clean in CLEANS {
        let world = World::boot(clean);
        (0..CORES).for_each(|core| world.record(core, 0..300));
        let verdict = world.judge(&world.reset(world.ram.dirty()));
        assert_eq!(verdict.violations, []);
        assert_eq!((verdict.lost, verdict.found), (0, verdict.committed), "{clean:?}");
    }
}

/// The verdict when the line with the last word of an event is lost: `back` events from the newest one of core 0.
fn without_event(clean: CleanAt, back: u64) -> Verdict {
    const LAST: u64 = 321;
    let world = World::boot(clean);
    world.record(0, 0..LAST - back);
    let old = world.ram.cached();
    world.record(0, LAST - back..LAST - back + 1);
    let new = world.ram.cached();
    world.record(0, LAST - back + 1..LAST + 1);
    // All is in memory but what this event has changed.
    let mut after = world.ram.cached();
    let changed = |at: &usize| old[*at..*at + 64] != new[*at..*at + 64];
    for at in (0..SIZE as usize).step_by(64).filter(changed) {
        after[at..at + 64].copy_from_slice(&old[at..at + 64]);
    }
    world.judge(&reset(world.ram.cached(), after))
}

fn lost(verdict: &Verdict) -> Vec<Events> {
    let events = verdict.violations.iter();
    events.filter_map(|it| if let Violation::Lost(events) = it { Some(*events) } else { None }).collect()
}

#[test]
fn of_each_event_cleaned_only_the_last_may_be_lost() {
    assert_eq!(without_event(CleanAt::Event, 0).violations, []);
    let verdict = without_event(CleanAt::Event, 1);
    let lost = lost(&verdict);
    assert!(lost.len() == 1 && lost[0].numbers == Some((320, 320)), "{:?}", verdict.violations);
    assert_eq!(without_event(CleanAt::Panic, 1).violations, []);
}

#[test]
fn of_each_sub_buffer_cleaned_only_the_open_one_may_be_lost() {
    let newest = |world: &World| world.writers[0].counters().sequence;
    let world = World::boot(CleanAt::SubBuffer);
    let mut number = 0;
    let mut one = |world: &World| {
        world.record(0, number..number + 1);
        number += 1;
    };
    while newest(&world) < 3 {
        one(&world);
    }
    // The record() that went over the end may not have returned: what it left is promised with the next one.
    for promised in [false, true] {
        for back in [0, 1, 2] {
            let sequence = newest(&world) - back;
            let geometry = world.header.geometry;
            let at = (geometry.bank(world.bank) + geometry.subbuf(0, sequence)) as usize;
            let mut after = world.ram.cached();
            after[at + 64..at + 128].fill(0);
            let verdict = world.judge(&reset(world.ram.cached(), after));
            let is_found = lost(&verdict).iter().any(|events| events.sequence == sequence);
            assert_eq!(is_found, back == 2 || (back == 1 && promised), "{back} {promised}: {:?}", verdict.violations);
            assert_eq!(verdict.violations.is_empty(), !is_found);
        }
        one(&world);
    }
}

#[test]
fn what_interrupted_the_claim_of_the_last_event_is_not_promised() {
    let world = World::boot(CleanAt::Event);
    world.record(0, 0..20);
    let writer = &world.writers[0];
    // One is reserved, two nest in it, and nobody knows whether the outer one was claimed before them or behind.
    let slot = writer.reserve(Work::ID, 8).unwrap();
    world.record(0, 21..23);
    slot.put_u64(0, 20);
    writer.commit(slot);
    let verdict = world.judge(&world.reset([]));
    assert_eq!((verdict.violations, verdict.committed, verdict.promised), (vec![], 23, 20));
    // The next one says that it has returned; the two still stand between.
    world.record(0, 23..24);
    let verdict = world.judge(&world.reset([]));
    assert_eq!((verdict.committed, verdict.promised), (24, 21));
    world.record(0, 24..25);
    assert_eq!(world.judge(&world.reset([])).promised, 24);
}

#[test]
fn what_nests_in_a_claimed_sub_buffer_writes_over_the_oldest_whose_tag_still_stands() {
    for clean in CLEANS {
        let world: &'static World = Box::leak(Box::new(World::boot(clean)));
        let ring = world.header.geometry.ring();
        let (sender, seen) = std::sync::mpsc::channel();
        let handler = move || {
            // It dies in the middle of its event.
            let slot = world.writers[0].reserve(Work::ID, 16).unwrap();
            slot.put_u64(0, 1);
            sender.send(world.reset([])).unwrap();
            slot.put_u64(8, 1);
            world.writers[0].discard(slot);
        };
        // The first one that overwrites another.
        interrupt::at(Point::SwitchClaimed, ring - 1, Box::new(handler));
        let mut numbers = 0..;
        let reset = loop {
            let number = numbers.next().unwrap();
            world.record(0, number..number + 1);
            if let Ok(reset) = seen.try_recv() {
                break reset;
            }
        };
        let verdict = world.judge(&reset);
        assert_eq!(verdict.violations, [], "{clean:?}");
        assert_eq!(verdict.promised == 0, clean == CleanAt::Panic);
    }
}

#[test]
fn what_is_written_once_is_in_memory_before_anything_is_recorded() {
    let world = World::boot(CleanAt::Panic);
    world.record(0, 0..30);
    let geometry = world.header.geometry;
    let bank = geometry.bank(world.bank);
    for (at, name) in [
        (64, "header A: life"),
        (geometry.header_b() + 128, "header B: record of bank 0"),
        (bank, "bank 0, Linux's global header"),
        (bank + geometry.subbuf(1, 0) - 4096, "bank 0, core 1: Linux's reader's page"),
        (bank + geometry.tail(1), "bank 0, tail: build id"),
        (bank + geometry.tail(60), "bank 0, tail: schema"),
        (geometry.bank(1) - 64, "bank 0, between two parts"),
        (geometry.header_b() - 64, "bank 1"),
    ] {
        let mut after = world.ram.persistent();
        after[at as usize + 3] ^= 0x55;
        let verdict = world.judge(&reset(world.ram.cached(), after));
        let is_named = verdict.violations.iter().any(|it| it.to_string().contains(name));
        // The next boot may have begun to take the free bank over.
        assert_eq!(is_named, name != "bank 1", "{name}: {:?}", verdict.violations);
    }
}

#[test]
fn an_event_that_was_not_there_is_invented() {
    let world = World::boot(CleanAt::Panic);
    world.record(1, 0..50);
    let before = world.ram.cached();
    world.record(1, 50..51);
    let verdict = world.judge(&reset(before, world.ram.cached()));
    let invented = |it: &Violation| matches!(it, Violation::Invented(events) if events.core == 1 && events.count == 1);
    assert!(verdict.violations.iter().any(invented), "{:?}", verdict.violations);
}

#[test]
fn an_older_lap_may_come_back_in_a_place_that_was_overwritten() {
    let world = World::boot(CleanAt::Panic);
    let ring = world.header.geometry.ring();
    let newest = || world.writers[0].counters().sequence;
    let mut number = 0;
    while newest() + 1 < ring {
        world.record(0, number..number + 1);
        number += 1;
    }
    // The first lap is in memory; of the next sub-buffer nothing gets there.
    let old = world.ram.cached();
    while newest() < ring {
        world.record(0, number..number + 1);
        number += 1;
    }
    let mut after = world.ram.cached();
    let geometry = world.header.geometry;
    let at = (geometry.bank(world.bank) + geometry.subbuf(0, ring)) as usize;
    after[at..at + 4096].copy_from_slice(&old[at..at + 4096]);
    let verdict = world.judge(&reset(world.ram.cached(), after));
    assert_eq!(verdict.violations, []);
    assert!(verdict.found > verdict.committed, "those of the older lap are found");
}

#[test]
fn an_event_with_other_bytes_than_it_had_is_changed() {
    let boot = |number: u64| {
        let world = World::boot(CleanAt::Panic);
        world.record(0, 0..9);
        world.writers[0].record(&Work { number, data: &data(8) }).unwrap();
        world
    };
    // Twins: the same places and checks that verify, another number.
    let (one, other) = (boot(9), boot(10));
    let verdict = one.judge(&reset(one.ram.cached(), other.ram.cached()));
    assert!(matches!(verdict.violations.as_slice(), [Violation::Changed(events)] if events.count == 1));
}

#[test]
fn an_event_that_recovery_walks_past_is_overlooked() {
    let world = World::boot(CleanAt::Panic);
    world.record(0, 0..60);
    let before = world.ram.cached();
    let geometry = world.header.geometry;
    let sequence = world.writers[0].counters().sequence;
    // A tag from a lap ahead makes recovery believe that the events of this one are overwritten.
    let ahead = sequence + geometry.ring() + 1;
    let mut number = 60;
    while world.writers[0].counters().sequence < ahead {
        world.record(0, number..number + 1);
        number += 1;
    }
    let at = (geometry.bank(world.bank) + geometry.subbuf(0, ahead)) as usize + 4032;
    let mut after = before.clone();
    after[at..at + 64].copy_from_slice(&world.ram.cached()[at..at + 64]);
    let verdict = world.judge(&reset(before, after));
    let overlooked = |it: &Violation| matches!(it, Violation::Overlooked(events) if events.count > 5);
    assert!(verdict.violations.iter().any(overlooked), "{:?}", verdict.violations);
}

#[test]
fn a_published_event_that_did_not_verify_before_the_loss_is_the_writers_fault() {
    let world = World::boot(CleanAt::Panic);
    world.record(0, 0..60);
    let geometry = world.header.geometry;
    let mut before = world.ram.cached();
    before[(geometry.bank(world.bank) + geometry.subbuf(0, 0)) as usize + 50] ^= 4;
    let verdict = world.judge(&reset(before, world.ram.persistent()));
    assert!(matches!(verdict.violations.as_slice(), [Violation::Unsound(events)] if events.sequence == 0));
}

#[test]
fn the_workloads_numbers_and_data_are_looked_at() {
    let verdict_of = |wrong: &[(u64, &[u8])]| {
        let world = World::boot(CleanAt::Event);
        world.record(0, 0..9);
        for (number, data) in wrong {
            world.writers[0].record(&Work { number: *number, data }).unwrap();
        }
        world.judge(&world.reset([])).violations
    };
    assert_eq!(verdict_of(&[(9, &data(5))]), []);
    assert_eq!(verdict_of(&[(9, b"anything")]), [Violation::Data { core: 0, number: 9 }]);
    assert_eq!(verdict_of(&[(8, &[])]), [Violation::Order { core: 0, numbers: (8, 8) }]);
}

#[test]
fn the_next_boot_may_die_before_it_has_taken_its_bank() {
    let mut world = World::boot(CleanAt::Event);
    (0..CORES).for_each(|core| world.record(core, 0..100));
    let died = world.reset([]);
    let memory = Ram::holding(died.after.clone());
    world.ram = Box::leak(Box::new(memory));
    world.ram.remember();
    let free = world.prepare();
    // At every operation of taking over, everything in the cache is lost, or nothing is.
    let operations = world.ram.remembered();
    let seen = Ram::holding(died.after.clone());
    for (done, operation) in operations.iter().enumerate() {
        seen.apply(operation);
        if done % 97 != 0 {
            continue;
        }
        for after in [seen.persistent(), seen.cached()] {
            let verdict = judged(&reset(seen.cached(), after), CleanAt::Event);
            assert_eq!((verdict.boot, verdict.violations), (Some(1), vec![]), "operation {done} of bank {free}");
        }
    }
    // But the crash that nobody has seen must stand as it stood.
    let mut after = seen.cached();
    let tail = world.header.geometry.bank(0) + world.header.geometry.tail(1);
    after[tail as usize] ^= 1;
    assert_ne!(judged(&reset(seen.cached(), after), CleanAt::Event).violations, []);
}

#[test]
fn a_crash_that_nobody_has_seen_stands_while_the_next_boot_records() {
    let world = World::boot(CleanAt::Event);
    world.record(0, 0..100);
    let world = world.again();
    world.record(0, 0..100);
    let whole = world.reset(world.ram.dirty());
    let verdict = judged(&whole, CleanAt::Event);
    assert_eq!((verdict.boot, verdict.violations), (Some(2), vec![]));
    // Both banks hold crashes: the older one is the next boot's.
    let geometry = world.header.geometry;
    let lost = |at: u64| {
        let mut after = whole.after.clone();
        after[at as usize] ^= 1;
        judged(&reset(whole.before.clone(), after), CleanAt::Event).violations
    };
    assert_eq!(lost(geometry.bank(0) + 100), []);
    let at = geometry.bank(1) + 100;
    assert!(matches!(place(&geometry, at), Place::Bank { bank: 1, part: Part::Global }));
    assert_ne!(lost(at), []);
}

#[test]
fn memory_must_know_the_boot_and_what_became_of_it() {
    // Two boots whose crashes have been seen, and a third one in the first one's bank.
    let mut world = World::boot(CleanAt::Panic);
    world.header.banks[0].state = BankState::Acknowledged;
    let mut world = world.again();
    world.header.banks[1].state = BankState::Acknowledged;
    let old = world.ram.persistent();
    let mut third = world.again();
    third.record(0, 0..10);
    let new = third.ram.persistent();
    let headers_of = |from: &[u8], mut region: Vec<u8>| {
        for page in [0, SIZE as usize - 4096] {
            region[page..page + 4096].copy_from_slice(&from[page..page + 4096]);
        }
        region
    };
    let verdict = third.judge(&reset(third.ram.cached(), headers_of(&old, new.clone())));
    assert!(verdict.violations.contains(&Violation::BootLost { boot: 3 }), "{:?}", verdict.violations);
    let verdict = third.judge(&reset(headers_of(&old, third.ram.cached()), new.clone()));
    assert!(verdict.violations.contains(&Violation::BootInvented { boot: 3 }), "{:?}", verdict.violations);
    // Its end is not what it was.
    let bank = third.bank;
    third.header.banks[bank as usize].state = BankState::Panicked;
    third.header.store(&third.ram);
    let verdict = third.judge(&reset(third.ram.cached(), headers_of(&new, third.ram.cached())));
    assert!(verdict.violations.contains(&Violation::RecordChanged { bank }), "{:?}", verdict.violations);
    assert_eq!(LINE, 64);
}
