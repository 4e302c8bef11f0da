//! What happens when something interrupts a core: the vectors save a [`Frame`], this decides who gets it.
//!
//! Interrupts go to the chosen means of stop ([`crate::nmi`]), which tells ticks that look for the stop word from
//! ordinary interrupts. Everything else is fatal, with one exception: a semihosting call that nobody answers.

mod backtrace;
pub mod esr;
mod frame;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
pub(crate) mod vectors;

pub use backtrace::{Backtrace, DEPTH_MAX, Memory, backtrace};
pub use frame::{Frame, Registers};

#[cfg(target_os = "none")]
pub use backtrace::backtrace_here;
#[cfg(target_os = "none")]
pub(crate) use report::{fatal, injected, interrupt, last_resort, unexpected};
#[cfg(target_os = "none")]
pub use report::{hooks, set_early_report, set_hooks, write_fatal};

use crate::gic::IntId;

/// Why a core cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// A synchronous exception: the syndrome says which.
    Synchronous,
    /// An asynchronous error from the memory system. The program counter is not its cause.
    SError,
    /// An exception from a lower exception level, where nothing of ours runs.
    LowerLevel,
    /// No ordinary tick for longer than the patience of `nmi::Ticking`: the core spins with interrupts masked, or in a
    /// handler. Told by its stop tick.
    LockUp,
    /// Something that our part at EL2 traps and does not know.
    Trap,
    /// An interrupt on a line that the means of stop does not use.
    UnexpectedInterrupt,
}

impl core::fmt::Display for Fatal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Fatal::Synchronous => "synchronous exception",
            Fatal::SError => "SError",
            Fatal::LowerLevel => "exception from a lower level",
            Fatal::LockUp => "locked up: no ordinary interrupt came through for too long",
            Fatal::Trap => "trapped to EL2",
            Fatal::UnexpectedInterrupt => "unexpected interrupt",
        })
    }
}

/// What the kernel does about exceptions. Set once, before interrupts are opened on any core.
pub trait Hooks: Sync {
    /// The tick that looks for the stop word. It interrupts everything except itself and fatal exceptions, also
    /// code that masks ordinary interrupts: no locks. Everything is masked; the timer is set to its next period;
    /// the interrupt ends when this returns. If it never returns, the core stays parked.
    fn nmi_tick(&self, frame: &mut Frame);

    /// An ordinary interrupt. Ordinary ones are masked, the tick is not. It ends when this returns.
    fn irq(&self, id: IntId, frame: &mut Frame);

    /// The core cannot go on. Runs on its emergency stack with everything masked (an unexpected interrupt, a
    /// lock-up: on the stack of interrupts).
    fn fatal(&self, frame: &Frame, why: Fatal) -> !;

    /// [`Hooks::fatal`] faulted again and again: reset, touch nothing else.
    fn last_resort(&self) -> !;
}

/// PSTATE as SPSR_EL1 would hold it: flags, masks, level and stack pointer.
#[cfg(target_os = "none")]
#[must_use]
pub fn pstate() -> u64 {
    let (flags, masks, level, stack): (u64, u64, u64, u64);
    // SAFETY: only reads registers.
    unsafe {
        core::arch::asm!(
            "mrs {}, nzcv", "mrs {}, daif", "mrs {}, CurrentEL", "mrs {}, spsel",
            out(reg) flags, out(reg) masks, out(reg) level, out(reg) stack,
            options(nomem, nostack, preserves_flags)
        );
    }
    flags | masks | level | stack
}
