//! The stop: one word that a panicking core raises, and what each other core does when its own tick finds it.

use crate::events::{self, CoreStop};
use crate::{die, life, nest, trace};
use arch::core_local::{MAX_CORES, this};
use arch::exceptions::{Frame, Registers};
use arch::nmi::STOP_WORD;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};
use ring::format::{Geometry, LINE_SIZE, tail_line};
use ring::records::{Masked, StopMeans, StopOutcome, StopRecord};
use ring::seams::{Clock, Persist, StopOthers};

/// The stop word says what a tick does beside being one: nothing.
const GO_ON: u32 = 0;
/// Its core stands still for good: somebody panics.
const STAND_STILL: u32 = 1;
/// It is the NMI of the test of nesting, on the only core that runs.
const LENT: u32 = 2;

/// It is the NMI in which a core dies, as the command line wants it.
const LETHAL: u32 = 3;

/// Cores that stand still for good.
static PARKED: [AtomicBool; MAX_CORES] = [const { AtomicBool::new(false) }; MAX_CORES];

/// Who may still write what a core leaves behind: the core itself, or whoever gives it up. Whoever comes first.
static LEFT_TO: [AtomicU8; MAX_CORES] = [const { AtomicU8::new(NOBODY) }; MAX_CORES];
/// It runs.
const NOBODY: u8 = 0;
/// It has begun to stop.
const ITSELF: u8 = 1;
/// It has been given up: it leaves everything alone.
const OTHERS: u8 = 2;

/// Longest that a panic waits for the other cores, in milliseconds. Ticks come every `tick_us`; an emulator may hold a core
/// back for a hundred milliseconds.
const WAIT_MAX_MS: u64 = 2000;
/// After so long a core is not merely late: an emulator's may be for a hundred milliseconds, a real one's for a tick.
const OVERDUE_MS: u64 = 100;

/// Called by every core's tick, as an NMI.
#[inline]
pub fn check(frame: &Frame) {
    match STOP_WORD.get() {
        GO_ON => {}
        LENT => nest::arrive(frame),
        LETHAL => die::in_nmi(),
        _ => stand_still(frame),
    }
}

/// Lends the tick to [`nest`] while `test` runs. No other core runs yet, so nobody can ask for a stop meanwhile but this
/// core itself, by a panic; that one stays.
pub fn lend_tick<R>(test: impl FnOnce() -> R) -> R {
    STOP_WORD.set(LENT);
    let result = test();
    STOP_WORD.change(LENT, GO_ON);
    result
}

/// Every stop tick asks [`die`] from now on, until somebody panics.
pub fn make_tick_lethal() {
    STOP_WORD.set(LETHAL);
}

/// A core begins to stop: from now on nobody gives it up. False when somebody has: then it leaves the region alone.
pub fn begin_to_stop(core: usize) -> bool {
    claim(core, ITSELF)
}

fn claim(core: usize, by: u8) -> bool {
    // Acquire and release: what the loser does then comes behind what the winner did before.
    LEFT_TO.get(core).is_some_and(|left| left.compare_exchange(NOBODY, by, Ordering::AcqRel, Ordering::Acquire).is_ok())
}

/// Records where the core stood, closes and cleans its writer, says so, and never comes back.
fn stand_still(frame: &Frame) -> ! {
    let core = this().index();
    let registers = Registers::from(frame);
    if let Some(writer) = trace::of(core)
        && begin_to_stop(core)
    {
        let context = writer.enter_flags(events::context::NMI | events::context::IRQS_OFF);
        // A refusal is counted by the writer.
        let _ = writer.record(&CoreStop {
            core: core as u32,
            pc: arch::image::link_address(registers.pc),
            pstate: registers.pstate,
        });
        writer.leave(context);
        let lines = writer.close().lines as u32;
        if let Some(recording) = life::recording() {
            let (geometry, memory) = (&recording.geometry, &recording.memory);
            let record = StopRecord {
                outcome: StopOutcome::Stopped,
                means: life::stop_means(),
                masked: masked(&registers),
                in_handler: this().irq_depth() > 0,
                lines,
                time_ns: writer.clock().now_ns(),
                pc: arch::image::link_address(registers.pc),
                lr: arch::image::link_address(registers.lr),
                sp: registers.sp,
                pstate: registers.pstate,
                fp: registers.fp,
            };
            record.store(memory, geometry, recording.bank, recording.boot_id, core as u32);
            let line = Geometry::core_line(core as u32, tail_line::STOP);
            memory.clean(geometry.bank(recording.bank) + geometry.tail(line), LINE_SIZE);
            memory.complete();
        }
    }
    park_for_good()
}

