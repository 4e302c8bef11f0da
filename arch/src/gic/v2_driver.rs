//! The GICv2 driver itself.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use tock_registers::interfaces::{Readable, Writeable};

use super::super::{
    Class, Gic, GicError, IntId, Interface, Line, MASK_NOTHING, MASK_ORDINARY, PRIORITY_ORDINARY, Security,
};
use super::layout::{CpuInterface, Distributor, GICC_CTLR, GICD_CTLR};
use super::{V2Regions, interrupt_count, is_v2, own_target, sgis};
use crate::core_local::this;
use crate::irq::Masking;

/// All 32 interrupts of a register with one bit each.
const ALL: u32 = u32::MAX;
/// The interrupt's number in GICC_IAR.
const INTID: u32 = 0x3ff;

/// A GICv2.
pub struct GicV2 {
    regions: V2Regions,
    /// Both groups are visible.
    single: AtomicBool,
}

impl GicV2 {
    /// Takes the controller at these places, which must be mapped as device registers.
    ///
    /// # Errors
    ///
    /// [`GicError::NotThere`].
    pub fn new(regions: V2Regions) -> Result<Self, GicError> {
        regions.check()?;
        priority_mask::set_interface(regions.interface.start);
        let gic = Self { regions, single: AtomicBool::new(false) };
        if is_v2(gic.distributor().icpidr2.get()) { Ok(gic) } else { Err(GicError::NotThere) }
    }

    fn distributor(&self) -> &Distributor {
        // SAFETY: `new` was given a mapped distributor of at least this size.
        unsafe { &*ptr::with_exposed_provenance(self.regions.distributor.start) }
    }

    fn cpu_interface(&self) -> &CpuInterface {
        // SAFETY: `new` was given a mapped CPU interface of at least this size.
        unsafe { &*ptr::with_exposed_provenance(self.regions.interface.start) }
    }

    /// Checks that this number exists, and where its bit is.
    fn place(&self, id: IntId) -> Result<(usize, u32), GicError> {
        let number = id.number();
        if number >= interrupt_count(self.distributor().typer.get()) {
            return Err(GicError::NoSuchInterrupt(number));
        }
        Ok((number as usize / 32, 1 << (number % 32)))
    }

    /// Turns this core's interface on: with FIQ for group 0, or all as IRQ.
    fn control(&self, fiq: bool) -> Result<(), GicError> {
        let interface = self.cpu_interface();
        let kept = GICC_CTLR::BYPASS.val(interface.ctlr.read(GICC_CTLR::BYPASS)) + GICC_CTLR::GRP0::SET;
        // Shared interrupts stay in group 1 where an FIQ was tried and given up.
        let groups = match self.security() {
            Security::Single => GICC_CTLR::GRP1::SET + GICC_CTLR::AckCtl::SET,
            Security::NonSecure => GICC_CTLR::GRP1::CLEAR,
        };
        let signal = if fiq { GICC_CTLR::FIQEn::SET } else { GICC_CTLR::FIQEn::CLEAR };
        interface.ctlr.write(kept + groups + signal);
        if interface.ctlr.is_set(GICC_CTLR::EOImode) {
            return Err(GicError::NotOffered("an end of interrupt that deactivates: firmware has turned that off"));
        }
        Ok(())
    }

    /// Puts this core's private interrupts, and the shared ones, into group 1, and one private interrupt into group 0.
    fn make_fiq(&self, id: IntId, bit: u32) -> Result<(), GicError> {
        if self.security() == Security::NonSecure {
            return Err(GicError::NotOffered("FIQ: group 0 belongs to the firmware"));
        }
        if !id.is_private() {
            return Err(GicError::NotOffered("a shared interrupt can only be an IRQ"));
        }
        let distributor = self.distributor();
        distributor.igroupr[0].set(ALL & !bit);
        let count = interrupt_count(distributor.typer.get()) as usize;
        distributor.igroupr[1..count.div_ceil(32)].iter().for_each(|group| group.set(ALL));
        self.control(true)
    }
}

