//! The panic path: stop, record, say, wait, clean, tell, reset. Generic over the machine, so that the same steps run in
//! tests on a host.
//!
//! Bounded at every step, and one-way: a panic inside it is noted and goes on behind the step that panicked ([`Progress`]).
//! What takes long on a slow console comes when everything is in memory already. Nothing here waits for a lock, allocates,
//! or sends an interrupt.
//!
//! The last line before the reset is for programs to read; times are nanoseconds since the first instruction of the panic:
//!
//! ```text
//! panic: entry +0 ns, last core stopped +512000 ns, cleaned 132 lines in 41000 ns, reset asked +1290000 ns
//! ```
//!
//! "Last core stopped" is when the last one stood still, or was given up. "Cleaned" is all that the panicking core does to
//! close its own writer and to bring it and the headers to memory: the others clean their own.

mod progress;
mod survives;
mod words;

pub use progress::{Progress, Role, Step};
pub use survives::{Cache, Row, SURVIVES};

use core::fmt::Write;
use core::sync::atomic::Ordering;
use ring::check::Crc32c;
use ring::format::{CORES_MAX, Geometry, LINE_SIZE, tail_line};
use ring::records::{
    BankState, LastWords, Masked, Nested, PANIC_REGISTERS, PanicRecord, StopMeans, StopOutcome, StopRecord,
};
use ring::region::Header;
use ring::seams::{Clock, Console, Memory, Persist, Reset, StopOthers};
use ring::writer::Writer;
use words::{announce, tell};

/// Nested panics that are noted: the first ones. Whatever comes then only goes on.
const NOTED_MAX: u32 = 4;
/// Longest that a core is waited for which has begun to stop when patience ends, in nanoseconds.
const STOPPING_MAX_NS: u64 = 100_000_000;

/// What happened.
#[derive(Clone, Copy)]
pub struct What<'a> {
    /// The core that panics.
    pub core: u32,
    /// Not a panic of the program but an exception.
    pub exception: bool,
    /// When its handler was entered: nanoseconds, as in the events.
    pub entry_ns: u64,
    /// What it says.
    pub message: &'a str,
    /// Where in the source, or in words.
    pub location: &'a str,
    /// x0 to x30, sp, pc, pstate, esr.
    pub registers: [u64; PANIC_REGISTERS],
    /// Fault address, for an exception.
    pub far: u64,
    /// What that is, in words; empty where no access was refused.
    pub address: &'a str,
    /// Return addresses, innermost first.
    pub backtrace: &'a [u64],
}

impl What<'_> {
    /// Where it happened.
    #[must_use]
    pub fn pc(&self) -> u64 {
        self.registers[32]
    }
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

/// The machine around it.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Called at each step.
    pub at: &'a dyn Fn(Step),
    /// The others.
    pub others: &'a dyn StopOthers,
    /// What stops them.
    pub means: StopMeans,
    /// What is to be said of the reset before it is asked for.
    pub before_reset: &'a dyn Fn(),
    /// The way out.
    pub reset: &'a dyn Reset,
    /// Only what programs read is said.
    pub terse: bool,
    /// The console, without its lock.
    pub console: &'a dyn Console,
}

/// The console as something to format into. It cannot fail; what it says about itself is of no use here.
struct Out<'a>(&'a dyn Console);

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// A panic on its way: what all its steps need.
struct Path<'a, 'r, M, T, C: Crc32c> {
    progress: &'a Progress,
    what: &'a What<'a>,
    recorder: Option<&'a Recorder<'r, M, T, C>>,
    around: &'a Around<'a>,
}

