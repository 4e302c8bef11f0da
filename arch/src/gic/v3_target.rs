//! The GICv3 driver itself: registers in memory, and the CPU interface of this core.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use super::super::{
    Class, Gic, GicError, IntId, Interface, Line, MASK_NOTHING, MASK_ORDINARY, PRIORITY_ORDINARY, Security,
};
use super::layout::{Distributor, GICD_CTLR, GICD_TYPER, GICR_CTLR, GICR_TYPER, GICR_WAKER, Redistributor};
use super::{SGI_BITS, V3Regions, find_redistributor, interrupt_count, is_v3, route, typer_affinity};
use crate::core_local::this;
use crate::irq::Masking;
use crate::stacks::MAX_CORES;
use crate::sysreg::{
    ICC_CTLR, ICC_IGRPEN, ICC_SRE, ID_AA64PFR0, ID_AA64PFR1, icc_ap0r0_el1, icc_ap1r0_el1, icc_ap1r1_el1,
    icc_ap1r2_el1, icc_ap1r3_el1, icc_bpr1_el1, icc_ctlr_el1, icc_eoir0_el1, icc_eoir1_el1, icc_iar0_el1, icc_iar1_el1,
    icc_igrpen0_el1, icc_igrpen1_el1, icc_nmiar1_el1, icc_sre_el1, id_aa64pfr0_el1, id_aa64pfr1_el1,
};

/// How often a register is read before it counts as stuck.
const POLLS_MAX: u32 = 1_000_000;
/// All 32 interrupts of a register with one bit each.
const ALL: u32 = u32::MAX;
/// What ICC_IAR1_EL1 reads when the most urgent interrupt has superpriority: ICC_NMIAR1_EL1 has its number.
const IAR_SUPERPRIORITY: u32 = 1022;

/// A GICv3 or v4.
pub struct GicV3 {
    regions: V3Regions,
    /// Address of each core's redistributor, 0 before `init_core`.
    own: [AtomicUsize; MAX_CORES],
}

impl GicV3 {
    /// Takes the controller at these places, which must be mapped as device registers.
    ///
    /// # Errors
    ///
    /// [`GicError::NotThere`], [`GicError::NoSystemRegisters`].
    pub fn new(regions: V3Regions) -> Result<Self, GicError> {
        regions.check()?;
        if id_aa64pfr0_el1::read().read(ID_AA64PFR0::GIC) == 0 {
            return Err(GicError::NoSystemRegisters);
        }
        let gic = Self { regions, own: [const { AtomicUsize::new(0) }; MAX_CORES] };
        if !is_v3(gic.distributor().pidr2.get()) {
            return Err(GicError::NotThere);
        }
        Ok(gic)
    }

    /// Whether distributor and core have FEAT_NMI.
    fn has_superpriority(&self) -> bool {
        self.distributor().typer.is_set(GICD_TYPER::NMI) && id_aa64pfr1_el1::read().read(ID_AA64PFR1::NMI) != 0
    }

    /// Makes a private interrupt what its class asks for beside its priority.
    fn classify(&self, id: IntId, class: Class, bit: u32) -> Result<(), GicError> {
        match class {
            Class::Ordinary | Class::Hypervisor | Class::Nmi => {}
            _ if !id.is_private() => return Err(GicError::NotOffered("a shared interrupt can only be an IRQ")),
            Class::Fiq => {
                if self.security() == Security::NonSecure {
                    return Err(GicError::NotOffered("FIQ: group 0 belongs to the firmware"));
                }
                let redistributor = self.redistributor()?;
                redistributor.igroupr0.set(redistributor.igroupr0.get() & !bit);
                self.distributor().ctlr.modify(GICD_CTLR::GRP0::SET);
                self.settle()?;
                // SAFETY: everything is masked by DAIF. The stop tick is alone in its group, in the upper levels.
                unsafe {
                    icc_ap0r0_el1::write(0);
                    icc_igrpen0_el1::write(ICC_IGRPEN::Enable.val(1).value);
                }
                isb();
            }
            Class::Superpriority => {
                if !self.has_superpriority() {
                    return Err(GicError::NotOffered("FEAT_NMI: the CPU or the interrupt controller does not have it"));
                }
                let redistributor = self.redistributor()?;
                redistributor.inmir0.set(bit);
                if redistributor.inmir0.get() & bit == 0 {
                    return Err(GicError::NotOffered("FEAT_NMI: the interrupt controller refuses superpriority"));
                }
            }
        }
        Ok(())
    }

    fn distributor(&self) -> &Distributor {
        // SAFETY: `new` was given a mapped distributor of at least this size.
        unsafe { &*ptr::with_exposed_provenance(self.regions.distributor.start) }
    }

    fn redistributor_at(&self, address: usize) -> &Redistributor {
        // SAFETY: an address inside one of the mapped ranges, with a whole redistributor's space.
        unsafe { &*ptr::with_exposed_provenance(address) }
    }

    fn redistributor_of(&self, core: usize) -> Option<&Redistributor> {
        let address = self.own.get(core)?.load(Ordering::Acquire); // pairs with init_core
        (address != 0).then(|| self.redistributor_at(address))
    }

