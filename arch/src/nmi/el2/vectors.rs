//! All that runs at EL2: position independent, MMU off, a few registers. What it does and why is in [`super`].
//!
//! Before [`super::Hvc::Start`] there is no block: it answers calls and nothing else.

use core::arch::global_asm;
use core::mem::offset_of;

use super::{Block, Hvc};

/// HCR_EL2.VI: a virtual IRQ is pending.
const HCR_VI: u64 = 1 << 7;
/// HCR_EL2.IMO: physical IRQs are taken to EL2, whatever EL1 masks.
const HCR_IMO: u64 = 1 << 4;
/// HCR_EL2.AMO: SErrors are EL2's, and EL1 can be given virtual ones.
const HCR_AMO: u64 = 1 << 5;
/// HCR_EL2.VSE: a virtual SError is pending.
const HCR_VSE: u64 = 1 << 8;
/// PSTATE of an injection: EL1 with SP_EL1, everything masked.
const EL1H_MASKED: u64 = 0x3c5;
/// Offsets of GICC_IAR and GICC_EOIR (Arm IHI 0048).
const GICC_IAR: usize = 0x0c;
const GICC_EOIR: usize = 0x10;
/// First interrupt number that is none.
const SPECIAL: u32 = 1020;
/// CNTHP_CTL_EL2.ISTATUS, the number of its bit: the timer has fired.
const ISTATUS: u32 = 2;
/// ESR_ELx.EC of HVC from AArch64.
const EC_HVC64: u64 = 0x16;

unsafe extern "C" {
    /// The table, for VBAR_EL2.
    pub(crate) safe fn el2_vectors();
}

