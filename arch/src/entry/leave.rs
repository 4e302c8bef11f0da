//! Out of this image and into another one, in the state in which this one was entered: MMU off, at the same exception level.

use core::arch::global_asm;

use super::drop::SCTLR_EL1_OFF;
use crate::core_local::this;
use crate::nmi::el2::LEAVE;

unsafe extern "C" {
    fn leave_image(entry: usize, x0: usize, entry_el: usize) -> !;
}

// Guard pages are not mapped, so the caches are cleaned with the MMU off: by then nothing is read or written.
global_asm!(
    r#"
    .pushsection .text.entry, "ax"
    .global leave_image
leave_image:
    msr     daifset, #0xf
    mov     x4, x0
    mov     x5, x1
    mov     x6, x2
    ldr     x0, ={sctlr_el1}
    msr     sctlr_el1, x0
    isb
"#,
    own_lines!("civac"),
    r#"
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    cmp     x6, #2
    b.ne    2f
    ldr     x0, ={leave}
    hvc     #0
2:  mov     x0, x5
    mov     x1, #0
    mov     x2, #0
    mov     x3, #0
    br      x4
    .ltorg
    .popsection
"#,
    sctlr_el1 = const SCTLR_EL1_OFF,
    leave = const LEAVE,
);

/// Goes on at `entry` with `x0`, as a boot loader does. The image there must have been cleaned to the point of coherency.
///
/// # Safety
/// An image that keeps to the arm64 boot protocol begins at `entry`, this core is the only one that was started, and no
/// interrupt was set up.
pub unsafe fn leave(entry: usize, x0: usize) -> ! {
    // SAFETY: the caller's promise; EL2 has been as `drop_to_el1` left it, since no means of stop was set up.
    unsafe { leave_image(entry, x0, usize::from(this().entry_el())) }
}