/// Ends this core's ticks: from now on it is stopped, or it stops the others. A tick that stays pending behind a mask would
/// end every WFI at once (and, under QEMU with -icount, keep the emulator from ever getting to a reset).
pub fn end_ticks() {
    arch::nmi::end_ticks();
}

/// Software-generated interrupts that a core knew of when it came to stand still, one bit each.
static SGIS: AtomicU16 = AtomicU16::new(0);

/// The software-generated interrupts that the interrupt controller knows of, on this core and on those that stand still (with a
/// GICv2 only the core itself can see its own), one bit each.
#[must_use]
pub fn sgis() -> Option<u16> {
    let gic = boards::stop::interrupt_controller()?;
    let pending = (0..MAX_CORES).filter_map(|core| gic.pending_sgis(core)).fold(0, |all, core| all | core);
    Some(SGIS.fetch_or(pending, Ordering::Relaxed) | pending)
}

/// Says that this core stands still, and does.
pub fn park_for_good() -> ! {
    end_ticks();
    let _ = sgis();
    if let Some(parked) = PARKED.get(this().index()) {
        // Release: whoever sees it sees what this core wrote before.
        parked.store(true, Ordering::Release);
    }
    arch::cores::park()
}

/// Whether a core has been stopped, or has stopped itself, for good.
#[must_use]
pub fn stands_still(core: usize) -> bool {
    // Acquire: pairs with `park_for_good`.
    PARKED.get(core).is_some_and(|parked| parked.load(Ordering::Acquire))
}

/// What the interrupted code had masked.
fn masked(registers: &Registers) -> Masked {
    /// PSTATE.I.
    const IRQ: u64 = 1 << 7;
    /// PSTATE.A, PSTATE.I and PSTATE.F. The last alone says nothing: where no FIQ is used it is never opened.
    const ALL: u64 = 0b111 << 6;
    let in_handler = this().irq_depth() > 0;
    // An exception masks them all; a handler of ordinary interrupts is no more than that.
    if registers.pstate & ALL == ALL && !in_handler {
        return Masked::All;
    }
    let by_priority = arch::irq::masked().priority_mask.is_some_and(|mask| mask <= arch::gic::MASK_ORDINARY);
    if by_priority || in_handler || registers.pstate & IRQ != 0 { Masked::Ordinary } else { Masked::Nothing }
}

/// The other cores, for the panic path.
#[derive(Debug)]
pub struct Others {
    /// The counter at which patience ends; set by the first wait.
    deadline: Cell<Option<u64>>,
}

impl Others {
    /// Nobody has been waited for yet.
    #[must_use]
    pub fn new() -> Self {
        Self { deadline: Cell::new(None) }
    }
}

impl Default for Others {
    fn default() -> Self {
        Self::new()
    }
}

impl StopOthers for Others {
    fn request(&self) {
        // This core's own tick must not find the word.
        end_ticks();
        STOP_WORD.set(STAND_STILL);
    }
    fn is_running(&self, core: u32) -> bool {
        arch::core_local::CORES.get(core as usize).is_some_and(arch::core_local::CoreLocal::is_online)
    }
    fn is_stopped(&self, core: u32) -> bool {
        stands_still(core as usize)
    }
    fn give_up(&self, core: u32) -> bool {
        // Also when it has been before, by a step of the path that panicked then.
        claim(core as usize, OTHERS)
            || LEFT_TO.get(core as usize).is_some_and(|left| left.load(Ordering::Acquire) == OTHERS)
    }
    fn is_overdue(&self) -> bool {
        let left = arch::timer::frequency() / 1000 * (WAIT_MAX_MS - OVERDUE_MS);
        self.deadline.get().is_some_and(|deadline| arch::timer::now() + left >= deadline)
    }
    fn wait(&self) -> bool {
        let now = arch::timer::now();
        let deadline = self.deadline.get().unwrap_or_else(|| now + arch::timer::frequency() / 1000 * WAIT_MAX_MS);
        self.deadline.set(Some(deadline));
        arch::cores::relax();
        now < deadline
    }
}

/// The record's name for the machine's means of stop.
#[must_use]
pub fn record_means(name: &str) -> StopMeans {
    StopMeans::ALL.into_iter().find(|means| means.name() == name).unwrap_or_default()
}

/// The board's name for what the command line forces; `None` leaves the choice.
#[must_use]
pub fn forced(stop: crate::command_line::Stop) -> Option<boards::stop::Means> {
    use crate::command_line::Stop;
    use boards::stop::Means;
    match stop {
        Stop::Auto => None,
        Stop::PriorityMask => Some(Means::PriorityMask),
        Stop::Fiq => Some(Means::Fiq),
        Stop::FeatNmi => Some(Means::FeatNmi),
        Stop::El2 => Some(Means::El2),
    }
}
