//! The stop of the other cores, on every kind of machine, by every means that it has, whatever those cores are at: the cells of
//! a table, how each is run, and what it must keep.
//!
//! A cell with its seed is a run under counted instructions: it is the same each time, and time in it is exact. An instruction
//! takes a nanosecond, on all cores together: they take turns. The seed decides which core panics and after how many
//! events, so at which moment between two ticks of the others.

use crate::console::tables;
use crate::{Board, Image, Machine, Outcome, Overlay, Threads};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Cores of every machine.
pub const CORES: u32 = 4;
/// The period of the stop tick, in nanoseconds.
pub const TICK_NS: u64 = 1_000_000;
/// Longest from the panic's first instruction until the last core stands still.
pub const STOPPED_MAX_NS: u64 = 2 * TICK_NS;
/// Longest from then until the reset is asked for, beside the clean.
pub const RESET_MAX_NS: u64 = 200_000;
/// Longest from the panic to the request for a reset when cores cannot be reached: two seconds of waiting, and the rest at the
/// pace of `SLOW`.
pub const UNREACHED_MAX_NS: u64 = 2_050_000_000;
/// Most instructions for each cache line that is cleaned, in tenths.
pub const LINE_TENTHS_MAX: u64 = 60;
/// Most instructions of a tick of both kinds: a thousandth of what a core with 1000 million instructions a second does in
/// one period.
pub const TICK_INSTRUCTIONS_MAX: u64 = 1000;

/// An instruction takes a nanosecond: 2^0.
const FAST: u8 = 0;
/// Where seconds of the guest are waited for, it takes 64: they are not thousands of millions of instructions then.
const SLOW: u8 = 6;
/// Bounds what hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A means of stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// An EL2 of the kernel's own takes the tick.
    El2,
    /// Non-maskable interrupts of Armv8.8.
    FeatNmi,
    /// The tick is an FIQ.
    Fiq,
    /// The tick's priority passes the mask.
    PriorityMask,
}

impl Means {
    /// As the command line's `stop=` forces it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::El2 => "el2",
            Self::FeatNmi => "feat-nmi",
            Self::Fiq => "fiq",
            Self::PriorityMask => "priority-mask",
        }
    }

    /// A core with all of DAIF masked is stopped too.
    #[must_use]
    pub fn reaches_all(self) -> bool {
        matches!(self, Self::El2 | Self::FeatNmi)
    }
}

/// What the other cores are at when one panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They record.
    Work,
    /// They spin in the handler of an ordinary interrupt.
    IrqHandler,
    /// They spin with ordinary interrupts masked.
    Masked,
    /// They spin with all of DAIF masked.
    AllMasked,
}

impl Others {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Work, Self::IrqHandler, Self::Masked, Self::AllMasked];

    /// As the command line's `others=` asks for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::IrqHandler => "irq-handler",
            Self::Masked => "masked",
            Self::AllMasked => "all-masked",
        }
    }

    /// What the next boot says of a core that was stopped so.
    fn told(self) -> &'static str {
        match self {
            Self::Work => "",
            Self::IrqHandler => " in an interrupt handler",
            Self::Masked => "ordinary interrupts masked",
            Self::AllMasked => "everything masked",
        }
    }
}

/// A kind of machine.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is, for people.
    pub name: &'static str,
    board: Board,
    cpu: &'static str,
    gic: u8,
    el2: bool,
    secure: bool,
    /// Priority bits of a GICv2, if not all.
    bits: Option<u8>,
    /// The means that it has.
    pub means: &'static [Means],
}

use Means::{El2, FeatNmi, Fiq, PriorityMask};

/// All kinds of machine.
pub const MACHINES: [Kind; 10] = [
    Kind::virt("GICv3, max", 3, "max", &[FeatNmi, Fiq, PriorityMask]),
    Kind::virt("GICv3, cortex-a76", 3, "cortex-a76", &[Fiq, PriorityMask]),
    Kind::virt("GICv3, cortex-a76, secure", 3, "cortex-a76", &[PriorityMask]).secure(),
    Kind::virt("GICv3, max, EL2", 3, "max", &[El2, FeatNmi, Fiq, PriorityMask]).el2(),
    Kind::virt("GICv2, cortex-a72", 2, "cortex-a72", &[Fiq, PriorityMask]),
    Kind::virt("GICv2, cortex-a72, secure", 2, "cortex-a72", &[PriorityMask]).secure(),
    Kind::virt("GICv2, cortex-a72, EL2", 2, "cortex-a72", &[El2, Fiq, PriorityMask]).el2(),
    Kind::virt("GICv2 as on a Raspberry Pi 5", 2, "cortex-a76", &[El2, PriorityMask]).el2().secure().bits(5),
    Kind::raspberry("raspi4b", Board::Raspi4b, 2, &[El2, Fiq, PriorityMask]),
    Kind::raspberry("raspi3b", Board::Raspi3b, 0, &[El2, Fiq]),
];

