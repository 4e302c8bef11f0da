//! From the vectors to the kernel's hooks, and what is said before there are any.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Once;

use super::vectors::Vector;
use super::{Fatal, Frame, Hooks, Registers, backtrace};
use crate::{cores, image, mmu, nmi, semihosting};

static HOOKS: Once<&'static dyn Hooks> = Once::new();
/// A `fn(&Frame, Fatal)`, or 0.
static EARLY_REPORT: AtomicUsize = AtomicUsize::new(0);

/// Sets the kernel's hooks. The first call counts.
pub fn set_hooks(hooks: &'static dyn Hooks) {
    HOOKS.call_once(|| hooks);
}

/// The kernel's hooks, once they are set.
#[must_use]
pub fn hooks() -> Option<&'static dyn Hooks> {
    HOOKS.get().copied()
}

/// Until there are hooks, this tells of a fatal exception, and the core parks. It must not take a lock.
pub fn set_early_report(report: fn(&Frame, Fatal)) {
    EARLY_REPORT.store(report as usize, Ordering::Release); // pairs with early_report
}

fn early_report() -> Option<fn(&Frame, Fatal)> {
    let report = EARLY_REPORT.load(Ordering::Acquire); // pairs with set_early_report
    // SAFETY: it is 0 or was such a function.
    (report != 0).then(|| unsafe { core::mem::transmute::<usize, fn(&Frame, Fatal)>(report) })
}

/// Called by the vectors for IRQ (line 0) and FIQ (line 1).
pub(crate) extern "C" fn interrupt(frame: &mut Frame, line: u64) {
    let line = if line == 0 { nmi::Line::Irq } else { nmi::Line::Fiq };
    match (nmi::current(), hooks()) {
        (Some(means), Some(hooks)) => means.interrupt(line, frame, hooks),
        _ => unexpected(frame),
    }
}

/// An interrupt that nobody asked for.
pub(crate) fn unexpected(frame: &Frame) -> ! {
    die(frame, Fatal::UnexpectedInterrupt)
}

/// Called by the vectors for everything but interrupts, on the emergency stack.
pub(crate) extern "C" fn fatal(frame: &mut Frame, vector: Vector) {
    let why = match vector {
        Vector::SyncThread | Vector::SyncHandler => Fatal::Synchronous,
        Vector::SErrorThread | Vector::SErrorHandler => Fatal::SError,
        Vector::LowerLevel => Fatal::LowerLevel,
    };
    if why == Fatal::Synchronous && semihosting::skip_unanswered(frame) {
        crate::core_local::this().leave_fatal();
        return;
    }
    die(frame, why)
}

fn die(frame: &Frame, why: Fatal) -> ! {
    if let Some(hooks) = hooks() {
        hooks.fatal(frame, why);
    }
    if let Some(report) = early_report() {
        report(frame, why);
    }
    cores::park()
}

/// Writes all that is known of a fatal exception.
///
/// # Errors
///
/// `out`'s.
pub fn write_fatal(out: &mut dyn Write, frame: &Frame, why: Fatal) -> fmt::Result {
    writeln!(out, "\nfatal, before the kernel was ready: {why}\n{frame}")?;
    if let Some(address) = frame.fault_address() {
        writeln!(out, "address {address:#x}: {}", mmu::describe(address))?;
    }
    writeln!(out, "at {:#x} (link address)", image::link_address(frame.elr))?;
    for pc in backtrace(Registers::from(frame).fp) {
        writeln!(out, "from {:#x}", image::link_address(pc))?;
    }
    Ok(())
}

/// Called by the vectors on a core that EL2 made go on there, for good, everything masked.
pub(crate) extern "C" fn injected(frame: &mut Frame, why: u64) -> ! {
    if let Some(hooks) = hooks() {
        match why {
            // It finds the stop word, and does not come back.
            0 => hooks.nmi_tick(frame),
            1 => hooks.fatal(frame, Fatal::LockUp),
            _ => hooks.fatal(frame, Fatal::Trap),
        }
    }
    cores::park()
}

/// Called by the vectors when `fatal` faulted several times over.
pub(crate) extern "C" fn last_resort() -> ! {
    match hooks() {
        Some(hooks) => hooks.last_resort(),
        None => cores::park(),
    }
}
