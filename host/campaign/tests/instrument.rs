//! The instrument itself, around the real kernel: what it takes away is what was not cleaned, and it says so.

use cachesim::options::Options;
use cachesim::report::{Access, Cause};
use campaign::lane::{Crashed, End, Lane, run};
use qemu::stop_matrix::MACHINES;
use qemu::{Machine, workspace};
use ring::policy::CleanAt;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

const INSTANT: End = End::Instant { min: 100, max: 5000 };

fn crashes(lane: &Lane) -> Vec<Crashed> {
    let mut all = Vec::new();
    let kernel = workspace::kernel().unwrap();
    let count = run(lane, kernel, &mut |crashed| {
        all.push(crashed.clone());
        ControlFlow::Continue(())
    });
    assert_eq!(count.unwrap() as usize, all.len());
    all
}

/// Where the kernel's code is, as linked.
fn code() -> Range<u64> {
    let kernel = workspace::kernel().unwrap();
    kernel.link_base()..kernel.link_base() + kernel.file_size()
}

#[test]
fn a_panic_leaves_nothing_in_the_cache() {
    for crash in crashes(&Lane { crashes: 5, follow: true, ..Lane::default() }) {
        let counts = crash.reset.counts;
        assert_eq!(crash.reset.cause, Cause::Guest);
        assert_eq!((counts.lost, counts.unfinished, counts.unordered), (0, 0, 0), "{counts:?}");
        assert!(counts.useful > 100 && counts.stores > 1000, "{counts:?}");
        assert_eq!(crash.reset.before, crash.reset.after);
    }
}

#[test]
fn a_reset_out_of_nowhere_loses_what_was_not_cleaned_and_names_who_stored_it() {
    let lane = Lane { crashes: 5, end: INSTANT, ..Lane::default() };
    for crash in crashes(&lane) {
        let (counts, lost) = (crash.reset.counts, &crash.reset.lost);
        let Cause::Instant(operation) = crash.reset.cause else { panic!("{:?}", crash.reset.cause) };
        assert!((100..=5000).contains(&operation.ordinal), "{operation:?}");
        assert!(counts.lost > 0 && counts.lost == lost.len() as u64, "{counts:?}");
        assert!(lost.iter().all(|lost| lost.stored.is_some_and(|(pc, _)| code().contains(&pc))));
        let cores: Vec<u32> = (0..4).filter(|core| lost.iter().any(|lost| lost.stored.unwrap().1 == *core)).collect();
        assert!(cores.len() > 1, "only cores {cores:?} were at it");
        assert!(crash.told.contains("ended in a reset without a word"), "{}", crash.told);
    }
    for crash in crashes(&Lane { evict: 100, ..lane }) {
        assert_eq!((crash.reset.counts.lost, crash.reset.before == crash.reset.after), (0, true));
        assert!(crash.reset.counts.evicted > 0);
    }
}

#[test]
fn with_a_thread_for_each_core_the_same_holds() {
    for crash in crashes(&Lane { crashes: 5, parallel: true, ..Lane::default() }) {
        assert_eq!(crash.reset.counts.lost, 0);
    }
}

#[test]
fn points_are_every_operation_in_turn_until_a_panic_path_is_whole() {
    let lane = Lane { crashes: 40, end: End::PanicPoints, events: 5, step: 1, ..Lane::default() };
    let crashes = crashes(&lane);
    assert_eq!(crashes.len(), 40);
    for (crash, wanted) in crashes.iter().zip(1..) {
        let Cause::Point(operation) = crash.reset.cause else { panic!("{:?}", crash.reset.cause) };
        assert_eq!(operation.ordinal, wanted);
        assert!(code().contains(&operation.pc));
        let (start, size) = (0x4600_0000, crash.reset.before.len() as u64);
        assert!(operation.access == Access::Barrier || (start..start + size).contains(&operation.address));
    }
}

#[test]
fn the_last_points_are_followed_by_whole_panics_that_end_the_lane() {
    let lane = Lane { crashes: 100_000, end: End::PanicPoints, events: 5, step: 150, ..Lane::default() };
    let crashes = crashes(&lane);
    assert!(crashes.len() < 1000, "{}", crashes.len());
    let is_point = |crash: &Crashed| matches!(crash.reset.cause, Cause::Point(_));
    assert!(crashes.iter().filter(|crash| is_point(crash)).count() >= 2);
    let behind = crashes.iter().rev().take_while(|crash| !is_point(crash)).count();
    assert!(behind > 10, "only {behind} whole panics say that no path is longer");
}

#[test]
fn damage_is_what_was_asked_for() {
    // A panic cleans all, so what differs is damage.
    let flipped = crashes(&Lane { crashes: 4, flips: 20_000, ..Lane::default() });
    for crash in &flipped {
        let pairs = crash.reset.before.iter().zip(&crash.reset.after);
        let bits: u64 = pairs.map(|(before, after)| u64::from((before ^ after).count_ones())).sum();
        // The same bit twice is no flip.
        assert!(bits.abs_diff(crash.reset.counts.flipped) <= 2 && crash.reset.counts.flipped > 30);
    }
    let cut = crashes(&Lane { crashes: 4, power: 2, ..Lane::default() });
    let cuts: Vec<bool> = cut.iter().map(|crash| crash.reset.counts.power).collect();
    assert_eq!(cuts, [false, true, false, true]);
}

#[test]
fn every_machine_can_have_it() {
    for machine in MACHINES.map(|kind| kind.name) {
        for crash in crashes(&Lane { machine, crashes: 2, clean: CleanAt::SubBuffer, ..Lane::default() }) {
            assert_eq!(crash.reset.counts.lost, 0, "{machine}");
            assert!(crash.reset.counts.useful > 0, "{machine}: no clean was seen");
        }
    }
}

#[test]
fn what_the_plugin_cannot_do_it_says_before_the_machine_starts() {
    let kernel = workspace::kernel().unwrap();
    let machine = Machine::virt().kernel(kernel);
    let ram = machine.make_ram().unwrap();
    let limit = Duration::from_secs(60);
    let odd = Options { range: (0x5000_0008, 64), ..Options::default() };
    let outcome = machine.clone().ram(&ram).losing(odd).run(limit).unwrap();
    assert!(
        outcome.errors.contains("afterglow plugin: range=0x50000008:0x40: whole lines of RAM"),
        "{}",
        outcome.errors
    );
    let outside = Options { range: (0x5000_0000, 1 << 40), ..Options::default() };
    let error = machine.clone().ram(&ram).losing(outside.clone()).run(limit).unwrap_err();
    assert!(error.to_string().contains("is not all RAM"), "{error}");
    let error = machine.losing(outside).run(limit).unwrap_err();
    assert!(error.to_string().contains("Machine::ram"), "{error}");
}

#[test]
fn points_also_come_where_a_panic_path_is_nearly_at_its_end() {
    // How long a path is depends on what the others were at: the end of a short one must not end the enumeration.
    let lane = Lane { end: End::PanicPoints, events: 5, step: 3, crashes: u64::MAX, ..Lane::default() };
    let crashes = crashes(&lane);
    let is_point = |crash: &&Crashed| matches!(crash.reset.cause, Cause::Point(_));
    let behind_the_header = crashes.iter().filter(is_point).filter(|crash| crash.verdict.whole).count();
    // About twenty; with a lane that ends at the first short path at most two.
    assert!(behind_the_header > 5, "{behind_the_header} of {} points", crashes.len());
}