impl Kind {
    /// A `virt` with this GIC and these cores, which has these means.
    #[must_use]
    pub const fn virt(name: &'static str, gic: u8, cpu: &'static str, means: &'static [Means]) -> Self {
        Self { name, board: Board::Virt, cpu, gic, el2: false, secure: false, bits: None, means }
    }

    /// A Raspberry Pi, which leaves no choice; 0 is no GIC.
    #[must_use]
    pub const fn raspberry(name: &'static str, board: Board, gic: u8, means: &'static [Means]) -> Self {
        Self { board, ..Self::virt(name, gic, "", means) }
    }

    /// The same, its kernel entered at EL2.
    #[must_use]
    pub const fn el2(self) -> Self {
        Self { el2: true, ..self }
    }

    /// The same with EL3 and a secure state.
    #[must_use]
    pub const fn secure(self) -> Self {
        Self { secure: true, ..self }
    }

    /// The same with so many priority bits of a GICv2.
    #[must_use]
    pub const fn bits(self, bits: u8) -> Self {
        Self { bits: Some(bits), ..self }
    }

    /// Such a machine, with the region of its board.
    #[must_use]
    pub fn machine(&self, kernel: &Image, arguments: &str) -> Machine {
        let machine = Machine::new(self.board).kernel(kernel).overlay(Overlay::region_of(self.board)).append(arguments);
        let machine = machine.smp(CORES).cpu(self.cpu).gic(self.gic).el2(self.el2).secure(self.secure);
        match self.bits {
            Some(bits) => machine.extra(["-global", &format!("arm_gic.num-priority-bits={bits}")]),
            None => machine,
        }
    }

    /// The board.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board
    }

    /// The name with which the kernel says that it stops by this means.
    #[must_use]
    pub fn says(&self, means: Means) -> &'static str {
        match (means, self.gic) {
            (El2, _) => "own EL2",
            (FeatNmi, _) => "FEAT_NMI",
            (Fiq, _) => "FIQ",
            (PriorityMask, 2) => "GICv2 priority mask",
            (PriorityMask, _) => "GICv3 priority mask",
        }
    }
}

/// One run of the table.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The machine.
    pub kind: &'static Kind,
    /// What stops its cores.
    pub means: Means,
    /// What they are at.
    pub others: Others,
    /// When it panics, and where.
    pub seed: u64,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, means, others, seed } = self;
        write!(f, "{}: stop={} others={} seed={seed}", kind.name, means.word(), others.word())
    }
}

/// Every machine with each of its means.
pub fn rows() -> impl Iterator<Item = (&'static Kind, Means)> {
    MACHINES.iter().flat_map(|kind| kind.means.iter().map(move |means| (kind, *means)))
}

/// The rows of which [`cost`] can be told: not on Raspberry Pis, where cores that were not started yet spin at the firmware's table,
/// and are counted too.
pub fn measured_rows() -> impl Iterator<Item = (&'static Kind, Means)> {
    rows().filter(|(kind, _)| kind.board == Board::Virt)
}

/// What a run measured. Times are nanoseconds from the panic's first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// When the last of the other cores stood still; None: they could not be reached, and were named.
    pub stopped_ns: Option<u64>,
    /// Cache lines that the panicking core cleaned.
    pub lines: u64,
    /// What that took.
    pub clean_ns: u64,
    /// When the reset was asked for.
    pub reset_ns: u64,
}

impl Figures {
    /// What the way to the reset took beside the stop and the clean.
    #[must_use]
    pub fn rest_ns(&self) -> Option<u64> {
        self.stopped_ns.map(|stopped| self.reset_ns.saturating_sub(stopped + self.clean_ns))
    }
}

impl Cell {
    fn is_reached(&self) -> bool {
        self.others != Others::AllMasked || self.means.reaches_all()
    }

    fn dying(&self) -> u32 {
        (self.seed % u64::from(CORES)) as u32
    }

    /// The machine that is this cell.
    #[must_use]
    pub fn machine(&self, kernel: &Image) -> Machine {
        let Self { means, others, seed, .. } = self;
        // A prime, so that the moments are spread over some ticks and no two seeds panic at the same one.
        let events = 500 + seed * 3001 % 8000;
        let arguments = format!(
            "tail=0 stop={} others={} seed={seed} events={events} die_core={}",
            means.word(),
            others.word(),
            self.dying()
        );
        self.kind.machine(kernel, &arguments).threads(Threads::Counted(if self.is_reached() { FAST } else { SLOW }))
    }