impl Gic for GicV2 {
    fn name(&self) -> &'static str {
        "GICv2"
    }

    fn init_distributor(&self) -> Result<(), GicError> {
        let distributor = self.distributor();
        distributor.ctlr.set(0);
        // Groups are writable where both are visible, and read as zeroes to whoever sees only one.
        distributor.igroupr[0].set(ALL);
        let single = distributor.igroupr[0].get() != 0;
        self.single.store(single, Ordering::Relaxed);
        let count = interrupt_count(distributor.typer.get()) as usize;
        for block in 1..count.div_ceil(32) {
            distributor.icenabler[block].set(ALL);
            distributor.icpendr[block].set(ALL);
            distributor.icactiver[block].set(ALL);
            distributor.igroupr[block].set(0);
        }
        for number in 32..count {
            distributor.ipriorityr[number].set(PRIORITY_ORDINARY);
        }
        let groups = if single { GICD_CTLR::GRP1::SET } else { GICD_CTLR::GRP1::CLEAR };
        distributor.ctlr.write(GICD_CTLR::GRP0::SET + groups);
        Ok(())
    }

    fn init_core(&self) -> Result<(), GicError> {
        let (distributor, interface) = (self.distributor(), self.cpu_interface());
        distributor.icenabler[0].set(ALL);
        distributor.icpendr[0].set(ALL);
        // That one does not reach software-generated interrupts, and whoever ran before may have sent some.
        distributor.cpendsgir.iter().for_each(|senders| senders.set(ALL));
        distributor.icactiver[0].set(ALL);
        distributor.igroupr[0].set(0);
        for priority in &distributor.ipriorityr[..32] {
            priority.set(PRIORITY_ORDINARY);
        }
        // All priority bits decide about preemption.
        interface.bpr.set(0);
        // Nothing is active any more. A reset of the cores alone, and QEMU's, leaves what a panic in a handler did not end,
        // and its like would stay out for ever.
        interface.apr.iter().for_each(|active| active.set(0));
        if self.security() == Security::Single {
            interface.abpr.set(0);
            interface.nsapr.iter().for_each(|active| active.set(0));
        }
        priority_mask::check(MASK_NOTHING)?;
        priority_mask::check(MASK_ORDINARY)?;
        self.control(false)
    }

    fn enable(&self, id: IntId, class: Class) -> Result<(), GicError> {
        let distributor = self.distributor();
        let (block, bit) = self.place(id)?;
        let number = id.number() as usize;
        match class {
            Class::Nmi | Class::Hypervisor | Class::Ordinary => {}
            Class::Fiq => self.make_fiq(id, bit)?,
            Class::Superpriority => return Err(GicError::NotOffered("FEAT_NMI: only a GICv3 can have it")),
        }
        let priority = &distributor.ipriorityr[number];
        priority.set(class.priority());
        let (wrote, read) = (class.priority(), priority.get());
        if wrote != read {
            return Err(GicError::PriorityRefused { wrote, read });
        }
        let private = distributor.itargetsr[..32].iter().map(Readable::get);
        if !id.is_private()
            && let Some(target) = own_target(private)
        {
            distributor.itargetsr[number].set(target);
        }
        distributor.isenabler[block].set(bit);
        Ok(())
    }

    fn disable(&self, id: IntId) -> Result<(), GicError> {
        let (block, bit) = self.place(id)?;
        self.distributor().icenabler[block].set(bit);
        Ok(())
    }

    fn open_priority_mask(&self) {
        priority_mask::open();
    }

    #[inline]
    fn acknowledge(&self, _: Line) -> Option<IntId> {
        IntId::from_number(self.cpu_interface().iar.get() & INTID)
    }

    #[inline]
    fn end(&self, _: Line, id: IntId) {
        self.cpu_interface().eoir.set(id.number());
    }

    fn security(&self) -> Security {
        if self.single.load(Ordering::Relaxed) { Security::Single } else { Security::NonSecure }
    }

    /// A core sees only its own.
    fn pending_sgis(&self, core: usize) -> Option<u16> {
        let distributor = self.distributor();
        let pending = core::array::from_fn(|n| distributor.spendsgir[n].get());
        (core == this().index()).then(|| sgis(pending, distributor.isactiver[0].get()))
    }

    fn interface(&self) -> Interface {
        Interface::Memory(self.regions.interface.start)
    }

    fn masking(&self) -> Masking {
        Masking::PriorityMaskV2
    }
}

/// GICC_PMR of this core: interrupts of this priority number or a higher one stay out.
///
/// Raising it needs no barrier: an interrupt that is taken before the write has reached the controller finds nothing to
/// acknowledge, because the read of GICC_IAR comes behind the write, both being of one device. Lowering it needs none: an
/// interrupt comes a little later, and its handler sees all that its own core did before. Only the compiler must be kept from
/// moving the section's accesses across, as it may with volatile ones.
pub mod priority_mask {
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

    use tock_registers::interfaces::{Readable, Writeable};

    use super::{CpuInterface, GicError, MASK_NOTHING, MASK_ORDINARY};

    /// Address of the CPU interface; 0 before there is one.
    static INTERFACE: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn set_interface(address: usize) {
        INTERFACE.store(address, Ordering::Relaxed);
    }

    #[inline(always)]
    fn interface() -> Option<&'static CpuInterface> {
        let address = INTERFACE.load(Ordering::Relaxed);
        // SAFETY: 0, or the mapped CPU interface that `GicV2::new` was given; it stays mapped.
        (address != 0).then(|| unsafe { &*ptr::with_exposed_provenance(address) })
    }

    /// Reads it.
    #[inline(always)]
    #[must_use]
    pub fn get() -> u8 {
        interface().map_or(MASK_NOTHING, |interface| interface.pmr.get() as u8)
    }

    /// Masks ordinary interrupts and returns what it was.
    #[cfg(any(target_os = "none", test))]
    #[inline(always)]
    pub(crate) fn mask() -> u64 {
        let before = get();
        set(u64::from(MASK_ORDINARY));
        u64::from(before)
    }

    /// Puts back what [`mask`] returned.
    #[inline(always)]
    pub(crate) fn set(value: u64) {
        if let Some(interface) = interface() {
            compiler_fence(Ordering::SeqCst);
            interface.pmr.set(value as u32);
            compiler_fence(Ordering::SeqCst);
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

#[cfg(test)]
#[path = "v2_tests.rs"]
mod tests;
