//! The panic path: stop, record, clean, reset. Generic over the machine, so that the same steps run in tests on a host.
//!
//! Bounded at every step, and one-way: a panic inside it goes on with the cleaning, one inside the cleaning with the reset.
//! Nothing here waits for a lock, allocates, or sends an interrupt.

mod survives;

pub use survives::{Cache, Row, SURVIVES};

use crate::dump::Seconds;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ring::check::Crc32c;
use ring::format::{Geometry, LINE_SIZE, tail_line};
use ring::records::{BankState, Masked, PANIC_REGISTERS, PanicRecord, StopMeans, StopOutcome, StopRecord};
use ring::region::Header;
use ring::seams::{Clock, Console, Memory, Persist, Reset, StopOthers};
use ring::writer::Writer;

/// Who panicked, and how far the path has come.
#[derive(Debug)]
pub struct Progress {
    /// The electing word: 0, or the panicking core's number plus one.
    owner: AtomicU32,
    /// How often that core has entered.
    entered: AtomicU32,
    /// Why the boot dies has been written.
    recorded: AtomicBool,
}

/// What a core that panics has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The whole path.
    First,
    /// A panic in the path: note it, then clean and reset.
    Second,
    /// A panic in the cleaning: reset.
    Third,
    /// Another core panics already: stand still and be recorded.
    Bystander,
}

impl Progress {
    /// Nobody panics yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { owner: AtomicU32::new(0), entered: AtomicU32::new(0), recorded: AtomicBool::new(false) }
    }

    /// One core wins; its further panics are told apart.
    pub fn enter(&self, core: u32) -> Role {
        // Acquire and release: the winner's later stores are not seen by a loser that still believes it won.
        let won = self.owner.compare_exchange(0, core + 1, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err_and(|owner| owner != core + 1) {
            return Role::Bystander;
        }
        match self.entered.fetch_add(1, Ordering::Relaxed) {
            0 => Role::First,
            1 => Role::Second,
            _ => Role::Third,
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// What happened.
#[derive(Clone, Copy)]
pub struct What<'a> {
    /// The core that panics.
    pub core: u32,
    /// Not a panic of the program but an exception.
    pub exception: bool,
    /// What it says.
    pub message: &'a str,
    /// Where in the source, or in words.
    pub location: &'a str,
    /// x0 to x30, sp, pc, pstate, esr.
    pub registers: [u64; PANIC_REGISTERS],
    /// Fault address, for an exception.
    pub far: u64,
    /// Return addresses, innermost first.
    pub backtrace: &'a [u64],
    /// What is shown of the registers.
    pub details: &'a dyn core::fmt::Display,
}

/// What this boot records into.
#[derive(Clone, Copy)]
pub struct Recorder<'a, M, T, C: Crc32c> {
    /// The region.
    pub memory: &'a M,
    /// Its places.
    pub geometry: Geometry,
    /// The bank of this boot.
    pub bank: u32,
    /// This boot's id.
    pub boot_id: u32,
    /// Each core's writer.
    pub writers: &'a dyn Fn(u32) -> Option<&'a Writer<M, T, C>>,
    /// The region's header as this boot last wrote it.
    pub header: Option<Header>,
    /// Name of the clean operation.
    pub operation: &'a str,
}

/// The steps of the path, at each of which tests let it fail. What a reset at one leaves is in [`SURVIVES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The stop word is up; nothing has been written or said yet.
    Stop,
    /// The panic record is written; nothing has been said yet.
    Say,
    /// Everything has been said; the others are being waited for.
    Wait,
    /// Before anything is cleaned.
    Clean,
    /// Everything is in memory; the details are about to be told.
    Tell,
    /// Everything has been told.
    Reset,
}

impl Step {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 6] = [Self::Stop, Self::Say, Self::Wait, Self::Clean, Self::Tell, Self::Reset];

    /// Its name, as in `die=panic-at-...`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Say => "say",
            Self::Wait => "wait",
            Self::Clean => "clean",
            Self::Tell => "tell",
            Self::Reset => "reset",
        }
    }
}

/// The machine around it.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Called at each step.
    pub at: &'a dyn Fn(Step),
    /// The others.
    pub others: &'a dyn StopOthers,
    /// What stops them.
    pub means: StopMeans,
    /// The way out.
    pub reset: &'a dyn Reset,
    /// The console, without its lock.
    pub console: &'a dyn Console,
}

