//! What each core keeps for itself, found through TPIDR_EL1 at any moment, also inside an NMI.

use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::stacks::{self, Stack};

pub use crate::stacks::MAX_CORES;

/// The block of one core. Only its own core writes it, but anyone may read it; so its fields are atomics, all
/// relaxed: same-core nesting is ordered by the program, and nothing is published through them.
#[repr(C, align(128))]
pub struct CoreLocal {
    /// Where the vectors put registers before there is a stack to push them on.
    scratch: [AtomicU64; 4],
    /// Top of the NMI stack, for the vectors.
    nmi_top: AtomicU64,
    /// Top of the emergency stack, for the vectors.
    emergency_top: AtomicU64,
    /// Fatal exceptions that were entered and not left.
    fatal_depth: AtomicU32,
    /// Ordinary interrupt handlers that run.
    irq_depth: AtomicU32,
    /// NMI handlers that run.
    nmi_depth: AtomicU32,
    index: AtomicU32,
    mpidr: AtomicU64,
    entry_el: AtomicU32,
    online: AtomicBool,
    /// Stop ticks since the last ordinary one.
    unanswered: AtomicU32,
    /// Ticks of either kind: a sign of life for the other cores.
    beats: AtomicU64,
    /// Words of the kernel's own, for instance a pointer to this core's writer.
    pub slots: [AtomicU64; 4],
}

/// Offset of the scratch words, for the vectors.
pub const SCRATCH: usize = offset_of!(CoreLocal, scratch);
/// Offset of the NMI stack's top, for the vectors.
pub const NMI_TOP: usize = offset_of!(CoreLocal, nmi_top);
/// Offset of the emergency stack's top, for the vectors.
pub const EMERGENCY_TOP: usize = offset_of!(CoreLocal, emergency_top);
/// Offset of the count of fatal exceptions, for the vectors.
pub const FATAL_DEPTH: usize = offset_of!(CoreLocal, fatal_depth);

impl CoreLocal {
    const fn empty() -> Self {
        Self {
            scratch: [const { AtomicU64::new(0) }; 4],
            nmi_top: AtomicU64::new(0),
            emergency_top: AtomicU64::new(0),
            fatal_depth: AtomicU32::new(0),
            irq_depth: AtomicU32::new(0),
            nmi_depth: AtomicU32::new(0),
            index: AtomicU32::new(0),
            mpidr: AtomicU64::new(0),
            entry_el: AtomicU32::new(0),
            online: AtomicBool::new(false),
            unanswered: AtomicU32::new(0),
            beats: AtomicU64::new(0),
            slots: [const { AtomicU64::new(0) }; 4],
        }
    }

    /// Logical index: 0 is the boot core, the others follow in device-tree order. Less than [`MAX_CORES`].
    #[inline]
    #[must_use]
    pub fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    /// The affinity fields of the core's MPIDR_EL1, as PSCI and device trees use them.
    #[must_use]
    pub fn mpidr(&self) -> u64 {
        self.mpidr.load(Ordering::Relaxed)
    }

    /// Whether the core has entered the kernel in this boot.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire) // pairs with set_online: what the core did before is visible
    }

    /// How many ordinary interrupt handlers run on the core: 0 or 1.
    #[must_use]
    pub fn irq_depth(&self) -> u32 {
        self.irq_depth.load(Ordering::Relaxed)
    }

    /// How many NMI handlers run on the core.
    #[must_use]
    pub fn nmi_depth(&self) -> u32 {
        self.nmi_depth.load(Ordering::Relaxed)
    }

    /// How many fatal exceptions the core is in.
    #[must_use]
    pub fn fatal_depth(&self) -> u32 {
        self.fatal_depth.load(Ordering::Relaxed)
    }

    /// How many ticks the core has had: a sign of life, for whoever looks twice.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// A tick. Plain load and store, as in `enter_irq`: one that interrupts another may be lost, which does not matter.
    #[cfg(target_os = "none")]
    fn beat(&self) {
        self.beats.store(self.beats() + 1, Ordering::Relaxed);
    }

    /// A stop tick: returns how many there were since the last ordinary one, this one included.
    #[cfg(target_os = "none")]
    pub(crate) fn count_stop_tick(&self) -> u32 {
        self.beat();
        let unanswered = self.unanswered.load(Ordering::Relaxed).saturating_add(1);
        self.unanswered.store(unanswered, Ordering::Relaxed);
        unanswered
    }

    /// An ordinary tick: the core makes progress.
    #[cfg(target_os = "none")]
    pub(crate) fn count_ordinary_tick(&self) {
        self.beat();
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// The exception level at which the core entered the image: 1, 2 or 3; 0 before that.
    #[must_use]
    pub fn entry_el(&self) -> u8 {
        self.entry_el.load(Ordering::Relaxed) as u8
    }

    pub(crate) fn set_entry_el(&self, level: u8) {
        self.entry_el.store(u32::from(level), Ordering::Relaxed);
    }

    /// Sets what the vectors need. Before this runs for a core, an exception on it cannot be reported.
    pub(crate) fn prepare(&self, index: usize, mpidr: u64) {
        self.index.store(index as u32, Ordering::Relaxed);
        self.mpidr.store(mpidr, Ordering::Relaxed);
        self.nmi_top.store(stacks::range(index, Stack::Nmi).end as u64, Ordering::Relaxed);
        self.emergency_top.store(stacks::range(index, Stack::Emergency).end as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_online(&self) {
        self.online.store(true, Ordering::Release); // pairs with is_online
    }

    /// Enters an ordinary handler. Plain load and store: only this core counts, and what nests also leaves.
    #[cfg(target_os = "none")]
    pub(crate) fn enter_irq(&self) {
        self.irq_depth.store(self.irq_depth() + 1, Ordering::Relaxed);
    }

    #[cfg(target_os = "none")]
    pub(crate) fn leave_irq(&self) {
        self.irq_depth.store(self.irq_depth() - 1, Ordering::Relaxed);
    }

    #[cfg(target_os = "none")]
    pub(crate) fn enter_nmi(&self) {
        self.nmi_depth.store(self.nmi_depth() + 1, Ordering::Relaxed);
    }

    #[cfg(target_os = "none")]
    pub(crate) fn leave_nmi(&self) {
        self.nmi_depth.store(self.nmi_depth() - 1, Ordering::Relaxed);
    }

    /// A fatal exception turned out to be expected (the semihosting call that nobody answered).
    #[cfg(target_os = "none")]
    pub(crate) fn leave_fatal(&self) {
        self.fatal_depth.store(self.fatal_depth() - 1, Ordering::Relaxed);
    }
}

/// The blocks of all cores, by logical index.
pub static CORES: [CoreLocal; MAX_CORES] = [const { CoreLocal::empty() }; MAX_CORES];

/// The block of the core that runs this.
#[cfg(target_os = "none")]
#[inline(always)]
#[must_use]
pub fn this() -> &'static CoreLocal {
    let block: *const CoreLocal;
    // SAFETY: the entry code sets TPIDR_EL1 to an element of CORES before any Rust code runs on the core, and
    // nothing changes it afterwards.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el1", out(reg) block, options(nomem, nostack, preserves_flags));
        &*block
    }
}

/// The block of the core that runs this; on a host there is one core, 0.
#[cfg(not(target_os = "none"))]
#[must_use]
pub fn this() -> &'static CoreLocal {
    &CORES[0]
}