    /// Runs it.
    ///
    /// # Errors
    /// It did not go as it must, or took longer than it may; the error says in what, and how to repeat it.
    pub fn run(&self, kernel: &Image) -> Result<Figures> {
        let outcome = self.machine(kernel).run(PATIENCE).with_context(|| self.to_string())?;
        self.judge(&outcome).map_err(|error| anyhow!("{self}: {error:#}\n{}", outcome.story()))
    }

    fn judge(&self, outcome: &Outcome) -> Result<Figures> {
        let console = &outcome.console;
        outcome.expect_exit(0)?;
        let name = self.kind.says(self.means);
        ensure!(console.contains(&format!("stop by    {name} (no IPI)")), "it does not stop by {name}");
        for core in (0..CORES).filter(|core| *core != self.dying()) {
            self.judge_core(console, core)?;
        }
        let mut sgis =
            console.lines().filter_map(|line| line.strip_prefix("gic: SGIs pending or active on any core: "));
        ensure!(sgis.clone().count() >= 2 && sgis.all(|sgis| sgis == "0x0000"), "SGIs were sent");
        let tables = tables(console);
        let [table] = tables.as_slice() else { bail!("{} crashes are told, not one", tables.len()) };
        ensure!(
            table.accounts.len() == CORES as usize && table.accounts.iter().all(|account| account.is_whole()),
            "events were lost"
        );
        let figures = figures(console, self.is_reached()).context("the panic's figures are missing")?;
        self.judge_times(&figures)?;
        Ok(figures)
    }

    /// What the panic and the next boot say of a core that was to be stopped.
    fn judge_core(&self, console: &str, core: u32) -> Result<()> {
        let name = self.kind.says(self.means);
        let (at_once, fate) = if self.is_reached() {
            (format!("panic: core {core} was stopped by {name} at "), "stopped at ")
        } else {
            (format!("panic: core {core} did not answer within "), "did not answer: waited ")
        };
        ensure!(console.contains(&at_once), "the panic does not say {at_once:?}");
        let told = format!("  core {core}: {fate}");
        let line = console.lines().find(|line| line.starts_with(&told));
        let line = line.with_context(|| format!("the next boot does not say {told:?}"))?;
        let state = if self.is_reached() { self.others.told() } else { "" };
        ensure!(line.contains(state), "core {core} was to be {state:?} when it was stopped, and is not: {line}");
        Ok(())
    }

    fn judge_times(&self, figures: &Figures) -> Result<()> {
        let (Some(stopped), Some(rest)) = (figures.stopped_ns, figures.rest_ns()) else {
            let reset = figures.reset_ns;
            ensure!(reset <= UNREACHED_MAX_NS, "the reset was asked for after {reset} ns, not {UNREACHED_MAX_NS}");
            return Ok(());
        };
        ensure!(stopped <= STOPPED_MAX_NS, "the last core stood still after {stopped} ns, not {STOPPED_MAX_NS}");
        ensure!(rest <= RESET_MAX_NS, "from stop and clean to the reset it took {rest} ns, not {RESET_MAX_NS}");
        Ok(())
    }
}

/// From the panic's line for programs: "panic: entry +0 ns, last core stopped +512000 ns, cleaned 132 lines in 41000 ns,
/// reset asked +1290000 ns".
fn figures(console: &str, reached: bool) -> Option<Figures> {
    let line = console.lines().find(|line| line.starts_with("panic: entry +0 ns, "))?;
    let number = |before: &str| line.split_once(before)?.1.split(' ').next()?.parse::<u64>().ok();
    Some(Figures {
        stopped_ns: if reached { Some(number("last core stopped +")?) } else { None },
        lines: number("cleaned ")?,
        clean_ns: number(" lines in ")?,
        reset_ns: number("reset asked +")?,
    })
}

/// What interrupts cost on a core, in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// A stop tick alone.
    pub stop_tick: u64,
    /// With the ordinary tick and the three events that it records.
    pub both_ticks: u64,
    /// Masking ordinary interrupts and opening them again, in tenths.
    pub masking_tenths: u64,
    /// Cleaning a cache line, of many in a row, in tenths.
    pub line_tenths: u64,
}

