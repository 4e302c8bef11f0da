//! The first instructions: Linux's arm64 Image header, then everything that must happen before Rust can run.
//!
//! Boot protocol (Linux Documentation/arch/arm64/booting.rst): MMU off, x0 = device tree, the image cleaned to the
//! point of coherency, the instruction cache free of stale lines for it. The header asks for any 2 MiB-aligned
//! place; the code itself is content with any 4 KiB page.
//!
//! Why the data cache is invalidated twice: what is written with the MMU off goes to memory past the cache. Lines
//! that the boot loader left behind must neither be written back over it later (first pass, before the writes) nor
//! be read instead of it (second pass, before the caches are turned on). The passes cover the writable part of
//! the image and nothing else: the persistent region keeps whatever it has.

use core::arch::global_asm;

use crate::core_local::CORES;
use crate::cores::AFFINITY_MASK;
use crate::exceptions::vectors::exception_vectors;
use crate::stacks::{IRQ_TOP, STACKS, THREAD_TOP};

/// Image header flags: little endian, 4 KiB pages, any physical placement.
const IMAGE_FLAGS: u64 = (1 << 1) | (1 << 3);
/// ELF for the Arm 64-bit architecture: the relocation that adds the load address.
const R_AARCH64_RELATIVE: u64 = 1027;

global_asm!(
    r#"
    .pushsection .head, "ax"
    .global _start
_start:
    b       primary_entry
    .long   0
    .quad   0                   // text_offset
    .quad   __image_size
    .quad   {flags}
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0

// x19.. survive calls. x20 = x0 at entry, x21 = counter, x22 = exception level at entry, x23 = load address.
primary_entry:
    msr     daifset, #0xf
    mov     x20, x0

    // Where no firmware is below, nothing holds the other cores back: all enter here. The one named 0 goes on.
    mrs     x0, CurrentEL
    cmp     x0, #(3 << 2)
    b.ne    1f
    mrs     x0, mpidr_el1
    ldr     x1, ={affinity}
    tst     x0, x1
    b.eq    1f
0:  wfi
    b       0b
1:
    bl      drop_to_el1
    isb
    mrs     x21, cntvct_el0
    adrp    x23, __image_start
    bl      invalidate_written

    // Every pointer that was linked into data: *(offset + delta) = addend + delta.
    ldr     x0, =__link_base
    sub     x0, x23, x0
    adrp    x1, __rela_start
    add     x1, x1, :lo12:__rela_start
    adrp    x2, __rela_end
    add     x2, x2, :lo12:__rela_end
1:  cmp     x1, x2
    b.hs    3f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     w4, #{relative}
    b.ne    2f
    add     x5, x5, x0
    str     x5, [x3, x0]
    b       1b
2:  wfi                         // a relocation of another kind: a broken link, nothing can work
    b       2b
3:
    // Most of them come packed (RELR): an even word is the place of a pointer, an odd one a map of the 63 words behind the
    // last place. *(place + delta) += delta.
    adrp    x1, __relr_start
    add     x1, x1, :lo12:__relr_start
    adrp    x2, __relr_end
    add     x2, x2, :lo12:__relr_end
4:  cmp     x1, x2
    b.hs    8f
    ldr     x4, [x1], #8
    tbnz    x4, #0, 5f
    add     x3, x4, x0
    ldr     x5, [x3]
    add     x5, x5, x0
    str     x5, [x3], #8
    b       4b
5:  mov     x6, x3
    add     x3, x3, #504
6:  lsr     x4, x4, #1
    cbz     x4, 4b
    tbz     x4, #0, 7f
    ldr     x5, [x6]
    add     x5, x5, x0
    str     x5, [x6]
7:  add     x6, x6, #8
    b       6b
8:
    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
9:  cmp     x1, x2
    b.hs    10f
    stp     xzr, xzr, [x1], #16
    b       9b
10:
    // Exceptions on SP_EL1, code on SP_EL0; block 0 is the boot core's.
    adrp    x0, {cores}
    add     x0, x0, :lo12:{cores}
    msr     tpidr_el1, x0
    adrp    x0, {vectors}
    add     x0, x0, :lo12:{vectors}
    msr     vbar_el1, x0
    adrp    x0, {stacks}
    add     x0, x0, :lo12:{stacks}
    ldr     x1, ={irq_top}
    add     x1, x0, x1
    mov     sp, x1
    msr     spsel, #0
    ldr     x1, ={thread_top}
    add     x1, x0, x1
    mov     sp, x1
    isb

    mov     x29, #0
    mov     x30, #0
    mov     x0, x20
    mov     x1, x23
    mov     x2, x22
    mov     x3, x21
    bl      {early}             // -> x0 = values for the MMU
    mov     x19, x0
    bl      invalidate_written
    mov     x0, x19
    bl      mmu_on
    mov     x29, #0
    mov     x30, #0
    b       {with_mmu}

// Invalidates what this image writes with the MMU off: read-only data (relocated) up to the end. Clobbers x0-x3.
invalidate_written:
"#,
    own_lines!("ivac"),
    r#"
    ret
    .ltorg
    .popsection
"#,
    flags = const IMAGE_FLAGS,
    affinity = const AFFINITY_MASK,
    relative = const R_AARCH64_RELATIVE,
    cores = sym CORES,
    stacks = sym STACKS,
    vectors = sym exception_vectors,
    irq_top = const IRQ_TOP,
    thread_top = const THREAD_TOP,
    early = sym super::early,
    with_mmu = sym super::with_mmu,
);
