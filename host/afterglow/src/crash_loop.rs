//! `afterglow loop`: machines that panic and boot again, by the thousand, with a cache that loses; each crash judged by an
//! oracle outside the guest. Or a real board, heard through its serial line.

mod board;
mod failure;
mod progress;
mod report;

use crate::symbols::Symbols;
use anyhow::{Context, Result, ensure};
use campaign::lane::{self, Crashed, Lane};
use campaign::matrix::{self, Wishes};
use clap::Args;
use failure::Failure;
use progress::Progress;
use qemu::Image;
use report::Sum;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Crashes unless asked for otherwise.
const CRASHES: u64 = 1000;
/// The exit status when something was lost that had to survive.
const LOST: u8 = 1;
/// The exit status when somebody interrupted it: 128 and SIGINT.
const INTERRUPTED: u8 = 130;

/// Crashes machines again and again, and compares what the next boot finds with what had to survive
///
/// Each machine's cache loses what was not cleaned. Lists are separated by commas (machines: given again), `all` is everything.
/// Exit status: 0 nothing was lost that had to survive, 1 something was, 125 a failure of the loop itself, 130 interrupted.
#[derive(Debug, Args)]
pub(crate) struct Loop {
    /// The kernel: an ELF file, with its symbols. Not wanted with --serial
    #[arg(required_unless_present = "serial")]
    kernel: Option<PathBuf>,

    /// Crashes in all [default: 1000; with --serial: until the board is done]. Points (--end) take as many as there are operations
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    crashes: Option<u64>,

    /// Machines whose name contains this, or all; may be given again
    #[arg(long, default_value = "GICv3, cortex-a76")]
    machine: Vec<String>,

    /// Means of stop: auto, el2, feat-nmi, fiq, priority-mask
    #[arg(long, value_delimiter = ',', default_value = "auto")]
    stop: Vec<String>,

    /// How boots end: words of the kernel's die=; instant, a reset out of nowhere; panic-points or writer-points, right behind
    /// each store, clean and barrier of the panic path or of a thousand events
    #[arg(long, value_delimiter = ',', default_value = "panic,instant")]
    end: Vec<String>,

    /// Clean modes: panic, subbuffer, event
    #[arg(long, value_delimiter = ',', default_value = "all")]
    clean: Vec<String>,

    /// Percent of dirty lines that are in memory by chance
    #[arg(long, value_delimiter = ',', default_value = "0,50,100")]
    evict: Vec<u32>,

    /// What the other cores are at: work, irq-handler, masked, all-masked, wild, console
    #[arg(long, value_delimiter = ',', default_value = "work")]
    others: Vec<String>,

    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Cores really run in parallel, each in a thread of its own
    #[arg(long)]
    parallel: bool,

    /// More words for the kernel's command line
    #[arg(long, default_value = "", value_name = "WORDS")]
    append: String,

    /// Exactly this lane, as a failure names it, instead of all the above; may be given again
    #[arg(long)]
    lane: Vec<String>,

    /// A real board on this serial port, instead of QEMU: it boots the kernel with cycles=N by itself
    #[arg(long, value_name = "DEVICE")]
    serial: Option<PathBuf>,

    /// Speed of the serial port
    #[arg(long, default_value_t = 115_200, requires = "serial")]
    baud: u32,

    /// With --serial: a shell's command that cycles the board's power. A board that hangs (20 s of silence) is started anew by
    /// it and the loop goes on; the exit status is 1 all the same
    #[arg(long, value_name = "COMMAND", requires = "serial")]
    power: Option<String>,

    /// Machines at a time [default: one for each core]
    #[arg(long)]
    jobs: Option<usize>,

    /// Ends after so many seconds, with what there is
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,

    /// Writes a JUnit report: a test suite for each machine, a test case for each lane
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Adds a summary in Markdown to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Where failures leave the region before and after, the console, and why
    #[arg(long, value_name = "DIRECTORY", default_value = "afterglow-loop")]
    artefacts: PathBuf,
}

/// Something that runs a lane: [`lane::run`], and others in tests.
type Runner<'a> = dyn Fn(&Lane, &mut dyn FnMut(&Crashed) -> ControlFlow<()>) -> Result<u64> + Sync + 'a;

/// What became of a lane.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sum: Sum,
    pub(crate) failure: Option<Failure>,
    pub(crate) duration: Duration,
    /// It was not begun, or not ended.
    pub(crate) is_cut: bool,
}

