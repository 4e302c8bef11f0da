//! A board in QEMU that surveys.

use super::Survey;
use crate::terminal::Filter;
use anyhow::{Result, ensure};
use qemu::{Board, Image, Machine, Overlay, Status};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use survey::injected::{Injected, Surveyed};
use survey::model::counters;
use survey::serial::read;

/// On virt, where the cache loses, and the report is compared with what was done.
pub(super) fn losing(wishes: &Survey, kernel: &Image) -> Result<ExitCode> {
    let done = Injected {
        append: wishes.arguments(),
        memory: wishes.memory,
        evict: wishes.evict,
        flips: wishes.flips,
        seed: wishes.seed,
        limit: Duration::from_secs(wishes.timeout),
    };
    let Surveyed { console, status, found, times, differences } = done.run(kernel)?;
    show_console(wishes, &console);
    let counts = found.report.checks.iter().map(|check| counters(&check.tally).into_iter().collect::<BTreeMap<_, _>>());
    let resets: Vec<_> =
        counts.zip(&times).map(|(counts, time)| json!({ "counts": counts, "seconds": time.as_secs_f64() })).collect();
    wishes.show(&found, json!({ "resets": resets, "differences": differences }))?;
    let count = times.len();
    if !wishes.json {
        for (number, time) in (1..).zip(&times) {
            println!("up to reset {number}: {:.1} s", time.as_secs_f64());
        }
        differences.iter().for_each(|difference| println!("difference: {difference}"));
        match differences.len() {
            0 => println!("{count} resets: the kernel's report is exactly what was done"),
            n => println!("{count} resets: {n} differences"),
        }
    }
    // Bits are turned over on purpose here, so that they are no failure.
    let good = differences.is_empty() && count > 0 && status != Status::TimedOut;
    let told = found.report.missing().is_empty() && matches!(found.report.recommended, Some(Some(_)));
    Ok(if good && told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On a board whose memory QEMU keeps as it is: what its boot writes again is found.
pub(super) fn plain(wishes: &Survey, kernel: &Image, board: Board) -> Result<ExitCode> {
    let machine = Machine::new(board).kernel(kernel).overlay(Overlay::region_of(board));
    let outcome = machine.append(&wishes.arguments()).run(Duration::from_secs(wishes.timeout))?;
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

fn show_console(wishes: &Survey, console: &str) {
    if wishes.console {
        let mut filter = Filter::default();
        eprintln!("{}{}", filter.pass(console.as_bytes()), filter.finish());
    }
}