    fn redistributor(&self) -> Result<&Redistributor, GicError> {
        self.redistributor_of(this().index()).ok_or(GicError::NoRedistributor)
    }

    /// Waits until a write to the distributor has taken effect.
    fn settle(&self) -> Result<(), GicError> {
        poll(|| !self.distributor().ctlr.is_set(GICD_CTLR::RWP))
    }

    /// Checks that this number exists, and where its bit is.
    fn place(&self, id: IntId) -> Result<(usize, u32), GicError> {
        let number = id.number();
        if number >= interrupt_count(self.distributor().typer.get()) {
            return Err(GicError::NoSuchInterrupt(number));
        }
        Ok((number as usize / 32, 1 << (number % 32)))
    }

    /// Nothing is active any more. A reset of the cores alone may leave what a panic in a handler did not end, and its like
    /// would stay out for ever. `bits` of priority decide which of the registers exist.
    fn forget_active(bits: u64) {
        // SAFETY: everything is masked by DAIF, and no handler is running that would end an interrupt.
        unsafe {
            icc_ap1r0_el1::write(0);
            if bits > 5 {
                icc_ap1r1_el1::write(0);
            }
            if bits > 6 {
                icc_ap1r2_el1::write(0);
                icc_ap1r3_el1::write(0);
            }
        }
        isb();
    }

    fn init_interface() -> Result<(), GicError> {
        if !enable_system_registers() {
            return Err(GicError::NoSystemRegisters);
        }
        let control = icc_ctlr_el1::read();
        priority_mask::set_needs_barrier(control.is_set(ICC_CTLR::PMHE));
        // SAFETY: everything is masked by DAIF. The end of an interrupt also deactivates it; all priority bits
        // decide about preemption; group 1 on.
        unsafe {
            icc_ctlr_el1::write(control.get() & !ICC_CTLR::EOImode.mask);
            icc_bpr1_el1::write(0);
        }
        Self::forget_active(control.read(ICC_CTLR::PRIbits) + 1);
        priority_mask::check(MASK_NOTHING)?;
        priority_mask::check(MASK_ORDINARY)?;
        // SAFETY: as above.
        unsafe { icc_igrpen1_el1::write(ICC_IGRPEN::Enable.val(1).value) };
        isb();
        Ok(())
    }
}

/// Turns on the system registers of this core's CPU interface; false if firmware forbids it.
pub(crate) fn enable_system_registers() -> bool {
    if id_aa64pfr0_el1::read().read(ID_AA64PFR0::GIC) == 0 {
        return false;
    }
    // SAFETY: changes how the CPU interface is reached, not what it does.
    unsafe { icc_sre_el1::write(icc_sre_el1::read().get() | ICC_SRE::SRE.val(1).value) };
    isb();
    icc_sre_el1::read().is_set(ICC_SRE::SRE)
}