impl Loop {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        static STOP: AtomicBool = AtomicBool::new(false);
        ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("SIGINT cannot be heard")?;
        if let Some(device) = &self.serial {
            return board::watch(self, device, &STOP);
        }
        let file = self.kernel.as_deref().context("which kernel?")?;
        let kernel = Image::load(file)?;
        let symbols = Symbols::load(file)?;
        let (lanes, left_out) = self.lanes()?;
        if left_out > 0 {
            let all = lanes.len() + left_out;
            eprintln!("{left_out} of {all} lanes do not run: fewer crashes than lanes; --crashes {all} runs each once");
        }
        let runner = |lane: &Lane, each: &mut dyn FnMut(&Crashed) -> ControlFlow<()>| lane::run(lane, &kernel, each);
        let outcomes = self.all(&lanes, &runner, &STOP);
        let results: Vec<(Lane, Outcome)> = lanes.into_iter().zip(outcomes).collect();
        for (lane, outcome) in &results {
            if let Some(failure) = &outcome.failure {
                failure.keep(&self.artefacts, file, lane, &symbols)?;
            }
        }
        self.tell(&results, file)?;
        if results.iter().any(|(_, outcome)| outcome.failure.is_some()) {
            return Ok(ExitCode::from(LOST));
        }
        Ok(if STOP.load(Ordering::Relaxed) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    /// Those that run, and how many do not.
    fn lanes(&self) -> Result<(Vec<Lane>, usize)> {
        if !self.lane.is_empty() {
            let named = self.lane.iter().map(|name| name.parse().with_context(|| format!("--lane {name:?}")));
            return Ok((named.collect::<Result<_>>()?, 0));
        }
        matrix::lanes(&Wishes {
            machines: self.machine.clone(),
            stops: self.stop.clone(),
            ends: self.end.clone(),
            cleans: self.clean.clone(),
            evicts: self.evict.clone(),
            others: self.others.clone(),
            seed: self.seed,
            crashes: self.crashes.unwrap_or(CRASHES),
            parallel: self.parallel,
            extra: self.append.clone(),
        })
    }

    /// Runs all lanes, several at a time. A lane ends with its first failure.
    fn all(&self, lanes: &[Lane], runner: &Runner<'_>, stop: &AtomicBool) -> Vec<Outcome> {
        let jobs = self.jobs.filter(|jobs| *jobs > 0);
        let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).min(lanes.len());
        let deadline = self.time.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        // Nobody knows how many points there are.
        let known = |lane: &Lane| (lane.crashes < u64::MAX).then_some(lane.crashes);
        let expected = lanes.iter().try_fold(0u64, |sum, lane| sum.checked_add(known(lane)?));
        let progress = Progress::new(expected);
        let next = AtomicUsize::new(0);
        let outcomes: Vec<Mutex<Outcome>> =
            lanes.iter().map(|_| Mutex::new(Outcome { is_cut: true, ..Outcome::default() })).collect();
        let is_over = || stop.load(Ordering::Relaxed) || deadline.is_some_and(|deadline| deadline <= Instant::now());
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some(number) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < lanes.len())
                        && !is_over()
                    {
                        let outcome = one(&lanes[number], runner, &progress, &is_over);
                        *outcomes[number].lock().unwrap_or_else(PoisonError::into_inner) = outcome;
                    }
                });
            }
        });
        progress.finish();
        outcomes.into_iter().map(|outcome| outcome.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn tell(&self, results: &[(Lane, Outcome)], kernel: &std::path::Path) -> Result<()> {
        print!("{}", report::table(results));
        println!("{}", report::verdict(results));
        for (lane, outcome) in results {
            if let Some(failure) = &outcome.failure {
                println!("\n{}", failure.told(kernel, lane, &self.artefacts));
            }
        }
        if let Some(file) = &self.junit {
            report::junit(file, results, kernel)?;
        }
        if let Some(file) = &self.markdown {
            report::markdown(file, results, kernel)?;
        }
        let crashes: u64 = results.iter().map(|(_, outcome)| outcome.sum.crashes).sum();
        ensure!(
            crashes > 0 || results.iter().any(|(_, outcome)| outcome.failure.is_some()),
            "there was no crash at all"
        );
        Ok(())
    }
}

/// Runs a lane to its end, or to its first failure.
fn one(lane: &Lane, runner: &Runner<'_>, progress: &Progress, is_over: &(dyn Fn() -> bool + Sync)) -> Outcome {
    let begin = Instant::now();
    let mut outcome = Outcome::default();
    let done = runner(lane, &mut |crashed| {
        outcome.sum.add(crashed);
        let is_bad = !crashed.verdict.violations.is_empty();
        progress.crash(is_bad);
        if is_bad {
            outcome.failure = Some(Failure::new(crashed));
        }
        outcome.is_cut = is_over();
        if is_bad || outcome.is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Err(error) = done {
        progress.crash(true);
        outcome.failure = Some(Failure::of_lane(&error));
    }
    // A lost line is named by its last store. Most lanes do not follow stores: once more, with that.
    if let Some(failure) = outcome.failure.as_mut().filter(|failure| failure.wants_names())
        && !lane.follow
    {
        let again = Lane { follow: true, ..lane.clone() };
        let _ = runner(&again, &mut |crashed| {
            let is_bad = !crashed.verdict.violations.is_empty();
            if is_bad {
                failure.add_names(crashed);
            }
            if is_bad || is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    outcome.duration = begin.elapsed();
    outcome
}

#[cfg(test)]
mod tests;
