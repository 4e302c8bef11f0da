//! Stop by an EL2 of our own: a small part at EL2 owns the interrupts, so a core at EL1 cannot refuse its stop tick,
//! whatever it masks. It works wherever the kernel is entered at EL2, also on stock Raspberry Pi firmware.
//!
//! | | EL1, the kernel | EL2, `el2/vectors.rs` |
//! |---|---|---|
//! | set-up of the interrupt controller | all of it, before `Hvc::Start` | nothing |
//! | physical IRQs | never sees one | acknowledges and ends them: the timer of EL2, nothing else is enabled |
//! | stop tick | | reads the stop word, counts, rearms its timer |
//! | ordinary tick | a virtual IRQ (HCR_EL2.VI), acknowledged by `Hvc::Acknowledge` | raises it at each stop tick |
//! | FIQ, SError | as ever | nothing |
//!
//! To stop a core, EL2 does not run any of the kernel: it makes EL1 go on at `injected_stop`, with everything masked, on
//! the emergency stack, with the registers as they were. That is one-way, so it does not matter what EL1 was doing: its
//! own vectors' first instructions, an endless loop of exceptions, a broken stack pointer. TPIDR_EL1 and VBAR_EL1
//! are put right first. A core without ordinary tick for too long goes on at `injected_hang` in the same way.
//!
//! EL2 runs with its MMU off: nothing there depends on tables that a wild EL1 could have broken. Its data are then
//! uncached. So each core's `Block` is written by EL1 only while EL2 does not use it, cleaned and invalidated; and
//! whoever raises the stop word cleans it to the point of coherency ([`super::StopWord`]).
//!
//! A tick is counted only if the timer has fired: an interrupt controller may deliver a level that was withdrawn late once
//! more, and a tick too many would put the next one off by a period.
//!
//! What EL1 can still do against it: it has the registers of the interrupt controller mapped, and could turn the timer's
//! interrupt off there; and a core whose tables or SCTLR_EL1 are broken is stopped, but goes on at EL1 with what there is.
//! Seen under QEMU only. On hardware it remains to be seen whether firmware leaves EL2 its timer and the non-secure group
//! (the proof of [`super::choose`] tells, and the next means is tried), and how long an access past the caches takes.
//!
//! Nothing of this outlives a reset: each core comes this way again, from PSCI or a spin table, both of which enter at EL2.

use core::cell::UnsafeCell;
use core::mem::offset_of;

use super::{Line, StopMeans, Ticking, Ticks, Unavailable};
use crate::core_local::{CoreLocal, MAX_CORES, this};
use crate::exceptions::vectors::exception_vectors;
use crate::exceptions::{Frame, Hooks, unexpected};
use crate::gic::{Class, Gic, Interface};
use crate::irq::{Gate, Masking};

pub(crate) mod vectors;

/// What EL1 may ask of EL2, in x0: from the range of vendor-specific hypervisor services (SMC calling convention,
/// DEN0028). Anything else answers -1, "not supported".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Hvc {
    /// Take physical interrupts, and tick; x1 is the core's [`Block`].
    Start = 0xc600_a602,
    /// The virtual interrupt is taken: returns how many stop ticks came since the last time, and withdraws it.
    Acknowledge = 0xc600_a603,
    /// No more ticks, and physical interrupts to EL1 again.
    End = 0xc600_a604,
    /// Returns how many stop ticks there were.
    Beats = 0xc600_a605,
    /// Make a virtual SError pending at EL1.
    RaiseSError = 0xc600_a606,
    /// Go on at EL2, at x4 with x5 in x0, for good ([`crate::entry::leave`]).
    Leave = 0xc600_a607,
}

/// [`Hvc::Leave`], for who leaves.
pub(crate) const LEAVE: u64 = Hvc::Leave as u64;

/// What EL2 knows of its core. SP_EL2 points to it.
#[repr(C, align(128))]
struct Block {
    /// x0 to x3 of EL1, while EL2 handles an interrupt.
    saved: [u64; 4],
    /// Counter ticks from one tick to the next.
    period: u64,
    /// Address of the stop word.
    stop_word: u64,
    /// TPIDR_EL1 as it must be.
    core: u64,
    /// VBAR_EL1 as it must be.
    vectors: u64,
    /// Address of the CPU interface's registers; 0 where they are system registers, [`NO_INTERFACE`] where there are none.
    interface: u64,
    /// Number of the interrupt of EL2's timer.
    intid: u32,
    /// [`Ticking::patience`].
    patience: u32,
    /// Stop ticks since the last acknowledged one.
    unanswered: u32,
    reserved: u32,
    /// Stop ticks.
    beats: u64,
    reserved2: [u64; 4],
}

