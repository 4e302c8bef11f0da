//! A real board at a serial port. How far it is goes to the standard error, the report to the standard output.

use super::Survey;
use anyhow::{Context, Result};
use serde_json::json;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use survey::Ending;
use survey::serial::{Options, Seen, run};
use survey::watch::Step;

/// The status of a command that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Listens until the report is there, or there will be none.
pub(super) fn listen(wishes: &Survey, device: &Path) -> Result<ExitCode> {
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("SIGINT cannot be heard")?;
    let options = Options { baud: wishes.baud, silence: Duration::from_secs(wishes.silence), ..Options::default() };
    let begin = Instant::now();
    let mut progress = std::io::stderr().lock();
    // Nothing is lost where nobody wants to know how far it is.
    let _ = writeln!(progress, "listening to {} at {} baud: switch the board on", device.display(), wishes.baud);
    let found = run(device, &options, &mut |seen| {
        let told = match seen {
            Seen::Line(line) if wishes.console => writeln!(progress, "  | {line}"),
            Seen::Step(step) => writeln!(progress, "{:>6.1} s  {}", begin.elapsed().as_secs_f64(), words(step)),
            _ => Ok(()),
        };
        let stop = told.is_err() || STOP.load(Ordering::Relaxed);
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    wishes.show(&found, json!({ "seconds": begin.elapsed().as_secs_f64() }))?;
    let status = if found.ending == Ending::Stopped { INTERRUPTED } else { found.status() };
    Ok(ExitCode::from(status))
}

fn words(step: &Step) -> String {
    match step {
        Step::Begins(rounds) => format!("a survey of {rounds} rounds begins: memory is filled"),
        Step::Asks(round, rounds, number, by, filled) => {
            let filled = filled.as_secs_f64();
            format!("round {round} of {rounds}: filled in {filled:.1} s, reset {number} by {}", by.name())
        }
        Step::Checked(number, by, took, gone, of) => {
            let took =
                took.map_or(String::new(), |took| format!(", booted and checked in {:.1} s", took.as_secs_f64()));
            format!("after reset {number} by {}{took}: {gone} of {of} lines are gone", by.name())
        }
        Step::CutShort(boot) => {
            format!("boot {boot} ended before the reset that it was to make: its fill and its reset are done again")
        }
        Step::Again => "the survey begins again: was its power cut?".into(),
        Step::Reports => "the report".into(),
    }
}
