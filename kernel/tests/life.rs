//! The whole life of the system on a host: record, panic, stop, clean, lose the cache, recover, dump; with the panic path of
//! the kernel and fakes of everything around it.

use kernel::dump::{SCHEMA_SPACE, Tail, dump};
use kernel::events::{SCHEMA, Work};
use kernel::panic::{Around, Progress, Recorder, Role, Step, What, run};
use ring::bank::{About, prepare};
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::Geometry;
use ring::records::{BankRecord, BankState, PANIC_REGISTERS, StopMeans, StopOutcome, StopRecord};
use ring::recover::Bank;
use ring::region::{Found, Header, inspect};
use ring::seams::{Console, Persist, Reset, StopOthers};
use ring::writer::{Mode, Target, Writer};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

const SIZE: u64 = 1 << 20;
const CORES: u32 = 4;
const BOOT_ID: u32 = 0xa17e;

type TestWriter<'m> = Writer<&'m Ram, StepClock, Table>;

/// A machine whose other cores stop as the kernel's do: record, close, clean, say so. One may be deaf.
struct Machine<'m> {
    ram: &'m Ram,
    header: Header,
    writers: Vec<TestWriter<'m>>,
    deaf: Option<u32>,
    stopped: Cell<u32>,
    waits: Cell<u32>,
    resets: Cell<u32>,
    console: RefCell<Vec<u8>>,
}

impl<'m> Machine<'m> {
    fn boot(ram: &'m Ram) -> Self {
        let geometry = Geometry::new(SIZE, 2, CORES).unwrap();
        let mut header = Header::new(geometry);
        header.boot = 1;
        let record = BankRecord {
            state: BankState::Recording,
            boot_id: BOOT_ID,
            boot: 1,
            cores: CORES,
            ..BankRecord::default()
        };
        prepare(&ram, &geometry, 0, &record, &About { build: b"id", board: b"fake", schema: SCHEMA.as_bytes() });
        header.banks[0] = record;
        header.store(&ram);
        let clock = || StepClock::new(0, 3);
        let writers = (0..CORES)
            .map(|core| {
                Writer::new(ram, clock(), Table, Target { geometry, bank: 0, boot_id: BOOT_ID, core }, Mode::default())
            })
            .collect();
        let none = || Cell::new(0);
        Self {
            ram,
            header,
            writers,
            deaf: None,
            stopped: none(),
            waits: none(),
            resets: none(),
            console: RefCell::default(),
        }
    }

    fn record(&self, events: u64) {
        for number in 0..events {
            for writer in &self.writers {
                writer.record(&Work { number, data: b"some data" }).unwrap();
            }
        }
    }

    /// Panics on a core, failing at each of the given steps; as often as the path is entered again.
    fn panic(&self, core: u32, fail_at: &[Step]) {
        let progress = Progress::new();
        let left: RefCell<Vec<Step>> = RefCell::new(fail_at.to_vec());
        for _ in 0..=fail_at.len() {
            let writers = |core: u32| self.writers.get(core as usize);
            let ram = &self.ram;
            let recorder = Recorder {
                memory: ram,
                geometry: self.header.geometry,
                bank: 0,
                boot_id: BOOT_ID,
                writers: &writers,
                header: Some(self.header),
                operation: "fake clean",
            };
            let at = |step| {
                let mut left = left.borrow_mut();
                if left.first() == Some(&step) {
                    left.remove(0);
                    drop(left);
                    std::panic::resume_unwind(Box::new(step));
                }
            };
            let around = Around { at: &at, others: self, means: StopMeans::Fiq, reset: self, console: self };
            let role = progress.enter(core);
            let message = if role == Role::First { "the first \x1b[2Jpanic" } else { "another panic" };
            let what = What {
                core,
                exception: false,
                message,
                location: "here.rs:1:2",
                registers: [0; PANIC_REGISTERS],
                far: 0,
                backtrace: &[0x1000, 0x2000],
                details: &"",
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&progress, role, &what, Some(&recorder), &around)));
            if outcome.is_ok() {
                return;
            }
        }
    }

    /// What the next boot finds and says, when the cache is lost.
    fn next_boot(&self) -> (Header, String, bool) {
        let region = self.ram.persistent();
        let Found::Valid(header) = inspect(&region) else { panic!("the headers are lost") };
        let geometry = header.geometry;
        let bank = Bank::new(&region[geometry.bank(0) as usize..], geometry, header.banks[0], Table).unwrap();
        let mut text = String::new();
        let summary = dump(&bank, Tail::Last(5), &mut [0; SCHEMA_SPACE], &mut text).unwrap();
        (header, text, summary.intact)
    }
}

