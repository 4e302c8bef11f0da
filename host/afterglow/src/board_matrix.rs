//! `afterglow matrix`: what was run of each board, here and now, in QEMU; and what only somebody with the board can run. Each
//! cell of the table is read from a run of this very command.

use crate::stop_matrix::{progress, shown};
use anyhow::{Context, Result, ensure};
use campaign::lane::{self, Lane};
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use qemu::console::tables;
use qemu::stop_matrix::{self, CORES, Kind, MACHINES, Means};
use qemu::{Board, Image, Outcome};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The exit status when a cell failed.
const FAILED: u8 = 1;
/// Longest that one run may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The words over the columns.
const HEAD: [&str; 9] = ["board", "in QEMU", "boots", "cores", "stop by", "clean", "reset", "loop", "on the board"];

/// Runs what there is of each board in QEMU, and shows it as a table that Markdown shows too
#[derive(Debug, Args)]
pub(crate) struct BoardMatrix {
    /// The kernel: an ELF file
    kernel: PathBuf,

    /// Crashes of each machine's loop with a cache that loses
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    crashes: u64,

    /// Only machines whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// What the main job on a machine said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// The exception level that it was entered at.
    entry: String,
    /// Cores that ran.
    cores: usize,
    /// The instruction that cleaned.
    clean: String,
    /// The way that it was reset by.
    reset: String,
}

impl Told {
    /// From the console of a run that did the whole main job.
    ///
    /// # Errors
    /// It did not, or does not say so.
    fn read(outcome: &Outcome) -> Result<Self> {
        outcome.expect_exit(0)?;
        Self::of(&outcome.console).with_context(|| outcome.story())
    }

    fn of(console: &str) -> Result<Self> {
        let word = |before: &str, behind: &str| {
            let line = console.lines().find_map(|line| line.split_once(before));
            let word = line.map(|(_, rest)| rest.split_once(behind).map_or(rest, |(word, _)| word).to_owned());
            word.with_context(|| format!("it does not say \"{before}...\""))
        };
        let tables = tables(console);
        let is_whole = |account: &qemu::console::Account| account.sum_holds() && account.damaged == 0;
        ensure!(
            tables.len() == 1 && tables.iter().all(|table| table.accounts.iter().all(is_whole)),
            "the dump is not whole"
        );
        Ok(Self {
            entry: word("  entry      ", " at ")?,
            cores: tables.iter().map(|table| table.accounts.iter().filter(|a| a.recovered > 0).count()).sum(),
            clean: word(" cache lines by ", " in ")?,
            reset: word("reset: asking for it by ", "\n")?,
        })
    }
}

/// What a board is, and where a person finds how to run it there.
struct OnBoard {
    name: &'static str,
    there: &'static str,
}

/// Which board a machine of QEMU's stands for.
fn board(kind: &Kind) -> OnBoard {
    let (name, there) = match kind.board() {
        Board::Raspi4b => ("Raspberry Pi 4", "not run: boards/docs/rpi4.md"),
        Board::Raspi3b => ("Raspberry Pi 3", "not run: boards/docs/rpi3.md"),
        Board::Virt if kind.name.contains("Raspberry Pi 5") => ("Raspberry Pi 5", "not run: boards/docs/rpi5.md"),
        Board::Virt => ("QEMU virt", "is QEMU"),
    };
    OnBoard { name, there }
}

