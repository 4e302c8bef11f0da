//! The panic path is reset at every single store and clean, with every content that memory can then have (all where they are
//! few, chosen ones where not), and at each of its steps: what had reached memory is found, and nothing that is said is
//! wrong.
//!
//! `AFTERGLOW_CRASH_SAMPLES` is the number of states tried after one operation; `--nocapture` shows how many there were.

mod machine;
use kernel::dump::{SCHEMA_SPACE, Tail, dump};
use kernel::events::Work;
use kernel::panic::{Cache, Row, SURVIVES, Step};
use machine::{BACKTRACE, BOOT_ID, MESSAGE, Machine, SECOND};
use ring::check::Table;
use ring::event::{Frame, frame};
use ring::fake::crash::{Count, Effort, Reset, every_reset};
use ring::fake::{Operation, Ram};
use ring::format::{Geometry, LINE_SIZE, tail_line};
use ring::records::{BankRecord, BankState, PanicRecord, PanicSpace, StopOutcome, StopRecord};
use ring::recover::Bank;
use ring::region::{Found, Header, inspect};
use ring::slot::Event;
use std::cell::{Cell, RefCell};
use std::ops::Range;

const SIZE: u64 = 128 << 10;
const CORES: u32 = 3;

/// So many states after each operation, or as many as the environment says.
fn effort(states: u64) -> Effort {
    let asked = std::env::var("AFTERGLOW_CRASH_SAMPLES").ok();
    let states = asked.map_or(states, |n| n.parse().expect("AFTERGLOW_CRASH_SAMPLES is a number"));
    Effort { states, seed: 0x9e37_79b9_7f4a_7c15 }
}

/// A panic, and where each of its events is in the end.
struct Panicked {
    before: Vec<u8>,
    operations: Vec<Operation>,
    header: Header,
    /// The region when the path had come to its end.
    whole: Vec<u8>,
    /// All events: core, sub-buffer, word, and their bytes' place in the region.
    events: Vec<(u32, u64, u32, Range<usize>)>,
    attempted: [u64; CORES as usize],
    stops: [StopRecord; CORES as usize],
    first: &'static str,
}

fn bank<'r>(region: &'r [u8], header: &Header) -> Bank<'r, Table> {
    let g = header.geometry;
    Bank::new(&region[g.bank(0) as usize..], g, header.banks[0], Table).expect("a bank")
}

