//! The whole life of the system on a host: record, panic, stop, clean, lose the cache, recover, dump; with the panic path of
//! the kernel and fakes of everything around it.

mod machine;
use kernel::dump::{SCHEMA_SPACE, Tail, dump};
use kernel::events::Work;
use kernel::panic::{Progress, Role, Step, What, run};
use machine::{Machine, what};
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::{Geometry, LINE_PAYLOAD, domain, tail_line};
use ring::line::{Line, LineSeed};
use ring::records::{BankState, Counters, LastWords, StopOutcome};
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
fn an_exception_is_told_with_its_registers_by_the_dying_kernel_and_by_the_next_boot() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(30);
    let mut registers = core::array::from_fn(|i| 0xabcd_0000 + i as u64);
    (registers[33], registers[34]) = (0x3c5, 0x9600_0047);
    let address = "guard page under the thread stack of core 1";
    machine.die(&What { exception: true, registers, far: 0x4029_8000, address, ..what(1, "data abort") });
    let told = "  esr 0x96000047: data abort: translation fault, level 3, write\n  \
                far 0x40298000: guard page under the thread stack of core 1\n  \
                pc  00000000abcd0020 sp  00000000abcd001f pstate 0x3c5 DAIF\n  \
                x0  00000000abcd0000 x1  00000000abcd0001 x2  00000000abcd0002 x3  00000000abcd0003\n  x4 ";
    let last = "\n  x28 00000000abcd001c x29 00000000abcd001d x30 00000000abcd001e\n";
    let console = String::from_utf8(machine.console.take()).unwrap();
    let (_, text, intact) = machine.next_boot();
    assert!(intact, "{text}");
    for text in [console, text] {
        assert!(text.contains(told) && text.contains(last), "{text}");
    }
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
    for step in Step::ALL {
        let ram = Ram::new(SIZE);
        let machine = Machine::boot(&ram, 2, CORES);
        machine.record(500);
        machine.panic(0, &[step]);
        assert_eq!(machine.resets.get(), 1, "{step:?}");
        let (header, text, intact) = machine.next_boot();
        assert_eq!((header.banks[0].state, header.crashes_in_a_row), (BankState::Panicked, 1), "{step:?}");
        assert!(intact, "{step:?}: {text}");
        // Whichever came first is the record; the second is told behind it.
        let chain = format!("then, in the panic path (step {}): another panic at here.rs:1:2, pc 0x120", step.name());
        match step {
            Step::Stop | Step::Record => {
                assert!(text.contains("another panic") && !text.contains("the first"), "{step:?}: {text}");
            }
            _ => assert!(text.contains("the first") && text.contains(&chain), "{step:?}: {text}"),
        }
        let console = String::from_utf8(machine.console.take()).unwrap();
        let said = format!("panic: in the panic path, core 0 (step {}): another panic at here.rs:1:2", step.name());
        assert!(console.contains(&said), "{console}");
        assert_eq!(console.matches("reset asked +").count(), 1, "{console}");
        // A step is left behind by the panic in it, but for those that must not be left out.
        let told = console.matches("panic: backtrace:").count();
        assert_eq!(told, if step == Step::Tell { 0 } else { 1 }, "{step:?}: {console}");
    }
}

#[test]
fn a_third_panic_is_told_behind_the_second() {
    for (first, second) in [(Step::Say, Step::Wait), (Step::Say, Step::Clean), (Step::Wait, Step::Clean)] {
        let ram = Ram::new(SIZE);
        let machine = Machine::boot(&ram, 2, CORES);
        machine.record(50);
        machine.panic(0, &[first, second]);
        let (_, text, intact) = machine.next_boot();
        assert!(intact && machine.resets.get() == 1, "{text}");
        let chain = format!(
            "then, in the panic path (step {}): another panic at here.rs:1:2, pc 0x120\n  \
             then, in the panic path (step {}): and one more at here.rs:1:2, pc 0x120\n",
            first.name(),
            second.name()
        );
        assert!(text.contains(&chain), "{text}");
    }
}

#[test]
fn a_path_that_panics_twice_in_its_cleaning_is_reset_without() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(50);
    machine.panic(0, &[Step::Clean, Step::Clean]);
    assert_eq!(machine.resets.get(), 1);
    assert_eq!(machine.next_boot().0.banks[0].state, BankState::Recording);
}

