//! Writes a full region to measure with: `cargo run --profile host --target host-tuple -p reader --example make -- FILE MIB`.

use kernel::events::{IrqEntry, SCHEMA, Tick, Work};
use ring::check::{Crc32c, Instruction, Table};
use ring::fake::StepClock;
use ring::format::Geometry;
use ring::records::{BankRecord, BankState};
use ring::region::Header;
use ring::seams::{Memory, Persist};
use ring::writer::{Mode, Target, Writer};
use std::cell::Cell;
use std::io::{BufWriter, Write};

/// Memory without a cache that could lose.
struct Plain(Vec<Cell<u8>>);

impl Plain {
    fn load<const N: usize>(&self, at: u64) -> [u8; N] {
        std::array::from_fn(|i| self.0[at as usize + i].get())
    }
    fn store(&self, at: u64, bytes: &[u8]) {
        self.0[at as usize..][..bytes.len()].iter().zip(bytes).for_each(|(cell, byte)| cell.set(*byte));
    }
}

impl Memory for Plain {
    fn load_u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.load(at))
    }
    fn load_u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.load(at))
    }
    fn store_u32(&self, at: u64, value: u32) {
        self.store(at, &value.to_le_bytes());
    }
    fn store_u64(&self, at: u64, value: u64) {
        self.store(at, &value.to_le_bytes());
    }
    fn publish_u64(&self, at: u64, value: u64) {
        self.store_u64(at, value);
    }
    fn address(&self, at: u64) -> u64 {
        at
    }
}

impl Persist for Plain {
    fn clean(&self, _: u64, _: u64) -> u64 {
        0
    }
    fn complete(&self) {}
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "full.region".into());
    let mib: u64 = arguments.next().and_then(|mib| mib.parse().ok()).unwrap_or(64);
    let memory = Plain(vec![Cell::new(0); (mib << 20) as usize]);
    match Instruction::detect() {
        Some(crc) => fill(&memory, crc),
        None => fill(&memory, Table),
    }
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    memory.0.chunks(4096).try_for_each(|page| file.write_all(&page.iter().map(Cell::get).collect::<Vec<_>>()))?;
    file.flush()
}

/// Four cores: an interrupt, a tick and two events of 8 to 40 bytes of payload in turn.
fn fill<C: Crc32c>(memory: &Plain, crc: C) {
    let Ok(geometry) = Geometry::new(memory.0.len() as u64, 1, 4) else { return };
    let mut header = Header::new(geometry);
    let record = BankRecord {
        state: BankState::Panicked,
        boot_id: 0x1234_5678,
        boot: 1,
        boot_id_before: 0,
        cores: 4,
        counter_hz: 62_500_000,
        counter_start: 0,
    };
    header.boot = 1;
    header.banks[0] = record;
    let about = ring::bank::About { build: &[0xab; 20], board: b"made", schema: SCHEMA.as_bytes() };
    ring::bank::prepare(&memory, &geometry, 0, &record, &about);
    header.store(&memory);
    for core in 0..4 {
        let target = Target { geometry, bank: 0, boot_id: record.boot_id, core };
        let writer = Writer::new(memory, StepClock::new(1000, 700 + u64::from(core)), crc, target, Mode::default());
        let data: [u8; 40] = std::array::from_fn(|i| i as u8);
        for n in 0..geometry.ring() * 4096 / 30 {
            let recorded = match n % 4 {
                0 => writer.record(&IrqEntry { intid: 27, pc: 0x4020_0000 + n % 5000 }),
                1 => writer.record(&Tick { number: n }),
                _ => writer.record(&Work { number: n, data: &data[..8 + (n % 33) as usize] }),
            };
            let _ = recorded;
        }
        writer.close();
    }
}
