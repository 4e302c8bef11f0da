//! Where GICv3's registers are and what is in them (Arm IHI 0069, chapter 12). GICD_SGIR is left out on purpose.
#![allow(unreachable_pub, missing_docs, reason = "the macros know only `pub`; fields have their architectural names")]

use tock_registers::registers::{ReadOnly, ReadWrite};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {u32,
    /// Distributor control, as the single security state and the non-secure view have it in common.
    pub GICD_CTLR [
        /// A write has not taken effect everywhere.
        RWP OFFSET(31) NUMBITS(1) [],
        /// One security state.
        DS OFFSET(6) NUMBITS(1) [],
        /// Affinity routing (of the non-secure state).
        ARE OFFSET(4) NUMBITS(1) [],
        /// Group 1 (non-secure group 1 with affinity routing).
        GRP1 OFFSET(1) NUMBITS(1) [],
        /// Group 0, in the single security state.
        GRP0 OFFSET(0) NUMBITS(1) []
    ],
    /// Distributor type.
    pub GICD_TYPER [
        /// Non-maskable interrupts (FEAT_GICv3_NMI).
        NMI OFFSET(9) NUMBITS(1) [],
        /// Shared interrupts, in blocks of 32, with the private ones.
        LINES OFFSET(0) NUMBITS(5) []
    ],
    /// Redistributor control.
    pub GICR_CTLR [
        /// A write has not taken effect.
        RWP OFFSET(3) NUMBITS(1) []
    ],
    /// Redistributor power.
    pub GICR_WAKER [
        /// The core's interface is asleep.
        ChildrenAsleep OFFSET(2) NUMBITS(1) [],
        /// Asked to sleep.
        ProcessorSleep OFFSET(1) NUMBITS(1) []
    ],
    /// Peripheral identification.
    pub PIDR2 [
        /// Architecture revision: 3 or 4.
        ArchRev OFFSET(4) NUMBITS(4) []
    ]
}

register_bitfields! {u64,
    /// Redistributor type.
    pub GICR_TYPER [
        /// The core, affinity levels 3 to 0.
        Affinity OFFSET(32) NUMBITS(32) [],
        /// Last one of its range.
        Last OFFSET(4) NUMBITS(1) [],
        /// Virtual LPIs: it takes twice the space.
        VLPIS OFFSET(1) NUMBITS(1) []
    ]
}

register_structs! {
    /// The distributor's registers; GICD_SGIR is left out on purpose.
    pub Distributor {
        (0x0000 => pub ctlr: ReadWrite<u32, GICD_CTLR::Register>),
        (0x0004 => pub typer: ReadOnly<u32, GICD_TYPER::Register>),
        (0x0008 => _reserved0),
        (0x0080 => pub igroupr: [ReadWrite<u32>; 32]),
        (0x0100 => pub isenabler: [ReadWrite<u32>; 32]),
        (0x0180 => pub icenabler: [ReadWrite<u32>; 32]),
        (0x0200 => _reserved1),
        (0x0280 => pub icpendr: [ReadWrite<u32>; 32]),
        (0x0300 => _reserved2),
        (0x0380 => pub icactiver: [ReadWrite<u32>; 32]),
        (0x0400 => pub ipriorityr: [ReadWrite<u8>; 1024]),
        (0x0800 => _reserved3),
        (0x6000 => pub irouter: [ReadWrite<u64>; 1024]),
        (0x8000 => _reserved4),
        (0xffe8 => pub pidr2: ReadOnly<u32, PIDR2::Register>),
        (0xffec => _reserved5),
        (0x10000 => @END),
    },

    /// A redistributor's registers: its own frame, then the one for private interrupts.
    pub Redistributor {
        (0x00000 => pub ctlr: ReadWrite<u32, GICR_CTLR::Register>),
        (0x00004 => _reserved0),
        (0x00008 => pub typer: ReadOnly<u64, GICR_TYPER::Register>),
        (0x00010 => _reserved1),
        (0x00014 => pub waker: ReadWrite<u32, GICR_WAKER::Register>),
        (0x00018 => _reserved2),
        (0x0ffe8 => pub pidr2: ReadOnly<u32, PIDR2::Register>),
        (0x0ffec => _reserved3),
        (0x10080 => pub igroupr0: ReadWrite<u32>),
        (0x10084 => _reserved4),
        (0x10100 => pub isenabler0: ReadWrite<u32>),
        (0x10104 => _reserved5),
        (0x10180 => pub icenabler0: ReadWrite<u32>),
        (0x10184 => _reserved6),
        (0x10200 => pub ispendr0: ReadWrite<u32>),
        (0x10204 => _reserved7),
        (0x10280 => pub icpendr0: ReadWrite<u32>),
        (0x10284 => _reserved8),
        (0x10300 => pub isactiver0: ReadWrite<u32>),
        (0x10304 => _reserved9),
        (0x10380 => pub icactiver0: ReadWrite<u32>),
        (0x10384 => _reserved10),
        (0x10400 => pub ipriorityr: [ReadWrite<u8>; 32]),
        (0x10420 => _reserved11),
        (0x10f80 => pub inmir0: ReadWrite<u32>),
        (0x10f84 => _reserved12),
        (0x20000 => @END),
    }
}