/// An address that no registers have: its lowest bit tells.
const NO_INTERFACE: u64 = 1;

const _: () = assert!(size_of::<Block>() == 128 && offset_of!(Block, beats) == 88);
const _: () = assert!(offset_of!(Block, unanswered) == offset_of!(Block, patience) + 4, "read as a pair");

/// The blocks of all cores: lines that nobody else has.
struct Blocks([UnsafeCell<Block>; MAX_CORES]);

// SAFETY: a block is written by its own core at EL1 while EL2 does not tick, and by EL2 otherwise.
unsafe impl Sync for Blocks {}

static BLOCKS: Blocks = Blocks(
    [const {
        UnsafeCell::new(Block {
            saved: [0; 4],
            period: 0,
            stop_word: 0,
            core: 0,
            vectors: 0,
            interface: 0,
            intid: 0,
            patience: 0,
            unanswered: 0,
            reserved: 0,
            beats: 0,
            reserved2: [0; 4],
        })
    }; MAX_CORES],
);

/// The means, on any interrupt controller.
pub struct OwnEl2 {
    gic: &'static dyn Gic,
    ticks: Ticks,
}

impl OwnEl2 {
    /// Stop by EL2. Whether the kernel was entered there is found out by [`StopMeans::prepare_core`].
    #[must_use]
    pub const fn new(gic: &'static dyn Gic, ticks: Ticks) -> Self {
        Self { gic, ticks }
    }
}

impl StopMeans for OwnEl2 {
    fn name(&self) -> &'static str {
        "own EL2"
    }

    fn masking(&self) -> Masking {
        Masking::Daif
    }

    fn gate(&self) -> Gate {
        Gate::El2
    }

    fn prepare_core(&self) -> Result<(), Unavailable> {
        if this().entry_el() != 2 {
            return Err(Unavailable::Missing("EL2 of our own: the kernel was not entered there"));
        }
        let timer = self.ticks.hypervisor.ok_or(Unavailable::Missing("timer of EL2 in the device tree"))?;
        self.gic.init_core()?;
        Ok(self.gic.enable(timer, Class::Hypervisor)?)
    }

    fn start_ticks(&self, ticking: Ticking) {
        let Some(timer) = self.ticks.hypervisor else { return };
        self.end_ticks();
        let core = this();
        let block = Block {
            saved: [0; 4],
            period: ticking.period.max(1),
            stop_word: (&raw const super::STOP_WORD).addr() as u64,
            core: core::ptr::from_ref::<CoreLocal>(core).addr() as u64,
            vectors: exception_vectors as *const () as u64,
            interface: match self.gic.interface() {
                Interface::SystemRegisters => 0,
                Interface::Memory(address) => address as u64,
                Interface::None => NO_INTERFACE,
            },
            intid: timer.number(),
            patience: ticking.patience,
            unanswered: 0,
            reserved: 0,
            beats: self.beats(),
            reserved2: [0; 4],
        };
        let place = BLOCKS.0[core.index()].get();
        // SAFETY: this core's own, and its EL2 does not tick: nobody else looks at it.
        unsafe { place.write(block) };
        // What EL2 writes from now on must neither be hidden by a line of this core's nor be written over by one.
        crate::cache::clean_and_invalidate_to_poc(place.addr()..place.addr() + size_of::<Block>());
        hvc(Hvc::Start, place.addr() as u64);
    }

    fn end_ticks(&self) {
        hvc(Hvc::End, 0);
    }

    fn beats(&self) -> u64 {
        hvc(Hvc::Beats, 0)
    }

    fn interrupt(&self, line: Line, frame: &mut Frame, hooks: &dyn Hooks) {
        if line == Line::Fiq {
            unexpected(frame);
        }
        // Nothing is due where the virtual interrupt was withdrawn after it had been taken.
        if hvc(Hvc::Acknowledge, 0) != 0 {
            super::ordinary_tick(self.ticks.ordinary, frame, hooks);
        }
    }
}

/// Makes an SError pending at this level, if EL2 is our own and in use: what it looks like when memory answers too late
/// with an error.
pub(crate) fn raise_serror() {
    if crate::irq::gate() == Gate::El2 {
        hvc(Hvc::RaiseSError, 0);
    }
}

/// Asks EL2. Only where the kernel came from there: elsewhere somebody else's hypervisor would be asked.
fn hvc(function: Hvc, argument: u64) -> u64 {
    let result;
    // SAFETY: our own part at EL2 answers, and changes no memory and no register of EL1 but x0 to x3.
    unsafe {
        core::arch::asm!(
            "hvc #0",
            inout("x0") function as u64 => result,
            inout("x1") argument => _,
            out("x2") _,
            out("x3") _,
            options(nostack)
        );
    }
    result
}
