//! `afterglow matrix`: what was run of each board, here and now, in QEMU; and what only somebody with the board can run. Each
//! cell of the table is read from a run of this very command.

use crate::stop_matrix::{progress, shown};
use anyhow::{Context, Result, ensure};
use campaign::lane::{self, Lane};
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use qemu::console::{Account, tables};
use qemu::stop_matrix::{self, CORES, Kind, MACHINES, Means};
use qemu::{Board, Image, Outcome, uboot};
use sdcard::{Card, Order, assemble};
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
const HEAD: [&str; 10] =
    ["board", "in QEMU", "boots", "cores", "stop by", "clean", "reset", "survey", "loop", "on the board"];
/// Crashes of a loop through a boot loader, which takes its seconds for each.
const SLOW_CRASHES: u64 = 5;
/// Where the region is that a boot loader's script names.
const REGION: (u64, u64) = (0x5000_0000, 8 << 20);

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
        ensure!(
            tables.len() == 1 && tables.iter().all(|table| table.accounts.iter().all(Account::is_whole)),
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

/// A row: a machine, and how it gets its kernel.
#[derive(Clone, Copy, Debug)]
enum Row {
    /// By QEMU.
    Kind(&'static Kind),
    /// By U-Boot from a card.
    UBoot,
}

impl Row {
    fn all() -> impl Iterator<Item = Self> {
        MACHINES.iter().map(Self::Kind).chain([Self::UBoot])
    }

    /// In QEMU.
    fn name(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.name,
            Self::UBoot => "virt, U-Boot, a card",
        }
    }

    /// Which board it stands for, and where a person finds how to run it there.
    fn board(self) -> (&'static str, &'static str) {
        match self {
            Self::UBoot => ("any with U-Boot", "not run: boards/docs/generic.md"),
            Self::Kind(kind) => match kind.board() {
                Board::Raspi3b => ("Raspberry Pi 3", "not run: boards/docs/rpi3.md"),
                Board::Raspi4b => ("Raspberry Pi 4", "not run: boards/docs/rpi4.md"),
                Board::Virt if kind.name.contains("Raspberry Pi 5") => {
                    ("Raspberry Pi 5", "not run: boards/docs/rpi5.md")
                }
                Board::Virt => ("QEMU virt", "is QEMU"),
            },
        }
    }

    /// What is told of its means of stop. U-Boot's machine is QEMU's `virt` as it comes.
    fn kind(self) -> &'static Kind {
        match self {
            Self::Kind(kind) => kind,
            Self::UBoot => &MACHINES[1],
        }
    }

    /// Runs it with these words on the kernel's command line.
    fn run(self, kernel: &Image, arguments: &str) -> Result<Outcome> {
        match self {
            Self::Kind(kind) => kind.machine(kernel, arguments).run(PATIENCE),
            Self::UBoot => {
                let order = Order {
                    board: sdcard::Board::by_id("generic").context("no such card")?,
                    kernel: kernel.bytes().to_vec(),
                    firmware: None,
                    append: Some(arguments.into()),
                    region: Some(REGION),
                    tree: None,
                };
                let file = tempfile::NamedTempFile::new()?;
                Card::new(&assemble(&order)?.files)?.save(file.path())?;
                uboot::machine(file.path())?.run(PATIENCE)
            }
        }
    }

    /// The main job with this means, forced: all other cores stand still by it.
    fn stops_by(self, means: Means, kernel: &Image) -> Result<String> {
        let name = self.kind().says(means);
        let outcome = self.run(kernel, &format!("events=500 tail=0 stop={}", means.word()))?;
        Told::read(&outcome)?;
        let stopped = outcome.console.matches(&format!(" was stopped by {name} at ")).count();
        ensure!(stopped == CORES as usize - 1, "{stopped} cores were stopped by {name}\n{}", outcome.story());
        Ok(name.to_owned())
    }

    /// A round of the survey: how many resets there were, and what it recommends.
    fn survey(self, kernel: &Image) -> Result<String> {
        let outcome = self.run(kernel, "survey=1 quiet")?;
        outcome.expect_exit(0)?;
        surveyed(&outcome.console).with_context(|| outcome.story())
    }

    /// The loop with a cache that loses half of what was not cleaned; where the plugin cannot start the kernel, without it.
    fn crash(self, kernel: &Image, crashes: u64) -> Result<String> {
        let Self::Kind(kind) = self else {
            let outcome = self.run(kernel, &format!("cycles={SLOW_CRASHES} events=1000 tail=0"))?;
            outcome.expect_exit(0)?;
            let tables = tables(&outcome.console);
            let whole = tables.iter().filter(|table| table.accounts.iter().all(Account::is_whole)).count();
            ensure!(whole as u64 == SLOW_CRASHES, "{whole} of {SLOW_CRASHES} were told whole\n{}", outcome.story());
            return Ok(format!("{whole} of {SLOW_CRASHES}, cache kept"));
        };
        let lane = Lane { machine: kind.name, evict: 50, crashes, ..Lane::default() };
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
            None => Ok(format!("{held} of {crashes}")),
        }
    }
}

