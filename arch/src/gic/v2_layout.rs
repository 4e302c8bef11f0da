//! Where GICv2's registers are and what is in them (Arm IHI 0048, chapter 4). GICD_SGIR is left out on purpose.
#![allow(unreachable_pub, missing_docs, reason = "the macros know only `pub`; fields have their architectural names")]

use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Distributor control.
    pub GICD_CTLR [
        /// Group 1. Not in the non-secure view.
        GRP1 OFFSET(1) NUMBITS(1) [],
        /// Group 0; in the non-secure view, what is visible.
        GRP0 OFFSET(0) NUMBITS(1) []
    ],
    /// Distributor type.
    pub GICD_TYPER [
        /// Shared interrupts, in blocks of 32, with the private ones.
        LINES OFFSET(0) NUMBITS(5) []
    ],
    /// Peripheral identification.
    pub ICPIDR2 [
        /// Architecture revision.
        ArchRev OFFSET(4) NUMBITS(4) []
    ],
    /// CPU interface control.
    pub GICC_CTLR [
        /// End of interrupt drops the priority only.
        EOImode OFFSET(9) NUMBITS(1) [],
        /// What the bypass of a disabled interface does: whoever set it up knows.
        BYPASS OFFSET(5) NUMBITS(4) [],
        /// Group 0 is signalled as FIQ. Not in the non-secure view.
        FIQEn OFFSET(3) NUMBITS(1) [],
        /// GICC_IAR acknowledges both groups. Not in the non-secure view.
        AckCtl OFFSET(2) NUMBITS(1) [],
        /// Group 1. Not in the non-secure view.
        GRP1 OFFSET(1) NUMBITS(1) [],
        /// Group 0; in the non-secure view, what is visible.
        GRP0 OFFSET(0) NUMBITS(1) []
    ]
}

register_structs! {
    /// The distributor's registers; GICD_SGIR is left out on purpose. Index 0 of what has a bit for each interrupt, and
    /// the first 32 bytes of what has a byte, are each core's own.
    pub Distributor {
        (0x000 => pub ctlr: ReadWrite<u32, GICD_CTLR::Register>),
        (0x004 => pub typer: ReadOnly<u32, GICD_TYPER::Register>),
        (0x008 => _reserved0),
        (0x080 => pub igroupr: [ReadWrite<u32>; 32]),
        (0x100 => pub isenabler: [ReadWrite<u32>; 32]),
        (0x180 => pub icenabler: [ReadWrite<u32>; 32]),
        (0x200 => _reserved1),
        (0x280 => pub icpendr: [ReadWrite<u32>; 32]),
        (0x300 => pub isactiver: [ReadWrite<u32>; 32]),
        (0x380 => pub icactiver: [ReadWrite<u32>; 32]),
        (0x400 => pub ipriorityr: [ReadWrite<u8>; 1024]),
        (0x800 => pub itargetsr: [ReadWrite<u8>; 1024]),
        (0xc00 => _reserved2),
        (0xf10 => pub cpendsgir: [ReadWrite<u32>; 4]),
        (0xf20 => pub spendsgir: [ReadWrite<u32>; 4]),
        (0xf30 => _reserved3),
        (0xfe8 => pub icpidr2: ReadOnly<u32, ICPIDR2::Register>),
        (0xfec => _reserved4),
        (0x1000 => @END),
    },

    /// The CPU interface's registers.
    pub CpuInterface {
        (0x00 => pub ctlr: ReadWrite<u32, GICC_CTLR::Register>),
        (0x04 => pub pmr: ReadWrite<u32>),
        (0x08 => pub bpr: ReadWrite<u32>),
        (0x0c => pub iar: ReadOnly<u32>),
        (0x10 => pub eoir: WriteOnly<u32>),
        (0x14 => _reserved0),
        (0x1c => pub abpr: ReadWrite<u32>),
        (0x20 => _reserved1),
        (0xd0 => pub apr: [ReadWrite<u32>; 4]),
        (0xe0 => pub nsapr: [ReadWrite<u32>; 4]),
        (0xf0 => @END),
    }
}
