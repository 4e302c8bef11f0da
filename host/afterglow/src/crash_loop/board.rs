//! The loop over a real board's serial line: what the board itself says is all there is to judge by.

use super::{INTERRUPTED, LOST, Loop};
use anyhow::{Context, Result};
use campaign::serial::{self, Crash, Options, Run, Seen, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Watches a board until it has crashed often enough.
///
/// # Errors
/// The device cannot be opened, or a report cannot be written.
pub(super) fn watch(wishes: &Loop, device: &Path, stop: &AtomicBool) -> Result<ExitCode> {
    let cycles = wishes.crashes.unwrap_or(0);
    let options = Options { baud: wishes.baud, cycles, power: wishes.power.clone(), ..Options::default() };
    let deadline = wishes.time.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let run = serial::run(device, &options, &mut |seen| {
        if let Seen::Crash(crash) = seen {
            println!("{}", line(crash));
        }
        let is_over = stop.load(Ordering::Relaxed) || deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let text = summary(&run);
    println!("{text}");
    if let Some(file) = &wishes.junit {
        junit(file, device, &run)?;
    }
    if let Some(file) = &wishes.markdown {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
        let written =
            opened.and_then(|mut file| write!(file, "## Crash loop on {}\n\n```text\n{text}\n```\n", device.display()));
        written.with_context(|| format!("{} cannot be written", file.display()))?;
    }
    if !run.passed() {
        return Ok(ExitCode::from(LOST));
    }
    Ok(if stop.load(Ordering::Relaxed) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

fn line(crash: &Crash) -> String {
    let boot = crash.boot.map_or("a boot whose number cannot be read".into(), |boot| format!("boot {boot}"));
    format!("{boot}: {} events of {}: {}", crash.events, crash.attempted, crash.verdict)
}

fn summary(run: &Run) -> String {
    let counts = run.counts();
    let mut text = format!(
        "{} crashes: {} held, {} failed, {} unclear; {} events recovered; {} boots, {} of {} lines with noise, {} s\nit ended: {}",
        run.crashes.len(),
        counts.held,
        counts.failed,
        counts.unclear,
        counts.events,
        run.boots,
        run.noisy,
        run.lines,
        run.duration.as_secs(),
        run.end
    );
    for trouble in run.troubles() {
        text.push_str(&format!("\nFAILED: {trouble}"));
    }
    for line in run.end.last_lines() {
        text.push_str(&format!("\n  | {line}"));
    }
    text
}

fn junit(file: &Path, device: &Path, run: &Run) -> Result<()> {
    let mut suite = TestSuite::new(device.display().to_string());
    for (number, crash) in run.crashes.iter().enumerate() {
        let status = match &crash.verdict {
            Verdict::Held => TestCaseStatus::success(),
            Verdict::Failed(why) => failed(why, &crash.lines),
            Verdict::Unclear(_) => TestCaseStatus::skipped(),
        };
        let mut case = TestCase::new(format!("crash {}", number + 1), status);
        case.set_classname("afterglow.serial").set_system_out(line(crash));
        suite.add_test_case(case);
    }
    let troubles = run.troubles();
    let status = if troubles.is_empty() { TestCaseStatus::success() } else { failed(&troubles, run.end.last_lines()) };
    suite.add_test_case(TestCase::new("the run as a whole", status));
    let mut report = Report::new("afterglow loop");
    report.add_test_suite(suite);
    let text = report.to_string().context("the report cannot be written down")?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

fn failed(why: &[String], lines: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(why.join("; "));
    status.set_description(lines.join("\n"));
    status
}