impl BoardMatrix {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let kernel = Image::load(&self.kernel)?;
        let kinds: Vec<&'static Kind> = MACHINES.iter().filter(|kind| kind.name.contains(&self.only)).collect();
        let names = || MACHINES.map(|kind| kind.name).join("; ");
        ensure!(!kinds.is_empty(), "no machine is called {:?}: {}", self.only, names());
        let rows = stop_matrix::all(&kinds, |done, of| progress("machines", done, of), |kind| self.row(kind, &kernel));
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(HEAD);
        let mut failures = Vec::new();
        for (cells, failed) in rows {
            table.add_row(cells);
            failures.extend(failed);
        }
        let mut out = std::io::stdout();
        writeln!(out, "{}", table.trim_fmt())?;
        for failure in &failures {
            eprintln!("\n{}", shown(failure));
        }
        Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// A row, and what failed in it.
    fn row(&self, kind: &'static Kind, kernel: &Image) -> (Vec<String>, Vec<anyhow::Error>) {
        let mut failures = Vec::new();
        let mut cell = |result: Result<String>| {
            result.unwrap_or_else(|error| {
                failures.push(error.context(kind.name));
                "FAILED".into()
            })
        };
        let OnBoard { name, there } = board(kind);
        let told = kind.machine(kernel, "events=2000 tail=0").run(PATIENCE).and_then(|outcome| Told::read(&outcome));
        let [boots, cores, clean, reset] = match told {
            Ok(told) => [told.entry, told.cores.to_string(), told.clean, told.reset],
            Err(error) => [cell(Err(error)), "-".into(), "-".into(), "-".into()],
        };
        let stops: Vec<String> = kind.means.iter().map(|means| cell(stops_by(kind, *means, kernel))).collect();
        let crashes = cell(self.crash(kind, kernel));
        let there = there.to_owned();
        (
            vec![name.to_owned(), kind.name.to_owned(), boots, cores, stops.join(", "), clean, reset, crashes, there],
            failures,
        )
    }

    /// The loop with a cache that loses half of what was not cleaned.
    fn crash(&self, kind: &'static Kind, kernel: &Image) -> Result<String> {
        let lane = Lane { machine: kind.name, evict: 50, crashes: self.crashes, ..Lane::default() };
        let mut held = 0;
        let mut bad = None;
        lane::run(&lane, kernel, &mut |crashed| {
            if crashed.verdict.violations.is_empty() {
                held += 1;
                return ControlFlow::Continue(());
            }
            bad = Some(format!("{:?}\n{}", crashed.verdict.violations, crashed.told));
            ControlFlow::Break(())
        })?;
        match bad {
            Some(bad) => anyhow::bail!("lost what had to survive: {bad}"),
            None => Ok(format!("{held} of {}", self.crashes)),
        }
    }
}

/// The main job with this means, forced: all other cores stand still by it.
fn stops_by(kind: &Kind, means: Means, kernel: &Image) -> Result<String> {
    let name = kind.says(means);
    let outcome = kind.machine(kernel, &format!("events=500 tail=0 stop={}", means.word())).run(PATIENCE)?;
    Told::read(&outcome)?;
    let stopped = outcome.console.matches(&format!(" was stopped by {name} at ")).count();
    ensure!(stopped == CORES as usize - 1, "{stopped} cores were stopped by {name}\n{}", outcome.story());
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "
  entry      EL2 at 0x200000, no PSCI
panic: cleaned 1283 cache lines by DC CVAC in 633 us
reset: asking for it by watchdog
crash in bank 0:
boot 1 panicked on core 0 at     0.123456
  core  attempted  recovered  overwritten  damaged  unfinished  dropped  sum
     0        123         10          113        0           0        0  holds
     1          7          7            0        0           0        0  holds
";

    #[test]
    fn a_console_says_how_the_main_job_went() {
        let told = Told::of(CONSOLE).unwrap();
        let [entry, clean, reset] = ["EL2", "DC CVAC", "watchdog"].map(str::to_owned);
        assert_eq!(told, Told { entry, cores: 2, clean, reset });
    }

    #[test]
    fn a_damaged_dump_is_a_failure_and_so_is_silence() {
        let damaged = CONSOLE.replace("113        0 ", "112        1 ");
        assert!(Told::of(&damaged).unwrap_err().to_string().contains("not whole"));
        let silent = CONSOLE.replace("reset: asking", "reset: wishing");
        assert!(Told::of(&silent).unwrap_err().to_string().contains("reset: asking"));
    }
}
