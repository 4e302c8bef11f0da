//! The whole life of the system on a host: record, panic, stop, clean, lose the cache, recover, dump; with the panic path of
//! the kernel and fakes of everything around it.

mod machine;
use kernel::dump::{SCHEMA_SPACE, Tail, dump};
use kernel::events::Work;
use kernel::panic::{Around, Progress, Role, Step, run};
use machine::{Machine, what};
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::records::{BankState, StopMeans};
use ring::recover::Bank;
use ring::region::{Found, inspect};

const SIZE: u64 = 1 << 20;
const CORES: u32 = 4;

#[test]
fn a_panic_is_told_by_the_next_boot_with_every_event() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(3000);
    machine.panic(0, &[]);
    assert_eq!(machine.resets.get(), 1);
    let (header, text, intact) = machine.next_boot();
    assert!(intact, "{text}");
    assert_eq!(header.banks[0].state, BankState::Panicked);
    assert_eq!(header.crashes_in_a_row, 1);
    for wanted in [
        "boot 1 panicked on core 0",
        "here.rs:1:2",
        "0x1000 0x2000",
        "core 3: stopped",
        "by FIQ",
        "number=2999",
        "panic: core=0",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "what a region says never reaches a terminal raw");
    assert!(text.contains("the first \\x1b[2Jpanic"));
}

#[test]
fn without_the_panic_path_the_same_events_are_lost_with_the_cache() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(3000);
    let (header, text, _) = machine.next_boot();
    assert_eq!(header.banks[0].state, BankState::Recording);
    assert!(text.contains("a reset without a word"), "{text}");
    assert!(!text.contains("number=2999"), "{text}");
}

#[test]
fn a_core_that_does_not_answer_is_named_and_its_events_are_kept() {
    let ram = Ram::new(SIZE);
    let machine = Machine { deaf: Some(2), ..Machine::boot(&ram, 2, CORES) };
    machine.record(500);
    machine.panic(0, &[]);
    let (_, text, intact) = machine.next_boot();
    assert!(text.contains("core 2: did not answer"), "{text}");
    assert!(intact, "{text}");
    // What it goes on doing changes nothing of what is found.
    assert!(machine.writers[2].record(&Work { number: 1, data: b"" }).is_err());
    assert!(machine.waits.get() <= 100, "the wait is bounded");
}

#[test]
fn a_second_panic_at_each_step_still_ends_in_one_reset_with_everything_in_memory() {
    for step in [Step::Stop, Step::Say, Step::Wait, Step::Clean] {
        let ram = Ram::new(SIZE);
        let machine = Machine::boot(&ram, 2, CORES);
        machine.record(500);
        machine.panic(0, &[step]);
        assert_eq!(machine.resets.get(), 1, "{step:?}");
        let (header, text, intact) = machine.next_boot();
        assert_eq!(header.banks[0].state, BankState::Panicked, "{step:?}");
        assert!(intact, "{step:?}: {text}");
        // Whichever came first is the record; the second is told unless nothing had been written before it.
        assert!(text.contains("another panic"), "{step:?}: {text}");
        assert_eq!(text.contains("the first"), step != Step::Stop, "{step:?}: {text}");
    }
}

#[test]
fn a_panic_after_everything_is_clean_only_resets() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(10);
    machine.panic(0, &[Step::Reset]);
    assert_eq!(machine.resets.get(), 1);
    assert!(machine.next_boot().2);
}

#[test]
fn a_panic_before_there_is_a_region_says_so_and_resets() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    let what = what(0, "early");
    let around = Around { at: &|_| {}, others: &machine, means: StopMeans::None, reset: &machine, console: &machine };
    run::<&Ram, StepClock, Table>(&Progress::new(), Role::First, &what, None, &around);
    assert_eq!(machine.resets.get(), 1);
    assert!(String::from_utf8_lossy(&machine.console.borrow()).contains("no region is there yet"));
}

#[test]
fn a_clean_left_out_of_the_panic_path_would_be_noticed() {
    // The instrument itself: with the cleans of core 0 undone, its last events are missing and the dump says so.
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(3000);
    let before = ram.persistent();
    machine.panic(0, &[]);
    let geometry = machine.header.geometry;
    let start = (geometry.bank(0) + geometry.subbuf(0, 0)) as usize;
    let end = start + geometry.ring() as usize * 4096;
    let mut region = ram.persistent();
    region[start..end].copy_from_slice(&before[start..end]);
    let Found::Valid(header) = inspect(&region) else { panic!() };
    let bank = Bank::new(&region[geometry.bank(0) as usize..], geometry, header.banks[0], Table).unwrap();
    let mut text = String::new();
    let summary = dump(&bank, Tail::Last(0), &mut [0; SCHEMA_SPACE], &mut text).unwrap();
    assert!(!summary.intact, "{text}");
    let account = bank.core(0).account();
    assert!(account.sum_holds() && account.damaged() > 0, "{account:?}");
}
