//! How fast a region is recovered: what a tool on the host does with a crash.

use crate::clock::Counter;
use crate::heap::Region;
use crate::rounds::{Figure, Plan};
use crate::setting::{Bytes, HeapWriter, boot, writer};
use crate::table::table;
use anyhow::{Result, ensure};
use ring::check::Crc32c;
use ring::format::Geometry;
use ring::recover::{Bank, CoreRing, Item};
use ring::region::{Found, inspect};
use ring::seams::Persist;
use std::hint::black_box;
use std::time::Instant;

const CORES: u32 = 4;
/// Sizes of the fields of one event after the other.
const PAYLOADS: [usize; 8] = [8, 16, 24, 32, 12, 64, 100, 256];

/// Prints the table.
pub(crate) fn report<C: Crc32c>(plan: &Plan, clock: Counter, crc: C) -> Result<()> {
    let mut rows = Vec::new();
    let mut costs = Vec::new();
    for mib in plan.recovered_mib {
        let speed = measure(*mib, plan.recoveries, clock, crc)?;
        let kib = (mib << 10) as f64;
        let gib_per_s = |figure: &Figure| format!("{:.2}", kib / (1 << 20) as f64 / (figure.median() / 1e9));
        let ns_per_kib = |figure: &Figure| figure.median() / kib;
        costs.push((ns_per_kib(&speed.walk), ns_per_kib(&speed.account)));
        rows.push(vec![
            format!("{mib} MiB"),
            speed.events.to_string(),
            format!("{:.0}", ns_per_kib(&speed.open)),
            format!("{:.0}", ns_per_kib(&speed.walk)),
            format!("{:.0}", ns_per_kib(&speed.account)),
            gib_per_s(&speed.open),
            gib_per_s(&speed.walk),
            gib_per_s(&speed.account),
        ]);
    }
    let ratio = |cost: fn(&(f64, f64)) -> f64| cost(&costs[costs.len() - 1]) / cost(&costs[0]);
    println!("\nrecovery of full regions, {CORES} cores, 8 to 256 bytes of fields, on one thread:");
    let head = [
        "region",
        "events",
        "open ns/KiB",
        "all events ns/KiB",
        "account ns/KiB",
        "open GiB/s",
        "all events GiB/s",
        "account GiB/s",
    ];
    println!("{}", table(&head, &rows));
    println!(
        "largest to smallest region, per KiB: all events {:.2}, account {:.2} (1 is linear)",
        ratio(|cost| cost.0),
        ratio(|cost| cost.1)
    );
    Ok(())
}

/// Nanoseconds that each step takes, in all.
struct Speed {
    events: u64,
    /// Headers, and each core's newest sub-buffer.
    open: Figure,
    /// Every event of every core.
    walk: Figure,
    /// The account of every core.
    account: Figure,
}

fn measure<C: Crc32c>(mib: u64, times: usize, clock: Counter, crc: C) -> Result<Speed> {
    let mut region = Region::new(mib << 20);
    let geometry = Geometry::new(mib << 20, 1, CORES).expect("four cores fit a MiB");
    fill(&region, geometry, clock, crc);
    let bytes = region.bytes();
    let (mut open, mut walk, mut account) = (Vec::new(), Vec::new(), Vec::new());
    let mut events = 0;
    for _ in 0..times {
        let start = Instant::now();
        let rings = rings(bytes, crc)?;
        open.push(start.elapsed().as_secs_f64() * 1e9);

        let start = Instant::now();
        events = rings.iter().map(walk_all).sum();
        walk.push(start.elapsed().as_secs_f64() * 1e9);

        let start = Instant::now();
        let accounts: Vec<_> = rings.iter().map(CoreRing::account).collect();
        account.push(start.elapsed().as_secs_f64() * 1e9);

        ensure!(accounts.iter().all(ring::account::Account::sum_holds), "{mib} MiB: a sum does not hold: {accounts:?}");
        let recovered: u64 = accounts.iter().map(|account| account.recovered).sum();
        ensure!(recovered == events && events > 0, "{mib} MiB: {recovered} events in the accounts, {events} met");
    }
    Ok(Speed { events, open: Figure::new(open), walk: Figure::new(walk), account: Figure::new(account) })
}

/// Records by turns on all cores until each has come round to its first sub-buffer, and stops them in order.
fn fill<C: Crc32c>(region: &Region, geometry: Geometry, clock: Counter, crc: C) {
    boot(region, geometry, &clock);
    let payload = [0xa5; 256];
    let writers: Vec<HeapWriter<'_, C>> =
        (0..CORES).map(|core| writer(region, geometry, core, clock, crc)).collect();
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
