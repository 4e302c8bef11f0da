//! The local interrupt controller of BCM2836 and BCM2837 (Raspberry Pi 2 and 3; "QA7", ARM quad A7 core): no GIC.
//!
//! It only routes: each core has a register that says which of its four timers interrupt it, as IRQ or as FIQ, and one for each
//! line that says which of them do. Nothing is acknowledged or ended, and there are no priorities: an interrupt stays until its
//! source is quiet. Its local interrupts are numbered as private ones, from 16: 0 to 3 are the timers (secure, non-secure, EL2,
//! virtual), 4 to 7 the mailboxes (by which cores could interrupt each other), 8 the GPU's controller, 9 the PMU, 11 its own
//! timer. Only timers are ever enabled here; whatever else firmware or an earlier boot left on is turned off.
//!
//! No part of it is a system register, so a host tests the driver with memory in place of the registers.

use core::ops::Range;
use core::ptr;

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

use super::{Class, Gic, GicError, IntId, Interface, Line, PPI_BASE, Security};
use crate::core_local::this;
use crate::irq::Masking;

/// Cores that it serves.
const CORES: usize = 4;
/// Timers of each.
const TIMERS: u32 = 4;
/// From a timer's IRQ bit to its FIQ bit.
const FIQ_SHIFT: u32 = 4;
/// All bits of a register.
const ALL: u32 = u32::MAX;

register_bitfields! {u32,
    SOURCE [
        /// One bit for each local interrupt.
        LOCAL OFFSET(0) NUMBITS(12) []
    ]
}

register_structs! {
    /// The registers. Those by which mailboxes are written are left out on purpose.
    #[allow(unreachable_pub, missing_docs, reason = "the macro knows only `pub`")]
    Local {
        (0x00 => _reserved0),
        (0x14 => pmu_routing_clear: WriteOnly<u32>),
        (0x18 => _reserved1),
        (0x34 => local_timer: ReadWrite<u32>),
        (0x38 => _reserved2),
        (0x40 => timers: [ReadWrite<u32>; CORES]),
        (0x50 => mailboxes: [ReadWrite<u32>; CORES]),
        (0x60 => irq_source: [ReadOnly<u32, SOURCE::Register>; CORES]),
        (0x70 => fiq_source: [ReadOnly<u32, SOURCE::Register>; CORES]),
        (0x80 => _reserved3),
        (0xc0 => mailbox_clear: [[ReadWrite<u32>; 4]; CORES]),
        (0x100 => @END),
    },

    /// Of the GPU's controller: what turns its interrupts off.
    #[allow(unreachable_pub, missing_docs, reason = "the macro knows only `pub`")]
    Gpu {
        (0x00 => _reserved0),
        (0x0c => fiq: WriteOnly<u32>),
        (0x10 => _reserved1),
        (0x1c => disable: [WriteOnly<u32>; 3]),
        (0x28 => @END),
    }
}

/// Where its registers are: the `reg` of device tree nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bcm2836Regions {
    /// `brcm,bcm2836-l1-intc`.
    pub local: Range<usize>,
    /// `brcm,bcm2836-armctrl-ic`, whose interrupts come in by it; empty if there is none.
    pub gpu: Range<usize>,
}

/// The controller.
pub struct Bcm2836(Bcm2836Regions);

impl Bcm2836 {
    /// Takes the controller at these places, which must be mapped as device registers.
    ///
    /// # Errors
    ///
    /// [`GicError::NotThere`].
    pub fn new(regions: Bcm2836Regions) -> Result<Self, GicError> {
        let fits = |range: &Range<usize>, size: usize| range.len() >= size && range.start.is_multiple_of(4);
        if fits(&regions.local, size_of::<Local>()) && (regions.gpu.is_empty() || fits(&regions.gpu, size_of::<Gpu>()))
        {
            Ok(Self(regions))
        } else {
            Err(GicError::NotThere)
        }
    }

    fn local(&self) -> &Local {
        // SAFETY: `new` was given mapped registers of at least this size.
        unsafe { &*ptr::with_exposed_provenance(self.0.local.start) }
    }

