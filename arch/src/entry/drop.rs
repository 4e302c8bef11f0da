//! Down to EL1 from wherever the boot loader left the core. What stays behind at EL2 is in `nmi/el2/vectors.rs`.
//!
//! Values that reset does not define are all written: a core comes from firmware, from a boot loader or from
//! nothing at all.

use core::arch::global_asm;

/// PSTATE after an exception return to EL1 with SP_EL1, everything masked.
const EL1H_MASKED: u64 = 0x3c5;
/// PSTATE after an exception return to EL2 with SP_EL2, everything masked.
const EL2H_MASKED: u64 = 0x3c9;
/// SCTLR_EL1 with the bits that are one in Armv8.0, MMU and caches off, little endian.
pub(crate) const SCTLR_EL1_OFF: u64 = 0x30d0_0800;
/// SCTLR_EL2 with the bits that are one in Armv8.0, MMU and caches off, little endian.
const SCTLR_EL2_OFF: u64 = 0x30c5_0830;
/// HCR_EL2.RW: EL1 is AArch64; nothing is trapped, no second stage.
const HCR_EL1_IS_AARCH64: u64 = 1 << 31;
/// CPTR_EL2 without VHE: the bits that are one; nothing is trapped.
const CPTR_EL2_NO_TRAPS: u64 = 0x33ff;
/// CNTHCTL_EL2.EL1PCTEN and EL1PCEN: EL1 uses the physical counter and timer.
const CNTHCTL_EL1_TIMER: u64 = 0b11;
/// SCR_EL3: non-secure, the two bits that are one, no SMC (nothing is there to answer), HVC, lower levels AArch64.
const SCR_EL3_NONSECURE: u64 = 1 | (0b11 << 4) | (1 << 7) | (1 << 8) | (1 << 10);
/// SCR_EL3.FGTEn and HXEn: EL2's fine-grained trap and extended configuration registers do not trap.
const SCR_EL3_FGTEN: u64 = 1 << 27;
const SCR_EL3_HXEN: u64 = 1 << 38;
/// ICC_SRE_EL2/EL3: system registers, no bypass, lower levels may have them.
const ICC_SRE_ALL: u64 = 0xf;

global_asm!(
    r#"
    .pushsection .text.entry, "ax"

// Returns to its caller at EL1 with SP_EL1, MMU off, everything masked. x22 = the exception level it came from.
// Clobbers x0-x3.
    .global drop_to_el1
drop_to_el1:
    mrs     x0, CurrentEL
    lsr     x22, x0, #2
    cmp     x22, #3
    b.eq    from_el3
    cmp     x22, #2
    b.eq    from_el2
    msr     spsel, #1
    ldr     x0, ={sctlr_el1}
    msr     sctlr_el1, x0
    isb
    ret

// No firmware below. Leave nothing trapped, so that the kernel can print that, and stop.
from_el3:
    ldr     x0, ={scr_el3}
    mrs     x1, id_aa64mmfr0_el1
    ubfx    x1, x1, #56, #4     // FGT: EL2 may write its registers
    cbz     x1, 1f
    orr     x0, x0, #{scr_fgten}
1:  mrs     x1, id_aa64mmfr1_el1
    ubfx    x1, x1, #40, #4     // HCX: likewise
    cbz     x1, 1f
    orr     x0, x0, #{scr_hxen}
1:  msr     scr_el3, x0
    msr     cptr_el3, xzr
    msr     mdcr_el3, xzr
    isb
    mrs     x0, id_aa64pfr0_el1
    ubfx    x1, x0, #24, #4     // GIC
    cbz     x1, 1f
    mov     x1, #{icc_sre}
    msr     S3_6_C12_C12_5, x1  // ICC_SRE_EL3
    isb
1:  ubfx    x1, x0, #8, #4      // EL2
    cbz     x1, 2f
    mov     x1, #{el2h}
    msr     spsr_el3, x1
    adr     x1, from_el2
    msr     elr_el3, x1
    eret
2:  ldr     x0, ={sctlr_el1}
    msr     sctlr_el1, x0
    mov     x1, #{el1h}
    msr     spsr_el3, x1
    msr     elr_el3, x30
    eret

from_el2:
    msr     spsel, #1
    mov     x0, #0              // the part that stays at EL2 has no block yet (nmi/el2.rs)
    mov     sp, x0
    msr     cnthp_ctl_el2, xzr
    ldr     x0, ={sctlr_el2}
    msr     sctlr_el2, x0
    ldr     x0, ={hcr}
    msr     hcr_el2, x0
    isb                         // the rest is read with E2H = 0
    mov     x0, #{cptr}
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    msr     vttbr_el2, xzr
    mov     x0, #{cnthctl}
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0

    mov     x2, #0              // all event counters belong to EL1, if there are any
    mrs     x0, id_aa64dfr0_el1
    ubfx    x0, x0, #8, #4      // PMUVer: 0 none, 15 not the architecture's
    sub     x0, x0, #1
    cmp     x0, #14
    b.hs    1f
    mrs     x0, pmcr_el0
    ubfx    x2, x0, #11, #5     // N
1:  msr     mdcr_el2, x2

    mrs     x0, id_aa64mmfr0_el1
    ubfx    x0, x0, #56, #4     // FGT: fine-grained traps off
    cbz     x0, 2f
    msr     S3_4_C1_C1_4, xzr   // HFGRTR_EL2
    msr     S3_4_C1_C1_5, xzr   // HFGWTR_EL2
    msr     S3_4_C1_C1_6, xzr   // HFGITR_EL2
    msr     S3_4_C3_C1_4, xzr   // HDFGRTR_EL2
    msr     S3_4_C3_C1_5, xzr   // HDFGWTR_EL2
2:  mrs     x0, id_aa64mmfr1_el1
    ubfx    x0, x0, #40, #4     // HCX
    cbz     x0, 3f
    msr     S3_4_C1_C2_2, xzr   // HCRX_EL2
3:  mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #24, #4     // GIC system registers
    cbz     x0, 4f
    mov     x0, #{icc_sre}
    msr     S3_4_C12_C9_5, x0   // ICC_SRE_EL2
    isb
    mrs     x0, S3_4_C12_C9_5
    tbz     x0, #0, 4f          // EL3 keeps them off
    msr     S3_4_C12_C11_0, xzr // ICH_HCR_EL2
4:  adr     x0, el2_vectors
    msr     vbar_el2, x0
    ldr     x0, ={sctlr_el1}
    msr     sctlr_el1, x0
    mov     x0, #{el1h}
    msr     spsr_el2, x0
    msr     elr_el2, x30
    eret
    .ltorg
    .popsection
"#,
    sctlr_el1 = const SCTLR_EL1_OFF,
    sctlr_el2 = const SCTLR_EL2_OFF,
    scr_el3 = const SCR_EL3_NONSECURE,
    scr_fgten = const SCR_EL3_FGTEN,
    scr_hxen = const SCR_EL3_HXEN,
    icc_sre = const ICC_SRE_ALL,
    el1h = const EL1H_MASKED,
    el2h = const EL2H_MASKED,
    hcr = const HCR_EL1_IS_AARCH64,
    cptr = const CPTR_EL2_NO_TRAPS,
    cnthctl = const CNTHCTL_EL1_TIMER,
);
