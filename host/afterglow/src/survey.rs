//! `afterglow survey`: which RAM survives which reset, on a board at a serial port, or in QEMU with a cache that loses.

mod board;
mod emulated;
mod stored;

use crate::boot::BoardName;
use crate::style::{Out, Style};
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;
use qemu::Board;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use survey::draw::Ink;
use survey::model::By;
use survey::watch::Found;

/// Surveys which RAM survives which reset, and draws a map of it: on a real board, or in QEMU.
///
/// With --serial it listens to a board that boots with `survey=3` on the kernel's command line. With a kernel it runs QEMU; on
/// virt the machine's cache loses what was not cleaned, and the report is compared with what was done to memory. With --image it
/// shows what a survey has left in a region or an image of RAM, also one that did not come to its end.
/// Exit status: 0 RAM keeps a region, and a place is recommended; 1 it does not, bits turned over, or (in QEMU) the report is not
/// what was done; 125 nobody can say: no survey, no report, a failure of the command itself; 130 interrupted.
#[derive(Debug, Args)]
pub(crate) struct Survey {
    /// The kernel: an ELF file or an arm64 Image. Not wanted with --serial and --image
    #[arg(required_unless_present_any = ["serial", "image"], conflicts_with_all = ["serial", "image"])]
    kernel: Option<PathBuf>,

    /// A region, or an image of RAM, in which a survey keeps its state
    #[arg(long, value_name = "FILE", conflicts_with = "serial")]
    image: Option<PathBuf>,

    /// A real board on this serial port, or a recording of its console
    #[arg(long, value_name = "DEVICE")]
    serial: Option<PathBuf>,

    /// Speed of the serial port
    #[arg(long, default_value_t = 115_200, requires = "serial")]
    baud: u32,

    /// With --serial: a board that says nothing readable for so many seconds has failed
    #[arg(long, default_value_t = 300, value_name = "SECONDS", requires = "serial", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    silence: u64,

    /// The machine; only the cache of virt loses
    #[arg(long, default_value = "virt", value_enum)]
    board: BoardName,

    /// Rounds, each by every way to reset
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Ways to reset that are left out: psci-warm, psci, watchdog, panic
    #[arg(long, value_delimiter = ',', value_name = "WAYS", value_parser = PossibleValuesParser::new(By::all().map(By::word)))]
    without: Vec<String>,

    /// Size of RAM, on virt
    #[arg(long, default_value = "128M", value_parser = qemu::parse_size)]
    memory: u64,

    /// Percent of dirty lines that are in memory by chance, on virt
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    evict: u32,

    /// Bits that turn over at each reset, in a thousand million, on virt
    #[arg(long, default_value_t = 10)]
    flips: u64,

    /// Of all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Seconds until QEMU is ended
    #[arg(long, default_value_t = 300)]
    timeout: u64,

    /// Shows the console too
    #[arg(long)]
    console: bool,

    /// One JSON object instead of the map
    #[arg(long)]
    json: bool,
}

impl Survey {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        if let Some(image) = &self.image {
            return stored::show(self, image);
        }
        if let Some(device) = &self.serial {
            return board::listen(self, device);
        }
        let kernel = qemu::Image::load(self.kernel.as_deref().context("which kernel?")?)?;
        match self.board.board() {
            Board::Virt => emulated::losing(self, &kernel),
            board => emulated::plain(self, &kernel, board),
        }
    }

    /// The kernel's arguments for this.
    fn arguments(&self) -> String {
        let without = if self.without.is_empty() { "none".to_owned() } else { self.without.join(",") };
        format!("survey={} survey_without={without} terse seed={}", self.rounds, self.seed)
    }

    /// Shows what was found, with more for whoever wants JSON.
    fn show(&self, found: &Found, more: Value) -> Result<()> {
        let mut out = Out::new();
        if self.json {
            let report = &found.report;
            let mut all = json!({
                "ending": found.ending.to_string(),
                "report": report,
                "troubles": report.troubles(),
                "unread": found.unread,
            });
            if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
                all.extend(more);
            }
            out.plain(&format!("{all}\n"));
        } else {
            for (ink, text) in survey::draw::draw(found) {
                out.style(style(ink), &text);
            }
        }
        out.flush().context("nobody reads what is shown")
    }
}

fn style(ink: Ink) -> Style {
    match ink {
        Ink::Plain => Style::Plain,
        Ink::Strong => Style::Strong,
        Ink::Faint => Style::Faint,
        Ink::Good => Style::Good,
        Ink::Warning => Style::Warning,
        Ink::Bad => Style::Bad,
    }
}
