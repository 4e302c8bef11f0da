//! `afterglow survey`: which RAM survives which reset, in QEMU with a cache that loses, compared with what was done.

use crate::terminal::Filter;
use anyhow::Result;
use clap::Args;
use qemu::Image;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Surveys which RAM survives which reset, in QEMU, and compares the report with what was done to memory.
///
/// On a real board it needs no host: boot with `survey=3` on the kernel's command line, and read its console.
#[derive(Debug, Args)]
pub(crate) struct Survey {
    /// The kernel: an ELF file or an arm64 Image
    kernel: PathBuf,

    /// Rounds, each by every way to reset
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Size of RAM
    #[arg(long, default_value = "128M", value_parser = qemu::parse_size)]
    memory: u64,

    /// Percent of dirty lines that are in memory by chance
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    evict: u32,

    /// Bits that turn over at each reset, in a thousand million
    #[arg(long, default_value_t = 10)]
    flips: u64,

    /// Of all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Seconds until QEMU is ended
    #[arg(long, default_value_t = 300)]
    timeout: u64,

    /// One JSON object instead of the console
    #[arg(long)]
    json: bool,
}

impl Survey {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let survey = qemu::survey::Survey {
            rounds: self.rounds,
            memory: self.memory,
            evict: self.evict,
            flips: self.flips,
            seed: self.seed,
            limit: Duration::from_secs(self.timeout),
        };
        let surveyed = survey.run(&Image::load(&self.kernel)?)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            let resets: Vec<_> = surveyed
                .resets
                .iter()
                .map(|(counts, time)| serde_json::json!({ "counts": counts, "seconds": time.as_secs_f64() }))
                .collect();
            let all = serde_json::json!({ "resets": resets, "differences": surveyed.differences });
            writeln!(out, "{all}")?;
        } else {
            let mut filter = Filter::default();
            let shown = filter.pass(surveyed.console.as_bytes()) + &filter.finish();
            for line in shown.lines() {
                writeln!(out, "{line}")?;
            }
            for (number, (_, time)) in (1..).zip(&surveyed.resets) {
                writeln!(out, "up to reset {number}: {:.1} s", time.as_secs_f64())?;
            }
            for difference in &surveyed.differences {
                writeln!(out, "difference: {difference}")?;
            }
            let resets = surveyed.resets.len();
            match surveyed.differences.len() {
                0 => writeln!(out, "{resets} resets: the kernel's report is exactly what was done")?,
                n => writeln!(out, "{resets} resets: {n} differences")?,
            }
        }
        let good = surveyed.differences.is_empty() && surveyed.status != qemu::Status::TimedOut;
        Ok(if good && !surveyed.resets.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
