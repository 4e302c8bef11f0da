//! Whether two cores record twice as much as one: each has its own ring in one bank, and they share no line.
//!
//! Events per second are by the clock on the wall, so on a machine that does something else as well two threads may have to
//! wait for a processor. What an event costs its thread, in processor time, tells whether the two are in each other's way.

use crate::clock::Counter;
use crate::heap::Region;
use crate::rounds::{Contender, Figure, Plan, interleaved, processor_time};
use crate::setting::{HeapWriter, Words, boot, geometry, writer};
use crate::table::table;
use anyhow::Result;
use ring::check::Crc32c;
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::yield_now;
use std::time::Duration;

const CORES: u32 = 2;
/// What each core's ring holds, in bytes.
const RING: u64 = 1 << 20;
/// A batch is so many times longer than elsewhere: threads do not begin at the same moment.
const LONGER: u32 = 5;

/// Prints the table.
pub(crate) fn report<C: Crc32c<Direct: Send> + Send>(plan: &Plan, clock: Counter, crc: C) -> Result<()> {
    let plan = Plan { batch: plan.batch * LONGER, ..*plan };
    let geometry = geometry(CORES, RING);
    let regions = [(); 2].map(|()| Region::new(geometry.region_size));
    for region in &regions {
        boot(region, geometry, &clock);
    }
    let alone = RefCell::new(vec![writer(&regions[0], geometry, 0, clock, crc)]);
    let pair = RefCell::new((0..CORES).map(|core| writer(&regions[1], geometry, core, clock, crc)).collect::<Vec<_>>());
    let contender = |writers, measure: fn() -> Duration| {
        let writers: &RefCell<Vec<HeapWriter<'_, C>>> = writers;
        Contender::of(move |events| Ok(record_on_each(&mut writers.borrow_mut(), events, measure)))
    };
    let mut contenders = [
        contender(&alone, wall_time),
        contender(&pair, wall_time),
        contender(&alone, processor_time),
        contender(&pair, processor_time),
    ];
    let figures = interleaved(&plan, &mut contenders)?;
    let [one, two, one_costs, two_cost] = &figures[..] else { unreachable!("one figure a contender") };
    println!(
        "\nevents of 16 bytes, each thread with its own core's ring of 1 MiB in one bank; median (worst..best batch):"
    );
    let head = ["threads", "million events/s", "factor", "ns of processor time per event"];
    // Each thread records as many events as the one alone.
    let factor = format!("{:.2} (best {:.2})", 2.0 * one.by(two), 2.0 * one.min() / two.min());
    let cost = |figure: &Figure| format!("{:.1} ({:.1}..{:.1})", figure.median(), figure.max(), figure.min());
    let rows = [
        vec!["1".into(), rate(one, 1.0), "1.00".into(), cost(one_costs)],
        vec!["2".into(), rate(two, 2.0), factor, cost(two_cost)],
    ];
    println!("{}", table(&head, &rows));
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("this machine has one processor: two threads take turns on it");
    }
    Ok(())
}

fn rate(figure: &Figure, threads: f64) -> String {
    let millions = |ns: f64| threads * 1e3 / ns;
    format!("{:.1} ({:.1}..{:.1})", millions(figure.median()), millions(figure.max()), millions(figure.min()))
}

