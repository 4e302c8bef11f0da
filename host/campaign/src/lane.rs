//! A lane: one machine in one QEMU that records and dies again and again, with one way to die, one clean mode and one chance
//! of eviction. Each crash is judged as soon as the next boot has told it.

use crate::judge::{Crash, Verdict, judge};
use anyhow::{Context, Result, bail};
use cachesim::options::Options;
use cachesim::report::{Cause, MARK, Reset};
use qemu::stop_matrix::{Kind, MACHINES};
use qemu::{Board, Image, Overlay, Threads, losing};
use ring::policy::CleanAt;
use std::ops::ControlFlow;
use std::time::Duration;

/// Bytes of the region. Small: most of a boot's time goes into looking through it.
pub const REGION_SIZE: u64 = 192 << 10;
/// RAM of a machine that leaves the choice: all of it is mapped by each boot.
const MEMORY: u64 = 128 << 20;
/// Longest from one reset to the next.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many boots in a row must come to their end before the next point for a lane of points to be at its end: how far a path
/// goes depends on what the others were at, so that one short path says nothing of the others.
const WHOLE_IN_A_ROW: u64 = 25;
/// Longest that a lane may take.
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// What every boot of every lane is told: no end, few words, and to say exactly what it found.
const ALWAYS: &str = "terse digest loss=go-on tail=0 banks=2 cycles=1000000 crash_loop=0 tick_us=500";
/// More events than any boot records: it is reset before.
const ENDLESS: u64 = 1_000_000_000;
/// The panic path begins here, whoever panics.
const PANIC: &str = "kernel::panic::run";
/// The workload begins here, on each core.
const WORKLOAD: &str = "kernel::record::work";

/// How the boots of a lane end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By a word of `die=`.
    Die(&'static str),
    /// By a reset that nothing announces, at a seeded operation between these two, counted from the workload's beginning.
    Instant {
        /// The first.
        min: u64,
        /// The last.
        max: u64,
    },
    /// Right behind each store, clean and barrier of the panic path in turn; the lane ends when many panic paths in a row have come to
    /// their end before the next point.
    PanicPoints,
    /// Right behind each store, clean and barrier of the workload in turn; the lane ends when in many boots in a row each core has
    /// recorded `events` before the next point.
    WriterPoints,
}

/// What a lane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The kind of machine, by its name in [`qemu::stop_matrix::MACHINES`].
    pub machine: &'static str,
    /// `stop=`.
    pub stop: &'static str,
    /// `clean=`.
    pub clean: CleanAt,
    /// Percent of dirty lines that survive a reset by chance; and, of a thousand stores, after how many the line is evicted at
    /// once (where stores are followed anyway).
    pub evict: u32,
    /// How boots end.
    pub end: End,
    /// `others=`.
    pub others: &'static str,
    /// Events on each core before the end.
    pub events: u64,
    /// More words for the kernel's command line.
    pub extra: String,
    /// Of all chance.
    pub seed: u64,
    /// Stores are followed, so that a lost line names the last one: slower.
    pub follow: bool,
    /// Points: so many operations from one to the next.
    pub step: u64,
    /// Most crashes.
    pub crashes: u64,
    /// Each core has a thread of its own: they really run in parallel. Not for points.
    pub parallel: bool,
    /// Bits of the region that turn over at each reset, in a thousand million.
    pub flips: u64,
    /// Pages of DRAM that lose their content at each reset, in a thousand.
    pub pages: u32,
    /// Every n-th reset is a power cut; 0 is never.
    pub power: u64,
    /// Instructions whose executions from the arming on are counted: offsets from the image's beginning.
    pub watch: Vec<u64>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            machine: "GICv3, cortex-a76",
            stop: "auto",
            clean: CleanAt::Panic,
            evict: 0,
            end: End::Die("panic"),
            others: "work",
            events: 20,
            extra: String::new(),
            seed: 1,
            follow: false,
            step: 1,
            crashes: 100,
            parallel: false,
            flips: 0,
            pages: 0,
            power: 0,
            watch: Vec::new(),
        }
    }
}

/// A crash of a lane.
#[derive(Clone, Debug)]
pub struct Crashed {
    /// The memory around it. Program counters are link addresses, as the ELF file's symbols are.
    pub reset: Reset,
    /// What the next boot printed.
    pub told: String,
    /// The oracle's word.
    pub verdict: Verdict,
}

