//! Masking ordinary interrupts on this core: one place decides how.
//!
//! If the means of stop delivers its tick as an ordinary interrupt of high priority, critical sections raise the
//! priority mask and leave PSTATE.I open; with all other means they set PSTATE.I. On a host there is nothing to
//! mask, and the same calls do nothing.

/// How ordinary interrupts are kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Masking {
    /// PSTATE.I.
    Daif = 0,
    /// ICC_PMR_EL1: the GICv3 priority mask.
    PriorityMaskV3 = 1,
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
pub(crate) use target::set_masking;
#[cfg(target_os = "none")]
pub use target::{
    enable, local_irq_restore, local_irq_save, mask_everything, masked, masking, ordinary_masked, with_nmi_open,
};

#[cfg(target_os = "none")]
mod target {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::{IrqState, Masked, Masking};
    use crate::gic::v3::priority_mask;
    use crate::sysreg::daif;

    /// PSTATE.I in DAIF.
    const DAIF_I: u64 = 1 << 7;

    static MASKING: AtomicU8 = AtomicU8::new(Masking::Daif as u8);

    /// How ordinary interrupts are masked now.
    #[inline(always)]
    #[must_use]
    pub fn masking() -> Masking {
        // Relaxed: set once by the boot core before the others start, which orders it for them.
        if MASKING.load(Ordering::Relaxed) == Masking::PriorityMaskV3 as u8 {
            Masking::PriorityMaskV3
        } else {
            Masking::Daif
        }
    }

    pub(crate) fn set_masking(masking: Masking) {
        MASKING.store(masking as u8, Ordering::Relaxed);
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
            Masking::PriorityMaskV3 => priority_mask::mask(),
        };
        IrqState { masking, value }
    }

    /// Puts back what [`local_irq_save`] found.
    #[inline(always)]
    pub fn local_irq_restore(state: IrqState) {
        match state.masking {
            // SAFETY: the value was this core's before; its caller expected interrupts then.
            Masking::Daif => unsafe { daif::write(state.value) },
            Masking::PriorityMaskV3 => priority_mask::set(state.value),
        }
    }

    /// Whether ordinary interrupts are masked on this core.
    #[must_use]
    pub fn ordinary_masked() -> bool {
        let by_daif = daif::read().get() & DAIF_I != 0;
        by_daif || (masking() == Masking::PriorityMaskV3 && priority_mask::is_masked())
    }

    /// Opens interrupts and SError on a core whose interrupt controller is ready and whose hooks are set.
    pub fn enable() {
        if masking() == Masking::PriorityMaskV3 {
            priority_mask::open();
        }
        // SAFETY: the caller says that this core can be interrupted. A and I.
        unsafe { core::arch::asm!("msr daifclr, #0b0110", options(nostack, preserves_flags)) };
    }

    /// Masks everything that can be masked on this core, also the tick: step 1 of a panic.
    pub fn mask_everything() {
        // SAFETY: masking never breaks running code. D, A, I and F.
        unsafe { core::arch::asm!("msr daifset, #0b1111", options(nostack, preserves_flags)) };
    }

    /// Runs an ordinary handler: its own priority keeps ordinary interrupts out, the tick may come.
    #[inline(always)]
    pub fn with_nmi_open(handler: impl FnOnce()) {
        // SAFETY: the vectors have saved the interrupted state and a nested interrupt gets a stack of its own.
        unsafe { core::arch::asm!("msr daifclr, #0b0010", options(nostack, preserves_flags)) };
        handler();
        set_daif_i();
    }

    /// What is masked on this core. In a handler: what the interrupted code had masked by priority; its DAIF is in
    /// the frame.
    #[must_use]
    pub fn masked() -> Masked {
        let priority_mask = match masking() {
            Masking::Daif => None,
            Masking::PriorityMaskV3 => Some(priority_mask::get()),
        };
        Masked { daif: daif::read().get(), priority_mask }
    }

    #[inline(always)]
    fn set_daif_i() {
        // SAFETY: masking never breaks running code.
        unsafe { core::arch::asm!("msr daifset, #0b0010", options(nostack, preserves_flags)) };
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
        let IrqState { masking: Masking::Daif | Masking::PriorityMaskV3, value: _ } = state;
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
