//! A machine for tests: one region in memory that loses its cache, its writers, and what the next boot finds.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod lab;
pub mod linux;

pub use linux::{Rejected, linux_accepts};
use ring::account::Account;
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::Geometry;
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
    let about = ring::bank::About {
        build: b"build",
        board: b"test",
        schema: b"5000 numbered number:u64 padding:u32|{number}\n",
    };
    ring::fake::boot(ram, geometry, boot_id, &about)
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

/// The part of a bank that Linux sees, from a whole region.
pub fn linux_part<'r>(region: &'r [u8], geometry: &Geometry, bank: u32) -> &'r [u8] {
    &region[geometry.bank(bank) as usize..][..geometry.linux_size as usize]
}

/// How many events Linux would show of a bank, or why it would throw something away.
pub fn linux_shows(region: &[u8], header: &Header, bank: u32) -> Result<u64, Rejected> {
    linux_accepts(linux_part(region, &header.geometry, bank), u64::from(header.geometry.cores))
}