/// The console as something to format into.
struct Out<'a>(&'a dyn Console);

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Everything from the panic to the request for a reset. Returns only when no way of resetting worked, or for a bystander.
pub fn run<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(
    progress: &Progress,
    role: Role,
    what: &What<'_>,
    recorder: Option<&Recorder<'_, M, T, C>>,
    around: &Around<'_>,
) {
    let mut out = Out(around.console);
    // A console cannot fail; what it says about itself is of no use here.
    match role {
        Role::Bystander => return bystander(what, recorder),
        Role::First => {
            around.others.request();
            (around.at)(Step::Stop);
            if let Some(recorder) = recorder {
                record(progress, what, recorder);
            }
            (around.at)(Step::Say);
            let _ = announce(what, &mut out);
            (around.at)(Step::Wait);
            if let Some(recorder) = recorder {
                wait(what, recorder, around, &mut out);
                (around.at)(Step::Clean);
                clean(what, recorder, &mut out);
                (around.at)(Step::Tell);
                (around.at)(Step::Reset);
            } else {
                let _ = writeln!(out, "panic: no region is there yet: nothing of this boot will be found");
            }
        }
        Role::Second => {
            let _ =
                writeln!(out, "\npanic: in the panic path, core {}: {} at {}", what.core, what.message, what.location);
            if let Some(recorder) = recorder {
                if progress.recorded.load(Ordering::Relaxed) {
                    let message = what.message.as_bytes();
                    PanicRecord::store_second(
                        recorder.memory,
                        &recorder.geometry,
                        recorder.bank,
                        recorder.boot_id,
                        message,
                    );
                } else {
                    record(progress, what, recorder);
                }
                clean(what, recorder, &mut out);
            }
        }
        Role::Third => {
            let _ = writeln!(out, "\npanic: again, core {}: nothing more is tried but the reset", what.core);
        }
    }
    around.reset.reset();
}

/// What a person at the console sees first.
fn announce(what: &What<'_>, out: &mut Out<'_>) -> core::fmt::Result {
    writeln!(out, "\npanic: core {}: {}", what.core, what.message)?;
    writeln!(out, "panic: at {}", what.location)?;
    write!(out, "{}", what.details)?;
    write!(out, "panic: backtrace:")?;
    what.backtrace.iter().try_for_each(|pc| write!(out, " {pc:#x}"))?;
    writeln!(out)
}

/// Writes why this boot dies, before anything that takes long.
fn record<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(
    progress: &Progress,
    what: &What<'_>,
    recorder: &Recorder<'_, M, T, C>,
) {
    let own = (recorder.writers)(what.core);
    let time_ns = own.map_or(0, |writer| writer.clock().now_ns());
    let record = PanicRecord {
        core: what.core,
        exception: what.exception,
        time_ns,
        far: what.far,
        message: what.message.as_bytes(),
        location: what.location.as_bytes(),
        registers: what.registers,
        backtrace: what.backtrace,
    };
    record.store(recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id);
    progress.recorded.store(true, Ordering::Relaxed);
    if let Some(writer) = own {
        // A refusal is counted by the writer.
        let _ = writer.record(&crate::events::Panic { core: what.core, message: what.message.as_bytes() });
    }
}

/// Waits for the others, bounded, and writes who did not answer.
fn wait<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(
    what: &What<'_>,
    recorder: &Recorder<'_, M, T, C>,
    around: &Around<'_>,
    out: &mut Out<'_>,
) {
    let own = (recorder.writers)(what.core);
    let now = || own.map_or(0, |writer| writer.clock().now_ns());
    let begin = now();
    let others = || (0..recorder.geometry.cores).filter(|core| *core != what.core && around.others.is_running(*core));
    around.others.wait_for_all_but(what.core, recorder.geometry.cores);
    let waited = now().saturating_sub(begin);
    for core in others() {
        if around.others.is_stopped(core) {
            let at = Seconds(recorder.memory.load_u64(stop_line(recorder, core) + StopRecord::TIME_AT));
            let _ = writeln!(out, "panic: core {core} was stopped by {} at {at}", around.means.name());
            continue;
        }
        let _ = writeln!(out, "panic: core {core} did not answer within {} us: going on without it", waited / 1000);
        let stop = StopRecord { outcome: StopOutcome::NoAnswer, time_ns: waited, ..StopRecord::default() };
        stop.store(recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id, core);
    }
    let _ = writeln!(out, "panic: waited {} us for the others; no IPI was sent", waited / 1000);
}

