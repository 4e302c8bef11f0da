//! A machine for tests: one region in memory that loses its cache, its writers, and what the next boot finds.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use ring::account::Account;
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::Geometry;
use ring::linux;
use ring::records::{BankRecord, BankState};
use ring::recover::{Bank, Recovered};
use ring::region::{Found, Header, inspect};
use ring::seams::{Memory, Persist};
use ring::writer::{Event, Mode, Slot, Target, Writer};

pub const BOOT_ID: u32 = 0x1234_5678;
pub const EVENT_ID: u16 = 5000;

/// An event that says its own number and can be checked byte by byte.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    pub number: u64,
    pub padding: usize,
}

impl Numbered {
    pub fn byte(number: u64, i: usize) -> u8 {
        (number as u8).wrapping_mul(31).wrapping_add(i as u8) | 1
    }
    /// The number of a recovered event, all of whose bytes must be as they were written.
    pub fn number_of(event: &Recovered<'_>) -> u64 {
        let number = u64::from_le_bytes(*event.fields.first_chunk().expect("a number"));
        let padding = u32::from_le_bytes(*event.fields[8..].first_chunk().expect("a size")) as usize;
        for i in 0..padding {
            assert_eq!(event.fields[12 + i], Self::byte(number, i), "event {number}, byte {i}");
        }
        assert_eq!(event.fields.len(), (12 + padding).next_multiple_of(4));
        number
    }
}

impl Event for Numbered {
    const ID: u16 = EVENT_ID;
    fn size(&self) -> usize {
        12 + self.padding
    }
    fn write<M: Memory>(&self, slot: &Slot<'_, M>) {
        slot.put_u64(0, self.number);
        slot.put_u32(8, self.padding as u32);
        let bytes: Vec<u8> = (0..self.padding).map(|i| Self::byte(self.number, i)).collect();
        slot.put_bytes(12, &bytes);
    }
}

pub type TestWriter<'m> = Writer<&'m Ram, StepClock, Table>;

/// Boots: formats the region or goes on in it, and returns the header and the bank to record into.
pub fn boot(ram: &Ram, banks: u32, cores: u32, boot_id: u32) -> (Header, u32) {
    boot_into(ram, Geometry::new(ram.cached().len() as u64, banks, cores).expect("a geometry"), boot_id)
}

/// The same with a geometry of one's own.
pub fn boot_into(ram: &Ram, geometry: Geometry, boot_id: u32) -> (Header, u32) {
    let bytes = ram.cached();
    let cores = geometry.cores;
    let mut header = match inspect(&bytes) {
        Found::Valid(header) => header,
        Found::Scanned { geometry, .. } => ring::region::rebuild(&bytes, geometry),
        _ => Header::new(geometry),
    };
    let (bank, _) = header.next_bank();
    header.boot += 1;
    let record = BankRecord {
        state: BankState::Recording,
        boot_id,
        boot: header.boot,
        boot_id_before: header.banks[bank as usize].boot_id,
        cores,
        counter_hz: 1_000_000_000,
        counter_start: 0,
    };
    let about = ring::bank::About {
        build: b"build",
        board: b"test",
        schema: b"5000 numbered number:u64 padding:u32|{number}\n",
    };
    ring::bank::prepare(&ram, &geometry, bank, &record, &about);
    header.banks[bank as usize] = record;
    header.store(&ram);
    (header, bank)
}

pub fn writer<'m>(ram: &'m Ram, header: &Header, bank: u32, core: u32, mode: Mode) -> TestWriter<'m> {
    let boot_id = header.banks[bank as usize].boot_id;
    Writer::new(ram, StepClock::new(1000, 7), Table, Target { geometry: header.geometry, bank, boot_id, core }, mode)
}

/// Stops a core as the panic path does.
pub fn close(writer: &TestWriter<'_>) {
    writer.close();
    writer.memory().complete();
}