/// From a survey's report.
fn surveyed(console: &str) -> Result<String> {
    let report = survey::serial::read(console.as_bytes()).report;
    let title = report.title.context("no report")?;
    let place = report.recommended.flatten().context("no place is recommended")?;
    Ok(format!("{} resets, {:#x}", title.resets, place.range.first))
}

impl BoardMatrix {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let kernel = Image::load(&self.kernel)?;
        let rows: Vec<Row> = Row::all().filter(|row| row.name().contains(&self.only)).collect();
        let names = || Row::all().map(Row::name).collect::<Vec<_>>().join("; ");
        ensure!(!rows.is_empty(), "no machine is called {:?}: {}", self.only, names());
        let rows = stop_matrix::all(&rows, |done, of| progress("machines", done, of), |row| self.row(*row, &kernel));
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

    /// A row's cells, and what failed in it.
    fn row(&self, row: Row, kernel: &Image) -> (Vec<String>, Vec<anyhow::Error>) {
        let mut failures = Vec::new();
        let mut cell = |result: Result<String>| {
            result.unwrap_or_else(|error| {
                failures.push(error.context(row.name()));
                "FAILED".into()
            })
        };
        let told = row.run(kernel, "events=2000 tail=0").and_then(|outcome| Told::read(&outcome));
        let [boots, cores, clean, reset] = match told {
            Ok(told) => [told.entry, told.cores.to_string(), told.clean, told.reset],
            Err(error) => [cell(Err(error)), "-".into(), "-".into(), "-".into()],
        };
        let stops: Vec<String> = row.kind().means.iter().map(|means| cell(row.stops_by(*means, kernel))).collect();
        let survey = cell(row.survey(kernel));
        let crashes = cell(row.crash(kernel, self.crashes));
        let (board, there) = row.board();
        let [board, name, there] = [board, row.name(), there].map(str::to_owned);
        (vec![board, name, boots, cores, stops.join(", "), clean, reset, survey, crashes, there], failures)
    }
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
    fn a_survey_says_how_many_resets_and_which_place() {
        let report = "survey: report, 1 rounds, 2 resets, the region itself was lost 0 times\n";
        let place =
            "survey: recommended for the region: 0x21600000-0x21dfffff (8 MiB), kept by all ways in all rounds\n";
        assert_eq!(surveyed(&format!("x\n{report}{place}")).unwrap(), "2 resets, 0x21600000");
        assert!(surveyed(report).is_err() && surveyed(place).is_err());
    }

    #[test]
    fn a_damaged_dump_is_a_failure_and_so_is_silence() {
        let damaged = CONSOLE.replace("113        0 ", "112        1 ");
        assert!(Told::of(&damaged).unwrap_err().to_string().contains("not whole"));
        let silent = CONSOLE.replace("reset: asking", "reset: wishing");
        assert!(Told::of(&silent).unwrap_err().to_string().contains("reset: asking"));
    }
}
