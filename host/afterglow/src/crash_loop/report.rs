//! What the loop says in the end: a table for people, JUnit for CI, Markdown for its page.

use super::Outcome;
use anyhow::{Context, Result};
use campaign::lane::{Crashed, Lane};
use campaign::matrix::clean_word;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Everything that is added up over the crashes of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) crashes: u64,
    pub(crate) whole: u64,
    pub(crate) committed: u64,
    pub(crate) promised: u64,
    pub(crate) found: u64,
    pub(crate) lost: u64,
    pub(crate) violations: u64,
    pub(crate) useful: u64,
    pub(crate) redundant: u64,
    pub(crate) lines_lost: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, crashed: &Crashed) {
        let (verdict, counts) = (&crashed.verdict, &crashed.reset.counts);
        self.merge(&Self {
            crashes: 1,
            whole: u64::from(verdict.whole),
            committed: verdict.committed,
            promised: verdict.promised,
            found: verdict.found,
            lost: verdict.lost,
            violations: verdict.violations.len() as u64,
            useful: counts.useful,
            redundant: counts.redundant,
            lines_lost: counts.lost,
        });
    }

    fn merge(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.whole += other.whole;
        self.committed += other.committed;
        self.promised += other.promised;
        self.found += other.found;
        self.lost += other.lost;
        self.violations += other.violations;
        self.useful += other.useful;
        self.redundant += other.redundant;
        self.lines_lost += other.lines_lost;
    }
}

type Results = [(Lane, Outcome)];

const HEAD: [&str; 14] = [
    "machine",
    "stop",
    "end",
    "others",
    "clean",
    "evict",
    "crashes",
    "whole",
    "events",
    "promised",
    "lost",
    "bad",
    "lines cleaned",
    "lines lost",
];

/// A row for each lane.
pub(crate) fn table(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(HEAD);
    for (lane, Outcome { sum, failure, is_cut, .. }) in results {
        let bad = match (failure, is_cut) {
            (Some(_), _) => "FAILED".to_owned(),
            (None, true) => "cut short".into(),
            (None, false) => "0".into(),
        };
        let numbers = [sum.crashes, sum.whole, sum.committed, sum.promised, sum.lost].map(|number| number.to_string());
        let lines = [format!("{} + {}", sum.useful, sum.redundant), sum.lines_lost.to_string()];
        let what = [lane.machine, lane.stop].map(str::to_owned).into_iter();
        let what = what.chain([
            lane.end.to_string(),
            lane.others.into(),
            clean_word(lane.clean).into(),
            format!("{} %", lane.evict),
        ]);
        table.add_row(what.chain(numbers).chain([bad]).chain(lines));
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n", table.trim_fmt())
}

/// One line that says it all.
pub(crate) fn verdict(results: &Results) -> String {
    let mut all = Sum::default();
    results.iter().for_each(|(_, outcome)| all.merge(&outcome.sum));
    let failed = results.iter().filter(|(_, outcome)| outcome.failure.is_some()).count();
    let end = match failed {
        0 => "0 events lost that the mode promises, 0 invented".to_owned(),
        failed => format!("{failed} of {} lanes FAILED", results.len()),
    };
    format!(
        "{} crashes, {} events before them, {} promised, {} found: {end}\n(whole: panics that came to their end. lost: events that \
         the mode does not promise. lines cleaned: useful + redundant)",
        all.crashes, all.committed, all.promised, all.found
    )
}

/// A JUnit report: a suite for each machine, a case for each lane.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn junit(file: &Path, results: &Results, kernel: &Path) -> Result<()> {
    let mut report = Report::new("afterglow loop");
    let mut machines: Vec<&str> = Vec::new();
    for (lane, _) in results {
        if !machines.contains(&lane.machine) {
            machines.push(lane.machine);
        }
    }
    for machine in machines {
        let mut suite = TestSuite::new(machine);
        for (lane, outcome) in results.iter().filter(|(lane, _)| lane.machine == machine) {
            suite.add_test_case(case(lane, outcome, kernel));
        }
        report.add_test_suite(suite);
    }
    let text = report.to_string().context("the report cannot be written down")?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

fn case(lane: &Lane, outcome: &Outcome, kernel: &Path) -> TestCase {
    let status = match (&outcome.failure, outcome.is_cut) {
        (Some(failure), _) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(failure.why.first().cloned().unwrap_or_default());
            status.set_description(format!("{}\nagain: {}", failure.why.join("\n"), failure.command(kernel, lane)));
            status
        }
        (None, true) if outcome.sum.crashes == 0 => TestCaseStatus::skipped(),
        (None, _) => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(lane.to_string(), status);
    case.set_classname("afterglow.loop").set_time(outcome.duration);
    let Sum { crashes, committed, promised, found, lost, .. } = outcome.sum;
    case.set_system_out(format!(
        "{crashes} crashes, {committed} events before them, {promised} promised, {found} found, {lost} lost as the mode allows"
    ));
    case
}

/// Adds a summary to a file, as a CI page wants it.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn markdown(file: &Path, results: &Results, kernel: &Path) -> Result<()> {
    let sign = if results.iter().any(|(_, outcome)| outcome.failure.is_some()) { "failed" } else { "passed" };
    let mut text = format!(
        "## Crash loop: {sign}\n\n{}\n\n{}\n",
        verdict(results).lines().next().unwrap_or_default(),
        table(results)
    );
    for (lane, failure) in results.iter().filter_map(|(lane, outcome)| Some((lane, outcome.failure.as_ref()?))) {
        let why = failure.why.join("\n").replace("```", "'''");
        text.push_str(&format!("```text\n{lane}\n{why}\nagain: {}\n```\n", failure.command(kernel, lane)));
    }
    let opened = OpenOptions::new().append(true).create(true).open(file);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} cannot be written", file.display()))
}