#[test]
fn a_core_that_panics_meanwhile_is_recorded_with_its_words() {
    let ram = Ram::new(SIZE);
    let machine = Machine { bystander: Some(3), ..Machine::boot(&ram, 2, CORES) };
    machine.record(50);
    machine.panic(0, &[]);
    let (header, text, intact) = machine.next_boot();
    assert!(intact, "{text}");
    assert!(
        text.contains("core 3: panicked too: me too at there.rs:3:4, at     0.000000 (+0 us after the panic)"),
        "{text}"
    );
    assert!(text.contains("panic: core=3: me too"), "{text}");
    assert!(text.contains("core 0: panicked at"), "{text}");
    // What it closed itself, nobody has closed once more.
    let region = ram.persistent();
    let geometry = header.geometry;
    let bank = Bank::new(&region[geometry.bank(0) as usize..], geometry, header.banks[0], Table).unwrap();
    let line = Geometry::core_line(3, tail_line::COUNTERS);
    let seed = LineSeed::new(machine::BOOT_ID, domain::TAIL);
    let (counters, _) = Line::load(bank.bytes(), geometry.tail(line), seed, line).unwrap();
    assert_eq!(Counters::from_line(counters).in_flight, 0);
    assert_eq!(bank.stop_record(3).unwrap().outcome, StopOutcome::Panicked);
    let mut space = [[0; LINE_PAYLOAD]; 2];
    let words = LastWords::load(bank.bytes(), &geometry, machine::BOOT_ID, 3, &mut space);
    assert_eq!(words, Some(LastWords { location: b"there.rs:3:4", message: b"me too" }));
}

#[test]
fn a_core_that_stops_after_it_was_given_up_changes_nothing() {
    let ram = Ram::new(SIZE);
    let machine = Machine { deaf: Some(2), ..Machine::boot(&ram, 2, CORES) };
    machine.record(500);
    machine.panic(0, &[]);
    let before = ram.cached();
    assert!(machine.writers[2].record(&Work { number: 1, data: b"" }).is_err(), "its recorder is off");
    machine.stop_at_last(2);
    assert!(ram.cached() == before, "nothing in the region has changed");
}

#[test]
fn a_core_that_does_not_hear_and_goes_on_recording_keeps_half_of_what_was_before() {
    let ram = Ram::new(SIZE);
    let machine = Machine { deaf: Some(2), loud: Some(2), ..Machine::boot(&ram, 2, CORES) };
    machine.record(10_000);
    let ring = machine.header.geometry.ring();
    let sequence = machine.writers[2].counters().sequence;
    assert!(sequence > 2 * ring, "it has come round");
    machine.panic(0, &[]);
    let now = machine.writers[2].counters().sequence;
    assert!(now >= sequence + ring / 2, "it went on: {sequence} to {now}");
    assert!(now <= sequence + ring / 2 + 2, "and was switched off: {sequence} to {now}, {ring} in the ring");
    let (header, text, _) = machine.next_boot();
    assert!(text.contains("core 2: did not answer: waited"), "{text}");
    // Its own numbers begin anew, and say so.
    assert!(text.contains("number 9999 is followed by 0"), "{text}");
    let region = ram.persistent();
    let geometry = header.geometry;
    let bank = Bank::new(&region[geometry.bank(0) as usize..], geometry, header.banks[0], Table).unwrap();
    let before = bank
        .core(2)
        .events()
        .filter(|event| event.fields.first_chunk().is_some_and(|b| u64::from_le_bytes(*b) > 5000))
        .count();
    let other = bank.core(1).events().count();
    assert!(2 * before > other - other / 16, "{before} of {other}");
}

#[test]
fn the_last_line_before_the_reset_has_the_figures() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    machine.record(50);
    machine.panic(0, &[]);
    let console = String::from_utf8(machine.console.take()).unwrap();
    let line = console.lines().last().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let [
        "panic:",
        "entry",
        "+0",
        "ns,",
        "last",
        "core",
        "stopped",
        stopped,
        "ns,",
        "cleaned",
        lines,
        "lines",
        "in",
        cleaning,
        "ns,",
        "reset",
        "asked",
        asked,
        "ns",
    ] = words[..]
    else {
        panic!("{line}")
    };
    let [stopped, lines, cleaning, asked] =
        [stopped, lines, cleaning, asked].map(|word| word.trim_start_matches('+').parse::<u64>().unwrap());
    assert!(lines > 0 && cleaning > 0 && stopped + cleaning <= asked, "{line}");
}

#[test]
fn a_panic_before_there_is_a_region_says_so_and_resets() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram, 2, CORES);
    let what = what(0, "early");
    run::<&Ram, StepClock, Table>(&Progress::new(), Role::First, &what, None, &machine.around(&|_| {}));
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
