//! The vector table: it saves everything, picks a stack that works, and calls Rust.
//!
//! | exception | from thread code (SP_EL0) | from a handler (SP_EL1) |
//! |---|---|---|
//! | IRQ, FIQ | IRQ stack, where SP_EL1 points | NMI stack, or further down it |
//! | synchronous, SError | emergency stack | emergency stack, or further down it |
//!
//! Before there is a stack, registers go to the scratch words of the core's block: nothing between there and the
//! frame can fault. The frame holds a frame record, so that frame pointers lead on to the interrupted code.

use core::arch::global_asm;

use super::frame::{ELR, ESR, FRAME_SIZE, RECORD, SP, SP_EL1};
use crate::core_local::{EMERGENCY_TOP, FATAL_DEPTH, NMI_TOP, SCRATCH};
use crate::stacks::{EMERGENCY_SIZE, NMI_SIZE};

/// What kind of exception `fatal` is told about; the vectors pass it as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[allow(dead_code, reason = "the vectors make them")]
pub(crate) enum Vector {
    /// Synchronous, from thread code.
    SyncThread = 0,
    /// SError, from thread code.
    SErrorThread = 1,
    /// Synchronous, from a handler.
    SyncHandler = 2,
    /// SError, from a handler.
    SErrorHandler = 3,
    /// From a lower exception level, where nothing of ours runs.
    LowerLevel = 4,
}

/// Bytes that must be left on the emergency stack for a nested fatal exception to go on below.
const EMERGENCY_MARGIN: usize = 4096;
/// Fatal exceptions inside fatal exceptions after which Rust is only asked for a reset.
const FATAL_DEPTH_MAX: u64 = 4;
/// And after which not even that: the core waits for somebody else to reset the machine.
const FATAL_DEPTH_END: u64 = 8;

unsafe extern "C" {
    /// The table, for VBAR_EL1.
    pub(crate) safe fn exception_vectors();
}