/// What the next boot finds of one core: account and events.
pub fn find(region: &[u8], bank: u32, core: u32) -> (Account, Vec<(u64, Recovered<'static>)>) {
    let Found::Valid(header) = inspect(region) else { panic!("no header: {:?}", inspect(region)) };
    let start = header.geometry.bank(bank) as usize;
    let bytes: &'static [u8] = region[start..].to_vec().leak();
    let bank = Bank::new(bytes, header.geometry, header.banks[bank as usize], Table).expect("a bank");
    let ring = bank.core(core);
    let events = ring.events().map(|event| (Numbered::number_of(&event), event)).collect();
    (ring.account(), events)
}

/// The checks that Linux makes of a region at boot, for one bank: global header, per core sizes, order, head and commit,
/// then each page's events and times.
pub fn linux_accepts(bank: &[u8], geometry: &Geometry, base: u64) -> Result<u64, String> {
    let u32_at = |at: u64| u32::from_le_bytes(bank[at as usize..at as usize + 4].try_into().unwrap());
    let u64_at = |at: u64| u64::from_le_bytes(bank[at as usize..at as usize + 8].try_into().unwrap());
    let check = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_string()) };
    check(u32_at(0) == 0x0bad_feed && u32_at(4) == 0x0018_0020, "magic and sizes")?;
    check(u64_at(8) == geometry.linux_size && u64_at(16) == 0x2030, "total size and offset")?;
    check(
        linux::subbufs(geometry.linux_size, u64::from(geometry.cores)) == Some(geometry.subbufs),
        "number of sub-buffers",
    )?;
    let mut total = 0;
    for core in 0..u64::from(geometry.cores) {
        let header = linux::cpu_offset(core, geometry.subbufs);
        let n = geometry.subbufs;
        check(u32_at(header + 24) == 4096 && u64::from(u32_at(header + 28)) == n, "sizes of a core")?;
        let first = linux::subbufs_offset(core, n);
        let slot_of = |at: u64| {
            let index = (u64_at(at).wrapping_sub(base + first)) / 4096;
            check(u64_at(at) == base + first + index * 4096 && index < n, "head or commit out of range").map(|()| index)
        };
        check(u64_at(header) == base + first, "first buffer")?;
        let (head, commit) = (slot_of(header + 8)?, slot_of(header + 16)?);
        let order: Vec<u64> = (0..n).map(|i| u64::from(u32_at(header + 32 + 4 * i))).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        check(sorted == (0..n).collect::<Vec<_>>(), "order is no permutation")?;
        let slot = |index: u64| order.iter().position(|o| *o == index).unwrap() as u64;
        // The reader's page, then from head to commit around the ring.
        let (mut at, end) = (slot(head), slot(commit));
        check(at > 0 && end > 0, "head or commit is the reader's page")?;
        let mut pages = vec![order[0]];
        loop {
            pages.push(order[at as usize]);
            if at == end {
                break;
            }
            at = if at + 1 == n { 1 } else { at + 1 };
        }
        let mut last_time = 0;
        for page in pages {
            let page = first + page * 4096;
            let (mut time, commit) = (u64_at(page), u64_at(page + 8));
            check(commit <= 4080, "commit beyond the page")?;
            check(commit == 0 || time >= last_time, "page times out of order")?;
            if commit > 0 {
                last_time = time;
            }
            let mut at = 0;
            while at < commit {
                let event = page + 16 + at;
                let word = u32_at(event);
                let (kind, delta) = (word & 31, u64::from(word >> 5));
                let length = match kind {
                    29 if delta == 0 => return Err("padding inside the commit".into()),
                    29 => 4 + u64::from(u32_at(event + 4)),
                    30 => {
                        time += u64::from(u32_at(event + 4)) << 27 | delta;
                        8
                    }
                    31 => {
                        let stamp = time >> 59 << 59 | u64::from(u32_at(event + 4)) << 27 | delta;
                        check(stamp >= time, "absolute time goes back")?;
                        time = stamp;
                        8
                    }
                    0 => 4 + u64::from(u32_at(event + 4)),
                    n => 4 + 4 * u64::from(n),
                };
                if kind < 29 {
                    time += delta;
                    total += 1;
                } else if kind == 29 {
                    time += delta;
                }
                check(length >= 4 && at + length <= commit, "event beyond the commit")?;
                at += length;
            }
        }
    }
    Ok(total)
}
