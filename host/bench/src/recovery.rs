//! How fast a region is recovered: what a tool on the host does with a crash.

use crate::clock::Counter;
use crate::heap::Region;
use crate::rounds::{Figure, Plan, processor_time};
use crate::setting::{Bytes, HeapWriter, boot, writer};
use crate::table::table;
use anyhow::{Result, ensure};
use ring::account::Account;
use ring::check::Crc32c;
use ring::format::Geometry;
use ring::recover::{Bank, CoreRing, Item};
use ring::region::{Found, inspect};
use ring::seams::Persist;
use std::hint::black_box;
use std::time::Duration;

const CORES: u32 = 4;
/// Sizes of the fields of one event after the other.
const PAYLOADS: [usize; 8] = [8, 16, 24, 32, 12, 64, 100, 256];

/// At least so much is recovered in a round, of small regions several times.
const ROUND_MIB: u64 = 64;

/// Prints the table.
pub(crate) fn report<C: Crc32c>(plan: &Plan, clock: Counter, crc: C) -> Result<()> {
    let mut crashes: Vec<_> = plan.recovered_mib.iter().map(|mib| Crash::new(*mib, clock, crc)).collect();
    for _ in 0..plan.recoveries {
        for crash in &mut crashes {
            crash.recover(crc)?;
        }
    }
    println!("\nrecovery of full regions, {CORES} cores, 8 to 256 bytes of fields, on one thread; median (best):");
    let head =
        ["region", "events", "open ns/KiB", "all events ns/KiB", "account ns/KiB", "all events GiB/s", "account GiB/s"];
    let speeds: Vec<_> = crashes.iter().map(Crash::speed).collect();
    let rows: Vec<_> = crashes
        .iter()
        .zip(&speeds)
        .map(|(crash, speed)| {
            let mut row = vec![format!("{} MiB", crash.mib), crash.events.to_string()];
            row.extend([&speed.open, &speed.walk, &speed.account].map(ns_per_kib));
            row.extend([&speed.walk, &speed.account].map(gib_per_s));
            row
        })
        .collect();
    println!("{}", table(&head, &rows));
    let growth = |part: fn(&Speed) -> &Figure| {
        let (first, last) = (part(&speeds[0]), part(&speeds[speeds.len() - 1]));
        format!("{:.2} (best {:.2})", last.by(first), last.min() / first.min())
    };
    println!(
        "ns/KiB of the largest region by those of the smallest: all events {}, account {}; 1 is linear",
        growth(|speed| &speed.walk),
        growth(|speed| &speed.account)
    );
    Ok(())
}

fn ns_per_kib(figure: &Figure) -> String {
    format!("{:.0} ({:.0})", figure.median(), figure.min())
}

fn gib_per_s(ns_per_kib: &Figure) -> String {
    let gib_per_s = |ns: f64| 1e9 / ns / f64::from(1 << 20);
    format!("{:.2} ({:.2})", gib_per_s(ns_per_kib.median()), gib_per_s(ns_per_kib.min()))
}

/// Nanoseconds per KiB of region that each step takes.
struct Speed {
    open: Figure,
    walk: Figure,
    account: Figure,
}

/// A full region, and how long each recovery of it took, in nanoseconds.
struct Crash {
    mib: u64,
    region: Region,
    events: u64,
    /// Headers, and each core's newest sub-buffer.
    open: Vec<f64>,
    /// Every event of every core.
    walk: Vec<f64>,
    /// The account of every core.
    account: Vec<f64>,
}

impl Crash {
    fn new<C: Crc32c>(mib: u64, clock: Counter, crc: C) -> Self {
        let region = Region::new(mib << 20);
        let geometry = Geometry::new(mib << 20, 1, CORES).expect("four cores fit a MiB");
        fill(&region, geometry, clock, crc);
        Self { mib, region, events: 0, open: Vec::new(), walk: Vec::new(), account: Vec::new() }
    }

    /// One round.
    fn recover<C: Crc32c>(&mut self, crc: C) -> Result<()> {
        let mib = self.mib;
        let times = (ROUND_MIB / mib).max(1);
        let mut took = [Duration::ZERO; 3];
        for _ in 0..times {
            let start = processor_time();
            let rings = rings(self.region.bytes(), crc)?;
            let opened = processor_time();
            self.events = rings.iter().map(walk_all).sum();
            let walked = processor_time();
            let accounts: Vec<_> = rings.iter().map(CoreRing::account).collect();
            let accounted = processor_time();
            for (took, step) in took.iter_mut().zip([opened - start, walked - opened, accounted - walked]) {
                *took += step;
            }
            let recovered: u64 = accounts.iter().map(|account| account.recovered).sum();
            ensure!(accounts.iter().all(Account::sum_holds), "{mib} MiB: a sum does not hold: {accounts:?}");
            ensure!(recovered == self.events, "{mib} MiB: {recovered} events accounted for, {} met", self.events);
        }
        for (all, took) in [&mut self.open, &mut self.walk, &mut self.account].into_iter().zip(took) {
            all.push(took.as_secs_f64() * 1e9 / (times * (mib << 10)) as f64);
        }
        Ok(())
    }

    fn speed(&self) -> Speed {
        let [open, walk, account] = [&self.open, &self.walk, &self.account].map(|all| Figure::new(all.clone()));
        Speed { open, walk, account }
    }
}

/// Records by turns on all cores until each has come round to its first sub-buffer, and stops them in order.
fn fill<C: Crc32c>(region: &Region, geometry: Geometry, clock: Counter, crc: C) {
    boot(region, geometry, &clock);
    let payload = [0xa5; 256];
    let writers: Vec<HeapWriter<'_, C>> = (0..CORES).map(|core| writer(region, geometry, core, clock, crc)).collect();
    let mut sizes = PAYLOADS.iter().cycle();
    while writers.iter().any(|writer| writer.counters().sequence <= geometry.ring()) {
        for size in sizes.by_ref().take(PAYLOADS.len()) {
            for writer in &writers {
                writer.record(&Bytes(&payload[..*size])).expect("nothing interrupts or stops this writer");
            }
        }
    }
    for writer in &writers {
        writer.close();
        writer.memory().complete();
    }
}

fn rings<C: Crc32c>(bytes: &[u8], crc: C) -> Result<Vec<CoreRing<'_, C>>> {
    let Found::Valid(header) = inspect(bytes) else { anyhow::bail!("a region just filled is not found") };
    let start = header.geometry.bank(0) as usize;
    let Some(bank) = Bank::new(&bytes[start..], header.geometry, header.banks[0], crc) else {
        anyhow::bail!("a bank just filled is not found")
    };
    Ok((0..CORES).map(|core| bank.core(core)).collect())
}

fn walk_all<C: Crc32c>(ring: &CoreRing<'_, C>) -> u64 {
    let mut events = 0;
    for item in ring.items() {
        if let Item::Event(event) = black_box(item) {
            events += u64::from(!event.discarded);
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::check::Table;

    #[test]
    fn a_region_is_full_when_it_is_recovered() {
        let mut region = Region::new(1 << 20);
        let geometry = Geometry::new(1 << 20, 1, CORES).unwrap();
        fill(&region, geometry, Counter::calibrated(), Table);
        for ring in rings(region.bytes(), Table).unwrap() {
            let account = ring.account();
            assert!(account.overwritten > 0 && account.is_final && account.sum_holds(), "{account:?}");
            assert_eq!(ring.sequences().count() as u64, geometry.ring());
            assert_eq!((account.damaged(), account.unfinished, account.dropped()), (0, 0, 0));
            assert_eq!(walk_all(&ring), account.recovered);
        }
    }
}
