//! What a fault is done to: a region in which several boots have recorded, each over several laps, on several cores, and
//! everything that is true of it.
#![allow(unreachable_pub, reason = "a module of a test")]

use crate::support::{BOOT_ID, EVENT_ID, Numbered, boot};
use ring::account::Account;
use ring::check::{Crc32c, Table};
use ring::fake::{Ram, Seeded};
use ring::format::{Geometry, LINE_PAYLOAD, domain, tail_line};
use ring::line::LineSeed;
use ring::linux;
use ring::records::{BankState, StopMeans, StopOutcome, StopRecord};
use ring::recover::{Bank, Item};
use ring::region::{Found, Header, inspect};
use ring::seams::Clock;
use ring::writer::{Event, Mode, Target, Writer};
use std::cell::Cell;
use std::collections::HashMap;

/// Cores that record.
pub const CORES: u32 = 3;
/// Size of the region.
pub const SIZE: u64 = 192 << 10;
/// Boots before the newest one, in the same bank.
const OLDER_BOOTS: [u32; 2] = [0x0b00_7011, 0x0b00_7022];

/// Seeded chance by places and sizes.
pub struct Random(Seeded);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Seeded(seed))
    }
    pub fn next(&mut self) -> u64 {
        self.0.next()
    }
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }
}

/// A clock whose last reading is known.
struct Watch(Cell<u64>);

impl Clock for Watch {
    fn now_ns(&self) -> u64 {
        self.0.set(self.0.get() + 7);
        self.0.get()
    }
}

/// What is true of one core.
pub struct Core {
    /// What recovery finds in the undamaged region; each event of it was compared with what the writer was given.
    pub items: Vec<Item<'static>>,
    pub account: Account,
    /// First word of each of its events' successors: where each event ends.
    pub ends: Vec<u32>,
    /// How it was stopped.
    pub stop: Option<StopRecord>,
}

pub struct World {
    pub region: &'static [u8],
    pub header: Header,
    pub geometry: Geometry,
    /// The same region at earlier moments of the newest boot, latest first.
    pub laps: Vec<Vec<u8>>,
    /// The same region when older boots had ended.
    pub boots: Vec<Vec<u8>>,
    pub cores: Vec<Core>,
    /// The payload of every line of the tail that verifies.
    pub lines: Vec<Option<[u8; LINE_PAYLOAD]>>,
}

impl World {
    /// Where the bank begins.
    pub fn bank(&self) -> usize {
        self.geometry.bank(0) as usize
    }
    /// Where a core's ring begins in the region, and its bytes.
    pub fn ring(&self, core: u32) -> std::ops::Range<usize> {
        let start = self.bank() + self.geometry.subbuf(core, 0) as usize;
        start..start + (self.geometry.ring() * linux::SUBBUF_SIZE) as usize
    }

    /// Lives through three boots. `seed` draws what is recorded.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ram = Ram::new(SIZE);
        let mut boots = Vec::new();
        for boot_id in OLDER_BOOTS {
            live(&ram, boot_id, &mut random, &mut Vec::new());
            boots.push(ram.cached());
        }
        let mut laps = Vec::new();
        let logs = live(&ram, BOOT_ID, &mut random, &mut laps);
        laps.reverse();
        let region: &'static [u8] = ram.persistent().leak();
        let Found::Valid(header) = inspect(region) else { panic!("{:?}", inspect(region)) };
        let geometry = header.geometry;
        let bank = bank_of(region, &header, Table).expect("a bank");
        let cores = (0..CORES).zip(&logs).map(|(core, log)| Core::new(&bank, core, log)).collect();
        let lines = (0..tail_line::CORES + CORES * tail_line::PER_CORE).map(|n| bank.line(n).map(|l| *l.payload()));
        let lines = lines.collect();
        Self { region, header, geometry, laps, boots, cores, lines }
    }
}

/// The bank, as the header tells it.
pub fn bank_of<'a, C: Crc32c>(region: &'a [u8], header: &Header, crc: C) -> Option<Bank<'a, C>> {
    Bank::new(region.get(header.geometry.bank(0) as usize..)?, header.geometry, header.banks[0], crc)
}

/// Number of an event -> when it was recorded, and its size.
type Log = HashMap<u64, (u64, usize)>;

