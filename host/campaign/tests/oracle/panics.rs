//! Panics whose path came to its end, by the kernel's own path.

use crate::machine::Machine;
use crate::world::{data, judged, reset, tell};
use cachesim::report::{Cause, Reset};
use campaign::judge::{Crash, Inside, Part, Place, Violation, judge, place};
use kernel::events::Work;
use kernel::panic::Step;
use ring::fake::Ram;
use ring::format::{Geometry, tail_line};
use ring::policy::CleanAt;
use std::collections::BTreeSet;

const SIZE: usize = 192 << 10;
/// Rings of more than three sub-buffers.
const LARGE: usize = 384 << 10;
const CORES: u32 = 4;

fn record(machine: &Machine<'_>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let data = data((number * 7 % 90) as usize);
        for writer in &machine.writers {
            let _ = writer.record(&Work { number, data: &data });
        }
    }
}

/// The same, and fails at these steps.
fn panic_failing(steps: &[Step]) -> Reset {
    let ram = Ram::new(SIZE as u64);
    let machine = Machine::boot(&ram, 2, CORES);
    record(&machine, 0..100);
    machine.panic(2, steps);
    reset(ram.cached(), ram.persistent())
}

/// A machine that has recorded, panicked and asked for its reset; and what memory held before the panic.
fn panic(change: impl FnOnce(&mut Machine<'_>)) -> (Reset, Vec<u8>, Geometry) {
    panic_in(SIZE, change)
}

fn panic_in(size: usize, change: impl FnOnce(&mut Machine<'_>)) -> (Reset, Vec<u8>, Geometry) {
    let ram = Ram::new(size as u64);
    let mut machine = Machine::boot(&ram, 2, CORES);
    change(&mut machine);
    record(&machine, 0..500);
    let old = ram.persistent();
    machine.panic(2, &[]);
    (reset(ram.cached(), ram.persistent()), old, machine.header.geometry)
}

/// The same, but one line was not cleaned.
fn without(reset: &Reset, old: &[u8], line: usize) -> Reset {
    let mut after = reset.after.clone();
    let range = line * 64..line * 64 + 64;
    after[range.clone()].copy_from_slice(&old[range]);
    crate::world::reset(reset.before.clone(), after)
}

#[test]
fn a_whole_panic_loses_nothing_and_nothing_is_wrong() {
    let (reset, ..) = panic(|_| {});
    assert_eq!(reset.lost, []);
    let verdict = judged(&reset, CleanAt::Panic);
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.boot, verdict.whole, verdict.lost, verdict.digests), (Some(1), true, 0, 4));
    assert!(verdict.committed > 300 && verdict.committed == verdict.promised && verdict.committed == verdict.found);
}

#[test]
fn a_panic_path_that_panics_itself_leaves_nothing_behind() {
    for first in Step::ALL {
        for second in Step::ALL.into_iter().filter(|step| *step as u8 >= first as u8) {
            let reset = panic_failing(&[first, second]);
            let verdict = judged(&reset, CleanAt::Panic);
            // Who fails at the clean twice does not clean.
            let cleans = (first, second) != (Step::Clean, Step::Clean);
            assert_eq!((verdict.whole, verdict.violations), (cleans, vec![]), "{first:?}, {second:?}");
        }
    }
}

