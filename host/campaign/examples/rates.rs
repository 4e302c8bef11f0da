//! What the plugin costs: crashes a second with it, and how fast events are recorded with it and without, in turns.

use anyhow::{Context, Result};
use cachesim::options::Options;
use campaign::lane::{Lane, run};
use qemu::{Image, Machine, Overlay, Threads};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const CRASHES: u64 = 500;
const EVENTS: u64 = 4_000_000;
const PATIENCE: Duration = Duration::from_secs(120);
const REGION: (u64, u64) = (0x5000_0000, 8 << 20);

fn main() -> Result<()> {
    let kernel = qemu::workspace::kernel()?;
    for evict in [0, 50, 100] {
        let begin = Instant::now();
        let mut violations = 0;
        let crashes = run(&Lane { crashes: CRASHES, evict, ..Lane::default() }, kernel, &mut |crashed| {
            violations += crashed.verdict.violations.len();
            ControlFlow::Continue(())
        })?;
        let rate = crashes as f64 / begin.elapsed().as_secs_f64();
        println!("evict={evict}: {crashes} crashes, {rate:.0} a second, {violations} violations");
    }
    for (name, threads) in [("one thread for all cores", Threads::Single), ("a thread for each core", Threads::Multi)] {
        let mut ratios: Vec<f64> = (0..ROUNDS)
            .map(|_| Ok(recording(kernel, threads, true)? / recording(kernel, threads, false)?))
            .collect::<Result<_>>()?;
        ratios.sort_by(f64::total_cmp);
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        println!(
            "an event takes {:+.1} % of its time more with the plugin ({:+.1} to {:+.1}), {ROUNDS} rounds, {name}",
            percent(ratios[ROUNDS / 2]),
            percent(ratios[0]),
            percent(ratios[ROUNDS - 1]),
        );
    }
    Ok(())
}

/// Seconds for an event.
fn recording(kernel: &Image, threads: Threads, losing: bool) -> Result<f64> {
    let machine = Machine::virt().kernel(kernel).overlay(Overlay::virt_region()).threads(threads);
    let machine = machine.append(&format!("events={EVENTS} tail=0"));
    let ram = machine.make_ram()?;
    let machine = machine.ram(&ram);
    let machine = if losing { machine.losing(Options { range: REGION, ..Options::default() }) } else { machine };
    let mut running = machine.start(PATIENCE)?;
    running.expect("then core 0 ends it", PATIENCE)?;
    let begin = Instant::now();
    let told = running.expect("\npanic: ", PATIENCE)?;
    let seconds = begin.elapsed().as_secs_f64();
    let events =
        told.lines().filter_map(|line| line.split_once(": ")?.1.split_once(" events recorded")?.0.parse::<u64>().ok());
    let events: u64 = events.sum();
    running.kill()?;
    (events > 0).then(|| seconds / events as f64).context("the kernel does not say how many events it has recorded")
}
