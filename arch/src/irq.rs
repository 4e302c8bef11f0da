//! Masking interrupts on this core: one place decides how.
//!
//! Two things follow from the means of stop. How critical sections keep ordinary interrupts out ([`Masking`]): where the
//! stop tick is an IRQ of high priority they raise the priority mask and leave PSTATE.I open, otherwise they set
//! PSTATE.I. And what must be open for the stop tick to come at any moment, also in the handler of an ordinary interrupt
//! ([`Gate`]). On a host there is nothing to mask, and the same calls do nothing.
//!
//! | gate | critical section | in a handler, the tick comes because |
//! |---|---|---|
//! | priority | raises the priority mask | PSTATE.I is opened; the running priority keeps ordinary ones out |
//! | FIQ | sets PSTATE.I | PSTATE.F is opened |
//! | superpriority | sets PSTATE.I | PSTATE.ALLINT is opened |
//! | EL2 | sets PSTATE.I | nothing here keeps it out |

/// How ordinary interrupts are kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Masking {
    /// PSTATE.I.
    Daif = 0,
    /// ICC_PMR_EL1: the GICv3 priority mask.
    PriorityMaskV3 = 1,
    /// GICC_PMR: the GICv2 priority mask.
    PriorityMaskV2 = 2,
}

/// What the stop tick has to get past on this core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Gate {
    /// PSTATE.I; it is an IRQ of high priority.
    Priority = 0,
    /// PSTATE.F; it is an FIQ.
    Fiq = 1,
    /// PSTATE.ALLINT; it is an IRQ with superpriority.
    Superpriority = 2,
    /// Nothing: EL2 takes it.
    El2 = 3,
}

/// What [`local_irq_save`] found, for [`local_irq_restore`].
#[derive(Clone, Copy, Debug)]
#[must_use = "interrupts stay masked"]
pub struct IrqState {
    masking: Masking,
    value: u64,
}

/// What a core has masked, for its stop record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// PSTATE.DAIF, in its SPSR_EL1 position.
    pub daif: u64,
    /// The priority mask, where one is in use.
    pub priority_mask: Option<u8>,
}

#[cfg(target_os = "none")]
pub use target::{
    enable, gate, local_irq_restore, local_irq_save, mask_daif, mask_everything, masked, masking, ordinary_masked,
};
#[cfg(target_os = "none")]
pub(crate) use target::{open_gate, set_allint, set_masking, with_gate_open};

#[cfg(target_os = "none")]
mod target {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::{Gate, IrqState, Masked, Masking};
    use crate::gic::{v2, v3};
    use crate::sysreg::daif;

    /// PSTATE.I in DAIF.
    const DAIF_I: u64 = 1 << 7;

    static MASKING: AtomicU8 = AtomicU8::new(Masking::Daif as u8);
    static GATE: AtomicU8 = AtomicU8::new(Gate::El2 as u8);

    /// How ordinary interrupts are masked now.
    #[inline(always)]
    #[must_use]
    pub fn masking() -> Masking {
        // Relaxed: set once by the boot core before the others start, which orders it for them.
        match MASKING.load(Ordering::Relaxed) {
            1 => Masking::PriorityMaskV3,
            2 => Masking::PriorityMaskV2,
            _ => Masking::Daif,
        }
    }

    /// What the stop tick has to get past.
    #[inline(always)]
    #[must_use]
    pub fn gate() -> Gate {
        // Relaxed: as in `masking`.
        match GATE.load(Ordering::Relaxed) {
            0 => Gate::Priority,
            1 => Gate::Fiq,
            2 => Gate::Superpriority,
            _ => Gate::El2,
        }
    }

    pub(crate) fn set_masking(masking: Masking, gate: Gate) {
        MASKING.store(masking as u8, Ordering::Relaxed);
        GATE.store(gate as u8, Ordering::Relaxed);
    }

    /// Masks ordinary interrupts on this core and says what was masked before. Nests.
    #[inline(always)]
    pub fn local_irq_save() -> IrqState {
        let masking = masking();
        let value = match masking {
            Masking::Daif => {
                let value = daif::read().get();
                set_daif_i();
                value
            }
            Masking::PriorityMaskV3 => v3::priority_mask::mask(),
            Masking::PriorityMaskV2 => v2::priority_mask::mask(),
        };
        IrqState { masking, value }
    }

    /// Puts back what [`local_irq_save`] found.
    #[inline(always)]
    pub fn local_irq_restore(state: IrqState) {
        match state.masking {
            // SAFETY: the value was this core's before; its caller expected interrupts then.
            Masking::Daif => unsafe { daif::write(state.value) },
            Masking::PriorityMaskV3 => v3::priority_mask::set(state.value),
            Masking::PriorityMaskV2 => v2::priority_mask::set(state.value),
        }
    }