#[test]
fn each_line_that_the_panic_path_does_not_clean_is_found_and_named() {
    let (whole, old, geometry) = panic(|_| {});
    let mut names = BTreeSet::new();
    for line in 0..SIZE / 64 {
        let lost = without(&whole, &old, line);
        if lost.lost.is_empty() {
            continue;
        }
        let verdict = judged(&lost, CleanAt::Panic);
        let lines: Vec<_> = verdict
            .violations
            .iter()
            .filter_map(|violation| if let Violation::Line(lines) = violation { Some(lines) } else { None })
            .collect();
        let [named] = lines.as_slice() else { panic!("line {line:#x}: {:?}", verdict.violations) };
        assert_eq!((named.at, named.count, named.stored), (64 * line as u64, 1, Some((0x40, 1))));
        names.insert(named.place.to_string());
    }
    for name in [
        "header A: record of bank 0",
        "header B: life",
        "bank 0, core 2: Linux's header of the ring",
        "bank 0, tail: bank record",
        "bank 0, tail: panic record",
        "bank 0, tail: panic's message",
        "bank 0, tail: counters of core 3",
        "bank 0, tail: stop record of core 1",
    ] {
        assert!(names.contains(name), "{name} of {names:#?}");
    }
    let is_tag = |name: &&String| name.starts_with("bank 0, core 1: sub-buffer") && name.ends_with(", tag");
    assert!(names.iter().any(|name| is_tag(&name)), "{names:#?}");
    assert!(matches!(place(&geometry, geometry.header_b()), Place::Header { copy: 'B', line: 0 }));
}

#[test]
fn a_lost_line_of_events_names_the_events_too() {
    let (whole, old, geometry) = panic(|_| {});
    let is_events = |line: &usize| {
        let place = place(&geometry, 64 * *line as u64 + 32);
        matches!(place, Place::Bank { part: Part::SubBuffer { core: 1, inside: Inside::Events, .. }, .. })
    };
    let mut named = 0;
    for line in (0..SIZE / 64).filter(is_events) {
        let lost = without(&whole, &old, line);
        let verdict = judged(&lost, CleanAt::Panic);
        let events =
            verdict.violations.iter().find_map(|it| if let Violation::Lost(it) = it { Some(it) } else { None });
        named += u64::from(events.is_some_and(|events| events.core == 1 && events.numbers.is_some()));
    }
    assert!(named > 50, "{named}");
}

#[test]
fn header_b_may_be_on_its_way_while_the_path_is_not_at_its_end_and_nothing_else() {
    let (whole, old, geometry) = panic(|_| {});
    let header_b = geometry.header_b() as usize / 64 + 1;
    let mut lost = without(&whole, &old, header_b);
    lost.cause = Cause::Point(cachesim::report::Operation {
        ordinal: 1,
        access: cachesim::report::Access::Store,
        core: 2,
        pc: 0,
        address: 0,
    });
    assert_eq!(judged(&lost, CleanAt::Panic).violations, []);
    // Of A, once B has been begun, nothing may be missing: nor of the bank, once A says how it ended.
    for at in [64, geometry.bank(0) + geometry.tail(tail_line::PANIC)] {
        let lost = Reset { cause: lost.cause, ..without(&whole, &old, at as usize / 64) };
        assert_ne!(judged(&lost, CleanAt::Panic).violations, [], "{at:#x}");
    }
}

#[test]
fn a_path_that_was_cut_short_promises_no_more_than_its_mode() {
    let (whole, old, _) = panic(|_| {});
    let mut before = whole.before.clone();
    for page in [0, SIZE - 4096] {
        before[page..page + 4096].copy_from_slice(&old[page..page + 4096]);
    }
    let verdict = judged(&reset(before, old), CleanAt::Panic);
    assert_eq!(verdict.violations, []);
    assert!(!verdict.whole && verdict.promised == 0 && verdict.lost > 300);
}