/// Lets a machine record and panic on core 0: core 1 is stopped in the middle of an event, core 2 as `who` wants it.
fn panicked(who: impl Fn(&mut Machine<'_>), fail_at: &[Step]) -> Panicked {
    let ram = Ram::new(SIZE);
    let mut machine = Machine::boot(&ram, 1, CORES);
    who(&mut machine);
    machine.record(40);
    ram.settle();
    machine.record(4);
    let before = ram.persistent();
    // What was not cleaned yet is dirty from the beginning: it is stored again.
    let dirty: Vec<Operation> = {
        let cached = ram.cached();
        let line = |line: u64| cached[(line * 64) as usize..][..64].to_vec();
        ram.dirty().into_iter().map(|n| Operation::Store { at: n * 64, bytes: line(n) }).collect()
    };
    ram.remember();
    let open = machine.writers[1].reserve(Work::ID, 40).unwrap();
    open.put_u64(0, 77);
    machine.panic(0, fail_at);
    assert_eq!(machine.resets.get(), 1);
    let whole = ram.persistent();
    let header = machine.header;
    let found = bank(&whole, &header);
    let mut events = vec![];
    for core in 0..CORES {
        for event in found.core(core).events() {
            let start = (header.geometry.bank(0) + header.geometry.subbuf(core, event.sequence)) as usize;
            let u32_at = |w: u32| u32::from_le_bytes(whole[start + 4 * w as usize..][..4].try_into().unwrap());
            let Frame::Event(framed) = frame(event.word, u32_at) else { panic!("an event") };
            let range = start + 4 * event.word as usize..start + 4 * framed.end(event.word) as usize;
            events.push((core, event.sequence, event.word, range));
        }
    }
    Panicked {
        before,
        operations: dirty.into_iter().chain(ram.remembered()).collect(),
        events,
        attempted: std::array::from_fn(|core| found.core(core as u32).account().attempted),
        stops: std::array::from_fn(|core| found.stop_record(core as u32).expect("a stop record")),
        first: if matches!(fail_at.first(), Some(Step::Stop | Step::Record)) { SECOND } else { MESSAGE },
        header,
        whole,
    }
}

/// Whether `found` is `true_bytes` in units of a line's payload, each right or lost.
fn is_right_or_lost(found: &[u8], truth: &[u8]) -> bool {
    let unit = ring::format::LINE_PAYLOAD;
    found.chunks(unit).zip(truth.chunks(unit)).all(|(f, t)| f == t || f.iter().all(|b| *b == b'?'))
}

impl Panicked {
    fn crash(&self, states: u64) -> Count {
        let shown = Cell::new(0u64);
        every_reset(&self.before, &self.operations, 0, effort(states), |reset| {
            shown.set(shown.get() + 1);
            self.judge(reset);
            if shown.get().is_multiple_of(8) {
                self.judge_dump(reset);
            }
        })
    }

    fn header_of(&self, reset: &Reset<'_>) -> Header {
        let Found::Valid(header) = inspect(reset.image) else { panic!("{reset}: no header") };
        assert_eq!((header.geometry, header.boot), (self.header.geometry, 1), "{reset}");
        let record = header.banks[0];
        assert!(matches!(record.state, BankState::Recording | BankState::Panicked), "{reset}: {record:?}");
        assert_eq!(BankRecord { state: BankState::Recording, ..record }, self.header.banks[0], "{reset}");
        assert!(header.crashes_in_a_row <= 1, "{reset}");
        header
    }

    /// Whether a line of the bank's tail is as it was in the end.
    fn line_reached(&self, reset: &Reset<'_>, line: u32) -> bool {
        let at = (self.header.geometry.bank(0) + self.header.geometry.tail(line)) as usize;
        let range = at..at + LINE_SIZE as usize;
        reset.image[range.clone()] == self.whole[range]
    }

    fn judge(&self, reset: &Reset<'_>) {
        let header = self.header_of(reset);
        let found = bank(reset.image, &header);
        let mut space = PanicSpace::default();
        match PanicRecord::load(found.bytes(), &header.geometry, BOOT_ID, &mut space) {
            None => {
                assert!(!self.line_reached(reset, tail_line::PANIC), "{reset}: the panic record is there");
                assert_eq!(header.banks[0].state, BankState::Recording, "{reset}: the header is written last");
            }
            Some(record) => {
                assert_eq!((record.core, record.exception, record.far), (0, false, 0), "{reset}");
                assert!(is_right_or_lost(record.message, self.first.as_bytes()), "{reset}: {record:?}");
                assert!(is_right_or_lost(record.location, b"here.rs:1:2"), "{reset}: {record:?}");
                let right = |(i, r): (usize, &u64)| *r == 0x100 + i as u64 || *r == 0;
                assert!(record.registers.iter().enumerate().all(right), "{reset}: {record:?}");
                let right = |(found, truth): (&u64, &u64)| found == truth || *found == 0;
                assert!(record.backtrace.iter().zip(&BACKTRACE).all(right), "{reset}: {record:?}");
                let whole = (tail_line::PANIC..tail_line::PANIC_SECOND).all(|line| self.line_reached(reset, line));
                if whole {
                    assert_eq!((record.message, record.backtrace), (self.first.as_bytes(), &BACKTRACE[..]), "{reset}");
                }
            }
        }
        for core in 0..CORES {
            let stop = found.stop_record(core);
            let (line, truth) = (Geometry::core_line(core, tail_line::STOP), self.stops[core as usize]);
            if self.line_reached(reset, line) {
                assert_eq!(stop, Some(truth), "{reset}: core {core}");
            }
            // A second panic writes the record of its own core once more.
            let own = |stop: StopRecord| core == 0 && (stop.outcome, stop.pc) == (truth.outcome, truth.pc);
            let is_true = stop.is_none_or(|stop| stop == truth || own(stop) || stop.outcome == StopOutcome::NotStarted);
            assert!(is_true, "{reset}: core {core} is said to be {stop:?}");
            let account = found.core(core).account();
            assert!(account.sum_holds(), "{reset}: core {core}: {account:?}");
            assert!(account.attempted <= self.attempted[core as usize], "{reset}: core {core}: {account:?}");
            if account.is_final {
                assert_eq!(account.attempted, self.attempted[core as usize], "{reset}: core {core}");
            }
        }
        self.judge_events(reset, &found);
    }

    fn judge_events(&self, reset: &Reset<'_>, found: &Bank<'_, Table>) {
        let mut truth = self.events.iter().peekable();
        for core in 0..CORES {
            for event in found.core(core).events() {
                let place = (core, event.sequence, event.word);
                let is_it = |t: &&(u32, u64, u32, Range<usize>)| (t.0, t.1, t.2) == place;
                // Both are in order: what is passed over must not have reached memory.
                while let Some((_, _, _, range)) = truth.next_if(|t| !is_it(t)) {
                    assert_ne!(reset.image[range.clone()], self.whole[range.clone()], "{reset}: not recovered");
                }
                let (_, _, _, range) = truth.next().unwrap_or_else(|| panic!("{reset}: invented: {event:?}"));
                assert_eq!(reset.image[range.clone()], self.whole[range.clone()], "{reset}: {event:?}");
            }
        }
        for (_, _, _, range) in truth {
            assert_ne!(reset.image[range.clone()], self.whole[range.clone()], "{reset}: not recovered");
        }
    }

    /// What a dump calls intact is whole.
    fn judge_dump(&self, reset: &Reset<'_>) {
        let header = self.header_of(reset);
        let found = bank(reset.image, &header);
        let mut text = String::new();
        let summary = dump(&found, Tail::Last(0), &mut [0; SCHEMA_SPACE], &mut text).unwrap();
        if header.banks[0].state == BankState::Panicked && summary.intact {
            assert_eq!(summary.recovered, self.events.len() as u64, "{reset}: intact?\n{text}");
        }
        if reset.is_whole && reset.done == self.operations.len() {
            assert!(summary.intact && header.banks[0].state == BankState::Panicked, "{reset}: {text}");
        }
    }
}

#[test]
fn every_store_and_clean_of_the_panic_path() {
    let mut total = Count::default();
    type Who = fn(&mut Machine<'_>);
    let ways: [(&str, Who); 3] = [
        ("all stop at once", |_| {}),
        ("core 2 stops while it is waited for", |machine| machine.late = Some(2)),
        ("core 2 does not answer", |machine| machine.deaf = Some(2)),
    ];
    for (name, who) in ways {
        let life = panicked(who, &[]);
        let count = life.crash(24);
        println!("{name:<40} {count}");
        total += count;
    }
    assert!(total.states > 10_000, "{total}");
}

#[test]
fn every_store_and_clean_of_a_second_panic_at_each_step() {
    let mut total = Count::default();
    for step in Step::ALL {
        let life = panicked(|machine| machine.deaf = Some(2), &[step]);
        let count = life.crash(6);
        println!("second panic at {step:<24?} {count}");
        total += count;
    }
    assert!(total.states > 10_000, "{total}");
}

/// What the next boot finds of a region.
fn found(row: &Row, region: &[u8], recorded: u64) -> Row {
    let Found::Valid(header) = inspect(region) else { panic!("{row:?}: no header") };
    let bank = bank(region, &header);
    let last = |core: u32| {
        let numbers = bank.core(core).events().filter(|e| e.id == Work::ID);
        numbers.last().is_some_and(|e| e.fields[..8] == (recorded - 1).to_le_bytes())
    };
    let outcome = |core: u32| bank.stop_record(core).map(|stop| stop.outcome);
    let mut space = PanicSpace::default();
    Row {
        state: header.banks[0].state,
        record: PanicRecord::load(bank.bytes(), &header.geometry, BOOT_ID, &mut space).is_some(),
        own: last(0),
        stopped: outcome(1) == Some(StopOutcome::Stopped) && last(1),
        unanswered: outcome(2) == Some(StopOutcome::NoAnswer),
        ..*row
    }
}

#[test]
fn a_reset_at_each_step_leaves_what_the_table_says() {
    for row in &SURVIVES {
        let ram = Ram::new(SIZE);
        let mut machine = Machine::boot(&ram, 1, CORES);
        machine.deaf = Some(2);
        machine.record(50);
        let left: RefCell<Option<Vec<u8>>> = RefCell::default();
        machine.panic_seen(0, &[], &|step| {
            if step == row.step {
                *left.borrow_mut() = Some(match row.cache {
                    Cache::Kept => ram.cached(),
                    Cache::Lost => ram.persistent(),
                });
            }
        });
        let region = left.take().expect("the step was reached");
        assert_eq!(format!("{:?}", found(row, &region, 50)), format!("{row:?}"));
    }
}

#[test]
fn every_step_has_a_row_for_a_cache_that_is_kept_and_one_that_is_lost() {
    for step in Step::ALL {
        for cache in [Cache::Kept, Cache::Lost] {
            assert_eq!(SURVIVES.iter().filter(|row| row.step == step && row.cache == cache).count(), 1);
        }
    }
}