/// Closes this core's writer and those of cores that did not answer, writes the headers, and brings everything that may be
/// dirty to memory.
fn clean<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(
    what: &What<'_>,
    recorder: &Recorder<'_, M, T, C>,
    out: &mut Out<'_>,
) {
    let (memory, geometry) = (recorder.memory, &recorder.geometry);
    let own = (recorder.writers)(what.core);
    let now = || own.map_or(0, |writer| writer.clock().now_ns());
    let begin = now();
    memory.begin();
    let mut lines = 0;
    for core in 0..geometry.cores {
        let Some(writer) = (recorder.writers)(core) else { continue };
        let said = said_itself(recorder, core);
        if said == StopOutcome::Stopped as u8 {
            continue;
        }
        let closed = if core == what.core { writer.close() } else { writer.close_for_another() };
        let core_lines = closed.lines;
        lines += core_lines;
        if core == what.core {
            let stop = panicked(what, begin, core_lines);
            stop.store(memory, geometry, recorder.bank, recorder.boot_id, core);
        } else if said == StopOutcome::NotStarted as u8 {
            // It ran, and nobody waited for it: a second panic does not.
            let stop = StopRecord { outcome: StopOutcome::NoAnswer, ..StopRecord::default() };
            stop.store(memory, geometry, recorder.bank, recorder.boot_id, core);
        }
    }
    let header = recorder.header.and_then(|mut header| {
        let record = header.banks.get_mut(recorder.bank as usize)?;
        record.state = BankState::Panicked;
        record.store(memory, geometry, recorder.bank);
        header.crashes_in_a_row = header.crashes_in_a_row.saturating_add(1);
        Some(header)
    });
    let tail = u64::from(tail_line::CORES + geometry.cores * tail_line::PER_CORE) * LINE_SIZE;
    lines += memory.clean(geometry.bank(recorder.bank) + geometry.tail(0), tail);
    memory.complete();
    // Last: a header that says so proves that all the rest is in memory, whatever a cache gave up before.
    if let Some(mut header) = header {
        header.store(memory);
        lines += 2 * (2 + u64::from(geometry.banks));
    }
    let ticks = now().saturating_sub(begin);
    let _ = writeln!(out, "panic: cleaned {lines} cache lines by {} in {} us", recorder.operation, ticks / 1000);
}

/// The stop record of a core that panics itself.
fn panicked(what: &What<'_>, time_ns: u64, lines: u64) -> StopRecord {
    StopRecord {
        outcome: StopOutcome::Panicked,
        means: StopMeans::None,
        masked: Masked::All,
        lines: lines as u32,
        time_ns,
        pc: what.registers[32],
        lr: what.registers[30],
        sp: what.registers[31],
        pstate: what.registers[33],
        fp: what.registers[29],
        ..StopRecord::default()
    }
}

/// Where a core's stop record is in the region.
fn stop_line<M, T, C: Crc32c>(recorder: &Recorder<'_, M, T, C>, core: u32) -> u64 {
    let number = Geometry::core_line(core, tail_line::STOP);
    recorder.geometry.bank(recorder.bank) + recorder.geometry.tail(number)
}

/// What a core's own stop record says became of it: the number of a [`StopOutcome`].
fn said_itself<M: Memory, T, C: Crc32c>(recorder: &Recorder<'_, M, T, C>, core: u32) -> u8 {
    recorder.memory.load_u32(stop_line(recorder, core)) as u8
}

/// A core that panics while another one's panic is under way: its writer is closed, its record says that it panicked.
fn bystander<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(
    what: &What<'_>,
    recorder: Option<&Recorder<'_, M, T, C>>,
) {
    let Some(recorder) = recorder else { return };
    let Some(writer) = (recorder.writers)(what.core) else { return };
    let _ = writer.record(&crate::events::Panic { core: what.core, message: what.message.as_bytes() });
    let time_ns = writer.clock().now_ns();
    let stop = panicked(what, time_ns, writer.close().lines);
    stop.store(recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id, what.core);
    recorder.memory.complete();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_wins_and_its_further_panics_are_told_apart() {
        let progress = Progress::new();
        assert_eq!(progress.enter(2), Role::First);
        assert_eq!(progress.enter(0), Role::Bystander);
        assert_eq!(progress.enter(2), Role::Second);
        assert_eq!(progress.enter(2), Role::Third);
        assert_eq!(progress.enter(2), Role::Third);
        assert_eq!(progress.enter(0), Role::Bystander);
    }
}
