//! A machine on a host, behind a cache that loses: it records what the kernel's workload records, dies, and is told by the
//! kernel's own dump.

use cachesim::report::{Cause, Lost, Reset};
use campaign::judge::{Crash, Verdict, judge};
use kernel::dump::{How, SCHEMA_SPACE, Tail, dump};
use kernel::events::{SCHEMA, Work};
use kernel::plan::Absence;
use ring::bank::{About, prepare};
use ring::check::Table;
use ring::fake::{LINE, Ram, StepClock};
use ring::format::Geometry;
use ring::policy::CleanAt;
use ring::records::{BankRecord, BankState};
use ring::recover::Bank;
use ring::region::{Found, Header, inspect, rebuild};
use ring::writer::{Mode, Target, Writer};
use std::fmt::Write;

pub(crate) const CORES: u32 = 2;
pub(crate) const BANKS: u32 = 2;
/// So small that its rings have come round after a few hundred events.
pub(crate) const SIZE: u64 = 128 << 10;

pub(crate) type TestWriter = Writer<&'static Ram, StepClock, Table>;

/// What the workload writes behind the number.
pub(crate) fn data(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i as u8).wrapping_mul(167).wrapping_add(13)).collect()
}

/// A region that boots record into.
pub(crate) struct World {
    pub(crate) ram: &'static Ram,
    pub(crate) header: Header,
    pub(crate) bank: u32,
    pub(crate) writers: Vec<TestWriter>,
    pub(crate) clean: CleanAt,
}

impl World {
    /// The first boot.
    pub(crate) fn boot(clean: CleanAt) -> Self {
        let header = Header::new(Geometry::new(SIZE, BANKS, CORES).unwrap());
        Self { ram: Box::leak(Box::new(Ram::new(SIZE))), header, bank: 0, writers: Vec::new(), clean }.again()
    }

    /// The next boot, from what memory holds now.
    pub(crate) fn again(mut self) -> Self {
        let geometry = self.header.geometry;
        self.bank = self.prepare();
        self.header.store(&self.ram);
        let (bank, boot_id) = (self.bank, self.header.banks[self.bank as usize].boot_id);
        let mode = Mode { clean_at: self.clean, ..Mode::default() };
        let target = |core| Target { geometry, bank, boot_id, core };
        self.writers =
            (0..CORES).map(|core| Writer::new(self.ram, StepClock::new(0, 3), Table, target(core), mode)).collect();
        self
    }

    /// As far as the next boot comes before the header says so.
    pub(crate) fn prepare(&mut self) -> u32 {
        let (bank, _) = self.header.next_bank();
        self.header.boot += 1;
        let record = BankRecord {
            state: BankState::Recording,
            boot_id: 0xa17e + self.header.boot as u32,
            boot: self.header.boot,
            cores: CORES,
            ..BankRecord::default()
        };
        let about = About { build: b"id", board: b"fake", schema: SCHEMA.as_bytes() };
        prepare(&self.ram, &self.header.geometry, bank, &record, &about);
        self.header.banks[bank as usize] = record;
        bank
    }

    /// So many events on a core, whose numbers go on from `from`.
    pub(crate) fn record(&self, core: u32, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let data = data((number * 7 % 90) as usize);
            self.writers[core as usize].record(&Work { number, data: &data }).unwrap();
        }
    }

    /// What a reset now costs, if these lines happen to be in memory.
    pub(crate) fn reset(&self, evicted: impl IntoIterator<Item = u64>) -> Reset {
        reset(self.ram.cached(), self.ram.after_reset(evicted))
    }

    /// The verdict on that.
    pub(crate) fn judge(&self, reset: &Reset) -> Verdict {
        judged(reset, self.clean)
    }
}

/// A reset that finds `before`, and leaves `after`.
pub(crate) fn reset(before: Vec<u8>, after: Vec<u8>) -> Reset {
    let size = LINE as usize;
    let differ = before.chunks(size).zip(after.chunks(size)).enumerate().filter(|(_, (a, b))| a != b);
    let lost =
        differ.map(|(line, _)| Lost { at: (line * size) as u64, stored: Some((0x40, 1)), unfinished: false }).collect();
    Reset { number: 1, cause: Cause::Guest, before, after, lost, ..Reset::default() }
}

/// The verdict on a reset that the next boot tells as it should.
pub(crate) fn judged(reset: &Reset, clean: CleanAt) -> Verdict {
    judge(&Crash { reset, clean, told: &tell(&reset.after) })
}

/// The header that the next boot goes on with.
pub(crate) fn header(region: &[u8]) -> Option<Header> {
    match inspect(region) {
        Found::Valid(header) => Some(header),
        Found::Scanned { geometry, .. } => Some(rebuild(region, geometry)),
        _ => None,
    }
}

/// What the next boot prints: as the kernel's `take_over` and `tell` do.
pub(crate) fn tell(region: &[u8]) -> String {
    let mut text = format!("  content    {}\n", Absence(&inspect(region)));
    let Some(mut header) = header(region) else { return text };
    let (bank, lost) = header.next_bank();
    writeln!(text, "  recording  boot {} into bank {bank}, checks by a table", header.boot + 1).unwrap();
    if lost {
        header.banks[bank as usize].state = BankState::Acknowledged;
    }
    for number in header.crashes() {
        let (geometry, record) = (header.geometry, header.banks[number as usize]);
        let bank = Bank::new(&region[geometry.bank(number) as usize..], geometry, record, Table).unwrap();
        writeln!(text, "\ncrash in bank {number}:").unwrap();
        let how = How { tail: Tail::Last(0), terse: false, digest: true };
        let summary = dump(&bank, how, &mut [0; SCHEMA_SPACE], &mut text).unwrap();
        let intact = if summary.intact { "intact" } else { "NOT intact" };
        writeln!(text, "crash of boot {}: {} events recovered, {intact}", record.boot, summary.recovered).unwrap();
    }
    text
}
