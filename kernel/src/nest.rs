//! Every instruction, on the target: an NMI that records comes at each single instruction of recording, and after each
//! of them the ring is read back and holds exactly what was recorded.
//!
//! It needs a counter that ticks once an instruction (QEMU's `-icount`). Then the tick's timer, set to k from now, fires
//! before the k-th instruction from now; k counts up until the interrupt comes too late. That none was left out is
//! checked in two ways: there are as many interrupts between two marks as ticks, and each interrupted program counter
//! follows the one before, as the instruction there says.
//!
//! Ordinary interrupts are masked by priority meanwhile, so that it is the NMI that gets in. After that an ordinary
//! interrupt, the kernel's own tick, comes at a drawn instruction, and an NMI at a drawn instruction of whatever runs
//! then: three levels. All this runs before the other cores are started, with the tick lent by [`stop`].

mod code;
mod read_back;

use crate::command_line::{Full, Options};
use crate::ending::{Status, power_off};
use crate::events::{self, Trial, TrialNmi};
use crate::life::{self, Recording};
use crate::region_memory::CpuCrc;
use crate::trace::CoreWriter;
use crate::{say, stop, trace};
use arch::core_local::this;
use arch::exceptions::Frame;
use arch::image::link_address;
use arch::timer::Tick;
use code::{CASES, Case, Shot, Stage};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use read_back::{Expected, Order, ReadBack, Wrong};
use ring::records::{BankRecord, Counters};
use ring::recover::Bank;
use ring::seams::Clock;

/// Ticks from now at which nothing will have gone on for so long.
const NEVER: u64 = 1 << 40;

/// What the last NMI came upon.
static SEEN: Seen = Seen {
    count: AtomicU32::new(0),
    stage: AtomicU32::new(0),
    open: AtomicU32::new(0),
    handlers: AtomicU32::new(0),
    pc: AtomicU64::new(0),
    number: AtomicU64::new(0),
};

/// Written and read by one core: its NMI and the thread that it interrupts.
struct Seen {
    /// NMIs since the thread last looked.
    count: AtomicU32,
    stage: AtomicU32,
    /// Levels that were writing.
    open: AtomicU32,
    /// Ordinary handlers that were running.
    handlers: AtomicU32,
    pc: AtomicU64,
    /// Of the shot: what the thread tells the NMI.
    number: AtomicU64,
}

/// What an NMI came upon.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    stage: u32,
    open: u32,
    handlers: u32,
    pc: u64,
}

impl Seen {
    /// What the NMI came upon since the last call; `None` if it did not come, `Err` if it came more than once.
    fn take(&self) -> Result<Option<Arrival>, Wrong> {
        let arrival = Arrival {
            stage: self.stage.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
            handlers: self.handlers.load(Ordering::Relaxed),
            pc: self.pc.load(Ordering::Relaxed),
        };
        match self.count.swap(0, Ordering::Relaxed) {
            0 => Ok(None),
            1 => Ok(Some(arrival)),
            _ => Err(Wrong::new("the NMI came more than once")),
        }
    }
}