global_asm!(
    r#"
    .pushsection .text.entry, "ax"
    .macro  el2_vector target
    .balign 128
    b       \target
    .endm

    .balign 2048
    .global el2_vectors
el2_vectors:
    .rept   8                   // from EL2 itself: broken; its core does not answer any more
    el2_vector el2_park
    .endr
    el2_vector el2_call         // from EL1
    el2_vector el2_irq
    el2_vector el2_trap
    el2_vector el2_trap
    .rept   4                   // from AArch32, where nothing runs
    el2_vector el2_park
    .endr

el2_park:
    msr     cnthp_ctl_el2, xzr
1:  wfi
    b       1b

el2_call:
    msr     tpidr_el2, x2
    mrs     x2, esr_el2
    lsr     x2, x2, #26
    cmp     x2, #{ec_hvc64}
    mrs     x2, tpidr_el2
    b.ne    el2_trap
    mrs     x2, hcr_el2
    ldr     x3, ={start}
    sub     x3, x0, x3
    mov     x0, #-1             // not supported
    cbz     x3, call_start
    cmp     x3, #{acknowledge}
    b.eq    call_acknowledge
    cmp     x3, #{end}
    b.eq    call_end
    cmp     x3, #{serror}
    b.eq    call_serror
    cmp     x3, #{leave}
    b.eq    call_leave
    cmp     x3, #{beats}
    b.ne    9f
    mov     x1, sp
    mov     x0, #0
    cbz     x1, 9f
    ldr     x0, [x1, #{block_beats}]
9:  eret

call_start:
    mov     sp, x1
    ldr     x3, [x1, #{block_period}]
    isb
    mrs     x1, cntpct_el0
    add     x1, x1, x3
    msr     cnthp_cval_el2, x1
    mov     x1, #1              // enabled, not masked
    msr     cnthp_ctl_el2, x1
    orr     x2, x2, #{imo}
    msr     hcr_el2, x2
    mov     x0, #0
    eret

call_acknowledge:
    bic     x2, x2, #{vi}
    msr     hcr_el2, x2
    mov     x1, sp
    mov     x0, #0
    cbz     x1, 9b
    ldr     w0, [x1, #{block_unanswered}]
    str     wzr, [x1, #{block_unanswered}]
    eret

call_serror:
    orr     x2, x2, #{amo}      // physical ones would come here from now on: whoever asks for this dies of it
    orr     x2, x2, #{vse}
    msr     hcr_el2, x2
    mov     x0, #0
    eret

// Stays here, for good: x4 says where to go on, x5 what x0 is there.
call_leave:
    msr     hcr_el2, xzr
    isb
    ic      iallu
    dsb     nsh
    isb
    mov     x0, x5
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    br      x4

call_end:
    msr     cnthp_ctl_el2, xzr
    bic     x2, x2, #{vi}
    bic     x2, x2, #{imo}
    msr     hcr_el2, x2
    mov     x1, sp
    mov     x0, #0
    cbz     x1, 9b
    str     wzr, [x1, #{block_unanswered}]
    dsb     sy                  // what was written past the caches comes before what EL1 writes through them
    eret

el2_irq:
    stp     x0, x1, [sp, #{block_saved}]
    stp     x2, x3, [sp, #{block_saved} + 16]
    ldr     x0, [sp, #{block_interface}]
    cbz     x0, 1f
    tbnz    x0, #0, 8f
    ldr     w1, [x0, #{gicc_iar}]
    b       2f
1:  mrs     x1, S3_0_C12_C12_0  // ICC_IAR1_EL1
2:  ldr     w2, [sp, #{block_intid}]
    cmp     w1, w2
    b.ne    2f
    mrs     x2, cnthp_ctl_el2
    tbnz    x2, #{istatus}, 4f
    b       7f                  // the last one, withdrawn so late that it came twice
2:  mov     w3, #{special}      // none after all, or one that nobody enabled: ended, not told
    cmp     w1, w3
    b.hs    6f
7:  cbz     x0, 3f
    str     w1, [x0, #{gicc_eoir}]
    b       6f
3:  msr     S3_0_C12_C12_1, x1  // ICC_EOIR1_EL1
    b       6f

8:  mrs     x2, cnthp_ctl_el2   // nothing to acknowledge: the timer itself tells
    tbz     x2, #{istatus}, 6f

    // The tick. The next one comes a whole number of periods after this one (timer::next_compare).
4:  ldr     x3, [sp, #{block_period}]
    mrs     x2, cnthp_cval_el2
    add     x2, x2, x3
    isb
    mrs     x1, cntpct_el0
    cmp     x2, x1
    b.hi    5f
    sub     x1, x1, x2
    udiv    x1, x1, x3
    madd    x2, x1, x3, x2
    add     x2, x2, x3
5:  msr     cnthp_cval_el2, x2
    isb                         // the interrupt is withdrawn before its end is signalled
    ldr     w1, [sp, #{block_intid}]
    cbz     x0, 1f
    tbnz    x0, #0, 2f
    str     w1, [x0, #{gicc_eoir}]
    b       2f
1:  msr     S3_0_C12_C12_1, x1  // ICC_EOIR1_EL1
2:  ldr     x1, [sp, #{block_beats}]
    add     x1, x1, #1
    str     x1, [sp, #{block_beats}]
    ldr     x1, [sp, #{block_stop_word}]
    ldr     w1, [x1]
    cbnz    w1, el2_stop
    ldp     w2, w1, [sp, #{block_patience}]
    add     w1, w1, #1
    str     w1, [sp, #{block_unanswered}]
    cbz     w2, 3f
    cmp     w1, w2
    b.hi    el2_hang
3:  mrs     x1, hcr_el2
    orr     x1, x1, #{vi}
    msr     hcr_el2, x1
6:  ldp     x2, x3, [sp, #{block_saved} + 16]
    ldp     x0, x1, [sp, #{block_saved}]
    eret

el2_stop:
    adr     x2, injected_stop
    mov     x3, #0
    b       inject
el2_hang:
    adr     x2, injected_hang
    mov     x3, #0
    b       inject

// Something of EL1's that EL2 does not know. Without a block there is nobody to tell.
el2_trap:
    msr     tpidr_el2, x0
    mov     x0, sp
    cbz     x0, el2_park
    mrs     x0, tpidr_el2
    stp     x0, x1, [sp, #{block_saved}]
    stp     x2, x3, [sp, #{block_saved} + 16]
    adr     x2, injected_trap
    mrs     x3, esr_el2

// Makes EL1 go on at x2 with the syndrome x3, for good: no more ticks.
inject:
    msr     cnthp_ctl_el2, xzr
    mrs     x1, hcr_el2
    bic     x1, x1, #{vi}
    bic     x1, x1, #{imo}
    msr     hcr_el2, x1
    msr     esr_el1, x3
    mrs     x1, elr_el2
    msr     elr_el1, x1
    mrs     x1, spsr_el2
    msr     spsr_el1, x1
    ldp     x0, x1, [sp, #{block_core}]
    msr     tpidr_el1, x0
    msr     vbar_el1, x1
    msr     elr_el2, x2
    mov     x1, #{el1h}
    msr     spsr_el2, x1
    b       6b
    .ltorg
    .popsection
"#,
    ec_hvc64 = const EC_HVC64,
    start = const Hvc::Start as u64,
    acknowledge = const Hvc::Acknowledge as u64 - Hvc::Start as u64,
    end = const Hvc::End as u64 - Hvc::Start as u64,
    leave = const Hvc::Leave as u64 - Hvc::Start as u64,
    beats = const Hvc::Beats as u64 - Hvc::Start as u64,
    serror = const Hvc::RaiseSError as u64 - Hvc::Start as u64,
    amo = const HCR_AMO,
    vse = const HCR_VSE,
    vi = const HCR_VI,
    imo = const HCR_IMO,
    el1h = const EL1H_MASKED,
    special = const SPECIAL,
    istatus = const ISTATUS,
    gicc_iar = const GICC_IAR,
    gicc_eoir = const GICC_EOIR,
    block_saved = const offset_of!(Block, saved),
    block_period = const offset_of!(Block, period),
    block_stop_word = const offset_of!(Block, stop_word),
    block_core = const offset_of!(Block, core),
    block_interface = const offset_of!(Block, interface),
    block_intid = const offset_of!(Block, intid),
    block_patience = const offset_of!(Block, patience),
    block_unanswered = const offset_of!(Block, unanswered),
    block_beats = const offset_of!(Block, beats),
);

const _: () = assert!(offset_of!(Block, vectors) == offset_of!(Block, core) + 8, "read as a pair");
