//! A small region with events of several kinds, for the tests of both sides.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use ring::check::Table;
pub use ring::fake::Seeded;
use ring::fake::{Ram, StepClock};
use ring::format::{Geometry, header_line};
use ring::records::{BankRecord, BankState};
use ring::recover::Bank;
use ring::region::{Found, Header, inspect};
use ring::seams::Persist;
use ring::writer::{Mode, Target, Writer};
use wire::plan::{LINES_SIZE, Plan};

ring::events! {
    /// As an interrupt's.
    4097 Entry "entry" { intid: u32, pc: hex } "intid={intid} pc={pc}";
    /// As a tick's.
    4100 Tick "tick" { number: u64 } "number={number}";
    /// Of many sizes.
    4104 Work<'a> "work" { number: u64, data: bytes } "number={number} data={data}";
}

pub const BOOT_ID: u32 = 0x1302_0d10;
pub const BANK: u32 = 1;

/// A region of two banks and two cores, with so many events of each core in the second bank; noise stood there before.
pub fn region(size: u64, parity: u32, events: u64) -> Vec<u8> {
    let mut chance = Seeded(size ^ events);
    let ram = Ram::holding((0..size).map(|_| chance.next() as u8).collect());
    let geometry = Geometry::new(size, 2, 2).unwrap().with_parity(parity).unwrap();
    let mut header = Header::new(geometry);
    header.boot = 7;
    let record = BankRecord {
        state: BankState::Recording,
        boot_id: BOOT_ID,
        boot: 7,
        boot_id_before: 3,
        cores: 2,
        counter_hz: 1_000_000_000,
        counter_start: 0,
    };
    let about = ring::bank::About { build: b"build", board: b"test", schema: SCHEMA.as_bytes() };
    ring::bank::prepare(&&ram, &geometry, BANK, &record, &about);
    header.banks[BANK as usize] = record;
    header.store(&&ram);
    for core in 0..2 {
        let target = Target { geometry, bank: BANK, boot_id: BOOT_ID, core };
        let writer = Writer::new(&ram, StepClock::new(1000, 7 + u64::from(core)), Table, target, Mode::default());
        for number in 0..events {
            let data: Vec<u8> = (0..chance.below(60)).map(|i| (i * 167) as u8).collect();
            let recorded = match chance.below(8) {
                0 => writer.record(&Entry { intid: 27, pc: 0x4020_0000 + chance.below(400) * 4 }),
                1 => writer.record(&Tick { number }),
                _ => writer.record(&Work { number, data: &data }),
            };
            recorded.unwrap();
        }
        writer.close();
    }
    Persist::complete(&&ram);
    ram.cached()
}

pub fn bank(region: &[u8]) -> Bank<'_, Table> {
    let Found::Valid(header) = inspect(region) else { panic!("{:?}", inspect(region)) };
    let bytes = &region[header.geometry.bank(BANK) as usize..];
    Bank::new(bytes, header.geometry, header.banks[BANK as usize], Table).unwrap()
}

/// As the kernel makes it.
pub fn plan(region: &[u8]) -> Plan {
    let bank = bank(region);
    let lines = [header_line::IDENTITY, header_line::LIFE, header_line::BANK + BANK];
    let lines: Vec<u8> = lines.iter().flat_map(|line| region[*line as usize * 64..][..64].to_vec()).collect();
    let cores = bank.geometry().cores as usize;
    let begun = core::array::from_fn(|core| if core < cores { bank.core(core as u32).sequences().end } else { 0 });
    let lines: [u8; LINES_SIZE] = lines.try_into().unwrap();
    Plan { geometry: *bank.geometry(), bank: BANK, index: 0, count: 1, lines, begun }
}

/// Everything that recovery says of the bank.
pub fn told(region: &[u8]) -> Vec<String> {
    let bank = bank(region);
    let cores = 0..bank.geometry().cores;
    let of = |core| {
        let ring = bank.core(core);
        let items = ring.items().map(|item| format!("{item:?}"));
        let heads = [format!("{:?}", ring.account()), format!("{:?}", bank.stop_record(core))];
        heads.into_iter().chain(items).collect::<Vec<_>>()
    };
    cores.flat_map(of).chain([format!("{:?}", bank.record())]).collect()
}