impl StopOthers for Machine<'_> {
    fn request(&self) {
        for (core, writer) in self.writers.iter().enumerate() {
            if Some(core as u32) != self.deaf && self.stopped.get() >> core & 1 == 0 && core != 0 {
                writer.close();
                let stop = StopRecord { outcome: StopOutcome::Stopped, means: StopMeans::Fiq, ..StopRecord::default() };
                stop.store(&self.ram, &self.header.geometry, 0, BOOT_ID, core as u32);
                self.ram.clean(0, SIZE);
                self.ram.complete();
                self.stopped.set(self.stopped.get() | 1 << core);
            }
        }
    }
    fn is_running(&self, _: u32) -> bool {
        true
    }
    fn is_stopped(&self, core: u32) -> bool {
        self.stopped.get() >> core & 1 == 1
    }
    fn wait(&self) -> bool {
        self.waits.set(self.waits.get() + 1);
        self.waits.get() < 100
    }
}

impl Reset for Machine<'_> {
    fn reset(&self) {
        assert!(self.resets.get() == 0, "one reset is enough");
        self.resets.set(1);
    }
}

impl Console for Machine<'_> {
    fn write(&self, bytes: &[u8]) {
        self.console.borrow_mut().extend_from_slice(bytes);
    }
}

#[test]
fn a_panic_is_told_by_the_next_boot_with_every_event() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram);
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
    let machine = Machine::boot(&ram);
    machine.record(3000);
    let (header, text, _) = machine.next_boot();
    assert_eq!(header.banks[0].state, BankState::Recording);
    assert!(text.contains("a reset without a word"), "{text}");
    assert!(!text.contains("number=2999"), "{text}");
}

#[test]
fn a_core_that_does_not_answer_is_named_and_its_events_are_kept() {
    let ram = Ram::new(SIZE);
    let machine = Machine { deaf: Some(2), ..Machine::boot(&ram) };
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
        let machine = Machine::boot(&ram);
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
    let machine = Machine::boot(&ram);
    machine.record(10);
    machine.panic(0, &[Step::Reset]);
    assert_eq!(machine.resets.get(), 1);
    assert!(machine.next_boot().2);
}

#[test]
fn a_panic_before_there_is_a_region_says_so_and_resets() {
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram);
    let what = What {
        core: 0,
        exception: false,
        message: "early",
        location: "",
        registers: [0; PANIC_REGISTERS],
        far: 0,
        backtrace: &[],
        details: &"",
    };
    let around = Around { at: &|_| {}, others: &machine, means: StopMeans::None, reset: &machine, console: &machine };
    run::<&Ram, StepClock, Table>(&Progress::new(), Role::First, &what, None, &around);
    assert_eq!(machine.resets.get(), 1);
    assert!(String::from_utf8_lossy(&machine.console.borrow()).contains("no region is there yet"));
}

#[test]
fn a_clean_left_out_of_the_panic_path_would_be_noticed() {
    // The instrument itself: with the cleans of core 0 undone, its last events are missing and the dump says so.
    let ram = Ram::new(SIZE);
    let machine = Machine::boot(&ram);
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
