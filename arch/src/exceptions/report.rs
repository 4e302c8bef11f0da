//! From the vectors to the kernel's hooks, and what is said before there are any.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Once;

use super::vectors::Vector;
use super::{Fatal, Frame, Hooks, Registers, backtrace};
use crate::{cores, image, mmu, nmi, semihosting};

static HOOKS: Once<&'static dyn Hooks> = Once::new();
/// A `fn(&[u8])`, or 0.
static EARLY_CONSOLE: AtomicUsize = AtomicUsize::new(0);

/// Sets the kernel's hooks. The first call counts.
pub fn set_hooks(hooks: &'static dyn Hooks) {
    HOOKS.call_once(|| hooks);
}

/// The kernel's hooks, once they are set.
#[must_use]
pub fn hooks() -> Option<&'static dyn Hooks> {
    HOOKS.get().copied()
}

/// Until there are hooks, a fatal exception is printed through this, and the core parks. It must not take a lock.
pub fn set_early_console(write: fn(&[u8])) {
    EARLY_CONSOLE.store(write as usize, Ordering::Release); // pairs with EarlyConsole::get
}

struct EarlyConsole(fn(&[u8]));

impl EarlyConsole {
    fn get() -> Option<Self> {
        let write = EARLY_CONSOLE.load(Ordering::Acquire); // pairs with set_early_console
        // SAFETY: it is 0 or was such a function.
        (write != 0).then(|| Self(unsafe { core::mem::transmute::<usize, fn(&[u8])>(write) }))
    }
}

impl Write for EarlyConsole {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        (self.0)(s.as_bytes());
        Ok(())
    }
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
    if let Some(mut console) = EarlyConsole::get() {
        let _ = print(&mut console, frame, why);
    }
    cores::park()
}

fn print(out: &mut EarlyConsole, frame: &Frame, why: Fatal) -> fmt::Result {
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
