//! A machine on a host: cores with writers and fakes of everything around them, which panics by the kernel's own path and
//! whose other cores stop as the kernel's do.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use kernel::dump::{SCHEMA_SPACE, Tail, dump};
use kernel::events::{CoreStop, SCHEMA, Work};
use kernel::panic::{Around, Progress, Recorder, Role, Step, What, run};
use ring::bank::{About, prepare};
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::{Geometry, LINE_SIZE, tail_line};
use ring::records::{BankRecord, BankState, PANIC_REGISTERS, StopMeans, StopOutcome, StopRecord};
use ring::recover::Bank;
use ring::region::{Found, Header, inspect};
use ring::seams::{Clock, Console, Persist, Reset, StopOthers};
use ring::writer::{Mode, Target, Writer};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub const BOOT_ID: u32 = 0xa17e;
/// More than a line of it.
pub const MESSAGE: &str = "the first \x1b[2Jpanic, with so much to say about itself that one line does not hold it";
pub const SECOND: &str = "another panic";
pub const BYSTANDER: &str = "me too";
pub const THIRD: &str = "and one more";
pub const BACKTRACE: [u64; 9] = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x8000, 0x9000];

pub type TestWriter<'m> = Writer<&'m Ram, StepClock, Table>;

/// A machine. One of its other cores may be deaf, one may stop only while it is waited for.
pub struct Machine<'m> {
    pub ram: &'m Ram,
    pub header: Header,
    pub writers: Vec<TestWriter<'m>>,
    pub deaf: Option<u32>,
    pub late: Option<u32>,
    /// This one records while it is waited for.
    pub loud: Option<u32>,
    /// This one panics too, when it hears of the panic.
    pub bystander: Option<u32>,
    pub panics: Cell<u32>,
    pub stopped: Cell<u32>,
    pub given_up: Cell<u32>,
    pub recorded: Cell<u64>,
    pub waits: Cell<u32>,
    pub resets: Cell<u32>,
    pub console: RefCell<Vec<u8>>,
}

/// What a panic on a core says.
pub fn what(core: u32, message: &str) -> What<'_> {
    What {
        core,
        exception: false,
        entry_ns: 5,
        message,
        location: "here.rs:1:2",
        registers: core::array::from_fn(|i| 0x100 + i as u64),
        far: 0,
        address: "",
        backtrace: &BACKTRACE,
    }
}

const _: () = assert!(PANIC_REGISTERS == 35);

impl<'m> Machine<'m> {
    pub fn boot(ram: &'m Ram, banks: u32, cores: u32) -> Self {
        let geometry = Geometry::new(ram.cached().len() as u64, banks, cores).unwrap();
        let mut header = Header::new(geometry);
        header.boot = 1;
        let record =
            BankRecord { state: BankState::Recording, boot_id: BOOT_ID, boot: 1, cores, ..BankRecord::default() };
        prepare(&ram, &geometry, 0, &record, &About { build: b"id", board: b"fake", schema: SCHEMA.as_bytes() });
        header.banks[0] = record;
        header.store(&ram);
        let target = |core| Target { geometry, bank: 0, boot_id: BOOT_ID, core };
        let writer = |core| Writer::new(ram, StepClock::new(0, 3), Table, target(core), Mode::default());
        let none = || Cell::new(0);
        Self {
            ram,
            header,
            writers: (0..cores).map(writer).collect(),
            deaf: None,
            late: None,
            loud: None,
            bystander: None,
            panics: none(),
            stopped: none(),
            given_up: none(),
            recorded: Cell::new(0),
            waits: none(),
            resets: none(),
            console: RefCell::default(),
        }
    }

    /// So many events on each core, whose numbers go on from those before.
    pub fn record(&self, events: u64) {
        let from = self.recorded.get();
        self.recorded.set(from + events);
        for number in from..from + events {
            for writer in &self.writers {
                writer.record(&Work { number, data: b"some data" }).unwrap();
            }
        }
    }

