//! How many MB of region a second each format takes, on one core: a region of ours, full of events of 28 and 32 bytes, read
//! and checked by the reader, and the same with a model made by hand that has nothing to check.
//!
//! ```text
//! cargo run --quiet --profile host --target host-tuple -p formats --example decoding -- [MIB]
//! ```

use formats::Output;
use kernel::events::{IrqEntry, SCHEMA, Work};
use reader::{Image, Input};
use ring::check::Table;
use ring::fake::{Ram, StepClock};
use ring::format::Geometry;
use ring::records::BankState;
use ring::writer::{Mode, Target, Writer};
use std::time::Instant;
use trace::Trace;
use trace::fake::Fake;

const BOOT_ID: u32 = 0x1234_5678;
const CORES: u32 = 4;
/// Bytes of the two kinds of events, together.
const BOTH: u64 = 28 + 32;

/// A region of one bank whose every sub-buffer is full.
fn region(size: u64) -> Vec<u8> {
    let ram = Ram::new(size);
    let geometry = Geometry::new(size, 1, CORES).expect("a geometry for that size");
    let about = ring::bank::About { build: &[0xab; 20], board: b"a board", schema: SCHEMA.as_bytes() };
    let (mut header, bank) = ring::fake::boot(&ram, geometry, BOOT_ID, &about);
    header.banks[bank as usize].state = BankState::Panicked;
    header.store(&&ram);
    for core in 0..CORES {
        let target = Target { geometry, bank, boot_id: BOOT_ID, core };
        let writer = Writer::new(&ram, StepClock::new(1000, 700 + u64::from(core)), Table, target, Mode::default());
        for number in 0..size / u64::from(CORES) / BOTH {
            let entry = IrqEntry { intid: number as u32 % 1000, pc: 0xffff_0000_4008_0000 + number * 4 };
            writer.record(&entry).expect("an event is recorded");
            writer.record(&Work { number, data: &number.to_be_bytes() }).expect("an event is recorded");
        }
        writer.close();
    }
    ram.cached()
}

/// The same events in a model made by hand.
fn by_hand(size: u64) -> Fake {
    let schema = trace::Schema::of_region(SCHEMA.as_bytes());
    let mut fake = Fake::new(CORES, schema.formats().iter().cloned());
    for core in 0..CORES {
        for number in 0..size / u64::from(CORES) / BOTH {
            let time = 1000 + number * 1400 + u64::from(core);
            let pc = 0xffff_0000_4008_0000u64 + number * 4;
            let entry = [&(number as u32 % 1000).to_le_bytes()[..], &pc.to_le_bytes()].concat();
            fake.event(core, time, 4097, &entry);
            fake.event(core, time + 700, 4104, &[number.to_le_bytes(), number.to_be_bytes()].concat());
        }
    }
    fake
}

fn measure(what: &str, trace: &dyn Trace, bytes: u64) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    println!("{what}, {} MiB:", bytes >> 20);
    let rate = |name: &str, start: Instant, written: u64| {
        let megabytes = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
        println!("  {name:<10} {megabytes:>7.0} MB/s of region {:>8.1} MB written", written as f64 / 1e6);
    };
    let start = Instant::now();
    let events: usize = (0..CORES).map(|core| trace.items(core).count()).sum();
    rate("(items)", start, 0);
    let start = Instant::now();
    let pages: usize = (0..CORES).map(|core| trace.pages(core).filter(|page| page.whole).count()).sum();
    rate("(pages)", start, 0);
    for output in Output::ALL {
        let path = directory.path().join(output.name());
        let start = Instant::now();
        formats::write(trace, output, &path).expect("it is written");
        let files =
            if path.is_dir() { std::fs::read_dir(&path).expect("it is there").flatten().collect() } else { vec![] };
        let size = |path: &std::path::Path| path.metadata().map_or(0, |metadata| metadata.len());
        rate(output.name(), start, files.iter().map(|file| size(&file.path())).sum::<u64>().max(size(&path)));
    }
    println!("  {events} events, {pages} whole sub-buffers");
}

fn main() {
    let mebibytes = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(64u64);
    let size = mebibytes << 20;
    let input = Input::new(Image::of(region(size)));
    let reading = input.read();
    let trace = reading.traces.first().expect("the region has a boot");
    measure("a region, read and checked", &**trace, size);
    measure("a model, nothing to check", &by_hand(size), size);
}