impl Gic for GicV3 {
    fn name(&self) -> &'static str {
        "GICv3"
    }

    fn init_distributor(&self) -> Result<(), GicError> {
        let distributor = self.distributor();
        distributor.ctlr.set(0);
        self.settle()?;
        distributor.ctlr.write(GICD_CTLR::ARE::SET);
        self.settle()?;
        let count = interrupt_count(distributor.typer.get()) as usize;
        for block in 1..count.div_ceil(32) {
            distributor.icenabler[block].set(ALL);
            distributor.icpendr[block].set(ALL);
            distributor.icactiver[block].set(ALL);
            distributor.igroupr[block].set(ALL);
        }
        for number in 32..count {
            distributor.ipriorityr[number].set(PRIORITY_ORDINARY);
        }
        self.settle()?;
        distributor.ctlr.write(GICD_CTLR::ARE::SET + GICD_CTLR::GRP1::SET);
        self.settle()
    }

    fn init_core(&self) -> Result<(), GicError> {
        let core = this();
        let typer = |at| self.redistributor_at(at).typer.get();
        let address = find_redistributor(&self.regions, core.mpidr(), typer).ok_or(GicError::NoRedistributor)?;
        let redistributor = self.redistributor_at(address);
        debug_assert_eq!(redistributor.typer.read(GICR_TYPER::Affinity), typer_affinity(core.mpidr()));

        redistributor.waker.write(GICR_WAKER::ProcessorSleep::CLEAR);
        poll(|| !redistributor.waker.is_set(GICR_WAKER::ChildrenAsleep))?;
        redistributor.icenabler0.set(ALL);
        poll(|| !redistributor.ctlr.is_set(GICR_CTLR::RWP))?;
        redistributor.icpendr0.set(ALL);
        redistributor.icactiver0.set(ALL);
        redistributor.igroupr0.set(ALL);
        for priority in &redistributor.ipriorityr {
            priority.set(PRIORITY_ORDINARY);
        }
        poll(|| !redistributor.ctlr.is_set(GICR_CTLR::RWP))?;
        Self::init_interface()?;
        self.own[core.index()].store(address, Ordering::Release); // pairs with redistributor_of
        Ok(())
    }

    fn enable(&self, id: IntId, class: Class) -> Result<(), GicError> {
        let (block, bit) = self.place(id)?;
        self.classify(id, class, bit)?;
        let number = id.number() as usize;
        let (priority, enable) = if id.is_private() {
            let redistributor = self.redistributor()?;
            (&redistributor.ipriorityr[number], &redistributor.isenabler0)
        } else {
            let distributor = self.distributor();
            distributor.irouter[number].set(route(this().mpidr()));
            (&distributor.ipriorityr[number], &distributor.isenabler[block])
        };
        priority.set(class.priority());
        let (wrote, read) = (class.priority(), priority.get());
        // Where there is superpriority, the priority field of such an interrupt reads as zeroes.
        if wrote != read && class != Class::Superpriority {
            return Err(GicError::PriorityRefused { wrote, read });
        }
        enable.set(bit);
        Ok(())
    }

    fn disable(&self, id: IntId) -> Result<(), GicError> {
        let (block, bit) = self.place(id)?;
        if id.is_private() {
            let redistributor = self.redistributor()?;
            redistributor.icenabler0.set(bit);
            poll(|| !redistributor.ctlr.is_set(GICR_CTLR::RWP))
        } else {
            self.distributor().icenabler[block].set(bit);
            self.settle()
        }
    }

    fn open_priority_mask(&self) {
        priority_mask::open();
    }

    #[inline]
    fn acknowledge(&self, line: Line) -> Option<IntId> {
        let number = match line {
            Line::Irq => icc_iar1_el1::read().get() as u32,
            Line::Fiq => icc_iar0_el1::read().get() as u32,
        };
        // Read only where there is superpriority, and then there is the other register.
        let number = if number == IAR_SUPERPRIORITY { icc_nmiar1_el1::read().get() as u32 } else { number };
        IntId::from_number(number)
    }

    #[inline]
    fn end(&self, line: Line, id: IntId) {
        let number = u64::from(id.number());
        match line {
            // SAFETY: the caller took this interrupt last.
            Line::Irq => unsafe { icc_eoir1_el1::write(number) },
            // SAFETY: as above.
            Line::Fiq => unsafe { icc_eoir0_el1::write(number) },
        }
        isb();
    }

    fn security(&self) -> Security {
        if self.distributor().ctlr.is_set(GICD_CTLR::DS) { Security::Single } else { Security::NonSecure }
    }

    fn pending_sgis(&self, core: usize) -> Option<u16> {
        let redistributor = self.redistributor_of(core)?;
        let bits = redistributor.ispendr0.get() | redistributor.isactiver0.get();
        Some((bits & SGI_BITS) as u16)
    }

    fn interface(&self) -> Interface {
        Interface::SystemRegisters
    }

    fn masking(&self) -> Masking {
        Masking::PriorityMaskV3
    }
}

/// ICC_PMR_EL1 of this core: interrupts of this priority number or a higher one stay out.
pub mod priority_mask {
    use core::sync::atomic::{AtomicBool, Ordering};

    use super::{GicError, MASK_NOTHING, MASK_ORDINARY};
    use crate::sysreg::icc_pmr_el1;

    /// Raising the mask must be seen by the redistributor too (ICC_CTLR_EL1.PMHE).
    static NEEDS_BARRIER: AtomicBool = AtomicBool::new(false);

    pub(super) fn set_needs_barrier(needed: bool) {
        NEEDS_BARRIER.store(needed, Ordering::Relaxed);
    }

    /// Reads it.
    #[inline(always)]
    #[must_use]
    pub fn get() -> u8 {
        icc_pmr_el1::read().get() as u8
    }

    /// Masks ordinary interrupts and returns what it was.
    #[inline(always)]
    pub(crate) fn mask() -> u64 {
        let before = icc_pmr_el1::read().get();
        // SAFETY: masking never breaks running code. Takes effect at once: writes of this register synchronise
        // themselves (IHI 0069, ICC_PMR_EL1).
        unsafe { icc_pmr_el1::write(u64::from(MASK_ORDINARY)) };
        before
    }

    /// Puts back what [`mask`] returned.
    #[inline(always)]
    pub(crate) fn set(value: u64) {
        // SAFETY: it was this core's before.
        unsafe { icc_pmr_el1::write(value) };
        if NEEDS_BARRIER.load(Ordering::Relaxed) {
            // SAFETY: a barrier.
            unsafe { core::arch::asm!("dsb sy", options(nostack, preserves_flags)) };
        }
    }

    /// Lets everything through.
    pub(crate) fn open() {
        set(u64::from(MASK_NOTHING));
    }

    /// Writes a value and checks that it was kept.
    pub(super) fn check(wrote: u8) -> Result<(), GicError> {
        set(u64::from(wrote));
        let read = get();
        if read == wrote { Ok(()) } else { Err(GicError::PriorityRefused { wrote, read }) }
    }
}

fn isb() {
    aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
}

fn poll(done: impl Fn() -> bool) -> Result<(), GicError> {
    if (0..POLLS_MAX).any(|_| done()) { Ok(()) } else { Err(GicError::Stuck) }
}
