//! A board in QEMU that surveys.

use super::Survey;
use crate::terminal::Filter;
use anyhow::{Result, ensure};
use qemu::{Board, Image, Machine, Overlay, Status};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;
use survey::serial::read;

/// On virt, where the cache loses, and the report is compared with what was done.
pub(super) fn losing(wishes: &Survey, kernel: &Image) -> Result<ExitCode> {
    let done = qemu::survey::Survey {
        rounds: wishes.rounds,
        memory: wishes.memory,
        evict: wishes.evict,
        flips: wishes.flips,
        seed: wishes.seed,
        limit: Duration::from_secs(wishes.timeout),
    };
    let surveyed = done.run(kernel)?;
    let console = whole(&surveyed.console);
    show_console(wishes, console);
    let found = read(console.as_bytes());
    let resets: Vec<_> = surveyed
        .resets
        .iter()
        .map(|(counts, time)| json!({ "counts": counts, "seconds": time.as_secs_f64() }))
        .collect();
    wishes.show(&found, json!({ "resets": resets, "differences": surveyed.differences }))?;
    let (count, differences) = (surveyed.resets.len(), &surveyed.differences);
    if !wishes.json {
        for (number, (_, time)) in (1..).zip(&surveyed.resets) {
            println!("up to reset {number}: {:.1} s", time.as_secs_f64());
        }
        differences.iter().for_each(|difference| println!("difference: {difference}"));
        match differences.len() {
            0 => println!("{count} resets: the kernel's report is exactly what was done"),
            n => println!("{count} resets: {n} differences"),
        }
    }
    // Bits are turned over on purpose here, so that they are no failure.
    let good = differences.is_empty() && count > 0 && surveyed.status != Status::TimedOut;
    let told = found.report.missing().is_empty() && matches!(found.report.recommended, Some(Some(_)));
    Ok(if good && told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On a board whose memory QEMU keeps as it is: what its boot writes again is found.
pub(super) fn plain(wishes: &Survey, kernel: &Image, board: Board) -> Result<ExitCode> {
    let machine = Machine::new(board).kernel(kernel).overlay(Overlay::region_of(board));
    let append = format!("survey={} terse seed={}", wishes.rounds, wishes.seed);
    let outcome = machine.append(&append).run(Duration::from_secs(wishes.timeout))?;
    show_console(wishes, &outcome.console);
    ensure!(
        outcome.status != Status::TimedOut,
        "no end after {} s, so QEMU was ended: --timeout gives it more time, --console shows how far it came",
        wishes.timeout
    );
    let found = read(outcome.console.as_bytes());
    wishes.show(&found, json!({}))?;
    Ok(ExitCode::from(found.status()))
}

/// The console from the last beginning of the survey: what was read while it ran may stand before the whole of it.
fn whole(console: &str) -> &str {
    let begin = console.rfind(" rounds, seed 0x").and_then(|at| console[..at].rfind('\n'));
    begin.map_or(console, |at| &console[at + 1..])
}

fn show_console(wishes: &Survey, console: &str) {
    if wishes.console {
        let mut filter = Filter::default();
        eprintln!("{}{}", filter.pass(console.as_bytes()), filter.finish());
    }
}
