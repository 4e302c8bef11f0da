//! GICv2: distributor and CPU interface, both by registers in memory (Arm IHI 0048). GIC-400 is one.
//!
//! It runs where all registers are visible (no security extensions, or a kernel that owns both states) and in the
//! non-secure view of firmware that keeps group 0 for itself: there half of the priorities are hidden, and the values
//! of [`super`] keep their order. Everything that is visible is in the same group, signalled as IRQ, unless an FIQ
//! is asked for: then that interrupt alone is in group 0, the rest in group 1. GICC_CTLR.AckCtl lets one register
//! acknowledge both groups (the other way, GICC_AIAR, is not in every implementation).
//!
//! No part of it is a system register, so a host tests the driver with memory in place of the registers.

use core::ops::Range;

use tock_registers::LocalRegisterCopy;

use super::GicError;

#[path = "v2_layout.rs"]
mod layout;
use layout::{CpuInterface, Distributor, GICD_TYPER, ICPIDR2};

/// Where a controller's registers are: the `reg` of its device tree node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2Regions {
    /// The distributor.
    pub distributor: Range<usize>,
    /// The CPU interface, at the same address for every core.
    pub interface: Range<usize>,
}

impl V2Regions {
    /// Checks sizes: what is read before the controller itself can be asked. Of the CPU interface older device trees give
    /// the first 256 bytes only; GICC_DIR, far behind them, is not used.
    ///
    /// # Errors
    ///
    /// [`GicError::NotThere`].
    pub fn check(&self) -> Result<(), GicError> {
        let fits = |range: &Range<usize>, size: usize| range.len() >= size && range.start.is_multiple_of(4);
        if fits(&self.distributor, size_of::<Distributor>()) && fits(&self.interface, size_of::<CpuInterface>()) {
            Ok(())
        } else {
            Err(GicError::NotThere)
        }
    }
}

/// Whether a peripheral with this ICPIDR2 is a GICv2.
#[must_use]
pub fn is_v2(icpidr2: u32) -> bool {
    LocalRegisterCopy::<u32, ICPIDR2::Register>::new(icpidr2).read(ICPIDR2::ArchRev) == 2
}

/// The interrupt numbers of a distributor with this GICD_TYPER: all below this one, at most 1020.
#[must_use]
pub fn interrupt_count(typer: u32) -> u32 {
    let lines = LocalRegisterCopy::<u32, GICD_TYPER::Register>::new(typer).read(GICD_TYPER::LINES);
    (32 * (lines + 1)).min(super::SPECIAL_BASE)
}

/// The calling core's bit in GICD_ITARGETSR, which is what it reads there for its private interrupts; of those that are not
/// there it may read nothing. `None` is a controller for a single core: it routes nothing.
#[must_use]
pub fn own_target(private: impl IntoIterator<Item = u8>) -> Option<u8> {
    private.into_iter().find(|target| *target != 0)
}

/// The software-generated interrupts, one bit each, that are pending by GICD_SPENDSGIRn (a byte each: who sent it) or
/// active by GICD_ISACTIVER0.
#[must_use]
pub fn sgis(pending: [u32; 4], active: u32) -> u16 {
    let bytes = pending.iter().flat_map(|word| word.to_le_bytes());
    let pending = bytes.enumerate().fold(0u16, |bits, (n, from)| bits | u16::from(from != 0) << n);
    pending | active as u16
}

#[path = "v2_driver.rs"]
mod driver;
pub use driver::{GicV2, priority_mask};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gic_400_is_known_by_its_id_and_others_are_not() {
        assert!(is_v2(0x2b));
        for other in [0x1b, 0x3b, 0x4b, 0, u32::MAX] {
            assert!(!is_v2(other), "{other:#x}");
        }
    }

    #[test]
    fn interrupts_are_counted_in_blocks_of_32() {
        assert_eq!(interrupt_count(0xfc68), 288);
        assert_eq!(interrupt_count(0), 32);
        assert_eq!(interrupt_count(0x1f), 1020);
    }

    #[test]
    fn a_core_finds_its_bit_at_the_first_private_interrupt_that_has_one() {
        assert_eq!(own_target([0, 0, 4, 4]), Some(4));
        assert_eq!(own_target([0; 32]), None);
    }

    #[test]
    fn pending_and_active_sgis_are_a_bit_each() {
        assert_eq!(sgis([0; 4], 0), 0);
        assert_eq!(sgis([0x0000_0800, 0, 0, 0x0100_0000], 0), 1 << 1 | 1 << 15);
        assert_eq!(sgis([0; 4], 0xffff_0004), 1 << 2);
    }

    #[test]
    fn regions_that_are_too_small_or_crooked_are_refused() {
        let good = V2Regions { distributor: 0xff84_1000..0xff84_2000, interface: 0xff84_2000..0xff84_4000 };
        assert_eq!(good.check(), Ok(()));
        let older = V2Regions { interface: 0x2c00_0100..0x2c00_0200, ..good.clone() };
        assert_eq!(older.check(), Ok(()));
        for bad in [
            V2Regions { distributor: 0xff84_1000..0xff84_1800, ..good.clone() },
            V2Regions { interface: 0xff84_2000..0xff84_2080, ..good.clone() },
            V2Regions { interface: 0xff84_2002..0xff84_4002, ..good },
        ] {
            assert_eq!(bad.check(), Err(GicError::NotThere));
        }
    }
}