    fn gpu(&self) -> Option<&Gpu> {
        // SAFETY: as above, if they are not empty.
        (!self.0.gpu.is_empty()).then(|| unsafe { &*ptr::with_exposed_provenance(self.0.gpu.start) })
    }

    /// The calling core's register that routes its timers.
    fn timers(&self) -> &ReadWrite<u32> {
        &self.local().timers[own()]
    }

    /// Writes it, and checks that it was kept: firmware that is not there, or a device tree that is wrong, shows here.
    fn route(&self, bits: u32) -> Result<(), GicError> {
        self.timers().set(bits);
        if self.timers().get() == bits { Ok(()) } else { Err(GicError::NotThere) }
    }
}

/// The calling core's number in the controller.
fn own() -> usize {
    this().mpidr() as usize % CORES
}

/// The IRQ bit of a timer; nothing else is ever enabled.
fn bit(id: IntId) -> Result<u32, GicError> {
    let number = id.number() - PPI_BASE;
    if number < TIMERS { Ok(1 << number) } else { Err(GicError::NoSuchInterrupt(id.number())) }
}

impl Gic for Bcm2836 {
    fn name(&self) -> &'static str {
        "BCM2836 local interrupt controller"
    }

    fn init_distributor(&self) -> Result<(), GicError> {
        let local = self.local();
        local.pmu_routing_clear.set(ALL);
        local.local_timer.set(0);
        for core in 0..CORES {
            local.timers[core].set(0);
            local.mailboxes[core].set(0);
        }
        if let Some(gpu) = self.gpu() {
            gpu.fiq.set(0);
            gpu.disable.iter().for_each(|block| block.set(ALL));
        }
        Ok(())
    }

    fn init_core(&self) -> Result<(), GicError> {
        self.local().mailbox_clear[own()].iter().for_each(|mailbox| mailbox.set(ALL));
        self.route(0)
    }

    fn enable(&self, id: IntId, class: Class) -> Result<(), GicError> {
        let irq = bit(id)?;
        let (clear, set) = match class {
            Class::Ordinary | Class::Hypervisor => (irq << FIQ_SHIFT, irq),
            Class::Fiq => (irq, irq << FIQ_SHIFT),
            Class::Nmi => return Err(GicError::NotOffered("priorities: this interrupt controller has none")),
            Class::Superpriority => return Err(GicError::NotOffered("FEAT_NMI: only a GICv3 can have it")),
        };
        self.route(self.timers().get() & !clear | set)
    }

    fn disable(&self, id: IntId) -> Result<(), GicError> {
        let irq = bit(id)?;
        self.route(self.timers().get() & !(irq | irq << FIQ_SHIFT))
    }

    /// There is none.
    fn open_priority_mask(&self) {}

    #[inline]
    fn acknowledge(&self, line: Line) -> Option<IntId> {
        let local = self.local();
        let source = match line {
            Line::Irq => &local.irq_source[own()],
            Line::Fiq => &local.fiq_source[own()],
        };
        let pending = source.read(SOURCE::LOCAL);
        IntId::ppi(pending.trailing_zeros())
    }

    /// It ends when its source is quiet.
    #[inline]
    fn end(&self, _: Line, _: IntId) {}

    fn security(&self) -> Security {
        Security::Single
    }

    /// Its mailboxes are what cores could interrupt each other by.
    fn pending_sgis(&self, core: usize) -> Option<u16> {
        let mailboxes = self.local().mailbox_clear.get(core)?.iter().enumerate();
        Some(mailboxes.fold(0, |bits, (n, mailbox)| bits | u16::from(mailbox.get() != 0) << n))
    }

    fn interface(&self) -> Interface {
        Interface::None
    }

    fn masking(&self) -> Masking {
        Masking::Daif
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    const PHYSICAL: IntId = IntId::ppi(1).unwrap();
    const HYPERVISOR: IntId = IntId::ppi(2).unwrap();
    const VIRTUAL: IntId = IntId::ppi(3).unwrap();
    const GPU: IntId = IntId::ppi(8).unwrap();

    /// Memory in place of registers: the local ones, then the GPU's.
    struct Fake(*mut u32);

    impl Fake {
        fn new() -> (Self, Bcm2836) {
            let words = Box::leak(Box::new([0u32; 0x80])).as_mut_ptr();
            let start = words.expose_provenance();
            let regions = Bcm2836Regions { local: start..start + 0x100, gpu: start + 0x100..start + 0x200 };
            (Self(words), Bcm2836::new(regions).unwrap())
        }
        fn get(&self, offset: usize) -> u32 {
            // SAFETY: tests ask for offsets below 0x200, and the memory is never freed.
            unsafe { self.0.add(offset / 4).read_volatile() }
        }
        fn set(&self, offset: usize, value: u32) {
            // SAFETY: as above.
            unsafe { self.0.add(offset / 4).write_volatile(value) }
        }
    }

    #[test]
    fn what_was_left_on_is_turned_off() {
        let (fake, controller) = Fake::new();
        for offset in [0x34, 0x40, 0x4c, 0x50, 0x5c, 0x10c] {
            fake.set(offset, 0xff);
        }
        controller.init_distributor().unwrap();
        for offset in [0x34, 0x40, 0x4c, 0x50, 0x5c, 0x10c] {
            assert_eq!(fake.get(offset), 0, "{offset:#x}");
        }
        for offset in [0x14, 0x11c, 0x120, 0x124] {
            assert_eq!(fake.get(offset), ALL, "{offset:#x}");
        }
        controller.init_core().unwrap();
        assert_eq!(
            (fake.get(0xc0), fake.get(0xcc), fake.get(0xd0)),
            (ALL, ALL, 0),
            "this core's mailboxes are emptied"
        );
    }

    #[test]
    fn a_timer_is_an_irq_or_an_fiq_and_never_both() {
        let (fake, controller) = Fake::new();
        controller.enable(PHYSICAL, Class::Ordinary).unwrap();
        controller.enable(VIRTUAL, Class::Ordinary).unwrap();
        assert_eq!(fake.get(0x40), 0b1010);
        controller.enable(PHYSICAL, Class::Fiq).unwrap();
        assert_eq!(fake.get(0x40), 0b0010_1000);
        controller.enable(HYPERVISOR, Class::Hypervisor).unwrap();
        controller.disable(PHYSICAL).unwrap();
        assert_eq!(fake.get(0x40), 0b1100);
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        let (fake, controller) = Fake::new();
        assert!(
            matches!(controller.enable(PHYSICAL, Class::Nmi), Err(GicError::NotOffered(why)) if why.contains("prio"))
        );
        assert!(matches!(controller.enable(PHYSICAL, Class::Superpriority), Err(GicError::NotOffered(_))));
        assert_eq!(controller.enable(GPU, Class::Ordinary), Err(GicError::NoSuchInterrupt(24)));
        assert_eq!(controller.disable(GPU), Err(GicError::NoSuchInterrupt(24)));
        assert_eq!(fake.get(0x40), 0);
        for (local, gpu) in [(0..0xfc, 0..0), (2..0x200, 0..0), (0..0x100, 0..0x20)] {
            assert!(Bcm2836::new(Bcm2836Regions { local, gpu }).is_err());
        }
    }

    #[test]
    fn each_line_tells_its_own_timers_first_and_the_rest_after() {
        let (fake, controller) = Fake::new();
        assert_eq!(controller.acknowledge(Line::Irq), None);
        fake.set(0x60, 1 << 8 | 1 << 3);
        fake.set(0x70, 1 << 1);
        fake.set(0x64, ALL);
        assert_eq!(controller.acknowledge(Line::Irq), Some(VIRTUAL));
        assert_eq!(controller.acknowledge(Line::Fiq), Some(PHYSICAL));
        fake.set(0x60, 1 << 8);
        assert_eq!(controller.acknowledge(Line::Irq), Some(GPU));
        // Above the twelve there is nothing.
        fake.set(0x60, 0xf000);
        assert_eq!(controller.acknowledge(Line::Irq), None);
    }

    #[test]
    fn a_mailbox_that_holds_something_is_seen_from_every_core() {
        let (fake, controller) = Fake::new();
        fake.set(0xd8, 1);
        let seen: std::vec::Vec<_> = (0..5).map(|core| controller.pending_sgis(core)).collect();
        assert_eq!(seen, [Some(0), Some(1 << 2), Some(0), Some(0), None]);
    }
}
