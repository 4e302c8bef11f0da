//! System registers and fields which `aarch64-cpu` does not name, in its own style; what decodes them runs on a host too.
//!
//! Encodings and fields: Arm Architecture Reference Manual (DDI 0487) chapter D24, GIC architecture specification
//! (IHI 0069) chapter 12.

#![allow(unreachable_pub, reason = "the macros know only `pub`")]

use tock_registers::register_bitfields;

register_bitfields! {u64,
    /// Cache Type Register.
    pub CTR_EL0 [
        /// log2 of the number of words in the smallest line of all data and unified caches.
        DminLine OFFSET(16) NUMBITS(4) [],
        /// log2 of the number of words in the smallest line of all instruction caches.
        IminLine OFFSET(0) NUMBITS(4) []
    ],

    /// Instruction Set Attribute Register 0.
    pub ID_AA64ISAR0 [
        /// CRC32 and CRC32C instructions.
        CRC32 OFFSET(16) NUMBITS(4) []
    ],

    /// Instruction Set Attribute Register 1.
    pub ID_AA64ISAR1 [
        /// Data persistence: 1 has DC CVAP, 2 has DC CVADP too.
        DPB OFFSET(0) NUMBITS(4) []
    ],

    /// Processor Feature Register 0.
    pub ID_AA64PFR0 [
        /// System register interface of the GIC CPU interface: 0 has none.
        GIC OFFSET(24) NUMBITS(4) [],
        /// EL3: 0 is not implemented.
        EL3 OFFSET(12) NUMBITS(4) [],
        /// EL2: 0 is not implemented.
        EL2 OFFSET(8) NUMBITS(4) []
    ],

    /// Processor Feature Register 1.
    pub ID_AA64PFR1 [
        /// Non-maskable interrupts (FEAT_NMI).
        NMI OFFSET(36) NUMBITS(4) []
    ],

    /// System Control Register, EL1.
    pub SCTLR [
        /// Superpriority is masked by the choice of stack pointer too.
        SPINTMASK OFFSET(62) NUMBITS(1) [],
        /// FEAT_NMI is on: an exception sets PSTATE.ALLINT.
        NMI OFFSET(61) NUMBITS(1) []
    ],

    /// Interrupt Controller Control Register of the CPU interface.
    pub ICC_CTLR [
        /// Number of priority bits implemented, minus one.
        PRIbits OFFSET(8) NUMBITS(3) [],
        /// The redistributor looks at the priority mask too: raising it needs a DSB.
        PMHE OFFSET(6) NUMBITS(1) [],
        /// End of interrupt drops the priority only; ICC_DIR deactivates.
        EOImode OFFSET(1) NUMBITS(1) []
    ],

    /// System Register Enable of the CPU interface.
    pub ICC_SRE [
        /// The system register interface is enabled.
        SRE OFFSET(0) NUMBITS(1) []
    ],

    /// Interrupt Group Enable.
    pub ICC_IGRPEN [
        /// Interrupts of this group (of this security state) are delivered.
        Enable OFFSET(0) NUMBITS(1) []
    ]
}

