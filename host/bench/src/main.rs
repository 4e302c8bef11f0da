//! What recording and recovery cost on this host, in tables that anyone can print again.
//!
//! | what | where |
//! |---|---|
//! | the machine that the ring needs: memory, clock, check | [`heap`], [`clock`], [`crc`] |
//! | how a figure comes about: interleaved rounds, medians | [`rounds`] |
//! | what an event costs, beside a floor and beside others | [`mod@write`], [`floor`], [`rivals`], [`lttng`] |
//! | whether two cores record twice as much as one | [`scaling`] |
//! | how fast a region is recovered | [`recovery`] |

mod clock;
mod crc;
mod floor;
mod heap;
mod lttng;
mod recovery;
mod rivals;
mod rounds;
mod scaling;
mod setting;
mod table;
mod write;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use ring::check::{Crc32c, Table};
use rounds::{Contender, Plan};
use std::hint::black_box;

/// Measures the ring on this host.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// A few seconds instead of a minute: shows that everything runs; its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Only this part.
    #[arg(long)]
    only: Option<Part>,
    /// Leaves LTTng out: nothing outside of this process is started.
    #[arg(long)]
    no_lttng: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Write,
    Scaling,
    Recovery,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match crc::instruction() {
        Some(crc) => report(&cli, crc, crc::NAME),
        None => report(&cli, Table, "in software"),
    }
}

fn report<C: Crc32c<Direct: Send> + Send>(cli: &Cli, crc: C, crc_name: &str) -> Result<()> {
    let plan = if cli.quick { Plan::QUICK } else { Plan::FULL };
    let clock = clock::Counter::calibrated();
    let wanted = |part| cli.only.is_none_or(|only| only == part);
    println!("{}", machine());
    // Every time stamp of every contender costs this.
    let reading = rounds::interleaved(
        &plan,
        &mut [Contender::each(|| {
            black_box(clock::ticks());
        })],
    )?;
    let (mhz, ns) = (clock.hz() / 1_000_000, reading[0].median());
    println!("clock: {}, {mhz} MHz, {ns:.1} ns to read; CRC-32C: {crc_name}; {}", clock::NAME, plan.in_words());
    if cfg!(debug_assertions) {
        println!("not optimised: these figures say nothing; build with --profile host");
    }
    if wanted(Part::Write) {
        let lttng = if cli.no_lttng { Err("left out".into()) } else { lttng::Session::start() };
        write::report(&plan, clock, crc, lttng)?;
    }
    if wanted(Part::Scaling) {
        scaling::report(&plan, clock, crc)?;
    }
    if wanted(Part::Recovery) {
        recovery::report(&plan, clock, crc)?;
    }
    Ok(())
}

/// The processor's name where Linux says it, and how many of them.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} x {} ({})", name.map_or("unnamed processor", |(_, name)| name), std::env::consts::ARCH)
}