global_asm!(
    r#"
    .pushsection .text.vectors, "ax"

    .macro  vector target, value
    .balign 128
    msr     tpidrro_el0, x0
    mrs     x0, tpidr_el1
    stp     x1, x2, [x0, #{scratch}]
    mov     x1, #\value
    b       \target
    .endm

    .balign 2048
    .global exception_vectors
exception_vectors:
    vector  fatal, 0            // from thread code
    vector  from_thread, 0
    vector  from_thread, 1
    vector  fatal, 1
    vector  fatal, 2            // from a handler
    vector  from_handler, 0
    vector  from_handler, 1
    vector  fatal, 3
    .rept   8                   // from a lower level
    vector  fatal, 4
    .endr

// Saves all but x0-x2, which are in tpidrro_el0 and scratch. In: sp = frame, x0 = block, x2 = SP_EL1 before.
// Keeps x1.
    .macro  save
    str     x2, [sp, #{sp_el1}]
    stp     x3, x4, [sp, #24]
    stp     x5, x6, [sp, #40]
    stp     x7, x8, [sp, #56]
    stp     x9, x10, [sp, #72]
    stp     x11, x12, [sp, #88]
    stp     x13, x14, [sp, #104]
    stp     x15, x16, [sp, #120]
    stp     x17, x18, [sp, #136]
    stp     x19, x20, [sp, #152]
    stp     x21, x22, [sp, #168]
    stp     x23, x24, [sp, #184]
    stp     x25, x26, [sp, #200]
    stp     x27, x28, [sp, #216]
    stp     x29, x30, [sp, #232]
    ldp     x3, x4, [x0, #{scratch}]
    mrs     x5, tpidrro_el0
    stp     x5, x3, [sp]
    str     x4, [sp, #16]
    mrs     x3, elr_el1
    mrs     x4, spsr_el1
    stp     x3, x4, [sp, #{elr}]
    mrs     x5, sp_el0          // SPSR.M[0] says which stack pointer the interrupted code used
    tst     x4, #1
    csel    x5, x2, x5, ne
    str     x5, [sp, #{sp}]
    stp     x29, x3, [sp, #{record}]
    add     x29, sp, #{record}
    .endm

from_thread:                    // x1: 0 IRQ, 1 FIQ
    mov     x2, sp
    sub     sp, sp, #{frame}
    b       interrupt
from_handler:
    mov     x2, sp
    str     x3, [x0, #({scratch} + 16)]
    ldr     x3, [x0, #{nmi_top}]
    sub     x3, x3, x2          // below the top of the NMI stack by less than its size: already on it
    cmp     x3, #{nmi_size}
    b.ls    1f
    ldr     x3, [x0, #{nmi_top}]
    mov     sp, x3
1:  ldr     x3, [x0, #({scratch} + 16)]
    sub     sp, sp, #{frame}
interrupt:
    save
    stp     xzr, xzr, [sp, #{esr}]
    mov     x0, sp
    bl      {interrupt}

// Puts back everything from the frame at sp.
restore:
    mov     x1, sp
    ldp     x2, x3, [x1, #{elr}]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldr     x0, [x1, #{sp_el1}]
    ldp     x3, x4, [x1, #24]
    ldp     x5, x6, [x1, #40]
    ldp     x7, x8, [x1, #56]
    ldp     x9, x10, [x1, #72]
    ldp     x11, x12, [x1, #88]
    ldp     x13, x14, [x1, #104]
    ldp     x15, x16, [x1, #120]
    ldp     x17, x18, [x1, #136]
    ldp     x19, x20, [x1, #152]
    ldp     x21, x22, [x1, #168]
    ldp     x23, x24, [x1, #184]
    ldp     x25, x26, [x1, #200]
    ldp     x27, x28, [x1, #216]
    ldp     x29, x30, [x1, #232]
    ldr     x2, [x1, #16]
    mov     sp, x0              // the frame is still there: everything is masked until eret
    ldp     x0, x1, [x1]
    eret

fatal:                          // x1: which vector
    str     x3, [x0, #({scratch} + 16)]
    ldr     w3, [x0, #{depth}]
    add     w3, w3, #1
    str     w3, [x0, #{depth}]
    mov     x2, sp
    ldr     x3, [x0, #{emergency_top}]
    sub     x3, x3, x2          // on the emergency stack with room left: go on below
    cmp     x3, #{emergency_room}
    b.ls    1f
    ldr     x3, [x0, #{emergency_top}]
    mov     sp, x3
1:  ldr     w3, [x0, #{depth}]
    cmp     w3, #{depth_max}
    b.hi    2f
    ldr     x3, [x0, #({scratch} + 16)]
    sub     sp, sp, #{frame}
    save
    mrs     x3, esr_el1
    mrs     x4, far_el1
    stp     x3, x4, [sp, #{esr}]
    mov     x0, sp
    bl      {fatal}
    b       restore
// EL2 makes a core go on here, for good: everything masked, registers as they were, TPIDR_EL1 and VBAR_EL1 right,
// SP_EL1 anything.
    .macro  injection name, value
    .global \name
\name:
    msr     tpidrro_el0, x0
    mrs     x0, tpidr_el1
    stp     x1, x2, [x0, #{scratch}]
    mov     x1, #\value
    b       injected
    .endm

    injection injected_stop, 0
    injection injected_hang, 1
    injection injected_trap, 2
injected:
    str     x3, [x0, #({scratch} + 16)]
    mov     x2, sp
    ldr     x3, [x0, #{emergency_top}]
    sub     x3, x3, x2          // as for what is fatal; but it may be anything, also misaligned
    cmp     x3, #{emergency_room}
    and     x3, x2, #~15
    b.ls    1f
    ldr     x3, [x0, #{emergency_top}]
1:  mov     sp, x3
    ldr     x3, [x0, #({scratch} + 16)]
    sub     sp, sp, #{frame}
    save
    mrs     x3, esr_el1
    stp     x3, xzr, [sp, #{esr}]
    mov     x0, sp
    bl      {injected}

2:  cmp     w3, #{depth_end}    // the handler of fatal exceptions faults again and again
    b.ls    4f
3:  wfi
    b       3b
4:  ldr     x3, [x0, #{emergency_top}]
    mov     sp, x3
    mov     x29, #0
    mov     x30, #0
    b       {last_resort}
    .popsection
"#,
    scratch = const SCRATCH,
    nmi_top = const NMI_TOP,
    emergency_top = const EMERGENCY_TOP,
    depth = const FATAL_DEPTH,
    nmi_size = const NMI_SIZE,
    emergency_room = const EMERGENCY_SIZE - EMERGENCY_MARGIN,
    depth_max = const FATAL_DEPTH_MAX,
    depth_end = const FATAL_DEPTH_END,
    frame = const FRAME_SIZE,
    sp = const SP,
    elr = const ELR,
    esr = const ESR,
    record = const RECORD,
    sp_el1 = const SP_EL1,
    interrupt = sym super::interrupt,
    fatal = sym super::fatal,
    injected = sym super::injected,
    last_resort = sym super::last_resort,
);