#[test]
fn of_a_core_that_was_given_up_only_what_is_older_is_promised() {
    let (whole, old, geometry) = panic_in(LARGE, |machine| machine.deaf = Some(1));
    assert_eq!(judged(&whole, CleanAt::Panic).violations, []);
    let (mut accepted, mut found) = (0, 0);
    for line in 0..LARGE / 64 {
        let at = 64 * line as u64 + 32;
        let Place::Bank { part: Part::SubBuffer { core: 1, slot, .. }, .. } = place(&geometry, at) else { continue };
        let lost = without(&whole, &old, line);
        if lost.lost.is_empty() {
            continue;
        }
        // All cores have recorded the same, so the newest ones are in the same places.
        let newest = newest(&whole.before, &geometry);
        let is_old = slot != newest % geometry.ring() && slot != (newest - 1) % geometry.ring();
        let violations = judged(&lost, CleanAt::Panic).violations;
        assert_eq!(!violations.is_empty(), is_old, "place {slot}, newest {newest}: {violations:?}");
        if is_old { found += 1 } else { accepted += 1 }
    }
    assert!(accepted > 60 && found > 60, "{accepted} {found}");
    // Who gave it up says so; that line is promised.
    let stop = geometry.bank(0) + geometry.tail(Geometry::core_line(1, tail_line::STOP));
    let violations = judged(&without(&whole, &old, stop as usize / 64), CleanAt::Panic).violations;
    assert!(violations.iter().any(|it| it.to_string().contains("stop record of core 1")), "{violations:?}");
}

/// The newest sub-buffer of core 1, by its tags.
fn newest(region: &[u8], geometry: &Geometry) -> u64 {
    let sequence = |slot| {
        let at = (geometry.bank(0) + geometry.subbuf(1, slot)) as usize;
        ring::scan::Tag::load(&region[at..at + 4096]).map(|tag| tag.sequence)
    };
    (0..geometry.ring()).filter_map(sequence).max().unwrap()
}

#[test]
fn damage_that_nobody_did_is_a_false_alarm() {
    let (whole, _, geometry) = panic(|_| {});
    let at = (geometry.bank(0) + geometry.subbuf(3, newest(&whole.before, &geometry))) as usize + 40;
    let mut after = whole.after.clone();
    after[at] ^= 1;
    let verdict = judged(&reset(whole.before.clone(), after), CleanAt::Panic);
    let has = |is: fn(&Violation) -> bool| verdict.violations.iter().any(is);
    assert!(has(|it| matches!(it, Violation::FalseAlarm { core: 3, damaged: 1 })), "{:?}", verdict.violations);
    assert!(has(|it| matches!(it, Violation::Lost(events) if events.core == 3 && events.count == 1)));
}

#[test]
fn damage_is_accepted_where_there_was_some_and_must_be_noticed() {
    let (whole, _, geometry) = panic(|_| {});
    let at = (geometry.bank(0) + geometry.subbuf(3, newest(&whole.before, &geometry))) as usize + 40;
    let mut after = whole.after.clone();
    after[at] ^= 1;
    let mut lost = reset(whole.before.clone(), after);
    lost.counts.flipped = 1;
    let verdict = judged(&lost, CleanAt::Panic);
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.promised, verdict.lost), (0, 1));
    let told = tell(&lost.after).replace("NOT intact", "intact");
    let violations = judge(&Crash { reset: &lost, clean: CleanAt::Panic, told: &told }).violations;
    assert!(violations.contains(&Violation::Unnoticed { events: 1 }), "{violations:?}");
}

#[test]
fn a_power_cut_leaves_noise_and_the_next_boot_says_so() {
    let (whole, ..) = panic(|_| {});
    let mut noise = whole.after.clone();
    let mut random = 1u64;
    for byte in &mut noise {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (random >> 56) as u8;
    }
    let mut lost = reset(whole.before.clone(), noise);
    lost.counts.power = true;
    let verdict = judged(&lost, CleanAt::Panic);
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.found, verdict.lost), (0, verdict.committed));
    let violations = judge(&Crash { reset: &lost, clean: CleanAt::Panic, told: "boot 2" }).violations;
    assert!(matches!(violations.as_slice(), [Violation::NoReason { .. }]), "{violations:?}");
    // The same without a power cut is the end of everything.
    lost.counts.power = false;
    let violations = judged(&lost, CleanAt::Panic).violations;
    assert!(violations.contains(&Violation::BootLost { boot: 1 }), "{violations:?}");
}