/// The NMI: notes what it came upon, and records.
#[cold]
#[inline(never)]
pub fn arrive(frame: &Frame) {
    let stage = code::STAGE.load(Ordering::Relaxed);
    let Some(writer) = trace::here() else { return };
    if stage == Stage::Idle as u32 {
        return;
    }
    SEEN.stage.store(stage, Ordering::Relaxed);
    SEEN.open.store(writer.counters().in_flight, Ordering::Relaxed);
    SEEN.handlers.store(this().irq_depth(), Ordering::Relaxed);
    SEEN.pc.store(frame.elr, Ordering::Relaxed);
    SEEN.count.store(SEEN.count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let context = writer.enter_flags(events::context::NMI | events::context::IRQS_OFF);
    // A refusal is counted by the writer, and looked for there.
    let _ = writer.record(&TrialNmi { number: SEEN.number.load(Ordering::Relaxed), pc: link_address(frame.elr) });
    writer.leave(context);
}

/// Runs the whole test on this core. Comes back when everything was right; or else it says what was not, and ends the
/// machine with [`Status::Lost`].
pub fn prove(options: &Options) {
    let (Some(writer), Some(recording)) = (trace::here(), life::recording()) else {
        say!("\nnest: nothing is recorded in this boot");
        power_off(Status::Unable)
    };
    if options.full == Full::Drop {
        say!("\nnest: with full=drop the ring would soon be full; full=overwrite goes on");
        power_off(Status::Unable)
    }
    if arch::irq::gate() == arch::irq::Gate::El2 {
        say!("\nnest: with stop=el2 no NMI reaches this level: stop=fiq, feat-nmi or priority-mask does");
        power_off(Status::Unable)
    }
    if !code::counter_counts_instructions() {
        say!(
            "\nnest: the counter does not tick once an instruction: under QEMU, -icount shift=0,sleep=off with -cpu max (4 with others)"
        );
        power_off(Status::Unable)
    }
    let mut test = Test { writer, recording, number: 0, time_ns: 0, first: 0, nmi_at: 0, irq_at: NEVER, pc: 0 };
    let context = writer.enter(0, read_back::PID);
    Tick::Physical.stop();
    Tick::Virtual.stop();
    // So many stop ticks without an ordinary one are no lock-up here.
    let patience = arch::nmi::set_patience(0);
    let result = stop::lend_tick(|| test.all(options));
    arch::nmi::set_patience(patience);
    Tick::Physical.resume();
    Tick::Virtual.resume();
    writer.leave(context);
    if let Err((case, wrong)) = result {
        test.tell(case, &wrong);
        power_off(Status::Lost)
    }
}

/// The test, and where it is.
struct Test {
    writer: &'static CoreWriter,
    recording: &'static Recording,
    /// Of the shot.
    number: u64,
    /// Time of the last event that was read back.
    time_ns: u64,
    /// The k of the case's first instruction.
    first: u64,
    /// The k at which the interrupts of the shot were to come.
    nmi_at: u64,
    irq_at: u64,
    /// Where its NMI came.
    pc: u64,
}

/// What came of a shot.
struct Outcome {
    /// Ticks between the marks.
    ticks: u64,
    /// What the NMI came upon, if it came, and whose event is first.
    nmi: Option<(Arrival, Order)>,
}

/// What is known of a case after its every instruction.
#[derive(Clone, Copy, Default)]
struct Window {
    /// The first k within the marks.
    first: u64,
    /// Instructions within the marks.
    instructions: u64,
    /// NMIs that came there.
    nmis: u64,
    /// Of these: the NMI's event has its place before the interrupted one's.
    before: u64,
    /// Of these: the interrupted event was open.
    open: u64,
}

impl Test {
    fn all(&mut self, options: &Options) -> Result<(), (&'static Case, Wrong)> {
        say!("\nan NMI that records, at every instruction of    instructions  NMIs  its event first  in an open event");
        let mut windows = [Window::default(); CASES.len()];
        for (case, window) in CASES.iter().zip(&mut windows) {
            *window = self.every_instruction(case).map_err(|wrong| (case, wrong))?;
            let Window { instructions, nmis, before, open, .. } = *window;
            say!("  {:<44}{instructions:>14}{nmis:>6}{before:>17}{open:>18}", case.name);
        }
        let instructions: u64 = windows.iter().map(|window| window.instructions).sum();
        let handler = self.handler_ticks(&windows[0]).map_err(|wrong| (&CASES[0], wrong))?;
        let mut random = options.seed ^ 0x9e37_79b9_7f4a_7c15;
        let [mut in_handler, mut two_open, mut behind] = [0; 3];
        for _ in 0..options.nest {
            let draw = draw(&mut random);
            let index = (draw >> 48) as usize % CASES.len();
            let (case, window) = (&CASES[index], &windows[index]);
            let irq = window.first + draw % window.instructions;
            // In the handler, or behind it: where the interrupted event goes on, perhaps from the beginning.
            let nmi = irq + (draw >> 24) % (handler + window.instructions / 2);
            self.first = window.first;
            let outcome = self.shoot(case, nmi, irq).map_err(|wrong| (case, wrong))?;
            let Some((arrival, _)) = outcome.nmi else { continue };
            in_handler += u64::from(arrival.handlers > 0);
            two_open += u64::from(arrival.open == 2);
            behind += u64::from(arrival.handlers == 0 && arrival.open == 1);
        }
        let pairs = options.nest;
        say!(
            "  {pairs} pairs of an ordinary interrupt and an NMI (seed {}): {in_handler} NMIs in its handler, {two_open} of them",
            options.seed
        );
        say!("    in two open events; {behind} beside the handler, in the event that it interrupted");
        say!("nest: {instructions} instructions, {pairs} pairs: every event is there once, whole, in order");
        Ok(())
    }

    /// An NMI at each instruction of a case.
    fn every_instruction(&mut self, case: &'static Case) -> Result<Window, Wrong> {
        let mut window = Window::default();
        let mut before: Option<(Arrival, Order)> = None;
        for k in 0.. {
            let Some((arrival, order)) = self.shoot(case, k, NEVER)?.nmi else {
                return Err(Wrong::new("the NMI did not come"));
            };
            if arrival.stage == Stage::Before as u32 {
                window.first = k + 1;
                self.first = k + 1;
                continue;
            }
            if arrival.stage == Stage::Behind as u32 {
                break;
            }
            window.nmis += 1;
            window.before += u64::from(order == Order::NmiFirst);
            window.open += u64::from(arrival.open > 0);
            if let Some((last, last_order)) = before {
                if !code::follows(last.pc, arrival.pc) {
                    return Err(Wrong::new("an instruction was left out: it does not follow the one before"));
                }
                match ((last_order, last.open), (order, arrival.open)) {
                    ((Order::NmiLast, _), (Order::NmiFirst, _)) => {
                        return Err(Wrong::new("a place that was claimed is claimed no more"));
                    }
                    ((Order::NmiFirst, _), (Order::NmiLast, 0)) => {
                        return Err(Wrong::new("a place is claimed before its writer has taken the level"));
                    }
                    ((Order::NmiLast, 0), (_, 1..)) => {
                        return Err(Wrong::new("a writer that has left its level is back"));
                    }
                    _ => {}
                }
            }
            before = Some((arrival, order));
        }
        window.instructions = self.shoot(case, NEVER, NEVER)?.ticks + code::MARKS;
        if window.nmis != window.instructions {
            return Err(Wrong::new("there were not as many NMIs as instructions"));
        }
        if window.open == 0 || window.before == 0 || window.before == window.nmis {
            return Err(Wrong::new("the NMI never came between the claim and the end of an event"));
        }
        Ok(window)
    }

    /// Ticks that the kernel's own handler of its tick takes.
    fn handler_ticks(&mut self, window: &Window) -> Result<u64, Wrong> {
        let outcome = self.shoot(&CASES[0], NEVER, window.first + window.instructions / 2)?;
        Ok(outcome.ticks + code::MARKS - window.instructions)
    }

    /// One event of a case, interrupted; then the ring is read back.
    fn shoot(&mut self, case: &'static Case, nmi: u64, irq: u64) -> Result<Outcome, Wrong> {
        self.number += 1;
        (self.nmi_at, self.irq_at, self.pc) = (nmi, irq, 0);
        SEEN.number.store(self.number, Ordering::Relaxed);
        let sequence = self.begin_subbuf(case)?;
        if case.waits {
            code::let_time_pass();
        }
        let before = self.writer.counters();
        let clock = self.writer.clock();
        let begin_ns = clock.now_ns();
        let Shot { ticks, result } = (case.shoot)(self.writer, self.number, nmi, irq);
        let ns = begin_ns..=clock.now_ns();
        let arrival = SEEN.take()?;
        self.pc = arrival.map_or(0, |arrival| link_address(arrival.pc));
        result.map_err(|refused| Wrong::new(refused.name()))?;
        let mut expected =
            Expected { number: self.number, outer: case.outer, arrival, irq: irq != NEVER, ns, next_ns: None };
        self.read_back(expected.clone(), sequence, before.reserved)?;

        // What the shot left behind in the writer shows in the next event.
        let begin_ns = clock.now_ns();
        let next = code::record_typed(self.writer, !self.number);
        expected.next_ns = Some(begin_ns..=clock.now_ns());
        next.map_err(|refused| Wrong::new(refused.name()))?;
        let after = self.writer.counters();
        let refused = |counters: &Counters| counters.refused.iter().sum::<u32>();
        if refused(&after) - refused(&before) != u32::from(case.outer.discarded) || after.in_flight != 0 {
            return Err(Wrong::new("the writer refused an event, or left one open"));
        }
        let read = self.read_back(expected, sequence, before.reserved)?;
        self.time_ns = read.time_ns;
        Ok(Outcome { ticks, nmi: arrival.zip(read.order) })
    }

    /// Reads back, from a sub-buffer on, what was reserved since there were `reserved` events, and the large one before.
    fn read_back(&self, expected: Expected, sequence: u64, reserved: u64) -> Result<ReadBack, Wrong> {
        let Recording { memory, geometry, bank, boot_id } = *self.recording;
        // SAFETY: no other core runs, both timers are stopped, and nothing is recorded until the slice is gone.
        let bytes = unsafe { memory.bytes(geometry.bank(bank), geometry.bank_size) };
        let record = BankRecord { boot_id, ..BankRecord::default() };
        let bank = Bank::new(bytes, geometry, record, CpuCrc::new()).ok_or(Wrong::new("there is no bank"))?;
        let counters = self.writer.counters();
        let ring = bank.core_up_to(self.writer.core(), Some(counters.sequence));
        // To search the free end of the newest sub-buffer would take longer than all the rest.
        let events = counters.reserved - reserved + 1;
        ReadBack::new(expected, self.time_ns).all(ring.items_from(sequence).take(events as usize))
    }

    /// Opens a new sub-buffer with one large event, behind which as much room is left as the case wants. Returns its
    /// sequence number.
    fn begin_subbuf(&self, case: &Case) -> Result<u64, Wrong> {
        let before = self.writer.counters().sequence;
        loop {
            code::record_copied(self.writer, self.number, read_back::filler(case.room))
                .map_err(|refused| Wrong::new(refused.name()))?;
            let sequence = self.writer.counters().sequence;
            if sequence != before {
                return Ok(sequence);
            }
        }
    }

    /// Says what went wrong, and at which instruction.
    fn tell(&self, case: &Case, wrong: &Wrong) {
        let instruction = |k: u64| k.wrapping_sub(self.first).wrapping_add(1).cast_signed();
        say!("nest: FAILED: {}: {wrong}", case.name);
        say!("  NMI k={}, before instruction {} of the code, pc {:#x}", self.nmi_at, instruction(self.nmi_at), self.pc);
        if self.irq_at != NEVER {
            say!("  IRQ k={}, before instruction {}", self.irq_at, instruction(self.irq_at));
        }
    }
}

/// A number of a sequence (xorshift).
fn draw(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