    /// Panics on a core, failing at each of the given steps; as often as the path is entered again. `at` sees every step.
    pub fn panic_seen(&self, core: u32, fail_at: &[Step], seen: &dyn Fn(Step)) {
        self.panics.set(core);
        let progress = Progress::new();
        let left: RefCell<Vec<Step>> = RefCell::new(fail_at.to_vec());
        for _ in 0..=fail_at.len() {
            let writers = |core: u32| self.writers.get(core as usize);
            let recorder = self.recorder(&writers);
            let at = |step| {
                seen(step);
                let mut left = left.borrow_mut();
                if left.first() == Some(&step) {
                    left.remove(0);
                    drop(left);
                    std::panic::resume_unwind(Box::new(step));
                }
            };
            let around = self.around(&at);
            let role = progress.enter(core);
            let what = what(
                core,
                match role {
                    Role::First => MESSAGE,
                    Role::Nested(1) => SECOND,
                    _ => THIRD,
                },
            );
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&progress, role, &what, Some(&recorder), &around)));
            if outcome.is_ok() {
                return;
            }
        }
        panic!("the path was entered more often than it failed");
    }

    pub fn recorder<'a>(
        &'a self,
        writers: &'a dyn Fn(u32) -> Option<&'a TestWriter<'m>>,
    ) -> Recorder<'a, &'m Ram, StepClock, Table> {
        Recorder {
            memory: &self.ram,
            geometry: self.header.geometry,
            bank: 0,
            boot_id: BOOT_ID,
            writers,
            header: Some(self.header),
            operation: "fake clean",
        }
    }

    pub fn around<'a>(&'a self, at: &'a dyn Fn(Step)) -> Around<'a> {
        Around {
            at,
            others: self,
            means: StopMeans::Fiq,
            before_reset: &|| {},
            reset: self,
            terse: false,
            console: self,
        }
    }

    /// Dies of something else than a panic of the program.
    pub fn die(&self, what: &What<'_>) {
        self.panics.set(what.core);
        let writers = |core: u32| self.writers.get(core as usize);
        run(&Progress::new(), Role::First, what, Some(&self.recorder(&writers)), &self.around(&|_| {}));
    }

    pub fn panic(&self, core: u32, fail_at: &[Step]) {
        self.panic_seen(core, fail_at, &|_| {});
    }

    /// What the next boot finds and says, when the cache is lost.
    pub fn next_boot(&self) -> (Header, String, bool) {
        let region = self.ram.persistent();
        let Found::Valid(header) = inspect(&region) else { panic!("the headers are lost") };
        let geometry = header.geometry;
        let bank = Bank::new(&region[geometry.bank(0) as usize..], geometry, header.banks[0], Table).unwrap();
        let mut text = String::new();
        let summary = dump(&bank, Tail::Last(5), &mut [0; SCHEMA_SPACE], &mut text).unwrap();
        (header, text, summary.intact)
    }

    /// What a core does that finds the stop word: as `kernel::stop` does on the target, in its order.
    fn stand_still(&self, core: u32) {
        if self.stopped.get() >> core & 1 == 1 || core == self.panics.get() || Some(core) == self.deaf {
            return;
        }
        if Some(core) == self.bystander {
            let writers = |core: u32| self.writers.get(core as usize);
            let what = What { location: "there.rs:3:4", ..what(core, BYSTANDER) };
            run(&Progress::new(), Role::Bystander, &what, Some(&self.recorder(&writers)), &self.around(&|_| {}));
            self.stopped.set(self.stopped.get() | 1 << core);
            return;
        }
        self.stop_at_last(core);
    }

    /// The same of a core that may have been given up by then.
    pub fn stop_at_last(&self, core: u32) {
        if self.given_up.get() >> core & 1 == 1 {
            return;
        }
        let writer = &self.writers[core as usize];
        let _ = writer.record(&CoreStop { core, pc: 0x77, pstate: 0 });
        let lines = writer.close().lines as u32;
        let stop = StopRecord {
            outcome: StopOutcome::Stopped,
            means: StopMeans::Fiq,
            lines,
            time_ns: writer.clock().now_ns(),
            ..StopRecord::default()
        };
        let geometry = &self.header.geometry;
        stop.store(&self.ram, geometry, 0, BOOT_ID, core);
        let line = Geometry::core_line(core, tail_line::STOP);
        self.ram.clean(geometry.bank(0) + geometry.tail(line), LINE_SIZE);
        self.ram.complete();
        self.stopped.set(self.stopped.get() | 1 << core);
    }
}

impl StopOthers for Machine<'_> {
    fn request(&self) {
        (0..self.writers.len() as u32).filter(|core| Some(*core) != self.late).for_each(|core| self.stand_still(core));
    }
    fn is_running(&self, core: u32) -> bool {
        (core as usize) < self.writers.len()
    }
    fn is_stopped(&self, core: u32) -> bool {
        self.stopped.get() >> core & 1 == 1
    }
    fn give_up(&self, core: u32) -> bool {
        self.given_up.set(self.given_up.get() | 1 << core);
        true
    }
    fn is_overdue(&self) -> bool {
        self.waits.get() > 5
    }
    fn wait(&self) -> bool {
        if let Some(core) = self.loud {
            // It has not heard, and records as fast as it can.
            for number in 0..100 {
                let _ = self.writers[core as usize].record(&Work { number, data: b"too late" });
            }
        }
        self.late.into_iter().for_each(|core| self.stand_still(core));
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