fn wall_time() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Records so many events with each writer, each on a thread of its own; returns what the slowest took, as it measures it.
fn record_on_each<C: Crc32c<Direct: Send> + Send>(
    writers: &mut [HeapWriter<'_, C>],
    events: u64,
    measure: fn() -> Duration,
) -> Duration {
    let waiting = AtomicUsize::new(writers.len());
    let payload = [0x0123_4567_89ab_cdef, 42];
    std::thread::scope(|scope| {
        let threads: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                let (waiting, payload) = (&waiting, &payload);
                scope.spawn(move || {
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    while waiting.load(Ordering::Relaxed) > 0 {
                        yield_now();
                    }
                    let start = measure();
                    for _ in 0..events {
                        let (writer, payload) = black_box((&*writer, payload));
                        let _ = black_box(writer.record(&Words(payload)));
                    }
                    measure() - start
                })
            })
            .collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("recording does not panic"));
        times.max().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::View;
    use ring::check::Table;
    use ring::format::LINE_SIZE;
    use ring::seams::{Memory, Persist};
    use ring::writer::{Mode, Target, Writer};
    use std::collections::BTreeSet;

    /// A region that knows which of its cache lines were written.
    struct Watched<'r> {
        view: View<'r>,
        written: RefCell<BTreeSet<u64>>,
    }

    impl Watched<'_> {
        fn note(&self, at: u64, size: u64) {
            self.written.borrow_mut().extend(at / LINE_SIZE..=(at + size - 1) / LINE_SIZE);
        }
    }

    impl Memory for Watched<'_> {
        fn load_u32(&self, at: u64) -> u32 {
            self.view.load_u32(at)
        }
        fn load_u64(&self, at: u64) -> u64 {
            self.view.load_u64(at)
        }
        fn store_u32(&self, at: u64, value: u32) {
            self.note(at, 4);
            self.view.store_u32(at, value);
        }
        fn store_u64(&self, at: u64, value: u64) {
            self.note(at, 8);
            self.view.store_u64(at, value);
        }
        fn publish_u64(&self, at: u64, value: u64) {
            self.note(at, 8);
            self.view.publish_u64(at, value);
        }
        fn address(&self, at: u64) -> u64 {
            self.view.address(at)
        }
    }

    impl Persist for Watched<'_> {
        fn clean(&self, at: u64, size: u64) -> u64 {
            self.view.clean(at, size)
        }
        fn complete(&self) {}
    }

    #[test]
    fn two_cores_that_record_write_no_common_cache_line() {
        let geometry = geometry(CORES, 16 << 10);
        let region = Region::new(geometry.region_size);
        let clock = Counter::calibrated();
        boot(&region, geometry, &clock);
        // From the first sub-buffer through more than a lap to the last counters.
        let written_by = |core| {
            let watched = Watched { view: region.view(), written: RefCell::default() };
            let target = Target { geometry, bank: 0, boot_id: 1, core };
            let writer = Writer::new(&watched, clock, Table, target, Mode::default());
            while writer.counters().sequence <= geometry.ring() {
                writer.record(&Words(&[1, 2])).unwrap();
            }
            writer.close();
            watched.written.into_inner()
        };
        let lines = [0, 1].map(written_by);
        assert!(lines.iter().all(|lines| lines.len() as u64 * LINE_SIZE > geometry.ring() * 4000));
        assert_eq!(lines[0].intersection(&lines[1]).collect::<Vec<_>>(), Vec::<&u64>::new());
    }

    #[test]
    fn two_writers_side_by_side_share_no_cache_line() {
        let geometry = geometry(CORES, 16 << 10);
        let region = Region::new(geometry.region_size);
        let clock = Counter::calibrated();
        boot(&region, geometry, &clock);
        let pair = [0, 1].map(|core| writer(&region, geometry, core, clock, Table));
        // Processors fetch lines in pairs.
        let pairs_of_lines = |writer: &HeapWriter<'_, Table>| {
            let start = std::ptr::from_ref(writer).addr();
            (start / 128, (start + size_of_val(writer) - 1) / 128)
        };
        assert!(pairs_of_lines(&pair[0]).1 < pairs_of_lines(&pair[1]).0);
    }

    #[test]
    fn every_thread_records_every_event() {
        let geometry = geometry(CORES, 16 << 10);
        let region = Region::new(geometry.region_size);
        let clock = Counter::calibrated();
        boot(&region, geometry, &clock);
        let mut pair = [0, 1].map(|core| writer(&region, geometry, core, clock, Table));
        record_on_each(&mut pair, 1000, wall_time);
        assert_eq!(pair.map(|writer| writer.counters().reserved), [1000; 2]);
    }
}