/// One boot: laps around the ring on every core, then the end that a panic makes. Keeps what the region was on the way.
fn live(ram: &Ram, boot_id: u32, random: &mut Random, laps: &mut Vec<Vec<u8>>) -> Vec<Log> {
    let (mut header, bank) = boot(ram, 1, CORES, boot_id);
    let geometry = header.geometry;
    let clocks: Vec<_> = (0..CORES).map(|core| Watch(Cell::new(1000 * u64::from(core)))).collect();
    let target = |core| Target { geometry, bank, boot_id, core };
    let writers: Vec<_> = (0..CORES)
        .zip(&clocks)
        .map(|(core, clock)| Writer::new(ram, clock, Table, target(core), Mode::default()))
        .collect();
    let mut logs = vec![Log::new(); CORES as usize];
    let mut number = 0;
    let until = geometry.ring() * 4 + random.below(9) as u64;
    let mut kept = 1;
    while writers.iter().any(|w| w.counters().sequence < until) {
        for ((w, clock), log) in writers.iter().zip(&clocks).zip(&mut logs) {
            w.enter(random.below(16) as u8, random.below(4000) as i32);
            let padding = |random: &mut Random| match random.below(40) {
                0 => 300 + random.below(3600),
                n if n < 20 => random.below(40),
                _ => random.below(289),
            };
            let mut event = |random: &mut Random| {
                number += 1;
                Numbered { number, padding: padding(random) }
            };
            match random.below(50) {
                0 => clock.0.set(clock.0.get() + (1 << 28)),
                1 => w.discard(w.reserve(EVENT_ID, random.below(200)).expect("a place")),
                2 => {
                    // An event that another one interrupts.
                    let (outer, inner) = (event(random), event(random));
                    let slot = w.reserve(EVENT_ID, outer.size()).expect("a place");
                    log.insert(outer.number, (clock.0.get(), outer.padding));
                    w.record(&inner).expect("a place");
                    log.insert(inner.number, (clock.0.get(), inner.padding));
                    outer.write(&slot);
                    w.commit(slot);
                }
                _ => {
                    let event = event(random);
                    w.record(&event).expect("a place");
                    log.insert(event.number, (clock.0.get(), event.padding));
                }
            }
        }
        if writers[0].counters().sequence >= kept * geometry.ring() {
            laps.push(ram.cached());
            kept += 1;
        }
    }
    for (core, w) in (0..CORES).zip(&writers) {
        let closed = w.close();
        let stop =
            StopRecord { outcome: StopOutcome::Stopped, means: StopMeans::GicV3PriorityMask, ..StopRecord::default() };
        StopRecord { lines: closed.lines as u32, time_ns: 5, ..stop }.store(ram, &geometry, bank, boot_id, core);
    }
    let record = &mut header.banks[bank as usize];
    record.state = if boot_id == BOOT_ID { BankState::Panicked } else { BankState::Acknowledged };
    let (number, at) = (tail_line::BANK, geometry.bank(bank) + geometry.tail(tail_line::BANK));
    record.to_line().store(ram, at, LineSeed::new(boot_id, domain::TAIL), number, 0);
    header.store(ram);
    clean_all(ram);
    logs
}

fn clean_all(ram: &Ram) {
    use ring::seams::Persist;
    ram.clean(0, SIZE);
    ram.complete();
}

impl Core {
    /// Recovers a core of the undamaged region, and compares each event with what was recorded.
    fn new<C: Crc32c>(bank: &Bank<'static, C>, core: u32, log: &Log) -> Self {
        let ring = bank.core(core);
        let items: Vec<_> = ring.items().collect();
        let mut ends = Vec::new();
        let mut found = 0;
        for (i, item) in items.iter().enumerate() {
            let Item::Event(event) = item else { panic!("a hole in a good region: {item:?}") };
            ends.push(match items.get(i + 1) {
                Some(Item::Event(next)) if next.sequence == event.sequence => next.word,
                _ => event.word + words_at_most(event.fields.len()),
            });
            if event.discarded {
                continue;
            }
            let (time, padding) = log[&Numbered::number_of(event)];
            assert_eq!(event.fields.len(), (12 + padding).next_multiple_of(4));
            assert!(event.time_is_certain && event.time_ns == time, "recorded at {time}: {event:?}");
            found += 1;
        }
        let account = ring.account();
        assert!(account.is_final && account.sum_holds() && account.recovered == found);
        assert!(account.overwritten > 2 * found, "several laps");
        Self { items, account, ends, stop: bank.stop_record(core) }
    }
}

/// Words of an event with so many bytes of fields, with the longest header.
fn words_at_most(fields: usize) -> u32 {
    (8 + 4 + 4 + 8 + fields as u32 + 4) / 4
}