    /// The priority mask, where one is in use.
    fn priority_mask_value() -> Option<u8> {
        match masking() {
            Masking::Daif => None,
            Masking::PriorityMaskV3 => Some(v3::priority_mask::get()),
            Masking::PriorityMaskV2 => Some(v2::priority_mask::get()),
        }
    }

    /// Whether ordinary interrupts are masked on this core.
    #[must_use]
    pub fn ordinary_masked() -> bool {
        let by_daif = daif::read().get() & DAIF_I != 0;
        by_daif || priority_mask_value().is_some_and(|mask| mask <= crate::gic::MASK_ORDINARY)
    }

    /// Opens interrupts and SError on a core whose interrupt controller is ready and whose hooks are set.
    pub fn enable() {
        match masking() {
            Masking::Daif => {}
            Masking::PriorityMaskV3 => v3::priority_mask::open(),
            Masking::PriorityMaskV2 => v2::priority_mask::open(),
        }
        open_gate();
        // SAFETY: the caller says that this core can be interrupted. A and I.
        unsafe { asm!("msr daifclr, #0b0110", options(nostack, preserves_flags)) };
    }

    /// Masks everything that can be masked on this core, also the stop tick unless it is taken at EL2: step 1 of a
    /// panic.
    pub fn mask_everything() {
        mask_daif();
        if gate() == Gate::Superpriority {
            set_allint(true);
        }
    }

    /// Masks all of PSTATE.DAIF on this core, and not PSTATE.ALLINT.
    pub fn mask_daif() {
        // SAFETY: masking never breaks running code. D, A, I and F.
        unsafe { asm!("msr daifset, #0b1111", options(nostack, preserves_flags)) };
    }

    /// Lets the stop tick through, and nothing else, on a core that masks ordinary interrupts in its way.
    #[inline(always)]
    pub(crate) fn open_gate() {
        match gate() {
            // SAFETY: the vectors have hooks, and ordinary interrupts are kept out by priority. I.
            Gate::Priority => unsafe { asm!("msr daifclr, #0b0010", options(nostack, preserves_flags)) },
            // SAFETY: the vectors have hooks. F.
            Gate::Fiq => unsafe { asm!("msr daifclr, #0b0001", options(nostack, preserves_flags)) },
            Gate::Superpriority => set_allint(false),
            Gate::El2 => {}
        }
    }

    /// Runs the handler of an ordinary interrupt: what is like it stays out, the stop tick may come.
    #[inline(always)]
    pub(crate) fn with_gate_open(handler: impl FnOnce()) {
        open_gate();
        handler();
        // SAFETY: masking never breaks running code. I and F.
        unsafe { asm!("msr daifset, #0b0011", options(nostack, preserves_flags)) };
        if gate() == Gate::Superpriority {
            set_allint(true);
        }
    }

    /// What is masked on this core. In a handler: what the interrupted code had masked by priority; its DAIF is in
    /// the frame.
    #[must_use]
    pub fn masked() -> Masked {
        Masked { daif: daif::read().get(), priority_mask: priority_mask_value() }
    }

    #[inline(always)]
    fn set_daif_i() {
        // SAFETY: masking never breaks running code.
        unsafe { asm!("msr daifset, #0b0010", options(nostack, preserves_flags)) };
    }

    /// Masks or opens superpriority. Only on a CPU that has it: an undefined instruction elsewhere.
    #[inline(always)]
    pub(crate) fn set_allint(masked: bool) {
        // PSTATE.ALLINT is bit 13 of the register.
        // SAFETY: as for the other masks: masking never breaks running code, and whoever opens expects the tick.
        unsafe { crate::sysreg::allint::write(u64::from(masked) << 13) };
    }
}

#[cfg(not(target_os = "none"))]
mod host {
    use super::{IrqState, Masked, Masking};

    /// Nothing to mask.
    pub fn local_irq_save() -> IrqState {
        IrqState { masking: Masking::Daif, value: 0 }
    }

    /// Nothing to put back.
    pub fn local_irq_restore(state: IrqState) {
        let IrqState { masking: Masking::Daif | Masking::PriorityMaskV3 | Masking::PriorityMaskV2, value: _ } = state;
    }

    /// Nothing is masked.
    #[must_use]
    pub fn masked() -> Masked {
        Masked::default()
    }
}
#[cfg(not(target_os = "none"))]
pub use host::{local_irq_restore, local_irq_save, masked};

/// Runs something with ordinary interrupts masked.
#[inline(always)]
pub fn without_irqs<R>(f: impl FnOnce() -> R) -> R {
    let state = local_irq_save();
    let result = f();
    local_irq_restore(state);
    result
}
