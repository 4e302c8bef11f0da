//! Regions as our writers leave them, and what is read of them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use kernel::events::{SCHEMA, Work};
use reader::{Image, Input};
use ring::check::Table;
use ring::fake::{Ram, Seeded, StepClock};
use ring::format::Geometry;
use ring::records::{BankState, PanicRecord};
use ring::writer::{Event as _, Mode, Target, Writer};
use std::collections::BTreeSet;
use trace::Item;

/// An event as it was recorded: of which boot, core, and its fields.
pub type Written = BTreeSet<(u64, u32, Vec<u8>)>;

/// A region that boots record into.
pub struct Made {
    pub ram: Ram,
    pub geometry: Geometry,
}

impl Made {
    pub fn new(size: u64, banks: u32, cores: u32, parity: u32) -> Self {
        let geometry = Geometry::new(size, banks, cores).and_then(|plain| plain.with_parity(parity)).unwrap();
        Self { ram: Ram::new(size), geometry }
    }

    /// A boot that records and panics on core 0. Returns its number.
    pub fn boot(&self, boot_id: u32, events: u64) -> u64 {
        let about = ring::bank::About { build: &[0xab; 20], board: b"a board", schema: SCHEMA.as_bytes() };
        let (mut header, bank) = ring::fake::boot(&self.ram, self.geometry, boot_id, &about);
        for core in 0..self.geometry.cores {
            let target = Target { geometry: self.geometry, bank, boot_id, core };
            let writer =
                Writer::new(&self.ram, StepClock::new(1000, 7 + u64::from(core)), Table, target, Mode::default());
            for number in 0..events {
                let data: Vec<u8> = (0..number % 50).map(|i| (number.wrapping_mul(31) + i) as u8).collect();
                writer.record(&Work { number, data: &data }).unwrap();
                if number % 40 == 39 {
                    // What its writer took back is no event.
                    writer.discard(writer.reserve(Work::ID, 20).unwrap());
                }
            }
            writer.close();
        }
        let panic = PanicRecord {
            core: 0,
            exception: false,
            time_ns: 7 * events,
            far: 0,
            message: b"a test \x1b[2J panics",
            location: b"here.rs:1",
            address: b"",
            registers: [0; 35],
            backtrace: &[0x4000_0000, 0x4000_1000],
        };
        panic.store(&&self.ram, &self.geometry, bank, boot_id);
        header.banks[bank as usize].state = BankState::Panicked;
        header.store(&&self.ram);
        header.boot
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.ram.cached()
    }
}

/// What is read of an image: events by boot, and remarks.
pub fn read(image: Vec<u8>) -> (Written, Vec<String>) {
    let input = Input::new(Image::of(image));
    let reading = input.read();
    let mut events = Written::new();
    for trace in &reading.traces {
        for core in 0..trace.about().cores.len() as u32 {
            for item in trace.items(core) {
                if let Item::Event(event) = item {
                    events.insert((trace.about().boot.unwrap_or(0), event.core, event.payload.to_vec()));
                }
            }
        }
    }
    (events, reading.remarks)
}

/// The titles of the boots in an image.
pub fn titles(image: Vec<u8>) -> Vec<String> {
    let input = Input::new(Image::of(image));
    input.read().traces.iter().map(|trace| trace.about().title.clone()).collect()
}

/// An image in which something stands at a place, between noise.
pub fn within(content: &[u8], at: usize, size: usize) -> Vec<u8> {
    let mut image = noise(size, 7);
    let end = size.min(at + content.len());
    image[at..end].copy_from_slice(&content[..end - at]);
    image
}

/// Bytes that mean nothing.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Seeded(seed);
    (0..size).map(|_| random.below(256) as u8).collect()
}