/// Measures the ticks and the masking of a machine with one of its means.
///
/// # Errors
/// The kernel does not tell, or a tick costs more than it may.
pub fn cost(kernel: &Image, kind: &Kind, means: Means) -> Result<Cost> {
    // The counter ticks once an instruction: at 1 GHz (max) or at 62.5 MHz.
    let shift = if kind.cpu == "max" { 0 } else { 4 };
    let machine =
        kind.machine(kernel, &format!("measure cycles=0 stop={}", means.word())).threads(Threads::Counted(shift));
    let what = format!("{}: stop={}", kind.name, means.word());
    let outcome = machine.run(PATIENCE).with_context(|| what.clone())?;
    let cost = outcome.expect_exit(0).ok().and_then(|outcome| read_cost(&outcome.console, kind.says(means)));
    let cost = cost.with_context(|| format!("{what}: it does not say what ticks cost\n{}", outcome.story()))?;
    let (both, most, line) = (cost.both_ticks, TICK_INSTRUCTIONS_MAX, &outcome.command_line);
    ensure!(both <= most, "{what}: the ticks cost {both} instructions, not {most}\n--- to repeat it\n{line}");
    let line_tenths = cost.line_tenths;
    ensure!(line_tenths <= LINE_TENTHS_MAX, "{what}: a line costs {line_tenths} tenths, not {LINE_TENTHS_MAX}\n{line}");
    Ok(cost)
}

fn read_cost(console: &str, name: &str) -> Option<Cost> {
    let told = console.split_once(&format!("that interrupts cost, stop by {name}:"))?.1;
    let word = |begin: &str| told.lines().find_map(|line| line.trim().strip_prefix(begin))?.split_whitespace().next();
    Some(Cost {
        stop_tick: word("a stop tick")?.parse().ok()?,
        both_ticks: word("with an ordinary tick")?.parse().ok()?,
        masking_tenths: tenths(word("mask and unmask")?)?,
        line_tenths: tenths(console.split_once("ticks to clean a line by ")?.1.lines().next()?.split_once(": ")?.1)?,
    })
}

/// From "10.5": 105.
fn tenths(text: &str) -> Option<u64> {
    let (whole, tenth) = text.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 10 + tenth.parse::<u64>().ok()?)
}

/// Does a job for each item, as many at a time as the harness lets machines run; results in the order of the items. `done`
/// hears how many are done, and of how many.
pub fn all<T: Sync, R: Send>(items: &[T], done: impl Fn(usize, usize) + Sync, job: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // Relaxed: only the number itself is shared.
                while let Some((item, result)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| items.get(at).zip(results.get(at)))
                {
                    let value = job(item);
                    *result.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
                    done(finished.fetch_add(1, Ordering::Relaxed) + 1, items.len());
                }
            });
        }
    });
    results
        .into_iter()
        .filter_map(|result| result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "panic: entry +0 ns, last core stopped +512000 ns, cleaned 132 lines in 41000 ns, reset asked +590000 ns";

    #[test]
    fn the_line_for_programs_is_read() {
        let read = figures(&format!("panic: core 0: x\n{LINE}\nafterglow\n"), true).unwrap();
        assert_eq!(read, Figures { stopped_ns: Some(512_000), lines: 132, clean_ns: 41_000, reset_ns: 590_000 });
        assert_eq!(read.rest_ns(), Some(37_000));
        assert_eq!(figures(LINE, false).unwrap().rest_ns(), None);
        assert_eq!(figures("panic: entry +0 ns, last core stopped +x ns", true), None);
    }

    #[test]
    fn what_takes_too_long_is_named() {
        let cell = Cell { kind: &MACHINES[0], means: FeatNmi, others: Others::AllMasked, seed: 1 };
        let good = Figures { stopped_ns: Some(2_000_000), lines: 1, clean_ns: 5, reset_ns: 2_200_005 };
        cell.judge_times(&good).unwrap();
        let late = [
            Figures { stopped_ns: Some(2_000_001), ..good },
            Figures { reset_ns: 2_200_006, ..good },
            Figures { stopped_ns: None, reset_ns: 2_050_000_001, ..good },
        ];
        for figures in late {
            assert!(cell.judge_times(&figures).is_err(), "{figures:?}");
        }
    }

    #[test]
    fn what_interrupts_cost_is_read() {
        let told = "ticks to clean a line by DC CVAC: 4.0\nticks of the counter that interrupts cost, stop by FIQ:\n   a stop tick            224 (224 ppm of a period)\n   with an ordinary tick  766 (766 ppm, its three events included)\n   mask and unmask        10.5\n";
        let cost = Cost { stop_tick: 224, both_ticks: 766, masking_tenths: 105, line_tenths: 40 };
        assert_eq!(read_cost(told, "FIQ"), Some(cost));
        assert_eq!(read_cost(told, "FEAT_NMI"), None, "another means");
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..50).collect();
        let heard = AtomicUsize::new(0);
        let results = all(
            &items,
            |_, of| {
                heard.fetch_add(of, Ordering::Relaxed);
            },
            |item| item * 2,
        );
        assert!(results.iter().enumerate().all(|(at, result)| *result == 2 * at as u32) && results.len() == 50);
        assert_eq!(heard.into_inner(), 2500);
    }
}