impl Lane {
    /// # Errors
    /// There is no such machine.
    fn kind(&self) -> Result<&'static Kind> {
        let kind = MACHINES.iter().find(|kind| kind.name == self.machine);
        kind.with_context(|| format!("no machine is called {:?}", self.machine))
    }

    /// Where the region is, in bytes.
    fn region(kind: &Kind) -> (u64, u64) {
        match kind.board() {
            Board::Virt => (0x4600_0000, REGION_SIZE),
            Board::Raspi4b | Board::Raspi3b => (0x0b00_0000, REGION_SIZE),
        }
    }

    /// Points are only exact where cores take turns.
    fn threads(&self) -> Threads {
        let takes_turns = matches!(self.end, End::PanicPoints | End::WriterPoints);
        if self.parallel && !takes_turns { Threads::Multi } else { Threads::Single }
    }

    /// The kernel's command line.
    fn arguments(&self) -> String {
        let Self { stop, others, extra, seed, .. } = self;
        let clean = crate::matrix::clean_word(self.clean);
        let (die, events) = match self.end {
            End::Die(word) => (word, self.events),
            End::PanicPoints => ("panic", self.events),
            End::WriterPoints => ("reset", self.events),
            End::Instant { .. } => ("panic", ENDLESS),
        };
        format!("{ALWAYS} stop={stop} clean={clean} others={others} die={die} events={events} seed={seed} {extra}")
    }

    /// What the plugin is told.
    fn options(&self, kind: &Kind, kernel: &Image) -> Result<Options> {
        let base = losing::resident_at(kind.board());
        let at = |function: &str| {
            let offset = kernel.function(function);
            let offset =
                offset.with_context(|| format!("the kernel has no function {function}: an ELF file is wanted"))?;
            Ok::<u64, anyhow::Error>(base + offset)
        };
        let mut options = Options {
            range: Self::region(kind),
            seed: self.seed,
            evict: self.evict,
            follow: self.follow,
            step: self.step,
            // Where stores are followed anyway, caches also evict lines in the middle of things.
            spill: match self.end {
                End::Die(_) => 0,
                _ => self.evict,
            },
            flips: self.flips,
            pages: self.pages,
            power: self.power,
            watch: self.watch.iter().map(|offset| base + offset).collect(),
            ..Options::default()
        };
        match self.end {
            End::Die(_) => options.arm = if self.watch.is_empty() { None } else { Some(at(PANIC)?) },
            End::Instant { min, max } => {
                options.arm = Some(at(WORKLOAD)?);
                options.instant = Some((min, max));
            }
            End::PanicPoints => {
                options.arm = Some(at(PANIC)?);
                options.point = Some(1);
            }
            End::WriterPoints => {
                options.arm = Some(at(WORKLOAD)?);
                options.point = Some(1);
            }
        }
        Ok(options)
    }
}

/// Runs a lane: calls `each` after each crash, until it says that it is enough, or the lane is at its end. Returns how many
/// crashes there were.
///
/// # Errors
/// QEMU or the plugin is missing, or the machine stopped crashing before its time: the error shows its console and how to
/// repeat it.
pub fn run(lane: &Lane, kernel: &Image, each: &mut dyn FnMut(&Crashed) -> ControlFlow<()>) -> Result<u64> {
    let kind = lane.kind()?;
    let (start, size) = Lane::region(kind);
    let machine = kind.machine(kernel, &lane.arguments()).overlay(Overlay::region_at(kind.board(), start, size));
    let machine = if kind.board() == Board::Virt { machine.memory(MEMORY) } else { machine };
    let machine = machine.threads(lane.threads()).losing(lane.options(kind, kernel)?);
    let ram = machine.make_ram()?;
    let mut running = machine.ram(&ram).start(LIMIT)?;
    let moved = losing::resident_at(kind.board()).wrapping_sub(kernel.link_base());
    let mut crashes = 0;
    let mut last: Option<Reset> = None;
    let (is_points, mut whole_in_a_row) = (matches!(lane.end, End::PanicPoints | End::WriterPoints), 0);
    let mut tell = |reset: Reset, told: String| {
        crashes += 1;
        let verdict = judge(&Crash { reset: &reset, clean: lane.clean, told: &told });
        each(&Crashed { reset, told, verdict }).is_break() || crashes >= lane.crashes
    };
    loop {
        let Some((mut reset, told)) = running.next_reset(PATIENCE)? else {
            let outcome = running.wait()?;
            // What this boot told before it ended instead of crashing is still to be judged.
            let told = outcome.console.rsplit(MARK).next().unwrap_or_default();
            if last.take().is_some_and(|reset| tell(reset, told.to_owned())) {
                return Ok(crashes);
            }
            bail!("it ended after {crashes} of {} crashes\n{}", lane.crashes, outcome.story());
        };
        to_link_addresses(&mut reset, moved);
        whole_in_a_row = if is_points && reset.cause == Cause::Guest { whole_in_a_row + 1 } else { 0 };
        if last.replace(reset).is_some_and(|reset| tell(reset, told)) || whole_in_a_row == WHOLE_IN_A_ROW {
            break;
        }
    }
    running.kill()?;
    Ok(crashes)
}

/// Program counters as the ELF file has them.
fn to_link_addresses(reset: &mut Reset, moved: u64) {
    for pc in reset.lost.iter_mut().filter_map(|lost| lost.stored.as_mut()).map(|stored| &mut stored.0) {
        *pc = pc.wrapping_sub(moved);
    }
    if let Cause::Point(operation) | Cause::Instant(operation) = &mut reset.cause {
        operation.pc = operation.pc.wrapping_sub(moved);
    }
}