/// Everything from the panic to the request for a reset. Returns only when no way of resetting worked, or for a bystander.
pub fn run<M: Memory + Persist + Copy, T: Clock, C: Crc32c>(
    progress: &Progress,
    role: Role,
    what: &What<'_>,
    recorder: Option<&Recorder<'_, M, T, C>>,
    around: &Around<'_>,
) {
    let path = Path { progress, what, recorder, around };
    let mut next = match role {
        Role::Bystander => return path.bystander(),
        Role::First => {
            progress.figures.begin(what.entry_ns);
            Some(Step::Stop)
        }
        Role::Nested(number) => {
            // If the first one did not come so far as to be here: its message panicked while it was formatted.
            progress.figures.begin(what.entry_ns);
            if number <= NOTED_MAX {
                path.note(number);
            }
            progress.resume()
        }
    };
    while let Some(step) = next {
        progress.begin(step);
        (around.at)(step);
        path.go(step);
        next = step.next();
    }
}

impl<'r, M: Memory + Persist + Copy, T: Clock, C: Crc32c> Path<'_, 'r, M, T, C> {
    fn go(&self, step: Step) {
        match step {
            Step::Stop => self.around.others.request(),
            Step::Record => self.record(),
            Step::Say => announce(self.what, &mut self.out()),
            Step::Wait => self.wait(),
            Step::Clean => self.clean(),
            Step::Tell => tell(self),
            Step::Reset => {
                self.figures();
                self.around.reset.reset();
            }
        }
    }

    fn out(&self) -> Out<'_> {
        Out(self.around.console)
    }

    fn own(&self) -> Option<&'r Writer<M, T, C>> {
        self.recorder.and_then(|recorder| (recorder.writers)(self.what.core))
    }

    fn now(&self) -> u64 {
        self.own().map_or(0, |writer| writer.clock().now_ns())
    }

    fn since_entry(&self) -> u64 {
        self.now().saturating_sub(self.progress.figures.entry_ns.load(Ordering::Relaxed))
    }

    /// The cores beside this one that ever ran.
    fn others(&self) -> impl Iterator<Item = u32> {
        let cores = self.recorder.map_or(CORES_MAX, |recorder| recorder.geometry.cores);
        (0..cores).filter(|core| *core != self.what.core && self.around.others.is_running(*core))
    }

    /// Writes why this boot dies, before anything that takes long.
    fn record(&self) {
        let (Some(recorder), what) = (self.recorder, self.what) else { return };
        let record = PanicRecord {
            core: what.core,
            exception: what.exception,
            time_ns: what.entry_ns,
            far: what.far,
            message: what.message.as_bytes(),
            location: what.location.as_bytes(),
            address: what.address.as_bytes(),
            registers: what.registers,
            backtrace: what.backtrace,
        };
        record.store(recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id);
        self.progress.recorded.store(true, Ordering::Relaxed);
        if let Some(writer) = self.own() {
            // A refusal is counted by the writer.
            let _ = writer.record(&crate::events::Panic { core: what.core, message: what.message.as_bytes() });
        }
    }

    /// A panic in the path: first into the region, then to the console. The first panic's own record, where it had not come
    /// that far, is written of this one instead.
    fn note(&self, number: u32) {
        let (step, what) = (self.progress.step(), self.what);
        if let Some(recorder) = self.recorder.filter(|_| self.progress.recorded.load(Ordering::Relaxed)) {
            let nested = Nested {
                core: what.core,
                step: step.name().as_bytes(),
                time_ns: what.entry_ns,
                pc: what.pc(),
                location: what.location.as_bytes(),
                message: what.message.as_bytes(),
            };
            nested.store(recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id, number - 1);
            // The path may have cleaned all the rest already.
            let tail = |line| recorder.geometry.bank(recorder.bank) + recorder.geometry.tail(line);
            let lines = u64::from(tail_line::SCHEMA - tail_line::PANIC_NESTED);
            recorder.memory.clean(tail(tail_line::PANIC_NESTED), lines * LINE_SIZE);
            recorder.memory.complete();
        }
        let _ = writeln!(
            self.out(),
            "\npanic: in the panic path, core {} (step {}): {} at {}, pc {:#x}",
            what.core,
            step.name(),
            what.message,
            what.location,
            what.pc()
        );
    }

    /// Waits for the others, bounded; those that do not answer are given up, and written down.
    fn wait(&self) {
        let begin = self.now();
        self.wait_for_all();
        let waited = self.now().saturating_sub(begin);
        for core in self.others().filter(|core| !self.around.others.is_stopped(*core)) {
            let Some(recorder) = self.recorder else { continue };
            if !self.give_up(core) {
                continue;
            }
            if let Some(writer) = (recorder.writers)(core) {
                writer.stop();
            }
            let stop = StopRecord { outcome: StopOutcome::NoAnswer, time_ns: waited, ..StopRecord::default() };
            stop.store(recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id, core);
        }
        self.progress.figures.waited_ns.store(waited, Ordering::Relaxed);
        self.progress.figures.stopped_ns.store(self.since_entry(), Ordering::Relaxed);
    }

    /// Gives a core up. False for one that has begun to stop, which is left to itself, and given the time for it.
    fn give_up(&self, core: u32) -> bool {
        let others = self.around.others;
        let given_up = others.give_up(core);
        let until = self.now() + STOPPING_MAX_NS;
        while !given_up && !others.is_stopped(core) && self.now() < until {
            others.wait();
        }
        given_up
    }

    /// Waits until all others stand still, or patience ends. A core that does not hear, but goes on recording, would write
    /// over what it recorded before the panic: its recorder is switched off when half of its ring is new. Not while it may
    /// merely be late: then its last events tell what it was doing.
    fn wait_for_all(&self) {
        let sequence = |core: u32| {
            let writer = self.recorder.and_then(|recorder| (recorder.writers)(core))?;
            Some((writer, writer.counters().sequence))
        };
        let begin: [u64; CORES_MAX as usize] = core::array::from_fn(|core| sequence(core as u32).map_or(0, |it| it.1));
        let half = self.recorder.map_or(0, |recorder| recorder.geometry.ring() / 2);
        let others = self.around.others;
        while self.others().any(|core| !others.is_stopped(core)) && others.wait() {
            for core in self.others().filter(|core| !others.is_stopped(*core)) {
                if let (Some((writer, now)), Some(begin)) = (sequence(core), begin.get(core as usize))
                    && now.saturating_sub(*begin) >= half
                    && others.is_overdue()
                {
                    writer.stop();
                }
            }
        }
    }

    /// Closes this core's writer and those of cores that did not answer, writes the headers, and brings everything that
    /// may be dirty to memory.
    fn clean(&self) {
        let Some(recorder) = self.recorder else { return };
        let (memory, geometry) = (recorder.memory, &recorder.geometry);
        let begin = self.now();
        memory.begin();
        let mut lines = self.close_writers(recorder);
        let header = recorder.header.and_then(|mut header| {
            let record = header.banks.get_mut(recorder.bank as usize)?;
            record.state = BankState::Panicked;
            record.store(memory, geometry, recorder.bank);
            header.crashes_in_a_row = header.crashes_in_a_row.saturating_add(1);
            Some(header)
        });
        // All of the tail but the schema, which has not changed since the boot began, and the lines of cores that have
        // brought their own to memory.
        let tail = geometry.bank(recorder.bank) + geometry.tail(0);
        lines += memory.clean(tail, u64::from(tail_line::SCHEMA) * LINE_SIZE);
        for core in (0..geometry.cores).filter(|core| !self.has_closed_itself(recorder, *core)) {
            let at = u64::from(Geometry::core_line(core, 0)) * LINE_SIZE;
            lines += memory.clean(tail + at, u64::from(tail_line::PER_CORE) * LINE_SIZE);
        }
        memory.complete();
        // Last: a header that says so proves that all the rest is in memory, whatever a cache gave up before.
        if let Some(mut header) = header {
            header.store(memory);
            lines += 2 * (2 + u64::from(geometry.banks));
        }
        self.progress.figures.lines.store(lines, Ordering::Relaxed);
        self.progress.figures.cleaning_ns.store(self.now().saturating_sub(begin), Ordering::Relaxed);
    }

    /// Closes each writer that nobody has closed yet, and begins to write it back. Returns how many lines.
    fn close_writers(&self, recorder: &Recorder<'_, M, T, C>) -> u64 {
        let (memory, geometry) = (recorder.memory, &recorder.geometry);
        let mut lines = 0;
        for core in 0..geometry.cores {
            let Some(writer) = (recorder.writers)(core) else { continue };
            let is_own = core == self.what.core;
            if self.has_closed_itself(recorder, core) {
                continue;
            }
            let said = said_itself(recorder, core);
            // One that ran, and the wait for it has panicked.
            let unasked = !is_own && said == StopOutcome::NotStarted as u8 && self.around.others.is_running(core);
            if unasked && !self.give_up(core) {
                continue;
            }
            let closed = if is_own { writer.close() } else { writer.close_for_another() };
            lines += closed.lines;
            if is_own {
                let entry_ns = self.progress.figures.entry_ns.load(Ordering::Relaxed);
                let stop = panicked(self.what, entry_ns, closed.lines);
                stop.store(memory, geometry, recorder.bank, recorder.boot_id, core);
            } else if unasked {
                let stop = StopRecord { outcome: StopOutcome::NoAnswer, ..StopRecord::default() };
                stop.store(memory, geometry, recorder.bank, recorder.boot_id, core);
            }
        }
        lines
    }

    /// Whether a core has closed its writer, and brought that and its lines to memory: it was stopped, or panicked too.
    #[inline(never)]
    fn has_closed_itself(&self, recorder: &Recorder<'_, M, T, C>, core: u32) -> bool {
        let said = said_itself(recorder, core);
        said == StopOutcome::Stopped as u8 || (said == StopOutcome::Panicked as u8 && core != self.what.core)
    }

    /// The line for programs.
    fn figures(&self) {
        let figures = &self.progress.figures;
        let [stopped, lines, cleaning] =
            [&figures.stopped_ns, &figures.lines, &figures.cleaning_ns].map(|figure| figure.load(Ordering::Relaxed));
        if self.recorder.is_some() {
            let _ = writeln!(
                self.out(),
                "panic: entry +0 ns, last core stopped +{stopped} ns, cleaned {lines} lines in {cleaning} ns, reset asked +{} ns",
                self.since_entry()
            );
        }
    }

    /// A core that panics while another one's panic is under way: its writer is closed, its records say that it panicked,
    /// and why.
    fn bystander(&self) {
        let (Some(recorder), what) = (self.recorder, self.what) else { return };
        let Some(writer) = self.own() else { return };
        let (memory, geometry, bank, boot_id) = (recorder.memory, &recorder.geometry, recorder.bank, recorder.boot_id);
        let _ = writer.record(&crate::events::Panic { core: what.core, message: what.message.as_bytes() });
        let words = LastWords { location: what.location.as_bytes(), message: what.message.as_bytes() };
        words.store(memory, geometry, bank, boot_id, what.core);
        let stop = panicked(what, what.entry_ns, writer.close().lines);
        stop.store(memory, geometry, bank, boot_id, what.core);
        let own_lines = Geometry::core_line(what.core, 0);
        memory.clean(geometry.bank(bank) + geometry.tail(own_lines), u64::from(tail_line::PER_CORE) * LINE_SIZE);
        memory.complete();
    }
}

/// The stop record of a core that panics itself.
fn panicked(what: &What<'_>, time_ns: u64, lines: u64) -> StopRecord {
    StopRecord {
        outcome: StopOutcome::Panicked,
        means: StopMeans::None,
        masked: Masked::All,
        lines: lines as u32,
        time_ns,
        pc: what.pc(),
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