/// Defines readers and writers for registers of this core by their assembler names.
///
/// They are compiler barriers too (no `nomem`): what is masked, acknowledged or enabled by a register must not
/// have memory accesses moved across it.
#[cfg(target_os = "none")]
macro_rules! core_registers {
    ($($(#[$doc:meta])* $name:ident = $asm:literal, $layout:ty;)*) => {$(
        $(#[$doc])*
        #[allow(dead_code, unused_imports, reason = "some registers are only read, some only written")]
        pub(crate) mod $name {
            use super::*;
            use tock_registers::LocalRegisterCopy;

            /// Reads the register of this core.
            #[inline(always)]
            #[must_use]
            pub(crate) fn read() -> LocalRegisterCopy<u64, $layout> {
                let value: u64;
                // SAFETY: reading this register has no effect on memory that Rust knows of; the callers check that
                // the CPU has it (an undefined instruction is reported, never ignored).
                unsafe {
                    core::arch::asm!(concat!("mrs {}, ", $asm), out(reg) value, options(nostack, preserves_flags));
                }
                LocalRegisterCopy::new(value)
            }

            /// Writes the register of this core.
            ///
            /// # Safety
            ///
            /// The value must leave the running code its memory, its stack and its expectation of being interrupted.
            #[inline(always)]
            pub(crate) unsafe fn write(value: u64) {
                // SAFETY: the caller vouches for the value.
                unsafe {
                    core::arch::asm!(concat!("msr ", $asm, ", {}"), in(reg) value, options(nostack, preserves_flags));
                }
            }
        }
    )*};
}

#[cfg(target_os = "none")]
core_registers! {
    /// Cache line sizes.
    ctr_el0 = "ctr_el0", CTR_EL0::Register;
    /// CRC instructions.
    id_aa64isar0_el1 = "id_aa64isar0_el1", ID_AA64ISAR0::Register;
    /// Deepest cache clean.
    id_aa64isar1_el1 = "id_aa64isar1_el1", ID_AA64ISAR1::Register;
    /// Exception levels and GIC interface.
    id_aa64pfr0_el1 = "id_aa64pfr0_el1", ID_AA64PFR0::Register;
    /// FEAT_NMI.
    id_aa64pfr1_el1 = "id_aa64pfr1_el1", ID_AA64PFR1::Register;
    /// GIC: acknowledge a group 0 interrupt.
    icc_iar0_el1 = "S3_0_C12_C8_0", ();
    /// GIC: end of a group 0 interrupt.
    icc_eoir0_el1 = "S3_0_C12_C8_1", ();
    /// GIC: group 0 enable.
    icc_igrpen0_el1 = "S3_0_C12_C12_6", ICC_IGRPEN::Register;
    /// GIC: acknowledge an interrupt with superpriority.
    icc_nmiar1_el1 = "S3_0_C12_C9_5", ();
    /// GIC: acknowledge a group 1 interrupt.
    icc_iar1_el1 = "S3_0_C12_C12_0", ();
    /// GIC: end of a group 1 interrupt.
    icc_eoir1_el1 = "S3_0_C12_C12_1", ();
    /// GIC: priorities of group 0 that are active, the upper 32 levels or all there are.
    icc_ap0r0_el1 = "S3_0_C12_C8_4", ();
    /// GIC: priorities of group 1 that are active, the upper 32 levels or all there are.
    icc_ap1r0_el1 = "S3_0_C12_C9_0", ();
    /// GIC: likewise, for 6 or 7 priority bits.
    icc_ap1r1_el1 = "S3_0_C12_C9_1", ();
    /// GIC: likewise, for 7 priority bits.
    icc_ap1r2_el1 = "S3_0_C12_C9_2", ();
    /// GIC: likewise, for 7 priority bits.
    icc_ap1r3_el1 = "S3_0_C12_C9_3", ();
    /// GIC: binary point of group 1.
    icc_bpr1_el1 = "S3_0_C12_C12_3", ();
    /// GIC: CPU interface control.
    icc_ctlr_el1 = "S3_0_C12_C12_4", ICC_CTLR::Register;
    /// GIC: system register enable.
    icc_sre_el1 = "S3_0_C12_C12_5", ICC_SRE::Register;
    /// GIC: group 1 enable.
    icc_igrpen1_el1 = "S3_0_C12_C12_7", ICC_IGRPEN::Register;
    /// GIC: priority mask; interrupts of equal or higher number stay pending.
    icc_pmr_el1 = "S3_0_C4_C6_0", ();
    /// Mask bit of superpriority in PSTATE (FEAT_NMI).
    allint = "S3_0_C4_C3_0", ();
    /// System control: what FEAT_NMI adds to it.
    sctlr_el1 = "sctlr_el1", SCTLR::Register;
    /// Interrupt mask bits of PSTATE.
    daif = "daif", ();
}
